"""Whatever becomes of a job on its servers: what its client is told leaves nothing out."""

import re

from hypothesis import given
from hypothesis import strategies as st

from gollamas.api.outcomes import WITH_PROGRESS, PartOutcome, outcome_of, warning_fields
from gollamas.events import JobEnd, JobKind

_BAD = (JobEnd.FAILED, JobEnd.STOPPED)
_FIELD = re.compile(rb'199 gollamas "((?:[^"\\\x00-\x1f\x7f-\xff]|\\["\\])*)"')


@st.composite
def jobs(draw: st.DrawFn) -> tuple[JobKind, list[PartOutcome]]:
    """Make a job that has ended on one to four servers."""
    kind = draw(st.sampled_from(tuple(JobKind)))
    outcomes = []
    for number in range(1 if kind is JobKind.PUSH else draw(st.integers(1, 4))):
        end = draw(st.sampled_from(tuple(JobEnd)))
        is_bad = end is not JobEnd.DONE
        status = draw(st.sampled_from((400, 404, 500, 502, 503))) if is_bad else 200
        outcomes.append(
            PartOutcome(
                f"gpu-{number}",
                end,
                404 if end is JobEnd.MISSING else status,
                draw(st.text(min_size=1, max_size=20)) if is_bad else "",
                is_said=draw(st.booleans()),
                is_owed=end is JobEnd.DOWN and kind in (JobKind.PULL, JobKind.DELETE) and draw(st.booleans()),
            )
        )
    return kind, outcomes


@given(jobs())
def test_all_is_well_only_where_nothing_failed_and_something_was_done_or_is_owed(
    job: tuple[JobKind, list[PartOutcome]],
) -> None:
    told = outcome_of(*job)
    has_failed = any(one.end in _BAD for one in job[1])
    is_done = any(one.end is JobEnd.DONE or one.is_owed for one in job[1])
    assert (not told.error) == (is_done and not has_failed)
    assert (told.status == 200) == (not told.error)


@given(jobs())
def test_an_error_carries_the_status_and_the_text_of_one_of_its_servers(
    job: tuple[JobKind, list[PartOutcome]],
) -> None:
    told = outcome_of(*job)
    failed = [one for one in job[1] if one.end in _BAD]
    if failed:
        assert told.status == failed[0].status
        assert failed[0].error in told.error
    elif told.error:
        assert told.status in (404, 503)


@given(jobs())
def test_who_failed_where_others_did_not_is_named(job: tuple[JobKind, list[PartOutcome]]) -> None:
    """And of a copy or delete all who failed, each with its cause."""
    kind, outcomes = job
    told = outcome_of(kind, outcomes)
    failed = [one for one in outcomes if one.end in _BAD]
    if len(outcomes) > 1 and (len(failed) < len(outcomes) or kind in (JobKind.COPY, JobKind.DELETE)):
        has_streamed = kind in WITH_PROGRESS and not any(one.end is JobEnd.DONE for one in outcomes)
        for one in failed[:0] if has_streamed else failed:
            assert f"server {one.server}: {one.error}" in told.error


@given(jobs())
def test_every_server_that_is_down_is_named_once(job: tuple[JobKind, list[PartOutcome]]) -> None:
    told = outcome_of(*job)
    for one in job[1]:
        naming = [note for note in told.notes if note.startswith(f"{one.server} ")]
        lacks = one.end is JobEnd.MISSING and job[0] is JobKind.COPY
        assert len(naming) == (one.end is JobEnd.DOWN or lacks)


@given(st.lists(st.text(max_size=40), max_size=3))
def test_a_note_of_any_text_is_one_field_that_is_well_formed(notes: list[str]) -> None:
    fields = warning_fields(notes)
    assert [name for name, _ in fields] == [b"Warning"] * len(notes)
    assert all(_FIELD.fullmatch(value) for _, value in fields)
