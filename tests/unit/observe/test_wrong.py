"""What is wrong now: each kind with its words, the order, what is left out."""

import msgspec
import pytest

from gollamas.config.model import Config, Expose
from gollamas.events import JobKind
from gollamas.fleet.crowding import Crowded
from gollamas.fleet.entries import Entry
from gollamas.fleet.reloads import RecentReloads
from gollamas.fleet.syncing import Lacking, SyncStatus
from gollamas.fleet.view import View
from gollamas.observe.jobs import OwedJob
from gollamas.observe.moment import Moment
from gollamas.observe.wrong import Happened, UnlikeModels, WrongState, wrong_now
from tests.unit.fleet.fleets import config, entry, key_of, view_of

NOW = Moment(100.0, 1_796_040_000.0)  # 2026-11-30T12:00:00Z


def said(view: View, made: Config, happened: Happened = Happened()) -> list[WrongState]:  # noqa: B008
    unlike = UnlikeModels()
    list(unlike.look(view, made))
    return wrong_now(view, made, unlike.found, happened, NOW)


def kinds(found: list[WrongState]) -> list[tuple[str, str | None, str | None]]:
    return [(one.kind, one.server, one.model) for one in found]


def well(made: Config) -> View:
    """Make a view in which all servers are up and have all models."""
    view = view_of(made)
    for server in made.servers:
        view.answered(server, "0.34.3", 40.0)
        view.listed(server, [entry(model.name) for model in made.models.values()])
    return view


def test_where_all_is_well_nothing_is_wrong() -> None:
    made = config({"m": ["a", "b"], "n": ["a"]})
    assert said(well(made), made) == []


def test_what_is_not_known_yet_is_not_wrong() -> None:
    made = config({"m": ["a", "b"]})
    assert said(view_of(made), made) == []


def test_a_server_that_is_down_says_why_and_since_when() -> None:
    made = config({"m": ["a", "b"]})
    view = well(made)
    view.connect_failed("b", "http://me:secret@b:11434 refused", 70.0)
    (one,) = said(view, made)
    assert one == WrongState(
        kind="server_down",
        text="b is down: http://b:11434 refused",
        advice="Start Ollama at http://127.0.0.1:11434, or see why it can't be reached from here: "
        "gollamas check --live.",
        since="2026-11-30T11:59:30.000Z",
        server="b",
    )


def test_a_model_whose_servers_are_all_down_is_told_of() -> None:
    made = config({"m": ["a", "b"], "n": ["c"]})
    view = well(made)
    view.connect_failed("a", "refused", 60.0)
    view.connect_failed("b", "refused", 70.0)
    found = said(view, made)
    assert kinds(found) == [
        ("server_down", "a", None), ("server_down", "b", None), ("no_server", None, "m"),
    ]  # fmt: skip
    assert (found[2].text, found[2].since) == ("no server of m is up: a, b", "2026-11-30T11:59:30.000Z")


def test_of_many_servers_some_are_named() -> None:
    made = config({"m": ["a", "b", "c", "d", "e"]})
    view = well(made)
    for server in made.servers:
        view.connect_failed(server, "refused", 60.0)
    assert said(view, made)[-1].text == "no server of m is up: a, b, c and 2 more"


def test_a_model_without_a_server_that_is_configured_says_so() -> None:
    made = config({"m": []})
    (one,) = said(view_of(made), made)
    assert (one.kind, one.since) == ("no_server", None)


def test_a_server_that_lacks_models_names_them() -> None:
    made = config({"m": ["a"], "n": ["a"], "o": ["a"]})
    view = well(made)
    view.listed("a", [entry("o")])
    found = said(view, made)
    assert kinds(found) == [("model_missing", "a", "m"), ("model_missing", "a", "n")]
    assert found[0].text == "a lacks m"
    assert "`gollamas pull m@a`" in found[0].advice


def test_what_a_server_gets_by_itself_is_not_missing() -> None:
    """Unless a client has deleted it."""
    made = config({"m": ["a"], "n": ["a"]})
    view = well(made)
    view.listed("a", [])
    lacking = [
        Lacking("m", "a", SyncStatus.PULLING, 0, "", None),
        Lacking("n", "a", SyncStatus.DELETED, 0, "", None),
    ]
    assert kinds(said(view, made, Happened(lacking=lacking))) == [("model_missing", "a", "n")]
    view.listed("a", [entry("n")])
    assert said(view, made, Happened(lacking=lacking[:1])) == []


def test_a_server_that_lacks_many_models_is_told_of_once() -> None:
    made = config({f"m{number}": ["a"] for number in range(6)})
    view = well(made)
    view.listed("a", [])
    (one,) = said(view, made)
    assert (one.text, one.model) == ("a lacks m0, m1, m2 and 3 more", None)


def test_what_a_server_that_is_down_lacks_is_not_told_of() -> None:
    made = config({"m": ["a", "b"]})
    view = well(made)
    view.listed("a", [])
    view.connect_failed("a", "refused", 60.0)
    assert kinds(said(view, made)) == [("server_down", "a", None)]


def test_unlike_contents_are_told_of_with_two_servers() -> None:
    made = config({"m": ["a", "b", "c"]})
    view = well(made)
    view.listed("c", [entry("m", "c" * 64)])
    (one,) = said(view, made)
    assert (one.kind, one.model, one.text) == ("digests_differ", "m", "m is not the same on a and c")


