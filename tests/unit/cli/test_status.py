"""`gollamas status` finds the admin address as `health` does, prints what it says, or says why it can't."""

import ast
import json
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from gollamas.cli.main import main
from tests.unit.cli.servers import serving

STATE = (
    b'{"gollamas":"1.1.0","time":"2026-11-30T12:00:00.000Z","started_at":"2026-11-30T11:00:00.000Z",'
    b'"not_ready":null,"servers":[],"requests":[],"jobs":[],"owed":[],"sync":[],'
    b'"later":[1, 2.50, "\xc3\xa9"]}\n'
)
SAYS = {"/state": (200, STATE)}
SRC = Path(__file__).parents[3] / "src"


def test_what_is_no_terminal_gets_plain_text(capsys: pytest.CaptureFixture[str]) -> None:
    with serving(SAYS) as server:
        for host in ("127.0.0.1", "0.0.0.0", ""):  # noqa: S104 - asked, not bound
            assert main(["status", "--admin", f"{host}:{server.port}"]) == 0
            said = capsys.readouterr()
            assert said.out.startswith("gollamas 1.1.0, up for 1h\n\nSERVERS\nno server is configured\n")
            assert ("\x1b" in said.out, said.err) == (False, "")


@pytest.mark.parametrize("flag", ["--json", "-json"])
def test_json_is_printed_as_it_came(flag: str, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    with serving(SAYS) as server:
        assert main(["status", flag, f"--admin=127.0.0.1:{server.port}"]) == 0
    assert capfdbinary.readouterr().out == STATE


def test_json_is_whole_where_the_console_lacks_a_letter() -> None:
    with serving(SAYS) as server:
        done = subprocess.run(
            [sys.executable, "-m", "gollamas", "status", "--json", f"--admin=127.0.0.1:{server.port}"],
            env={"PYTHONIOENCODING": "ascii", "PATH": ""},
            capture_output=True,
            timeout=30,
            check=True,
        )
    assert done.stdout == STATE
    assert json.loads(done.stdout)["later"][2] == "é"


def test_the_address_is_found_as_serve_finds_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with serving(SAYS) as server:
        path = tmp_path / "g.yaml"
        path.write_text(f"admin: 127.0.0.1:{server.port}\n", encoding="utf-8")
        assert main(["status", "--config", str(path)]) == 0
        monkeypatch.setenv("GOLLAMAS_PROXIES", "a=nonsense")
        monkeypatch.setenv("GOLLAMAS_ADMIN", f"127.0.0.1:{server.port}")
        assert main(["status"]) == 0
    assert capsys.readouterr().err == ""


def one_line(capsys: pytest.CaptureFixture[str]) -> str:
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.count("\n") == 1
    return said.err.strip()


@pytest.mark.parametrize("flags", [[], ["--json"]])
def test_nobody_there_exits_1(flags: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    assert main(["status", *flags, "--admin", f"127.0.0.1:{port}"]) == 1
    assert (
        one_line(capsys) == f"gollamas: nobody answers at http://127.0.0.1:{port}/state: Connection refused"
    )


@pytest.mark.parametrize("flags", [[], ["--json"]])
def test_with_administration_off_it_exits_1(flags: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["status", *flags, "--admin=off"]) == 1
    assert "administration is off" in one_line(capsys)


@pytest.mark.parametrize(
    ("status", "body", "why"),
    [
        (404, b"404 page not found", "is not gollamas, or an older one: status 404"),
        (403, b"", "status 403"),
        (200, b"Ollama is running", "is not gollamas"),
        (200, b"", "is not gollamas"),
        (200, b"[]", "is not gollamas"),
        (200, b'{"models":[]}', "is not gollamas"),
        (200, STATE[:50], "is not gollamas"),
        (200, STATE.replace(b'"servers":[]', b'"servers":{}'), "is not gollamas"),
        (200, STATE.replace(b"2026-11-30T11:00:00.000Z", b"yesterday"), "is not gollamas"),
        (200, b"\xff\xfe", "is not gollamas"),
        (200, b"[" * 100_000, "is not gollamas"),
    ],
)
@pytest.mark.parametrize("flags", [[], ["--json"]])
def test_what_is_no_gollamas_exits_1(
    flags: list[str], status: int, body: bytes, why: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with serving({"/state": (status, body)}) as server:
        assert main(["status", *flags, "--admin", f"127.0.0.1:{server.port}"]) == 1
    said = one_line(capsys)
    assert said.startswith(f"gollamas: what answers at http://127.0.0.1:{server.port}/state ")
    assert why in said


def test_what_speaks_no_http_exits_1() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(10)
        port = listener.getsockname()[1]
        asked = subprocess.Popen(
            [sys.executable, "-m", "gollamas", "status", "--admin", f"127.0.0.1:{port}"],
            stderr=subprocess.PIPE,
            text=True,
        )
        peer, _ = listener.accept()
        with peer:
            peer.recv(1000)
            peer.sendall(b"SSH-2.0-OpenSSH_9.6\r\n")
        _, said = asked.communicate(timeout=30)
    assert asked.returncode == 1
    assert said.startswith(f"gollamas: what answers at http://127.0.0.1:{port}/state is not gollamas")
    assert said.count("\n") == 1


def test_an_address_that_is_none_exits_2(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["status", "--admin", "11435"]) == 2
    assert "--admin: `11435` has no host" in capsys.readouterr().err


@pytest.mark.parametrize("argv", [["status", "--help"], ["help", "status"]])
def test_it_has_a_help(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(argv) == 0
    assert capsys.readouterr().out.startswith("Usage: gollamas status [--json]")


def test_plain_text_needs_no_library_for_tables() -> None:
    code = (
        "import sys\nfrom gollamas.cli.main import main\n"
        "code = main(['status', '--admin', sys.argv[1]])\nprint('|', *sys.modules)\nsys.exit(code)"
    )
    with serving(SAYS) as server:
        done = subprocess.run(
            [sys.executable, "-c", code, f"127.0.0.1:{server.port}"],
            capture_output=True,
            text=True,
            check=True,
            timeout=30,
        )
    assert "rich" not in done.stdout.partition("|")[2].split()


def test_one_module_alone_imports_the_library_for_tables() -> None:
    found = set()
    for path in SRC.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            if any(name.partition(".")[0] == "rich" for name in names):
                found.add(path.relative_to(SRC).as_posix())
    assert found == {"gollamas/cli/terminal.py"}
