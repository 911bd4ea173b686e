"""`gollamas models`: each model on each server, the newest of copies that differ, what to do then."""

from typing import Any

import msgspec

from gollamas.cli.fleet_page import ServersState, UsableModel
from gollamas.cli.placed import page_of, placed_in, unheard, why_unseen, without_alias
from gollamas.cli.plain import as_text
from gollamas.cli.wanted import Named
from gollamas.observe.state import InstalledModel, LoadedModel, LoadingModel, ServerState, SyncState

NOW = "2026-11-30T12:00:00.000Z"


def installed(model: str, digest: str = "a" * 64, day: int | None = 29) -> InstalledModel:
    at = None if day is None else f"2026-11-{day}T12:00:00.000Z"
    return InstalledModel(model=model, digest=digest, size=2_000_000_000, modified_at=at)


def server(name: str, *models: InstalledModel, **changed: Any) -> ServerState:
    told: dict[str, Any] = {
        "url": f"http://{name}",
        "health": "up",
        "why": None,
        "since": NOW,
        "version": "0.34.3",
        "in_flight": 0,
        "truncated": {},
        "models": [one.model for one in models],
        "installed": list(models),
        "missing": [],
        "loaded": [],
        "loading": [],
    }
    return ServerState(id=name, **{**told, **changed})


def state(*servers: ServerState) -> ServersState:
    return ServersState(time=NOW, servers=list(servers))


def text_of(made: ServersState) -> list[str]:
    return as_text(page_of(made, placed_in(made))).splitlines()


def test_a_row_is_a_model_on_a_server() -> None:
    loaded = LoadedModel(
        model="smol:latest",
        context_length=8192,
        runner_options=None,
        size=1,
        size_vram=1,
        cpu_share=None,
        expires_at=None,
    )
    loading = LoadingModel(
        model="smol", runner_options={}, why="request", age_s=1, has_begun=True, waiting=[]
    )
    made = state(
        server("b", installed("smol:latest"), installed("minilm:latest", "b" * 64), loaded=[loaded]),
        server("a", installed("smol:latest"), loading=[loading]),
        server("c", installed("smol:latest", day=None), health="down"),
    )
    assert text_of(made) == [
        "MODEL          SERVER    SIZE    DIGEST        MODIFIED  LOADED   CONTEXT",
        "minilm:latest  b         2.0 GB  bbbbbbbbbbbb  1d ago    -        -",
        "smol:latest    b         2.0 GB  aaaaaaaaaaaa  1d ago    yes      8192",
        "smol:latest    a         2.0 GB  aaaaaaaaaaaa  1d ago    loading  -",
        "smol:latest    c (down)  2.0 GB  aaaaaaaaaaaa  -         -        -",
    ]


def test_copies_that_differ_are_marked_and_the_newest_is_told() -> None:
    """A name in another spelling is the same model, a second name for it is another."""
    made = state(
        server("a", installed("smol:latest", "a" * 64, 20), installed("other:latest", "b" * 64)),
        server("b", installed("Smol:latest", "sha256:" + "b" * 64, 25)),
        server("c", installed("smol:latest", "b" * 64, 22)),
        server("d", installed("smol:latest", "c" * 64, None)),
    )
    placed = placed_in(made)
    assert [(one.model, one.server, one.note) for one in placed] == [
        ("other:latest", "a", None),
        ("smol:latest", "a", "older"),
        ("smol:latest", "b", "newest"),
        ("smol:latest", "c", "newest"),
        ("smol:latest", "d", "older"),
    ]
    assert (
        text_of(made)[-1] == "Contents differ between servers: `gollamas pull smol:latest` makes them alike."
    )


def test_what_is_missing_is_a_row_and_says_what_to_do() -> None:
    made = state(server("a", installed("smol:latest")), server("b", missing=["smol"]))
    assert text_of(made)[2].split() == ["smol:latest", "b", "-", "-", "-", "-", "-", "missing"]
    assert (
        text_of(made)[-1]
        == "A server lacks what is configured for it: `gollamas pull smol:latest` mends that."
    )


def test_who_has_not_been_heard_is_named() -> None:
    made = state(server("a", installed=None, why="Connection refused"), server("b", installed=None))
    assert text_of(made) == [
        "no server has said that it has a model",
        "",
        "a has not said yet what it has: Connection refused",
        "b has not said yet what it has",
    ]


def test_only_the_named_are_shown() -> None:
    made = state(
        server("a", installed("smol:latest"), installed("minilm:latest")),
        server("b", installed("smol:latest")),
    )
    for named, servers in (
        (Named("SMOL", None), ["a", "b"]),
        (Named("smol", "b"), ["b"]),
        (Named("x", None), []),
    ):
        assert [one.server for one in placed_in(made, [named])] == servers


def test_names_of_others_are_no_commands_for_a_terminal_nor_for_a_shell() -> None:
    """What is no name of a model is shown, and stands in no command that is to be pasted."""
    hostile = "\x1b[31m$(reboot)"
    made = state(
        server("a", installed(hostile, "a" * 64)),
        server("b", installed(hostile, "b" * 64)),
        server("\x1b[2J", installed=None),
    )
    text = "\n".join(text_of(made))
    assert "\x1b" not in text
    assert r"\x1b[31m$(reboot)" in text
    assert "gollamas pull" not in text


