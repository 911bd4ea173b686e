"""Models come and go by Ollama's Python client, sync and async: on three servers, one of them in trouble."""

from concurrent.futures import ThreadPoolExecutor
from typing import Final

import pytest

from gollamas.simulate.faults import CutsOff, Drops, FillsDisk, HangsPulling, RestartsLayer
from gollamas.simulate.server import SimulatedOllama
from tests.clients.calling import Client, bars, words
from tests.clients.three import BROKEN, ELSEWHERE, EMBEDDER, SERVERS, Three, in_turn, others

PULL, PUSH, COPY, DELETE = "/api/pull", "/api/push", "/api/copy", "/api/delete"
WORDS: Final = ["pulling manifest", "verifying sha256 digest", "writing manifest", "success"]
HELLO: Final = [{"role": "user", "content": "Hello"}]


@pytest.fixture
def copied(client: Client, new: str) -> str:
    """Give the name of a model that is on all servers, and of no other test."""
    client.well("copy", "smol", new)
    return new


def listed(client: Client, call: str) -> list[str]:
    """Name what `list` or `ps` shows."""
    return [model.model for model in client.well(call).models]


# -- pull ----------------------------------------------------------------------------------------------


def test_a_pull_is_one_progress_of_all_servers(three: Three, client: Client, new: str) -> None:
    """The sums of all servers, each bar to its end; `success` comes last, when all of them have it."""
    lines = client.well("pull", new, stream=True)
    assert words(lines) == WORDS
    layers = bars(lines)
    model = three.simulated.servers["first"].engine.library.find(new)
    assert model is not None
    assert {digest: told[-1] for digest, told in layers.items()} == {
        f"sha256:{digest}": (3 * size, 3 * size) for digest, size in model.layers
    }
    first, *_, last = layers[f"sha256:{model.layers[0][0]}"]
    assert first < last
    assert three.who_has(new) == list(SERVERS)


def test_a_whole_pull(three: Three, client: Client, new: str) -> None:
    """Its last word alone."""
    answer = client.well("pull", new)
    assert (answer.status, answer.digest, answer.total) == ("success", None, None)
    assert three.who_has(new) == list(SERVERS)


@in_turn
def test_a_pull_while_one_is_down(three: Three, client: Client, new: str, server: str) -> None:
    """One line names it, the others have the model at the end; it pulls what it missed once it is back."""
    with three.down(server):
        lines = client.well("pull", new, stream=True)
        note = f"{server} is down: the model will be pulled there when it is back"
        assert sorted(words(lines)) == sorted([*WORDS, note])
        assert lines[-1].status == "success"
        assert all(told[-1][0] == told[-1][1] for told in bars(lines).values())
        assert three.who_has(new) == others(server)
        assert client.well("pull", new).status == "success"
    three.wait_for(server, new, is_there=True)


@in_turn
def test_a_pull_while_one_fails(three: Three, client: Client, new: str, server: str) -> None:
    """The others get the model; then the error names the one that failed, and why it did."""
    with three.faulty(server, lambda simulated: simulated.fail_next_pull(FillsDisk(after=5))):
        told = client.told("pull", new, stream=True)
    assert told.error is not None
    text = told.error.error
    assert text.startswith(f"server {server}: write ")
    assert text.endswith("no space left on device")
    assert "success" not in words(told.lines)
    assert all(one[-1][0] == one[-1][1] for one in bars(told.lines).values())
    assert three.who_has(new) == others(server)
    with three.failing(server, PULL):
        assert client.refused("pull", new) == (500, f"server {server}: {BROKEN}")
    assert client.well("pull", new).status == "success"
    assert three.who_has(new) == list(SERVERS)


@in_turn
def test_a_pull_while_one_dies(three: Three, client: Client, new: str, server: str) -> None:
    """What ends in the middle of its lines has failed, and is named."""
    with three.faulty(server, lambda simulated: simulated.fail_next(CutsOff(after=5), path=PULL)):
        told = client.told("pull", new, stream=True)
    assert told.error is not None
    assert told.error.error.startswith(f"server {server}: ")
    assert bars(told.lines)
    assert three.who_has(new) == others(server)


