"""Models come and go by the official `ollama` command: on three servers, one of them in trouble in turn.

Skipped where the command is not installed. What it draws it draws at a terminal.
"""

import re

import pytest

from gollamas.simulate.faults import Drops, FillsDisk
from gollamas.simulate.server import SimulatedOllama
from tests.clients.shell import Shell, bars, failed
from tests.clients.three import ABSENT, BROKEN, ELSEWHERE, EMBEDDER, SERVERS, Three, in_turn, others


@pytest.fixture
def copied(shell: Shell, new: str) -> str:
    """Give the name of a model that is on all servers, and of no other test."""
    shell.said("cp", "smol", new)
    return new


def names(table: str) -> list[str]:
    """Name the models of a table."""
    return [row.split()[0] for row in table.splitlines()[1:]]


# -- pull ----------------------------------------------------------------------------------------------


def test_pull_draws_a_bar_for_each_layer(three: Three, shell: Shell, new: str) -> None:
    """Each grows to its end; `success` is the last word, when all servers have the model."""
    done = shell.drawn("pull", new)
    assert done.exit_code == 0
    drawn = bars(done.screen)
    assert len(drawn) == 3
    assert {percents[-1] for percents in drawn.values()} == {100}
    assert "pulling manifest" in done.screen
    assert done.screen.rindex("success") > done.screen.rindex("100%")
    assert three.who_has(new) == list(SERVERS)


@in_turn
def test_pull_while_one_is_down(three: Three, shell: Shell, new: str, server: str) -> None:
    """It succeeds and says what is owed, which is done once the server is back."""
    with three.down(server):
        done = shell.drawn("pull", new)
        assert done.exit_code == 0
        assert f"{server} is down: the model will be pulled there when it is back" in done.screen
        assert {percents[-1] for percents in bars(done.screen).values()} == {100}
        assert "success" in done.screen
        assert three.who_has(new) == others(server)
    three.wait_for(server, new, is_there=True)


@in_turn
def test_pull_while_one_fails(three: Three, shell: Shell, new: str, server: str) -> None:
    """It fails with the server's name and its words; the others have the model."""
    with three.faulty(server, lambda simulated: simulated.fail_next_pull(FillsDisk(after=5))):
        done = shell.drawn("pull", new)
    assert done.exit_code == 1
    assert bars(done.screen)
    assert re.search(rf"Error: server {server}: write \S+-partial: no space left on device", done.screen)
    assert "success" not in done.screen
    assert three.who_has(new) == others(server)
    assert "success" in shell.drawn("pull", new).screen
    assert three.who_has(new) == list(SERVERS)


def test_pull_of_a_model_that_nobody_has(three: Three, shell: Shell) -> None:
    """Ollama's own words, once."""
    assert failed(shell, "pull", "no-such-model") == "Error: pull model manifest: file does not exist"
    assert three.who_has("no-such-model") == []


# -- run -----------------------------------------------------------------------------------------------


def test_run_pulls_a_configured_model_and_answers(three: Three, shell: Shell) -> None:
    """After the 404 of `show` it draws its bars, then says something."""
    model = f"{ABSENT}:up"
    done = shell.run("run", model, "Hello")
    assert (done.returncode, bool(done.stdout.strip())) == (0, True), done.stderr
    assert {percents[-1] for percents in bars(done.stderr).values()} == {100}
    assert three.who_has(model) == list(SERVERS)


@in_turn
def test_run_pulls_while_one_is_down(three: Three, shell: Shell, server: str) -> None:
    """The others pull and one of them answers; the one that was down pulls later."""
    model = f"{ABSENT}:{server}"
    with three.down(server):
        done = shell.run("run", model, "Hello")
        assert (done.returncode, bool(done.stdout.strip())) == (0, True), done.stderr
        assert "is down: the model will be pulled there" in done.stderr
        assert three.who_has(model) == others(server)
    three.wait_for(server, model, is_there=True)


@in_turn
def test_run_while_one_fails_to_pull(three: Three, shell: Shell, server: str) -> None:
    """It ends with that error; run again, it finds the model on the others and answers."""
    model = f"{ABSENT}:not-{server}"
    with three.failing(server, "/api/pull"):
        assert failed(shell, "run", model, "Hello") == f"Error: server {server}: {BROKEN}"
        assert three.who_has(model) == others(server)
        assert shell.said("run", model, "Hello").strip()
    assert three.who_has(model) == others(server)


# -- push ----------------------------------------------------------------------------------------------


def test_push_draws_a_bar_for_each_layer(three: Three, shell: Shell, new: str) -> None:
    """One server pushes, to a registry that is allowed."""
    name = f"{ELSEWHERE}/{new}"
    shell.said("cp", "smol", name)
    done = shell.drawn("push", name)
    assert done.exit_code == 0
    assert {percents[-1] for percents in bars(done.screen).values()} == {100}
    assert len(three.pushed_by(name)) == 1


