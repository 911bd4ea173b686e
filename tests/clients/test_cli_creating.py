"""Models are made by the official `ollama` command from a Modelfile: on three servers, one in trouble.

Skipped where the command is not installed. What it draws it draws at a terminal.
"""

from pathlib import Path

import pytest

from gollamas.simulate.faults import Drops
from tests.clients.shell import Drawn, Shell, bars, failed
from tests.clients.three import BROKEN, SERVERS, Three, digest_of, in_turn, others, sent_once


@pytest.fixture
def from_file(gguf: Path) -> str:
    """Give the path of a Modelfile that is about a file."""
    return modelfile(gguf.parent, f"FROM ./{gguf.name}\nPARAMETER num_ctx 99\n")


@pytest.fixture
def from_model(tmp_path: Path) -> str:
    """Give the path of a Modelfile that is about a model."""
    return modelfile(tmp_path, "FROM smol\nSYSTEM Be kind.\n")


def modelfile(folder: Path, text: str) -> str:
    """Write a Modelfile, and give its path."""
    file = folder / "Modelfile"
    file.write_text(text)
    return str(file)


def is_well(done: Drawn) -> None:
    """Hold that a create ended as it should: `success` is the last word."""
    assert done.exit_code == 0, done.screen
    assert done.screen.rindex("success") > done.screen.rindex("writing manifest")
    assert "Error" not in done.screen


# -- all three are well --------------------------------------------------------------------------------


def test_create_from_a_file(three: Three, shell: Shell, new: str, gguf: Path, from_file: str) -> None:
    """The file is drawn on its way, then what the servers do, then `success`; `run` uses the model."""
    done = shell.drawn("create", new, "-f", from_file)
    is_well(done)
    digest = digest_of(gguf)
    assert f"copying file {digest} 100%" in done.screen
    assert "parsing GGUF" in done.screen
    assert three.uploads(digest) == sent_once(gguf)
    assert three.who_has_blob(digest) == three.who_has(new) == list(SERVERS)
    for (asked,) in three.creates_of(new).values():
        assert (asked["files"], asked["parameters"]) == ({gguf.name: digest}, {"num_ctx": 99})
    assert shell.said("run", new, "Hello").strip()


def test_create_from_a_file_again(three: Three, shell: Shell, new: str, gguf: Path, from_file: str) -> None:
    """What all servers have is not sent to them again."""
    for _ in range(2):
        is_well(shell.drawn("create", new, "-f", from_file))
    assert three.uploads(digest_of(gguf)) == sent_once(gguf)


def test_create_from_a_model(three: Three, shell: Shell, new: str, from_model: str) -> None:
    """All servers make it, and it is as the file says."""
    is_well(shell.drawn("create", new, "-f", from_model))
    assert three.who_has(new) == list(SERVERS)
    assert shell.said("show", "--system", new).strip() == "Be kind."
    assert shell.said("run", new, "Hello").strip()


def test_create_from_a_model_that_no_server_has(three: Three, shell: Shell, new: str, tmp_path: Path) -> None:
    """It draws bars while all of them pull it."""
    done = shell.drawn("create", f"from-{new}", "-f", modelfile(tmp_path, f"FROM {new}\n"))
    is_well(done)
    drawn = bars(done.screen)
    assert drawn
    assert {percents[-1] for percents in drawn.values()} == {100}
    assert three.who_has(new) == three.who_has(f"from-{new}") == list(SERVERS)


def test_create_with_an_adapter(three: Three, shell: Shell, new: str, gguf: Path) -> None:
    """Its file goes to all servers, too."""
    is_well(shell.drawn("create", new, "-f", modelfile(gguf.parent, f"FROM smol\nADAPTER ./{gguf.name}\n")))
    digest = digest_of(gguf)
    assert three.who_has_blob(digest) == three.who_has(new) == list(SERVERS)
    for (asked,) in three.creates_of(new).values():
        assert (asked["from"], asked["adapters"]) == ("smol", {gguf.name: digest})


def test_create_from_what_may_not_be_pulled(three: Three, shell: Shell, new: str, tmp_path: Path) -> None:
    """The option is named, and no server is asked."""
    words = "create", new, "-f", modelfile(tmp_path, "FROM registry.example/team/smol\n")
    assert "`registries`" in failed(shell, *words)
    assert three.creates_of(new) == {server: [] for server in SERVERS}


def test_create_from_a_file_that_is_no_model(
    three: Three, shell: Shell, new: str, gguf: Path, from_file: str
) -> None:
    """The servers' own words, once."""
    gguf.write_bytes(b"not a model, but " + str(gguf).encode())
    text = "Error: 500 Internal Server Error: unsupported file type [110 111 116 32]"
    assert failed(shell, "create", new, "-f", from_file) == text
    assert three.who_has(new) == []


# -- one of three in trouble ---------------------------------------------------------------------------


@in_turn
def test_create_from_a_file_while_one_is_down(
    three: Three, shell: Shell, new: str, gguf: Path, from_file: str, server: str
) -> None:
    """It says what was not done; run again once the server is back, it sends there what that one lacks."""
    with three.down(server):
        done = shell.drawn("create", new, "-f", from_file)
        is_well(done)
        assert f"{server} is down: the model was not " in done.screen
        assert three.who_has_blob(digest_of(gguf)) == three.who_has(new) == others(server)
    assert three.who_has(new) == others(server)
    is_well(shell.drawn("create", new, "-f", from_file))
    assert three.uploads(digest_of(gguf)) == sent_once(gguf)
    assert three.who_has(new) == list(SERVERS)


@in_turn
def test_create_from_a_model_while_one_is_down(
    three: Three, shell: Shell, new: str, from_model: str, server: str
) -> None:
    """It says what was not done, which stays so."""
    with three.down(server):
        done = shell.drawn("create", new, "-f", from_model)
        is_well(done)
        assert f"{server} is down: the model was not " in done.screen
    assert three.who_has(new) == others(server)
    assert three.creates_of(new)[server] == []


@in_turn
@pytest.mark.parametrize("fixture", ["from_file", "from_model"])
def test_create_while_one_fails(
    three: Three, shell: Shell, new: str, request: pytest.FixtureRequest, fixture: str, server: str
) -> None:
    """It fails with the server's name and its words; the others made the model. Run again, all have it."""
    words = "create", new, "-f", request.getfixturevalue(fixture)
    with three.failing(server, "/api/create"):
        done = shell.drawn(*words)
    assert done.exit_code == 1
    assert f"Error: server {server}: {BROKEN}" in done.screen
    assert "writing manifest" in done.screen
    assert "success" not in done.screen
    assert three.who_has(new) == others(server)
    is_well(shell.drawn(*words))
    assert three.who_has(new) == list(SERVERS)


@in_turn
def test_create_while_one_fails_to_keep_the_file(
    three: Three, shell: Shell, new: str, gguf: Path, from_file: str, server: str
) -> None:
    """The others get it; the error says who does not, and nothing is made. Run again, all is well."""
    digest = digest_of(gguf)
    with three.failing_uploads(server, digest, Drops()):
        text = f"Error: 400 Bad Request: blob {digest} is not on server {server}: upload it first"
        assert failed(shell, "create", new, "-f", from_file) == text
    assert three.who_has_blob(digest) == others(server)
    assert three.creates_of(new) == {name: [] for name in SERVERS}
    is_well(shell.drawn("create", new, "-f", from_file))
    assert three.who_has(new) == list(SERVERS)
