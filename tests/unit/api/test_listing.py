"""Merged listings have the bytes, the order and the entries that a single Ollama would show."""

import json
from collections.abc import Sequence

import pytest

from gollamas.api import listing
from gollamas.config.model import Config, Expose
from gollamas.errors import NoServerLeft
from gollamas.fleet import entries
from gollamas.fleet.view import View
from gollamas.wire.message import Answer
from tests.recorded import VERSIONS, case
from tests.unit.fleet.fleets import config, view_of


def tags_body(*models: tuple[str, str, str]) -> bytes:
    """Return a body of tags from names, times and digests."""
    objects = [
        {"name": name, "model": name, "modified_at": time, "digest": digest, "x": 1}
        for name, time, digest in models
    ]
    return json.dumps({"models": objects}, separators=(",", ":")).encode()


def see(view: View, server_id: str, tags: bytes = b'{"models":[]}', ps: bytes = b'{"models":[]}') -> None:
    """Let a server be up and answer both listings."""
    view.answered(server_id, "0.32.15", 1.0)
    view.listed(server_id, entries.read(tags, "modified_at"))
    view.ran(server_id, entries.read(ps, "expires_at"))


def shown(answer: Answer) -> list[str]:
    """Return the names in an answer."""
    assert isinstance(answer.body, bytes)
    found = json.loads(answer.body)
    return (
        [entry["name"] for entry in found["models"]]
        if "models" in found
        else [one["id"] for one in found["data"]]
    )


def recorded(version: str, name: str) -> tuple[bytes, bytes]:
    """Return the content type and body of a recorded answer."""
    reply = case(version, name).reply
    content_type = reply.get(b"content-type")
    assert content_type is not None
    return content_type, reply.body


def everything() -> tuple[Config, View]:
    """Return one server all of whose models are exposed."""
    made = config({}, servers=["a"], expose=Expose.INSTALLED)
    return made, view_of(made)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("name", ["tags", "tags-three"])
def test_tags_of_one_server_are_its_own_bytes(version: str, name: str) -> None:
    """What one server lists comes out as recorded, byte for byte."""
    content_type, body = recorded(version, name)
    made, view = everything()
    see(view, "a", tags=body)
    assert listing.tags(made, view) == Answer(200, [(b"Content-Type", content_type)], body)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("name", ["ps-empty", "ps-one", "ps-two", "ps-forever", "ps-context"])
def test_ps_of_one_server_is_its_own_bytes(version: str, name: str) -> None:
    """What one server has loaded comes out as recorded, byte for byte."""
    content_type, body = recorded(version, name)
    made, view = everything()
    see(view, "a", ps=body)
    assert listing.ps(made, view) == Answer(200, [(b"Content-Type", content_type)], body)


@pytest.mark.parametrize("version", VERSIONS)
def test_openai_models_are_as_recorded(version: str) -> None:
    """The list that one server makes of its tags is the one that we make of them."""
    content_type, body = recorded(version, "v1-models")
    made, view = everything()
    tags = json.loads(recorded(version, "tags-three")[1])
    tags["models"] = [entry for entry in tags["models"] if entry["name"] != "smol-copy:latest"]
    see(view, "a", tags=json.dumps(tags).encode())
    assert listing.openai_models(made, view) == Answer(200, [(b"Content-Type", content_type)], body)


@pytest.mark.parametrize("version", VERSIONS)
def test_the_version_is_as_recorded(version: str) -> None:
    """One server's version comes out as it says it."""
    content_type, body = recorded(version, "version")
    view = everything()[1]
    view.answered("a", version, 1.0)
    assert listing.version(view) == Answer(200, [(b"Content-Type", content_type)], body)


def test_empty_is_a_list() -> None:
    """Nothing known makes empty lists, never null."""
    made = config({"m": ["a"]})
    view = view_of(made)
    assert listing.tags(made, view).body == b'{"models":[]}'
    assert listing.ps(made, view).body == b'{"models":[]}'
    assert listing.openai_models(made, view).body == b'{"object":"list","data":[]}\n'


A = [("old:latest", "2026-01-01T00:00:00Z", "1" * 64), ("New", "2026-01-03T00:00:00.5+02:00", "2" * 64)]
B = [("new:latest", "2026-02-01T00:00:00Z", "3" * 64), ("mid:latest", "2026-01-02T22:00:00.25Z", "4" * 64)]