@in_turn
def test_push_while_one_is_down(three: Three, shell: Shell, new: str, server: str) -> None:
    """One of the others pushes."""
    name = f"{ELSEWHERE}/{new}"
    shell.said("cp", "smol", name)
    with three.down(server):
        shell.said("push", name)
    (by,) = three.pushed_by(name)
    assert by in others(server)


@in_turn
def test_push_while_one_fails(three: Three, shell: Shell, new: str, server: str) -> None:
    """If it is the one that pushes, its words are the error, and nobody pushes again."""
    name = f"{ELSEWHERE}/{new}"
    shell.said("cp", "smol", name)
    with three.failing(server, "/api/push"):
        done = shell.run("push", name)
    (by,) = three.pushed_by(name)
    assert (done.returncode, BROKEN in done.stderr) == ((1, True) if by == server else (0, False))


def test_push_to_ollama_s_own_registry(three: Three, shell: Shell) -> None:
    """The command asks first who is signed in, which is of one machine; the server itself is not asked."""
    assert failed(shell, "push", "smol") == "Error: 404 page not found"
    assert three.pushed_by("smol") == []


def test_push_to_a_registry_that_is_not_allowed(three: Three, shell: Shell) -> None:
    """The option is named, and no server is asked."""
    assert "`registries`" in failed(shell, "push", "registry.example/team/smol")
    assert three.pushed_by("registry.example/team/smol") == []


# -- cp and rm -----------------------------------------------------------------------------------------


def test_cp_then_rm(three: Three, shell: Shell, new: str) -> None:
    """On all servers; the listing knows at once."""
    assert shell.said("cp", "smol", new) == f"copied 'smol' to '{new}'\n"
    assert three.who_has(new) == list(SERVERS)
    assert new in names(shell.said("list"))
    assert shell.said("rm", new) == f"deleted '{new}'\n"
    assert three.who_has(new) == []
    assert new not in names(shell.said("list"))


def test_what_is_not_there(shell: Shell, new: str) -> None:
    """Each verb says so."""
    assert failed(shell, "cp", "nope", new) == 'Error: model "nope" not found'
    assert failed(shell, "rm", "nope") == "Error: model 'nope' not found"
    assert "model 'nope:latest' not found" in failed(shell, "show", "nope")


@in_turn
def test_cp_while_one_is_down(three: Three, shell: Shell, new: str, server: str) -> None:
    """The others make it, and all is well."""
    with three.down(server):
        shell.said("cp", "smol", new)
        assert three.who_has(new) == others(server)
    assert three.who_has(new) == others(server)


@in_turn
def test_cp_while_one_fails(three: Three, shell: Shell, new: str, server: str) -> None:
    """The error names it; the others made the copy."""
    with three.failing(server, "/api/copy"):
        assert failed(shell, "cp", "smol", new) == f"Error: server {server}: {BROKEN}"
    assert three.who_has(new) == others(server)


@in_turn
def test_rm_while_one_is_down(three: Three, shell: Shell, copied: str, server: str) -> None:
    """It is gone from the others at once, and from the one that was down when it is back."""
    with three.down(server):
        shell.said("rm", copied)
        assert three.who_has(copied) == [server]
    three.wait_for(server, copied, is_there=False)


@in_turn
def test_rm_while_one_fails(three: Three, shell: Shell, copied: str, server: str) -> None:
    """The error names it; from the others it is gone."""
    with three.failing(server, "/api/delete"):
        assert failed(shell, "rm", copied) == f"Error: server {server}: {BROKEN}"
    assert three.who_has(copied) == [server]
    shell.said("rm", copied)
    assert three.who_has(copied) == []


# -- show, list, ps ------------------------------------------------------------------------------------


@in_turn
def test_show_list_and_ps_while_one_is_down(three: Three, shell: Shell, server: str) -> None:
    """What all have is listed once, shown, run, and then in memory."""
    with three.down(server):
        listed = names(shell.said("list"))
        assert (listed.count("smol:latest"), listed.count("minilm:latest")) == (1, 1)
        assert "parameters" in shell.said("show", "smol")
        assert shell.said("run", EMBEDDER, "Hello").startswith("[")
        assert "minilm:latest" in names(shell.said("ps"))


@in_turn
def test_show_list_and_ps_while_one_fails(three: Three, shell: Shell, server: str) -> None:
    """As well: one that ends connections without an answer is passed over."""
    three.load_everywhere(EMBEDDER)

    def drop(simulated: SimulatedOllama) -> None:
        for path in ("/api/tags", "/api/ps", "/api/show"):
            simulated.fail_next(Drops(), path=path, times=-1)

    with three.faulty(server, drop):
        listed = names(shell.said("list"))
        assert (listed.count("smol:latest"), listed.count("minilm:latest")) == (1, 1)
        assert "parameters" in shell.said("show", "smol")
        assert "minilm:latest" in names(shell.said("ps"))
