"""`check --live` asks real servers, and says of each what is wrong."""

import asyncio
import json
import shutil
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Iterable
from pathlib import Path

import pytest

from gollamas.cli.live import Sighting, _Unawaited, look, report
from gollamas.cli.main import main
from gollamas.config.load import load
from tests.unit.cli.servers import Answers, serving
from tests.unit.config.loading import FILE, config_of


def ollama(*names: str, prefix: str = "", loaded: Iterable[str] = ()) -> Answers:
    """Give the answers of a server with these models."""
    listings = {"tags": names, "ps": loaded}
    return {f"{prefix}/api/version": (200, b'{"version":"0.32.15"}')} | {
        f"{prefix}/api/{path}": (200, json.dumps({"models": [{"name": name} for name in listed]}).encode())
        for path, listed in listings.items()
    }


def test_a_server_is_asked_as_the_proxy_asks_it() -> None:
    """Under its prefix, with its fields, and its answer is one line."""
    with serving(ollama("llama3.2:latest", "m:1", prefix="/x", loaded=["M:1"])) as server:
        config = config_of(
            "--connection", f"g=http://u:hunter2@127.0.0.1:{server.port}/x", "--proxy", "LLAMA3.2=g"
        )
        seen = look(config)
        assert seen.is_complete
        assert seen.lines == [
            f"server g (http://127.0.0.1:{server.port}/x): Ollama 0.32.15, 2 models",
            "  llama3.2:latest",
            "  m:1 (loaded)",
            "model LLAMA3.2: on g",
        ]
        assert {head["authorization"] for head in server.heads} == {"Basic dTpodW50ZXIy"}
        assert {head["host"] for head in server.heads} == {f"127.0.0.1:{server.port}"}


def test_a_missing_model_is_named() -> None:
    """With the server that lacks it; a cloud model is never listed, so it's not missed."""
    with serving(ollama("a:latest")) as one, serving(ollama("b:latest", "a:latest")) as two:
        urls = (f"http://127.0.0.1:{one.port}", f"http://127.0.0.1:{two.port}")
        proxies = [f"a={urls[0]}", f"a={urls[1]}", f"b={urls[0]}", f"c:cloud={urls[0]}"]
        seen = look(config_of("--proxies", ",".join(proxies)))
    assert not seen.is_complete
    assert seen.lines[5:] == [
        f"model a: on 127.0.0.1:{one.port}, on 127.0.0.1:{two.port}",
        f"model b: MISSING on 127.0.0.1:{one.port}; it is on 127.0.0.1:{two.port}",
        f"model c:cloud: perhaps (cloud models are not listed) on 127.0.0.1:{one.port}",
    ]


@pytest.mark.parametrize(
    ("answers", "problem"),
    [
        ({}, "/api/version answered 404: no Ollama is there"),
        ({"/api/version": (401, b"")}, "/api/version answered 401: it asks for a password or key"),
        ({"/api/version": (200, b"nginx")}, "no JSON"),
        ({"/api/version": (200, b"[" * 100000)}, "no JSON"),
        ({"/api/version": (200, b'"0.6.8"')}, "no JSON object"),
        ({"/api/version": (200, b"{}")}, "names no version"),
        ({"/api/version": (200, b'{"version":"0\\n"}')}, "names no version"),
        ({"/api/version": (200, b'{"version":"0"}'), "/api/tags": (200, b'{"models":1}')}, "lists no models"),
    ],
)
def test_what_is_no_ollama_is_said_so(answers: Answers, problem: str) -> None:
    """Whatever it answers."""
    with serving(answers) as server:
        seen = look(config_of(f"http://127.0.0.1:{server.port}"))
    assert not seen.is_complete
    assert "FAILS: " in seen.lines[0]
    assert problem in seen.lines[0]