def two(made: Config) -> View:
    """Return a view of two servers that have models in common."""
    view = view_of(made)
    see(view, "a", tags=tags_body(*A))
    see(view, "b", tags=tags_body(*B))
    return view


@pytest.mark.parametrize(
    ("made", "names"),
    [
        (config({}, servers=["a", "b"], expose=Expose.INSTALLED), ["New", "mid:latest", "old:latest"]),
        (config({}, servers=["b", "a"], expose=Expose.INSTALLED), ["new:latest", "mid:latest", "old:latest"]),
        (config({"new": ["b", "a"]}, servers=["a", "b"]), ["new:latest"]),
        (config({"new": ["a"], "old": ["b"], "mid": ["a"]}, servers=["a", "b"]), ["New"]),
        (config({"NEW": ["b"], "old": ["a"]}), ["new:latest", "old:latest"]),
        (config({}, servers=["a", "b"]), []),
        (config({}, servers=["a", "b"], expose=Expose.RUNNING), []),
    ],
)
def test_each_model_stands_once_newest_first(made: Config, names: Sequence[str]) -> None:
    """The entry is that of the model's first server which has it; only exposed models are shown."""
    view = two(made)
    assert shown(listing.tags(made, view)) == names
    assert shown(listing.openai_models(made, view)) == names


def test_a_loaded_model_is_shown_under_running() -> None:
    """`running` adds what some server has loaded, with the entry of the server that has it."""
    made = config({"old": ["a"]}, servers=["a", "b"], expose=Expose.RUNNING)
    view = two(made)
    see(view, "b", tags_body(*B), b'{"models":[{"name":"NEW"},{"name":"x:cloud"},{"name":"unlisted"}]}')
    assert shown(listing.tags(made, view)) == ["new:latest", "old:latest"]
    assert shown(listing.ps(made, view)) == ["NEW", "unlisted"]


def test_a_cloud_model_is_shown_only_where_it_is_configured() -> None:
    """A stub for a cloud model is no model that `installed` opens."""
    stubs = tags_body(
        ("x:8b-cloud", "2026-01-01T00:00:00Z", "1" * 64), ("y:cloud", "2026-01-01T00:00:00Z", "1" * 64)
    )
    made = config({"x:8b-cloud": ["a"]}, servers=["a"], expose=Expose.INSTALLED)
    view = view_of(made)
    see(view, "a", stubs)
    assert shown(listing.tags(made, view)) == ["x:8b-cloud"]


def test_aliases_follow_their_model() -> None:
    """An alias is shown as Ollama writes names, with every other member of the model's entry."""
    aliases = {"gpt-4o": "new", "user/Best:8b": "new:latest", "lost": "mid"}
    made = config({"old": ["a"], "new": ["b"], "mid": ["a"]}, aliases, list_aliases=True)
    view = two(made)
    names = ["new:latest", "gpt-4o:latest", "user/Best:8b", "old:latest"]
    assert shown(listing.tags(made, view)) == names
    assert shown(listing.openai_models(made, view)) == names
    body = listing.tags(made, view).body
    assert isinstance(body, bytes)
    assert (
        b',{"name":"gpt-4o:latest","model":"gpt-4o:latest","modified_at":"2026-02-01T00:00:00Z","digest":"'
        + b"3" * 64
        + b'","x":1},'
    ) in body
    assert b'"id":"user/Best:8b","object":"model","created":1769904000,"owned_by":"user"' in (
        openai if isinstance(openai := listing.openai_models(made, view).body, bytes) else b""
    )
    hidden = config({"old": ["a"], "new": ["b"]}, {"gpt-4o": "new"})
    assert shown(listing.tags(hidden, two(hidden))) == ["new:latest", "old:latest"]


def loaded(name: str, expires: str) -> bytes:
    """Return a body of ps with one model."""
    return f'{{"models":[{{"name":"{name}","expires_at":"{expires}"}}]}}'.encode()


