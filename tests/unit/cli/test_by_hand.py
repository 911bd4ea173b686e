"""`gollamas load` and `gollamas unload` say what became of each server, or why nothing can."""

import json
import socket
from pathlib import Path

import pytest

from gollamas.cli.asking import Question, Unanswered, ask, endpoint_at
from gollamas.cli.main import main
from gollamas.config.model import Address
from gollamas.observe.by_hand import ByHand, OnServer, by_hand_page
from tests.unit.cli.servers import serving


def on(server: str, end: str = "loaded", took_s: float = 2.3, error: str | None = None) -> OnServer:
    """Tell of one server."""
    return OnServer(server=server, model="llama3.2:latest", end=end, took_s=took_s, error=error)


def page(*servers: OnServer) -> bytes:
    """Write an answer."""
    return by_hand_page(ByHand(servers=servers))


VERBS = ["load", "unload"]


def ran(verb: str, status: int, body: bytes, *argv: str) -> int:
    """Run a verb against an admin port that answers so."""
    with serving({f"/{verb}": (status, body)}) as server:
        return main([verb, *(argv or ("llama3.2",)), f"--admin=127.0.0.1:{server.port}"])


@pytest.mark.parametrize(
    ("verb", "one", "line"),
    [
        ("load", on("gpu-1"), "llama3.2:latest on gpu-1: loaded in 2.30 s"),
        ("load", on("gpu-1", "same", 0.01), "llama3.2:latest on gpu-1: was loaded already (0.01 s)"),
        ("unload", on("gpu-1", "unloaded", 0.2), "llama3.2:latest on gpu-1: unloaded in 0.20 s"),
        ("unload", on("gpu-1", "not_loaded", 0), "llama3.2:latest on gpu-1: was not loaded"),
        ("load", on("gpu-1", "of_later"), "llama3.2:latest on gpu-1: of_later"),
    ],
)
def test_each_server_is_a_line(
    verb: str, one: OnServer, line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ran(verb, 200, page(one)) == 0
    assert capsys.readouterr() == (f"{line}\n", "")


@pytest.mark.parametrize("verb", VERBS)
def test_one_that_failed_is_told_of_and_exits_1(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    body = page(on("a"), on("b", "failed", 1.5, "out of memory"), on("c", "given_up", 600, "too long"))
    assert ran(verb, 200, body) == 1
    said = capsys.readouterr()
    assert said.err == ""
    assert said.out.splitlines()[1:] == [
        "llama3.2:latest on b: failed after 1.50 s: out of memory",
        "llama3.2:latest on c: given up after 600.00 s: too long",
    ]


@pytest.mark.parametrize("verb", VERBS)
def test_where_all_failed_the_lines_are_the_same(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert ran(verb, 502, page(on("b", "failed", 1.5, "out of memory"))) == 1
    assert capsys.readouterr() == ("llama3.2:latest on b: failed after 1.50 s: out of memory\n", "")


@pytest.mark.parametrize("verb", VERBS)
def test_json_is_printed_as_it_came(verb: str, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    """The exit code still tells of what failed."""
    for status, one, code in ((200, on("a"), 0), (502, on("a", "failed", 0, "down"), 1)):
        body = page(one).replace(b"{", b'{ "later": 1.50, ', 1)
        assert ran(verb, status, body, "llama3.2", "--json") == code
        assert capfdbinary.readouterr() == (body, b"")


def test_a_server_s_words_command_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    assert ran("load", 502, page(on("a", "failed", 0, "\x1b[2Jgone\nfar"))) == 1
    assert capsys.readouterr().out == "llama3.2:latest on a: failed after 0.00 s: \\x1b[2Jgone\\nfar\n"


@pytest.mark.parametrize("verb", VERBS)
def test_what_the_proxy_does_not_know_is_said_in_its_words_and_the_others_go_on(
    verb: str, capsys: pytest.CaptureFixture[str]
) -> None:
    error = json.dumps({"error": "model 'llama3.2' not found"}).encode()
    for status in (400, 404, 503):
        assert ran(verb, status, error, "llama3.2", "gemma3") == 1
        assert capsys.readouterr() == ("", "gollamas: model 'llama3.2' not found\n" * 2)


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize(
    ("status", "body", "why"),
    [
        (404, b"404 page not found", "is not gollamas: status 404"),
        (404, b"", "status 404"),
        (403, b"", "status 403"),
        (502, b"<html>", "status 502"),
        (200, b"Ollama is running", "is not gollamas: its answer is not what gollamas sends"),
        (200, b'{"error":"x"}', "is not gollamas"),
        (200, b'{"servers":[{}]}', "is not gollamas"),
        (200, b"[" * 100_000, "is not gollamas"),
        (200, b'{"servers":"\xff"}', "is not gollamas"),
    ],
)
def test_what_is_no_gollamas_exits_1(
    verb: str, status: int, body: bytes, why: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ran(verb, status, body, "llama3.2", "gemma3") == 1
    said = capsys.readouterr()
    assert (said.out, said.err.count("\n")) == ("", 1)
    assert why in said.err


@pytest.mark.parametrize("verb", VERBS)
def test_a_refusal_is_told_once_in_the_words_of_the_proxy(
    verb: str, capsys: pytest.CaptureFixture[str]
) -> None:
    body = b'{"error":"this needs the proxy\'s admin token: GOLLAMAS_ADMIN_TOKEN"}'
    assert ran(verb, 403, body, "a", "b") == 1
    said = capsys.readouterr()
    assert (said.out, said.err.count("\n")) == ("", 1)
    assert "is refused: this needs the proxy's admin token: GOLLAMAS_ADMIN_TOKEN" in said.err


@pytest.mark.parametrize("verb", VERBS)
def test_nobody_there_names_the_address_and_the_variable(
    verb: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    assert main([verb, "llama3.2", "gemma3", "--admin", f"127.0.0.1:{port}"]) == 1
    said = capsys.readouterr()
    assert (said.out, said.err.count("\n")) == ("", 1)
    assert f"gollamas: nobody answers at http://127.0.0.1:{port}/{verb}: Connection refused;" in said.err
    assert "--admin or GOLLAMAS_ADMIN says where" in said.err


def test_who_takes_the_question_and_never_answers_is_not_waited_for_for_ever() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = Address(host="127.0.0.1", port=listener.getsockname()[1])
        with pytest.raises(Unanswered, match=r"^no answer within 0\.05 s$"):
            ask(endpoint_at(address), Question("/load", "POST", timeout=0.05, body=b"{}"))


@pytest.mark.parametrize("verb", VERBS)
def test_with_administration_off_it_exits_1(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([verb, "llama3.2", "--admin=off"]) == 1
    assert f"administration is off here (--admin off): {verb} asks the admin port" in capsys.readouterr().err


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize(
    ("argv", "why"),
    [
        ([], "no model is named"),
        (["llama3.2@"], "this is not a MODEL[@SERVER]"),
        (["@gpu-1"], "this is not a MODEL[@SERVER]"),
        (["a b"], "this is not a MODEL[@SERVER]"),
        (["http://gpu-1:11434"], "this is not a MODEL[@SERVER]"),
        (["llama3.2", "--prune"], "this verb has no such flag"),
        (["llama3.2", "--admin=a:b:c"], "--admin"),
    ],
)
def test_a_faulty_command_line_asks_nobody_and_exits_2(
    verb: str, argv: list[str], why: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([verb, *argv]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert why in said.err


def test_a_word_that_may_hold_a_password_is_not_shown(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["load", "http://me:hunter2@gpu-1:11434"]) == 2
    assert "hunter2" not in capsys.readouterr().err


@pytest.mark.parametrize("verb", VERBS)
def test_the_address_and_the_token_are_found_as_serve_finds_them(
    verb: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with serving({f"/{verb}": (200, page(on("a")))}) as server:
        path = tmp_path / "g.yaml"
        path.write_text(f"admin: 127.0.0.1:{server.port}\nadmin_token: of-file\n", encoding="utf-8")
        assert main([verb, "m", "--config", str(path)]) == 0
        assert main(["--config", str(path), verb, "--", "m"]) == 0
        monkeypatch.setenv("GOLLAMAS_ADMIN", f"127.0.0.1:{server.port}")
        monkeypatch.setenv("GOLLAMAS_ADMIN_TOKEN", "of-variable")
        monkeypatch.setenv("GOLLAMAS_PROXIES", "a=nonsense")
        assert main([verb, "m"]) == 0
    assert [head["authorization"] for head in server.heads] == ["Bearer of-file"] * 2 + ["Bearer of-variable"]
    assert server.asked == [f"POST /{verb}"] * 3
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(("word", "verb"), [("preload", "load"), ("stop", "unload"), ("unlaod", "unload")])
def test_what_others_call_it_is_answered_with_the_verb(
    word: str, verb: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["help", word]) == 2
    assert f"`gollamas help {verb}`" in capsys.readouterr().err


@pytest.mark.parametrize("verb", VERBS)
def test_what_is_asked_for_are_the_words_in_their_order(verb: str) -> None:
    """A word that is a verb, too, once the verb is said."""
    with serving({f"/{verb}": (200, page(on("a")))}) as server:
        assert main([verb, "load", "x/m:7b@gpu-1", "serve", f"--admin=127.0.0.1:{server.port}"]) == 0
    assert [json.loads(body) for body in server.bodies] == [
        {"model": "load"},
        {"model": "x/m:7b", "server": "gpu-1"},
        {"model": "serve"},
    ]
    assert {head["content-type"] for head in server.heads} == {"application/json"}
