"""The verbs that ask the address of clients: where they find it, what they send, what a refusal says."""

import json
import shutil
import ssl
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from gollamas.cli import asking
from gollamas.cli.asking import BrokenOff, Endpoint, Question, Unanswered, ask
from gollamas.cli.main import main
from gollamas.config.options import VALUES
from tests.sockets.test_timeouts import black_hole
from tests.unit.cli.servers import Answers, serving

SHOWN = b'{"details":{"format":"gguf"}}'
FULL = "no space left on device; make room there, then pull again: servers go on with what they have"
DONE = b'{"status":"success"}\n'
WELL: Answers = {
    "/api/show": (200, SHOWN),
    "/api/pull": (200, DONE),
    "/api/copy": (200, b""),
    "/api/delete": (200, b""),
    "/api/version": (200, b"{}"),
}
OURS = {"X-Request-Id": "1"}
PATHS = {"show": "/api/show", "pull": "/api/pull", "cp": "/api/copy", "rm": "/api/delete"}
WORDS = {verb: ["smol"] for verb in PATHS} | {"cp": ["smol", "kept"]}


def ran(verb: str, port: int, *more: str) -> int:
    return main([verb, f"--host=127.0.0.1:{port}", "--admin=off", *(more or WORDS[verb])])


@pytest.mark.parametrize(
    ("verb", "words", "asked", "body"),
    [
        ("show", ["smol@gpu-1"], "POST /api/show", {"model": "smol"}),
        ("rm", ["hf.co/a/b:Q4@gpu-1"], "DELETE /api/delete", {"model": "hf.co/a/b:Q4"}),
        ("cp", ["smol@gpu-1", "kept"], "POST /api/copy", {"source": "smol", "destination": "kept"}),
        ("pull", ["smol@gpu-1"], "POST /api/pull", {"model": "smol", "stream": True, "insecure": False}),
        (
            "pull",
            ["--insecure", "smol@gpu-1"],
            "POST /api/pull",
            {"model": "smol", "stream": True, "insecure": True},
        ),
    ],
)
def test_a_server_becomes_the_field_that_names_it(
    verb: str, words: list[str], asked: str, body: Mapping[str, object]
) -> None:
    with serving(WELL, fields=OURS) as server:
        assert ran(verb, server.port, *words) == 0
        assert ran(verb, server.port) == 0
    assert server.asked == ["GET /api/version", asked, asked]
    assert json.loads(server.bodies[1]) == body
    assert [head.get("x-gollamas-server") for head in server.heads] == [None, "gpu-1", None]
    assert server.heads[0]["user-agent"].startswith("gollamas-cli/")