@in_turn
def test_a_pull_while_one_is_slow_and_begins_anew(
    three: Three, client: Client, new: str, server: str
) -> None:
    """No bar falls back where a server's own does, and the end waits for the last."""

    def let_go_when_the_others_are_done() -> None:
        three.simulated.until(server, lambda one: any(pull.is_held for pull in one.pulls))
        for name in others(server):
            three.wait_for(name, new, is_there=True)
        three.simulated.tell(server, SimulatedOllama.release)

    faults = RestartsLayer(after=6), HangsPulling(after=10)
    with three.faulty(server, lambda one: one.fail_next_pull(*faults)), ThreadPoolExecutor(1) as beside:
        released = beside.submit(let_go_when_the_others_are_done)
        lines = client.well("pull", new, stream=True)
        released.result()
    assert words(lines) == WORDS
    assert all(told[-1][0] == told[-1][1] for told in bars(lines).values())
    assert three.who_has(new) == list(SERVERS)


def test_a_model_of_nobody_s_fails_in_ollama_s_words(three: Three, client: Client) -> None:
    """Where all fail alike, no server is named."""
    text = "pull model manifest: file does not exist"
    assert client.refused("pull", "no-such-model")[0] == 500
    assert client.refused("pull", "no-such-model", stream=True)[1] == text
    assert three.who_has("no-such-model") == []


# -- push ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("where", ["{}", ELSEWHERE + "/{}"])
def test_one_server_pushes(three: Three, client: Client, new: str, where: str) -> None:
    """Its progress is passed, streamed and whole, from Ollama's registry or one that is allowed."""
    name = where.format(new)
    client.well("copy", "smol", name)
    lines = client.well("push", name, stream=True)
    assert words(lines) == ["retrieving manifest", "pushing manifest", "success"]
    layers = {line.digest: (line.completed, line.total) for line in lines if line.digest}
    model = three.simulated.servers["first"].engine.library.find(name)
    assert model is not None
    assert layers == {f"sha256:{digest}": (size, size) for digest, size in model.layers}
    assert len(three.pushed_by(name)) == 1
    assert client.well("push", name).status == "success"
    assert len(three.pushed_by(name)) == 2


def test_a_push_to_a_registry_that_is_not_allowed(three: Three, client: Client) -> None:
    """It is refused with the option's name, and no server is asked."""
    status, text = client.refused("push", "registry.example/team/smol")
    assert (status, "`registries`" in text) == (403, True)
    assert three.pushed_by("registry.example/team/smol") == []


@in_turn
def test_a_push_while_one_is_down(three: Three, client: Client, copied: str, server: str) -> None:
    """One of the others pushes."""
    with three.down(server):
        assert client.well("push", copied, stream=True)[-1].status == "success"
    (by,) = three.pushed_by(copied)
    assert by in others(server)


@in_turn
def test_a_push_while_one_fails(three: Three, client: Client, copied: str, server: str) -> None:
    """If it is the one that pushes, its words are passed, and nobody pushes again."""
    with three.failing(server, PUSH):
        told = client.told("push", copied)
    (by,) = three.pushed_by(copied)
    if by == server:
        assert told.error is not None
        assert (told.error.status_code, told.error.error) == (500, BROKEN)
    else:
        assert (told.error, told.answer.status) == (None, "success")


def test_a_push_of_a_model_that_is_nowhere(client: Client) -> None:
    """Ollama's words, after those that it begins with."""
    told = client.told("push", "nope", stream=True)
    assert told.error is not None
    assert words(told.lines) == ["retrieving manifest", "couldn't retrieve manifest"]
    assert "no such file or directory" in told.error.error


# -- copy and delete -----------------------------------------------------------------------------------


def test_a_copy_is_made_everywhere(three: Three, client: Client, new: str) -> None:
    """All is well, and listings and requests know of it at once."""
    assert client.well("copy", "smol", new).status == "success"
    assert three.who_has(new) == list(SERVERS)
    assert new in listed(client, "list")
    assert client.well("chat", new, HELLO).model == new


