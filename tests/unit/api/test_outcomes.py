"""What a client is told of a job, by how it ended on each of its targets."""

import pytest

from gollamas.api.outcomes import JobOutcome, PartOutcome, not_exposed, note_of, outcome_of, warning_fields
from gollamas.events import JobEnd, JobKind

PULL, PUSH, COPY, DELETE = JobKind.PULL, JobKind.PUSH, JobKind.COPY, JobKind.DELETE


def done(server: str) -> PartOutcome:
    return PartOutcome(server, JobEnd.DONE)


def refused(server: str, text: str = "disk full", status: int = 500) -> PartOutcome:
    """A server's own words."""
    return PartOutcome(server, JobEnd.FAILED, status, text, is_said=True)


def broke(server: str) -> PartOutcome:
    """Ours."""
    return PartOutcome(server, JobEnd.FAILED, 502, "it closed the connection")


def missing(server: str) -> PartOutcome:
    return PartOutcome(server, JobEnd.MISSING, 404, "model 'm' not found", is_said=True)


def down(server: str, *, is_owed: bool = False) -> PartOutcome:
    return PartOutcome(server, JobEnd.DOWN, 502, "connection refused", is_owed=is_owed)


@pytest.mark.parametrize("kind", list(JobKind))
def test_all_is_well_where_it_was_done_everywhere(kind: JobKind) -> None:
    assert outcome_of(kind, [done("a"), done("b")]) == JobOutcome(200, "", [])


@pytest.mark.parametrize("kind", list(JobKind))
def test_the_only_server_s_words_are_passed_as_they_are(kind: JobKind) -> None:
    assert outcome_of(kind, [refused("a", "no", 418)]) == JobOutcome(418, "no", [])


def test_a_charset_belongs_to_the_words_that_are_passed() -> None:
    first, other = refused("a", "no", 400)._replace(has_charset=True), refused("b", "nor here")
    assert outcome_of(PULL, [first, other]) == JobOutcome(400, "no", [], has_charset=True)
    assert outcome_of(PULL, [other, first]) == JobOutcome(500, "nor here", [])
    assert outcome_of(PULL, [done("b"), first]) == JobOutcome(400, "server a: no", [])


@pytest.mark.parametrize("kind", list(JobKind))
def test_what_we_say_names_the_server_also_the_only_one(kind: JobKind) -> None:
    assert outcome_of(kind, [broke("a")]) == JobOutcome(502, "server a: it closed the connection", [])


@pytest.mark.parametrize("kind", list(JobKind))
def test_one_that_fails_is_named_although_the_others_did_it(kind: JobKind) -> None:
    assert outcome_of(kind, [done("a"), refused("b", "no", 400)]) == JobOutcome(400, "server b: no", [])
    assert outcome_of(kind, [broke("a"), done("b"), refused("c")]) == JobOutcome(
        502, "server a: it closed the connection; server c: disk full", []
    )


@pytest.mark.parametrize("kind", [PULL, PUSH])
def test_where_all_fail_a_pull_tells_the_first_error_as_it_was_said(kind: JobKind) -> None:
    outcome = outcome_of(kind, [refused("a", "no"), refused("b", "nor here"), down("c")])
    assert (outcome.status, outcome.error) == (500, "no")


def test_a_copy_or_delete_that_all_refuse_names_each() -> None:
    for kind in (COPY, DELETE):
        assert (
            outcome_of(kind, [refused("a", "no"), refused("b", "nor")]).error == "server a: no; server b: nor"
        )


def test_what_a_server_missed_is_no_failure_and_is_named() -> None:
    assert outcome_of(PULL, [done("a"), down("b", is_owed=True)]) == JobOutcome(
        200, "", ["b is down: the model will be pulled there when it is back"]
    )
    assert outcome_of(DELETE, [done("a"), down("b", is_owed=True)]).notes == [
        "b is down: the model will be deleted there when it is back"
    ]
    assert outcome_of(DELETE, [done("a"), down("b")]).notes == [
        "b is down: whether it has the model is not known"
    ]
    assert outcome_of(COPY, [done("a"), down("b")]).notes == ["b is down and has not copied the model"]
    assert outcome_of(PULL, [done("a"), down("b")]).notes == ["b is down and missed the pull"]


def test_a_delete_is_a_404_where_none_had_it() -> None:
    assert outcome_of(DELETE, [missing("a"), missing("b")]) == JobOutcome(404, "model 'm' not found", [])
    assert outcome_of(DELETE, [missing("a"), done("b")]) == JobOutcome(200, "", [])
    assert outcome_of(DELETE, [missing("a"), down("b")]).status == 404
    assert outcome_of(DELETE, [missing("a"), down("b", is_owed=True)]) == JobOutcome(
        200, "", ["b is down: the model will be deleted there when it is back"]
    )
    assert outcome_of(DELETE, [missing("a"), refused("b")]) == JobOutcome(500, "server b: disk full", [])


def test_a_copy_names_those_that_lack_the_source() -> None:
    assert outcome_of(COPY, [missing("a"), done("b")]) == JobOutcome(200, "", ["a does not have the model"])
    assert outcome_of(COPY, [missing("a"), missing("b")]).status == 404


def test_where_no_server_could_be_reached_it_is_a_503() -> None:
    outcome = outcome_of(PULL, [down("a"), down("b")])
    assert (outcome.status, outcome.error) == (
        503, "no server can be reached (a: connection refused; b: connection refused)",
    )  # fmt: skip
    assert outcome_of(PUSH, [PartOutcome("a", JobEnd.STOPPED, 503, "we stop")]) == JobOutcome(
        503, "server a: we stop", []
    )


def test_what_is_well_needs_no_note() -> None:
    assert note_of(DELETE, missing("a")) == note_of(PULL, done("a")) == note_of(PULL, refused("a")) == ""


def test_a_note_is_a_field_whatever_is_in_it() -> None:
    assert warning_fields([]) == []
    assert warning_fields(['a "b" \\c', "d\r\ne: ü"]) == [
        (b"Warning", b'199 gollamas "a \\"b\\" \\\\c"'),
        (b"Warning", b'199 gollamas "d??e: ?"'),
    ]


def test_a_model_that_nobody_can_use_is_told_of() -> None:
    assert not_exposed("m", ["a", "b"]) == (
        "'m' is on a, b, but clients can't use it: it is not configured; add it to `models`, or set "
        "`expose: installed`"
    )
