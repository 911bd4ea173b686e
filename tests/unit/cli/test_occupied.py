"""What is said where somebody else is at an address that gollamas wants."""

import socket
from collections.abc import Iterator

import pytest

from gollamas.cli import demo, occupied
from gollamas.cli.main import main
from gollamas.config.model import Address
from tests.unit.cli.servers import serving

OLLAMA = {"/api/version": (200, b'{"version":"0.24.0"}'), "/api/tags": (200, b'{"models":[]}')}
OTHERS = [
    {"/api/version": (200, b"<html>")}, {"/api/version": (200, b"[]")}, {"/api/version": (404, b"{}")}, {},
    {"/api/version": (404, b'{"version":"0.24.0"}')}, {"/api/version": (200, b'{"version":"\x1b[2J"}')},
    {"/api/version": (200, b'{"version":"\xff"}')}, {"/api/version": (200, b"[" * 10_000)},
    {"/api/version": (200, b'{"version":"\\u001b[2J"}')},
]  # fmt: skip


@pytest.fixture
def silent() -> Iterator[int]:
    """A port where nobody answers."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        yield taken.getsockname()[1]


@pytest.fixture
def free() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
    return port


def at(port: int, host: str = "127.0.0.1") -> Address:
    return Address(host=host, port=port)


@pytest.mark.parametrize("verb", [[], ["serve"], ["check"], ["check", "--live"]])
@pytest.mark.parametrize(
    ("listen", "server"),
    [
        ("127.0.0.1", "localhost"), ("localhost", "127.0.0.1"), ("", "localhost"), ("", "127.0.0.1"),
        ("0.0.0.0", "127.0.0.1"), ("[::]", "localhost"),  # noqa: S104 - that is the case
        ("localhost", "LOCALHOST"), ("", socket.gethostname()),
    ],
)  # fmt: skip
def test_a_server_at_our_own_address_is_a_fault_that_says_how_to_move_the_ollama_that_is_there(
    listen: str, server: str, verb: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with serving(OLLAMA) as there:
        code = main(
            [*verb, "--listen", f"{listen}:{there.port}", "--admin=off", f"http://{server}:{there.port}"]
        )
    said = capsys.readouterr().err
    assert code == 2
    assert "is where gollamas is to listen itself, and Ollama 0.24.0 answers there" in said
    assert "Start that Ollama with OLLAMA_HOST=127.0.0.1:11433 and write `http://localhost:11433`" in said
    assert "--listen localhost:11436" in said


def test_it_is_a_fault_where_nobody_answers_too(free: int, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "--listen", f"localhost:{free}", f"http://localhost:{free}"]) == 2
    assert "is where gollamas is to listen itself. " in capsys.readouterr().err


def test_a_server_at_the_admin_address_is_a_fault(free: int, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["check", "--listen", "127.0.0.1:0", "--admin", f"127.0.0.1:{free}", f"http://127.0.0.1:{free}"]
    assert main(words) == 2
    said = "for metrics, health and state. Choose another address for those with --admin"
    assert said in capsys.readouterr().err


@pytest.mark.parametrize("server", ["gpu-1.lan", "192.0.2.1", "127.0.0.2"])
def test_the_same_port_elsewhere_is_no_fault(
    server: str, free: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["check", "--listen", f"localhost:{free}", "--admin=off", f"http://{server}:{free}"]) == 0
    assert capsys.readouterr().err == ""


def test_an_ollama_at_our_port_is_named_and_what_to_do(capfd: pytest.CaptureFixture[str]) -> None:
    with serving(OLLAMA) as there:
        words = ["--listen", f"127.0.0.1:{there.port}", "--admin=off", "http://192.0.2.1:11434"]
        assert main(words) == 1
        said = capfd.readouterr().err
        assert main(["check", *words]) == 0
        checked = capfd.readouterr().err
        assert main(["check", "--live", *words[:-1], f"http://localhost:{there.port + 1}"]) == 1
        live = capfd.readouterr().out
    text = (
        f"Ollama 0.24.0 answers at 127.0.0.1:{there.port}. Start it with OLLAMA_HOST=127.0.0.1:11433 and "
        "give gollamas http://localhost:11433 as a server, or choose another address with --listen HOST:PORT"
    )
    assert said == f"gollamas: {text}\n"
    assert checked == f"gollamas: warning: {text}\n"
    assert f"#   {text}\n" in live


@pytest.mark.parametrize("answers", OTHERS)
def test_another_program_is_no_ollama(answers: dict[str, tuple[int, bytes]]) -> None:
    with serving(answers) as there:
        assert occupied.who_is_at(at(there.port)) is None


def test_where_gollamas_runs_already_check_has_nothing_to_say(capfd: pytest.CaptureFixture[str]) -> None:
    with serving(OLLAMA, fields={"X-Request-Id": "1"}) as there:
        words = ["--listen", f"127.0.0.1:{there.port}", "--admin=off", "http://192.0.2.1:11434"]
        assert main(["check", *words]) == 0
        assert capfd.readouterr().err == ""
        assert main(words) == 1
    said = capfd.readouterr().err
    assert said.startswith(f"gollamas: another gollamas answers at 127.0.0.1:{there.port}: end it first, or ")


def test_check_says_that_a_port_is_taken(silent: int, free: int, capsys: pytest.CaptureFixture[str]) -> None:
    servers = ["http://192.0.2.1:11434"]
    assert main(["check", "--listen", f"127.0.0.1:{silent}", *servers]) == 0
    said = capsys.readouterr().err
    assert f"127.0.0.1:{silent} is taken by another program: choose another address with --listen" in said
    admin = ["--listen", f"127.0.0.1:{free}", "--admin", f"127.0.0.1:{silent}"]
    assert main(["check", *admin, *servers]) == 0
    assert f"127.0.0.1:{silent} is taken by another program: choose another address with --admin" in (
        capsys.readouterr().err
    )


def test_the_demo_takes_the_next_free_port_and_says_which(
    silent: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(demo, "_DEFAULT", at(silent))
    monkeypatch.setattr(demo, "_ADMIN", at(silent))
    config = demo._config("info")
    assert config.admin is not None
    assert silent < config.listen.port < silent + 100
    assert silent < config.admin.port != config.listen.port
    said = capsys.readouterr().err
    assert said == f"gollamas demo: 127.0.0.1:{silent} is taken, so this listens on {config.listen}\n"


def test_an_address_that_can_not_be_had_at_all_stays_as_it_is() -> None:
    assert occupied.next_free(at(11434, "192.0.2.1")) == at(11434, "192.0.2.1")