def test_a_wide_fleet_is_a_line_for_each_and_one_for_what_to_do() -> None:
    made = state(
        *(
            server(f"gpu-{number}", *(installed(f"m{n}", f"{number % 2}" * 64) for n in range(3)))
            for number in range(20)
        )
    )
    lines = text_of(made)
    assert len(lines) == 1 + 60 + 2
    assert max(map(len, lines[:-2])) <= 80
    assert "`gollamas pull m0:latest m1:latest m2:latest`" in lines[-1]


def test_models_are_in_the_order_of_their_names_wherever_they_come_from() -> None:
    made = state(server("a", *map(installed, ("smol:latest", "hf.co/x/y:Q4", "Beta:1", "alpha:latest"))))
    assert [one.model for one in placed_in(made)] == ["alpha:latest", "Beta:1", "hf.co/x/y:Q4", "smol:latest"]


def test_an_alias_stands_for_its_model() -> None:
    made = state(server("a", installed("smol:latest")))
    named = msgspec.structs.replace(
        made, models=[UsableModel("other", [], []), UsableModel("smol", ["a"], ["gpt-4", "x:1"])]
    )
    assert without_alias(named, Named("GPT-4", "a")) == Named("smol", "a")
    assert without_alias(named, Named("X:1", None)) == Named("smol", None)
    assert without_alias(named, Named("gpt-5", None)) == Named("gpt-5", None)


def test_what_clients_can_not_use_there_is_hidden() -> None:
    """Nothing is, where an older proxy does not say what they can use."""
    copies = (installed("smol:latest", "a" * 64, 20), installed("other:latest", "a" * 64, 20))
    newer = (installed("smol:latest", "b" * 64), installed("other:latest", "b" * 64), installed("x:cloud"))
    away = server("c", installed("x:7b"), health="down")
    made = state(server("a", *copies), server("b", *newer, missing=["y"]), away)
    assert not any(one.is_hidden for one in placed_in(made))
    made = msgspec.structs.replace(made, models=[UsableModel("smol", ["a"], []), UsableModel("y", ["b"], [])])
    assert [(one.model, one.server) for one in placed_in(made) if one.is_hidden] == [
        ("other:latest", "a"),
        ("other:latest", "b"),
        ("smol:latest", "b"),
    ]
    lines = text_of(made)
    assert [line.split("  ")[-1] for line in lines[1:5]] == [
        "older, hidden",
        "newest, hidden",
        "older",
        "newest, hidden",
    ]
    assert "Contents differ between servers: `gollamas pull smol:latest` makes them alike." in lines
    assert "Contents of hidden models differ, too: clients may pull these only with `manage: all`." in lines


def test_a_sync_of_one_server_brings_nothing_to_another() -> None:
    syncs = SyncState(model="smol", server="a", status="pulling", failures=0, error=None, retry_in_s=None)
    made = state(server("a"), server("b", missing=["smol:latest"]))
    made = msgspec.structs.replace(made, sync=[syncs])
    by_hand = "A server lacks what is configured for it: `gollamas pull smol:latest` mends that."
    by_sync = "A server lacks what `sync` brings there: `gollamas status` shows how far it is."
    assert text_of(made)[-2:] == [by_hand, by_sync]
    on_b = placed_in(made, [Named("smol", "b")])
    assert page_of(made, on_b).notes == [by_hand]


def test_what_is_to_be_synced_is_missing_unless_a_client_has_deleted_it() -> None:
    lacking = [
        SyncState(model=model, server=where, status=status, failures=0, error=None, retry_in_s=None)
        for model, where, status in (
            ("smol", "a", "pulling"),
            ("smol", "b", "failed"),
            ("wide", "a", "deleted"),
            ("asked", "b", "waiting"),
            ("asked", "c", "waiting"),  # which may have it
        )
    ]
    made = state(
        server("a", missing=["smol"]), server("b", installed("smol:latest")), server("c", installed=None)
    )
    made = msgspec.structs.replace(made, sync=lacking)
    assert [(one.model, one.server, one.note) for one in placed_in(made)] == [
        ("asked", "b", "missing"),
        ("smol:latest", "a", "missing"),
        ("smol:latest", "b", None),
    ]
    hint = "A server lacks what `sync` brings there: `gollamas status` shows how far it is."
    assert hint in text_of(made)
    by_hand = msgspec.structs.replace(made, sync=lacking[:1], servers=[server("a", missing=["smol", "big"])])
    assert text_of(by_hand)[-2:] == [
        "A server lacks what is configured for it: `gollamas pull big:latest` mends that.",
        hint,
    ]


def test_what_is_not_seen_is_nowhere_or_on_no_server_or_not_known_of() -> None:
    made = state(server("a"), server("b", installed=None, why="connection refused"))
    unseen = [Named("x", None), Named("y", "a"), Named("y", "b"), Named("z", "c")]
    assert list(why_unseen(made, unseen)) == [
        "z@c: no server 'c' is configured: `gollamas status` shows the servers",
        "no server has x, y@a",
    ]
    assert list(unheard(made)) == ["b has not said yet what it has: connection refused"]
