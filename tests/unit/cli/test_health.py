"""`gollamas health` finds the admin address as `serve` does and asks it."""

import socket
from pathlib import Path

import pytest

from gollamas.cli.main import main
from tests.unit.cli.servers import serving

WELL = {"/healthz": (200, b"ok")}


def test_a_well_proxy_exits_0(capsys: pytest.CaptureFixture[str]) -> None:
    """By the flag; every address means this machine."""
    with serving(WELL) as server:
        for host in ("127.0.0.1", "0.0.0.0", ""):  # noqa: S104 - asked, not bound
            assert main(["health", "--admin", f"{host}:{server.port}"]) == 0
            assert capsys.readouterr().out == f"well: http://{host}:{server.port}/healthz\n"


def test_the_address_is_found_as_serve_finds_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Variable and file, without a word about servers."""
    with serving(WELL) as server:
        path = tmp_path / "g.yaml"
        path.write_text(f"admin: 127.0.0.1:{server.port}\n", encoding="utf-8")
        assert main(["health", "--config", str(path)]) == 0
        monkeypatch.setenv("GOLLAMAS_PROXIES", "a=nonsense")
        monkeypatch.setenv("GOLLAMAS_ADMIN", f"127.0.0.1:{server.port}")
        assert main(["health"]) == 0


def test_with_administration_off_the_clients_address_is_asked(capsys: pytest.CaptureFixture[str]) -> None:
    """So a container without an admin port is not unwell for that."""
    with serving({"/": (200, b"Ollama is running")}) as server:
        assert main(["health", "--admin=off", "--listen", f"127.0.0.1:{server.port}"]) == 0
    assert "administration is off" in capsys.readouterr().out


@pytest.mark.parametrize("status", [404, 503])
def test_another_status_exits_1(status: int, capsys: pytest.CaptureFixture[str]) -> None:
    """With the status."""
    with serving({"/healthz": (status, b"")}) as server:
        assert main(["health", "--admin", f"127.0.0.1:{server.port}"]) == 1
        assert (
            capsys.readouterr().err == f"not well: http://127.0.0.1:{server.port}/healthz: status {status}\n"
        )


def test_nobody_there_exits_1(capsys: pytest.CaptureFixture[str]) -> None:
    """With the reason."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    assert main(["health", "--admin", f"127.0.0.1:{port}"]) == 1
    assert "refused" in capsys.readouterr().err


def test_an_address_that_is_none_exits_2(capsys: pytest.CaptureFixture[str]) -> None:
    """As everywhere."""
    assert main(["health", "--admin", "11435"]) == 2
    assert "--admin: `11435` has no host" in capsys.readouterr().err