def test_unlike_contents_are_looked_for_where_something_has_changed_only() -> None:
    made = config({f"m{number}": ["a", "b"] for number in range(40)}, expose=Expose.INSTALLED)
    view, unlike = well(made), UnlikeModels()
    assert len(list(unlike.look(view, made))) == 2  # steps
    view.listed("b", [entry(model.name) for model in made.models.values()])
    assert (list(unlike.look(view, made)), unlike.found) == ([], [])
    view.listed("b", [entry("m3", "c" * 64)])
    assert len(list(unlike.look(view, made))) == 2
    assert [one.model for one in unlike.found] == ["m3"]


@pytest.mark.parametrize(("size_vram", "share"), [(3, 25), (1, 75), (4, None), (0, None), (None, None)])
def test_an_instance_that_a_graphics_card_holds_in_part_is_told_of(
    size_vram: int | None, share: int | None
) -> None:
    made = config({"m": ["a"]})
    view = well(made)
    json = msgspec.json.encode({"name": "m", "size": 4, "size_vram": size_vram, "context_length": 8192})
    view.ran("a", [Entry("m", key_of("m"), "a" * 64, json, 0)])
    found = said(view, made)
    text = f"{share} % of m is on the CPU of a, with a context of 8192"
    assert [one.text for one in found] == ([] if share is None else [text])


def test_kept_models_that_do_not_fit_together_are_told_of_once() -> None:
    made = config({"m": ["a"], "n": ["a"], "o": ["a"]})
    crowded = [
        Crowded("a", (key_of("m"), key_of("n")), 4, 90.0),
        Crowded("a", (key_of("n"), key_of("o")), 6, 90.0),
        Crowded("gone", (key_of("n"), key_of("o")), 6, 90.0),
    ]
    found = said(well(made), made, Happened(unfit=[("a", "m", "n")], crowded=crowded))
    assert [one.text for one in found] == [
        "m and n do not both fit into the memory of a",
        "n and o pushed each other out of the memory of a 6 times in the last hour",
    ]
    assert found[1].since == "2026-11-30T11:59:50.000Z"


def test_what_is_owed_fails_or_was_reloaded_is_told_of() -> None:
    made = config({"m": ["a"]})
    happened = Happened(
        reloads=[RecentReloads("a", "m", 3, 40.0, "set this"), RecentReloads("a", "n", 1, 40.0, "set that")],
        owed=[OwedJob(JobKind.DELETE, "http://me:secret@x/m", "a", 40.0, 60.0)],
        lacking=[
            Lacking("m", "a", SyncStatus.FAILED, 3, "http://me:secret@x refused", 60.0),
            Lacking("n", "a", SyncStatus.PULLING, 1, "full", None),
            Lacking("o", "a", SyncStatus.PULLING, 0, "", None),
            Lacking("p", "a", SyncStatus.DELETED, 1, "full", None),
        ],
    )
    found = said(well(made), made, happened)
    assert [(one.kind, one.text) for one in found] == [
        ("owed", "a missed the delete of http://x/m"),
        ("sync_failing", "m could not be pulled on a, 3 times in a row: http://x refused"),
        ("sync_failing", "n could not be pulled on a: full"),
        ("reloads", "m was reloaded 3 times on a in the last hour because its options changed"),
        ("reloads", "n was reloaded once on a in the last hour because its options changed"),
    ]
    assert (found[0].since, found[3].advice) == ("2026-11-30T11:59:20.000Z", "Set this.")


def test_what_is_most_urgent_comes_first() -> None:
    made = config({"m": ["a"], "n": ["b", "c"]})
    view = well(made)
    view.connect_failed("a", "refused", 60.0)
    view.listed("c", [entry("n", "c" * 64)])
    view.listed("b", [entry("n"), entry("x")])
    happened = Happened(owed=[OwedJob(JobKind.PULL, "m", "a", 40.0, 60.0)])
    assert [one.kind for one in said(view, made, happened)] == [
        "server_down", "no_server", "digests_differ", "owed",
    ]  # fmt: skip


def test_of_one_kind_so_many_are_told_and_how_many_more_there_are() -> None:
    made = config({}, servers=["a"])
    owed = [OwedJob(JobKind.PULL, f"m{number}", "a", 40.0, 60.0) for number in range(312)]
    found = said(well(made), made, Happened(owed=owed))
    assert len(found) == 101
    assert found[-1].text == "and 212 more like these"


def test_each_says_what_to_do_in_one_sentence() -> None:
    made = config({"m": ["a", "b"], "n": ["a"]})
    view = well(made)
    view.connect_failed("a", "refused", 60.0)
    view.listed("b", [])
    happened = Happened(
        unfit=[("b", "m", "n")],
        crowded=[Crowded("b", (key_of("m"), key_of("x")), 4, 90.0)],
        owed=[OwedJob(JobKind.PULL, "m", "a", 40.0, 60.0)],
        lacking=[Lacking("m", "a", SyncStatus.FAILED, 3, "full", 60.0)],
    )
    for one in said(view, made, happened):
        assert one.advice.endswith(".")
        assert one.advice[0].isupper() or one.advice.startswith("n is")
        assert "\n" not in one.advice + one.text