def test_ps_shows_each_copy_on_the_servers_of_its_model() -> None:
    """Two copies are two entries, an alias none, a copy on a foreign or dead server none; longest first."""
    made = config({"m": ["a", "b", "c"]}, {"gpt": "m"}, servers=["a", "b", "c", "d"], list_aliases=True)
    view = view_of(made)
    see(view, "a", ps=loaded("m:latest", "2026-01-01T10:00:00Z"))
    see(view, "b", ps=loaded("M:latest", "2319-01-01T10:00:00Z"))
    see(view, "c", ps=loaded("m:latest", "2026-01-01T10:00:00Z"))
    see(view, "d", ps=loaded("m:latest", "2026-01-01T10:00:00Z"))
    view.connect_failed("c", "refused", 1.0)
    assert shown(listing.ps(made, view)) == ["M:latest", "m:latest"]
    view.silent("b", "slow", 1.0)
    assert shown(listing.ps(made, view)) == ["M:latest", "m:latest"]


def test_a_dead_server_keeps_its_models_listed() -> None:
    """The last good answer of a server that is away still says what there is."""
    made = config({"old": ["a"]})
    view = view_of(made)
    see(view, "a", tags_body(*A))
    view.connect_failed("a", "refused", 1.0)
    assert shown(listing.tags(made, view)) == ["old:latest"]


def test_the_version_is_the_lowest_of_those_up() -> None:
    """A server that is down counts only where no other has answered, and nobody's answer is a 503."""
    view = view_of(config({"m": ["a", "b"]}))
    with pytest.raises(NoServerLeft, match="a: no answer yet"):
        listing.version(view)
    view.answered("a", "0.9.6", 1.0)
    view.answered("b", "0.10.0", 1.0)
    assert listing.version(view).body == b'{"version":"0.9.6"}'
    view.connect_failed("a", "refused", 1.0)
    assert listing.version(view).body == b'{"version":"0.10.0"}'
    view.connect_failed("b", "refused", 1.0)
    assert listing.version(view).body == b'{"version":"0.9.6"}'


# -- one server ----------------------------------------------------------------------------------------

TIMES = [f"2026-11-24T07:05:0{second}Z" for second in range(10)]


@pytest.mark.parametrize("expose", list(Expose))
def test_the_part_of_one_server_is_what_a_request_could_reach_there(expose: Expose) -> None:
    """Its own entry of a model that another server stands for; never one that only others are to run."""
    made = config(
        {"both": ["a", "b"], "first": ["a"], "cloud:cloud": ["b"]},
        {"alias": "both", "other": "first"},
        expose=expose,
        list_aliases=True,
    )
    view = view_of(made)
    tags = [
        tags_body(*((name, TIMES[1], letter * 64) for name in ("both", "first", "found"))) for letter in "ab"
    ]
    for server_id, body in zip("ab", tags, strict=True):
        see(view, server_id, body, body.replace(b"modified_at", b"expires_at"))
    found = [] if expose is Expose.CONFIGURED else ["found"]
    names = ["both", "alias:latest", *found]
    answer = listing.tags(made, view, "b")
    assert shown(answer) == names
    assert isinstance(answer.body, bytes)
    assert {one["digest"] for one in json.loads(answer.body)["models"]} == {"b" * 64}
    assert shown(listing.openai_models(made, view, "b")) == names
    assert "other:latest" in shown(listing.tags(made, view, "a"))
    assert sorted({*shown(listing.tags(made, view, "a")), *names}) == sorted(shown(listing.tags(made, view)))
    running = listing.ps(made, view, "b")
    assert isinstance(running.body, bytes)
    assert {one["digest"] for one in json.loads(running.body)["models"]} == {"b" * 64}


def test_the_part_of_a_server_that_is_configured_no_more_is_empty() -> None:
    made = config({"m": ["a"]}, servers=["b"])
    view = view_of(config({"m": ["a"]}))
    see(view, "a", tags_body(("m", TIMES[1], "a" * 64)), tags_body(("m", TIMES[1], "a" * 64)))
    for answer in (
        listing.tags(made, view, "b"),
        listing.openai_models(made, view, "b"),
        listing.ps(made, view, "b"),
    ):
        assert shown(answer) == []


def test_the_version_of_one_server_is_its_own() -> None:
    """Where it has never answered, that is said of no other."""
    view = view_of(config({}, servers=["a", "b", "c"]))
    view.answered("a", "0.24.0", 1.0)
    view.answered("b", "0.34.3", 1.0)
    view.silent("c", "no route to host", 1.0)
    assert listing.version(view, "b").body == b'{"version":"0.34.3"}'
    with pytest.raises(NoServerLeft) as error:
        listing.version(view, "c")
    assert error.value.text == "the server that was asked for has not answered yet (c: no route to host)"