def test_odd_listings_are_read_as_far_as_they_go() -> None:
    """No models at all, and entries without a name."""
    version = {"/api/version": (200, b'{"version":"0"}')}
    for tags in (b'{"models":null}', b'{"models":[1,{"name":2},{}]}'):
        with serving({**version, "/api/tags": (200, tags)}) as server:
            seen = look(config_of(f"http://127.0.0.1:{server.port}"))
        assert seen.is_complete
        assert seen.lines[0].endswith("Ollama 0, 0 models")


def test_a_server_that_is_not_there_fails_at_once() -> None:
    """Its models are not known, and not missing."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    seen = look(config_of("--proxy", f"m=http://127.0.0.1:{port}"))
    assert not seen.is_complete
    assert "refused" in seen.lines[0]
    assert seen.lines[1] == f"model m: not known of 127.0.0.1:{port}"


def test_a_silent_server_is_waited_for_no_longer_than_said() -> None:
    """All servers together, not one after another."""
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as two:
        urls = [f"http://127.0.0.1:{listener.getsockname()[1]}" for listener in (one, two)]
        began = time.monotonic()
        seen = look(config_of(*urls), timeout=0.3)
        assert time.monotonic() - began < 2
    assert [line.partition("FAILS: ")[2] for line in seen.lines] == ["no answer within 0.3 s"] * 2


def test_a_server_that_talks_no_http_fails() -> None:
    """TLS on a plain port, and plain words."""
    with serving({}) as server:
        seen = look(config_of(f"https://127.0.0.1:{server.port}"), timeout=2)
    assert "FAILS: " in seen.lines[0]


def test_tls_is_verified_as_configured(tmp_path: Path) -> None:
    """An unknown certificate fails, is taken with its CA file, and with `verify: false`."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("openssl is not installed")
    certificate, key = tmp_path / "ca.pem", tmp_path / "key.pem"
    subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"]
    files = ["-keyout", str(key), "-out", str(certificate)]
    command = [openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", *subject, *files]
    subprocess.run(command, check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with serving(ollama("m"), context) as server:
        url = f"https://127.0.0.1:{server.port}"
        for tls, is_complete in (("{}", False), ("{ca: ca.pem}", True), ("{verify: false}", True)):
            path = tmp_path / "g.yaml"
            path.write_text(f"servers: {{g: {{url: '{url}', tls: {tls}}}}}", encoding="utf-8")
            seen = look(load(["--config", str(path)], {}))
            assert seen.is_complete is is_complete, seen.lines
            assert is_complete or "its certificate is not trusted" in seen.lines[0]
            assert is_complete or "`tls: {ca: FILE}`" in seen.lines[0]


def test_a_look_up_of_a_name_that_takes_long_keeps_nobody() -> None:
    """Neither the end of the loop nor that of the process waits for it; an error reaches who does."""
    goes_on = threading.Event()

    async def given_up() -> "asyncio.Future[bool]":
        loop = asyncio.get_running_loop()
        loop.set_default_executor(_Unawaited())
        with pytest.raises(ValueError, match="invalid literal"):
            await loop.run_in_executor(None, int, "x")
        look_up = loop.run_in_executor(None, goes_on.wait)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(look_up, 0.01)
        return look_up

    before = threading.active_count()
    assert asyncio.run(given_up()).cancelled()
    (left,) = [thread for thread in threading.enumerate()[before:] if thread.is_alive()]
    assert left.daemon
    goes_on.set()
    left.join(5)


def test_nothing_seen_is_a_problem() -> None:
    """A server that said nothing is not complete."""
    assert not report(config_of("http://a"), {"a:80": Sighting("not asked")}).is_complete


@pytest.mark.parametrize(("names", "code"), [(("m",), 0), ((), 1)])
def test_check_live_exits_1_where_a_model_is_missing(
    names: tuple[str, ...], code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    """What it saw follows the configuration, as comments, so the whole stays YAML."""
    with serving(ollama(*names)) as server:
        assert main(["check", "--live", "--proxy", f"m=http://127.0.0.1:{server.port}"]) == code
    out = capsys.readouterr().out
    assert "\n# live:\n#   server 127.0.0.1:" in out
    assert config_of("--config", FILE, files={FILE: out}).models