def test_a_delete_takes_it_from_everywhere_and_out_of_memory(three: Three, client: Client, new: str) -> None:
    """All is well, and neither listings nor requests find it any more."""
    client.well("pull", new)
    client.well("chat", new, HELLO, keep_alive=-1)
    assert new in listed(client, "ps")
    assert client.well("delete", new).status == "success"
    assert three.who_has(new) == []
    assert new not in [*listed(client, "list"), *listed(client, "ps")]
    for server in SERVERS:
        three.simulated.until(server, lambda one: new not in _in_memory(one))
    assert client.refused("chat", new, HELLO) == (404, f"model '{new}' not found")


def _in_memory(server: SimulatedOllama) -> list[str]:
    return [runner.model.name.shortest for runner in server.engine.sched.running()]


def test_what_is_not_there_is_a_404(three: Three, client: Client, new: str) -> None:
    """In Ollama's words for each call; nothing was made."""
    assert client.refused("copy", "nope", new) == (404, 'model "nope" not found')
    assert client.refused("delete", "nope") == (404, "model 'nope' not found")
    assert client.refused("show", "nope") == (404, "model 'nope:latest' not found")
    assert three.who_has(new) == []


@in_turn
def test_a_copy_while_one_is_down(three: Three, client: Client, new: str, server: str) -> None:
    """It is made on the others and all is well; the one that was down is not asked later."""
    with three.down(server):
        assert client.well("copy", "smol", new).status == "success"
        assert three.who_has(new) == others(server)
        assert new in listed(client, "list")
    assert client.well("show", new).capabilities == ["completion"]
    assert three.who_has(new) == others(server)


@in_turn
def test_a_copy_while_one_fails(three: Three, client: Client, new: str, server: str) -> None:
    """Its status and words with its name, although the others made it; once more makes it whole."""
    with three.failing(server, COPY):
        assert client.refused("copy", "smol", new) == (500, f"server {server}: {BROKEN}")
    assert three.who_has(new) == others(server)
    assert client.well("copy", "smol", new).status == "success"
    assert three.who_has(new) == list(SERVERS)


@in_turn
def test_a_delete_while_one_is_down(three: Three, client: Client, copied: str, server: str) -> None:
    """It is gone from the others at once, and from the one that was down when it is back."""
    with three.down(server):
        assert client.well("delete", copied).status == "success"
        assert three.who_has(copied) == [server]
        assert client.well("delete", copied).status == "success"  # it is still to be done
    three.wait_for(server, copied, is_there=False)


@in_turn
def test_a_delete_while_one_fails(three: Three, client: Client, copied: str, server: str) -> None:
    """Its status and words with its name; the others did it, and once more finishes it."""
    with three.failing(server, DELETE):
        assert client.refused("delete", copied) == (500, f"server {server}: {BROKEN}")
        assert three.who_has(copied) == [server]
    assert client.well("delete", copied).status == "success"
    assert three.who_has(copied) == []


# -- show, list, ps ------------------------------------------------------------------------------------


@in_turn
def test_what_is_there_is_told_while_one_is_down(three: Three, client: Client, server: str) -> None:
    """Each model is listed once, is shown, and is loaded where it can be."""
    installed = ["minilm:latest", "smol:latest"]
    before = client.well("show", "smol")
    with three.down(server):
        assert [name for name in sorted(listed(client, "list")) if name in installed] == installed
        assert client.well("show", "smol").capabilities == before.capabilities
        client.well("embed", EMBEDDER, "Hello")
        assert "minilm:latest" in listed(client, "ps")


@in_turn
def test_what_is_there_is_told_while_one_fails(three: Three, client: Client, server: str) -> None:
    """One that drops what asks it for a description is passed over; the others' models are listed."""
    three.load_everywhere(EMBEDDER)
    with three.faulty(server, lambda one: one.fail_next(Drops(), path="/api/show", times=-1)):
        assert client.well("show", "smol").capabilities == ["completion"]
    with three.failing(server, "/api/tags"), three.failing(server, "/api/ps"):
        found = listed(client, "list")
        assert (found.count("smol:latest"), found.count("minilm:latest")) == (1, 1)
        assert "minilm:latest" in listed(client, "ps")