@pytest.mark.parametrize(("verb", "path"), [("models", "/api/tags"), ("ps", "/api/ps")])
def test_an_older_gollamas_is_asked_for_what_clients_see(
    verb: str, path: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its state lacks what came later."""
    old = b'{"time":"2026-11-30T12:00:00Z","servers":[{"id":"a","url":"http://a","health":"up","models":[]}]}'
    with serving({"/state": (200, old), path: (200, b'{"models":[{"name":"smol"}]}')}) as server:
        place = f"127.0.0.1:{server.port}"
        assert main([verb, f"--host={place}", f"--admin={place}"]) == 0
    out, err = capsys.readouterr()
    assert "smol" in out
    assert "/state is not gollamas, or an older one: its state is another" in err


@pytest.mark.parametrize("verb", PATHS)
def test_what_is_meant_for_one_server_is_not_asked_of_an_ollama(
    verb: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """It would delete its own model, as a gollamas may be elsewhere and an Ollama at the usual port."""
    with serving(WELL) as server:
        assert ran(verb, server.port, "smol@gpu-1", *WORDS[verb][1:]) == 1
    out, err = capsys.readouterr()
    assert (server.asked, out) == (["GET /api/version"], "")
    assert f"what answers at http://127.0.0.1:{server.port} is not gollamas: it is one Ollama" in err
    assert "GOLLAMAS_HOST says where gollamas is" in err


def test_the_address_is_that_of_the_flag_of_the_variable_or_where_the_proxy_listens(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "g.yaml"
    with serving({**WELL, "/ollama/api/show": (200, SHOWN)}) as server:
        path.write_text(f"listen: 127.0.0.1:{server.port}\n", encoding="utf-8")
        assert main(["show", "--config", str(path), "smol"]) == 0
        assert main(["show", "--listen", f":{server.port}", "smol"]) == 0
        monkeypatch.setenv("GOLLAMAS_LISTEN", f"0.0.0.0:{server.port}")
        assert main(["show", "smol"]) == 0
        monkeypatch.setenv("GOLLAMAS_HOST", f"http://me:s3cret@127.0.0.1:{server.port}/ollama/")
        monkeypatch.setenv("GOLLAMAS_LISTEN", "127.0.0.1:1")
        assert main(["show", "smol"]) == 0
        assert main(["show", "--host", f":{server.port}", "smol"]) == 0
    assert [line.split()[1] for line in server.asked] == [*["/api/show"] * 3, "/ollama/api/show", "/api/show"]
    assert [head.get("authorization") for head in server.heads][3:] == ["Basic bWU6czNjcmV0", None]


@pytest.mark.parametrize("verb", PATHS)
@pytest.mark.parametrize(
    ("status", "body", "said"),
    [
        (
            403,
            b'{"error":"`manage` is `off`"}',
            "smol: `manage` is `off`; set `manage: configured` or `manage: all` to allow it",
        ),
        (
            503,
            b'{"error":"no server can be reached (a: refused)"}',
            "smol: no server can be reached (a: refused); `gollamas status` shows the servers",
        ),
        (404, b'{"error":"no model"}', "smol: no model: `gollamas models` shows what there is"),
        (
            400,
            b'{"error":"no server \'x\' is configured (X-Gollamas-Server)"}',
            "smol: no server 'x' is configured: `gollamas status` shows the servers",
        ),
        (503, b'{"error":"try\\nagain \\u001b[2J"}', "smol: try\\nagain \\x1b[2J"),
        (401, b"who?", "asks for a name and a password: write them into GOLLAMAS_HOST"),
        (403, b"", "refuses to be asked by this name (status 403): use its IP address"),
        (301, b"moved", "is not gollamas: status 301; --host or GOLLAMAS_HOST says where gollamas is"),
        (404, b"404 page not found", "is not gollamas: status 404"),
        (500, b"[]", "is not gollamas: status 500"),
        (
            502,
            b"<html>",
            "answers with status 502, as of a proxy that can't reach gollamas: is gollamas running?",
        ),
    ],
)
def test_a_refusal_is_one_line_that_says_why(
    verb: str, status: int, body: bytes, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with serving({PATHS[verb]: (status, body)}) as server:
        assert ran(verb, server.port) == 1
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert said in err
    assert "\x1b" not in err


@pytest.mark.parametrize("verb", PATHS)
@pytest.mark.parametrize(
    ("location", "said"),
    [
        (
            "https://llm.example.com/ollama{path}",
            "redirects to https://llm.example.com/ollama: write that into",
        ),
        ("https://llm.example.com/login", "is not gollamas: status 308"),
        ("/ollama{path}", "is not gollamas: status 308"),
    ],
)
def test_a_redirect_says_what_to_write_instead(
    verb: str, location: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = PATHS[verb]
    with serving({path: (308, b"")}, fields={"Location": location.format(path=path)}) as server:
        assert ran(verb, server.port) == 1
    err = capsys.readouterr().err
    assert said in err
    assert "GOLLAMAS_HOST" in err


@pytest.mark.parametrize(("verb", "path"), [("models", "/api/tags"), ("ps", "/api/ps")])
@pytest.mark.parametrize("status", [403, 404, 500, 503])
def test_what_is_refused_where_there_is_no_admin_port_either_is_one_more_line(
    verb: str, path: str, status: int, capsys: pytest.CaptureFixture[str]
) -> None:
    with serving({path: (status, b'{"error":"try\\nagain"}')}) as server:
        assert ran(verb, server.port, "--json=false") == 1
    out, err = capsys.readouterr()
    assert out == ""
    off, refused = err.splitlines()
    assert off.endswith(
        "; only the admin port knows which server has what: --admin or GOLLAMAS_ADMIN says where it is"
    )
    assert refused == f"gollamas: http://127.0.0.1:{server.port}{path} is refused: try\\nagain"


@pytest.mark.parametrize(
    ("verb", "path", "body"),
    [
        ("show", "/api/show", b"Ollama is running"),
        ("show", "/api/show", b"{}"),
        ("pull", "/api/pull", b"<html>\n"),
        ("pull", "/api/pull", b'{"done":true}\n'),
        ("pull", "/api/pull", b'{"status":7}\n'),
        ("pull", "/api/pull", b"\xff\n"),
        ("rm", "/api/delete", b"<html>\n"),
        ("cp", "/api/copy", b"Welcome to nginx"),
        ("models", "/api/tags", b"[]"),
        ("models", "/api/tags", b'{"models":[{"name":"a","modified_at":"soon"}]}'),
        ("ps", "/api/ps", b'{"models":[{}]}'),
        ("ps", "/api/ps", b'{"models":[{"name":"a","expires_at":"soon"}]}'),
    ],
)
def test_what_is_no_answer_of_ours_is_said_to_be_none(
    verb: str, path: str, body: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    with serving({path: (200, body)}) as server:
        assert ran(verb, server.port, *WORDS.get(verb, ["--json=false"])) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert f"what answers at http://127.0.0.1:{server.port}{path} is not gollamas: its answer is not" in err


def test_what_was_not_done_everywhere_is_said_beside_the_result(capsys: pytest.CaptureFixture[str]) -> None:
    note = '199 gollamas "pc-2 \\"is\\" down"'
    for verb in ("rm", "cp", "show"):
        with serving(WELL, fields={"Warning": note}) as server:
            assert ran(verb, server.port) == 0
        out, err = capsys.readouterr()
        assert err == 'gollamas: warning: smol: pc-2 "is" down\n'
        assert out
    with serving(WELL, fields={"Warning": "110 - stale"}) as server:
        assert ran("rm", server.port) == 0
    assert capsys.readouterr().err == ""


def test_one_model_that_is_refused_keeps_no_other_from_being_done(capsys: pytest.CaptureFixture[str]) -> None:
    with serving(
        {**WELL, "/api/pull": (200, b'{"error":"no space left on device"}\n')}, fields=OURS
    ) as server:
        assert ran("pull", server.port, "a", "b@gpu-1") == 1
    out, err = capsys.readouterr()
    assert (out, err.splitlines()) == ("", [f"gollamas: a: {FULL}", f"gollamas: b@gpu-1: {FULL}"])


def test_as_json_an_error_is_a_line_like_any_other(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    lines = b'{"status":"pulling manifest"}\n{"error":"no space left on device"}\n'
    with serving({"/api/pull": (200, lines)}) as server:
        assert ran("pull", server.port, "--json", "smol") == 1
    assert capfdbinary.readouterr() == (lines, f"gollamas: smol: {FULL}\n".encode())


@pytest.mark.parametrize(
    ("error", "advice"),
    [
        ("pull model manifest: file does not exist", "; its registry has no such model or tag"),
        (
            "Get https://pc: http: server gave HTTP response to HTTPS client",
            "; its registry has no TLS; `gollamas pull --insecure` allows that",
        ),
        ("invalid model name", "; a name is written like `llama3.2:3b`"),
        (
            "server a: no space left on device; server b: pull model manifest: file does not exist",
            (
                "; its registry has no such model or tag; make room there, then pull again: "
                "servers go on with what they have"
            ),
        ),
        (
            "lookup registry.ollama.ai: no such host",
            "; once that is fixed, pull again: servers go on with what they have",
        ),
    ],
)
def test_a_pull_that_fails_says_what_to_do(
    error: str, advice: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with serving({"/api/pull": (200, json.dumps({"error": error}).encode())}) as server:
        assert ran("pull", server.port) == 1
    assert capsys.readouterr().err == f"gollamas: smol: {error}{advice}\n"


@pytest.mark.parametrize(
    ("argv", "hint"),
    [
        (["pull"], "no model is named. Write it like `gollamas pull llama3.2`"),
        (["rm", "smol@"], "this is not a MODEL[@SERVER]"),
        (["rm", "a b"], "this is not a MODEL[@SERVER]"),
        (["show"], "no model is named"),
        (["show", "a", "b"], "it takes one model. Write `gollamas show a`"),
        (["cp"], "it takes two names: `SOURCE[@SERVER] DESTINATION`"),
        (["cp", "a"], "`gollamas cp llama3.2 llama3.2-before`"),
        (["cp", "a", "b", "c"], "it takes two names"),
        (["cp", "a", "b@gpu-1"], "Write `gollamas cp a@gpu-1 b`"),
        (["cp", "a", "b b"], "or `gollamas cp llama3.2@gpu-1 llama3.2-before`"),
        (["pull", "smol@a\nb"], "this is not a MODEL[@SERVER]"),
        (["rm", "smol\n"], "this is not a MODEL[@SERVER]"),
        (["pull", "--host", "11434", "smol"], "Write `localhost:11434`"),
        (["rm", "--json", "smol"], "there is no such flag"),
        (["models", "smol@"], "this is not a MODEL[@SERVER]"),
        (["ps", "smol"], "neither a verb nor the URL"),
    ],
)
def test_a_faulty_command_line_exits_2(
    argv: list[str], hint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(argv) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert hint in err


def test_the_admin_port_of_this_machine_is_not_taken_for_that_of_another(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would tell of other servers; where it is said where the admin port is, it is asked."""
    for option in VALUES:
        monkeypatch.delenv(f"GOLLAMAS_{option.key.upper()}", raising=False)
    assert main(["models", "--host", "http://nobody.invalid"]) == 1
    err = capsys.readouterr().err
    assert "nobody has said where the admin port of http://nobody.invalid:80 is" in err
    assert "nobody answers at http://nobody.invalid:80/api/tags" in err
    assert main(["models", "--host", "http://nobody.invalid", "--admin", "127.0.0.1:1"]) == 1
    assert "nobody answers at http://127.0.0.1:1/state" in capsys.readouterr().err


@pytest.fixture
def certificates(tmp_path: Path) -> tuple[ssl.SSLContext, str]:
    """Make a server's certificate that is an authority of its own."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("openssl is not installed")
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    subject = ["-subj", "/CN=here", "-addext", "subjectAltName=IP:127.0.0.1"]
    files = ["-keyout", str(key), "-out", str(certificate)]
    command = [openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", *subject, *files]
    subprocess.run(command, check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return context, str(certificate)


def test_tls_is_spoken_to_https_and_a_certificate_of_nobody_is_no_answer(
    certificates: tuple[ssl.SSLContext, str],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    context, authority = certificates
    with serving(WELL, tls=context) as server:
        url = f"https://127.0.0.1:{server.port}"
        assert main(["show", "--host", url, "smol"]) == 1
        distrusted = f"no TLS connection to {url}/api/show: its certificate is not trusted ("
        assert distrusted in capsys.readouterr().err
        monkeypatch.setenv("SSL_CERT_FILE", authority)
        assert main(["show", "--host", url, "smol"]) == 0
        other_name = f"https://localhost:{server.port}"
        assert main(["show", "--host", other_name, "smol"]) == 1
        said = capsys.readouterr().err
        assert f"no TLS connection to {other_name}/api/show: its certificate is not trusted (Host" in said
        assert "SSL_CERT_FILE" not in said


def test_tls_where_none_is_spoken_says_what_to_write(capsys: pytest.CaptureFixture[str]) -> None:
    with serving(WELL) as server:
        assert main(["show", "--host", f"https://127.0.0.1:{server.port}", "smol"]) == 1
    assert "/api/show: it speaks no TLS: write http:// instead of https://; " in capsys.readouterr().err


def test_a_host_that_no_resolver_takes_is_nobody() -> None:
    with pytest.raises(Unanswered):
        ask(Endpoint("a" * 70, 1), Question("/"))


def test_an_answer_that_is_cut_off_is_told_apart_from_none(capsys: pytest.CaptureFixture[str]) -> None:
    with serving(WELL, fields={"Content-Length": "1000"}) as server:
        with pytest.raises(BrokenOff):
            ask(Endpoint("127.0.0.1", server.port), Question("/api/show", "POST"))
        assert ran("show", server.port) == 1
    assert "/api/show answered broke off: try again" in capsys.readouterr().err


@pytest.mark.parametrize("verb", PATHS)
def test_in_a_pipe_nothing_heavy_is_imported(verb: str) -> None:
    """Neither a server's parts nor what draws tables: the start is quick."""
    code = (
        "import sys\nfrom gollamas.cli.main import main\n"
        "code = main(sys.argv[1:])\nprint('|', *sys.modules)\nsys.exit(code)"
    )
    with serving(WELL) as server:
        words = [verb, f"--host=127.0.0.1:{server.port}", *WORDS[verb]]
        done = subprocess.run(
            [sys.executable, "-c", code, *words], capture_output=True, text=True, check=True, timeout=30
        )
    modules = done.stdout.partition("|")[2].split()
    assert not {"rich", "asyncio", "uvloop", "httptools", "ruamel.yaml", "prometheus_client"} & {*modules}
    layers = {name.split(".")[1] for name in modules if name.startswith("gollamas.")}
    assert not layers & {
        "wire",
        "fleet",
        "api",
        "system",
        "net",
        "responder",
        "proxy",
        "background",
        "admin",
        "app",
    }


@pytest.mark.parametrize("verb", ["show", "pull", "rm", "models"])
def test_a_host_that_swallows_what_it_is_sent_is_nobody(
    verb: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Also for a pull, whose answer may take as long as it likes once there is a connection."""
    monkeypatch.setattr(asking, "_TIMEOUT", 0.1)
    with black_hole() as port:
        assert ran(verb, port, "smol") == 1
    err = capsys.readouterr().err
    assert f"nobody answers at http://127.0.0.1:{port}/api/" in err
    assert "no answer within 0.1 s; --host or GOLLAMAS_HOST says where gollamas is" in err
