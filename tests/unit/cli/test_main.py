"""The command line's first step, the verbs without a network, and how it all ends."""

import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from gollamas import __version__
from gollamas.cli.main import main, split_verb
from gollamas.config.flags import VERBS

URL = "http://127.0.0.1:1"
CLEAN = {name: value for name, value in os.environ.items() if not name.startswith("GOLLAMAS_")}


def run(*argv: str, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Run the program as a user does."""
    return subprocess.run(
        [sys.executable, "-m", "gollamas", *argv],
        env={**CLEAN, **(env or {})},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


@pytest.mark.parametrize(
    ("argv", "verb", "rest"),
    [
        ([], "serve", []),
        ([URL], "serve", [URL]),
        (["serve", URL], "serve", [URL]),
        (["check", "--live"], "check", ["--live"]),
        (["--level", "warn", "check", URL], "check", ["--level", "warn", URL]),
        (["--level", "check"], "serve", ["--level", "check"]),
        (["--list-aliases", "check"], "check", ["--list-aliases"]),
        (["v", "--full"], "version", ["--full"]),
        (["--level=warn", "version"], "version", []),
        (["--version"], "version", []),
        (["-v"], "version", []),
        (["-V"], "version", []),
        (["serve", "-V"], "version", []),
        (["check", "--version"], "version", []),
        (["simulate", "--version", "0.24.0"], "simulate", ["--version", "0.24.0"]),
        (["simulate", "-V"], "version", []),
        (["--help"], "help", []),
        ([URL, "--help"], "help", []),
        (["serve", "--help"], "help", ["serve"]),
        (["check", "-h"], "help", ["check"]),
        (["-help"], "help", []),
        (["help", "check"], "help", ["check"]),
        (["--level=warn", "help", "check"], "help", ["check"]),
        (["help", "-h"], "help", ["help"]),
        (["-version"], "version", []),
        (["health", "--help"], "help", ["health"]),
        (["demo", "--help"], "help", ["demo"]),
        (["simulate", "--listen", ":1"], "simulate", ["--listen", ":1"]),
        (["--", "--help"], "serve", ["--", "--help"]),
        (["h"], "help", []),
        (["srve"], "serve", ["srve"]),
        (["SERVE"], "serve", ["SERVE"]),
    ],
)
def test_the_first_word_is_the_verb(argv: list[str], verb: str, rest: list[str]) -> None:
    """Anything that is no verb means `serve`."""
    assert split_verb(argv) == (verb, rest)


def test_the_version_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    """By every one of its names."""
    for argv in (["version"], ["v"], ["--version"], ["-v"], ["-V"], ["version", "--full=false"]):
        assert main(argv) == 0
        assert capsys.readouterr().out == f"gollamas {__version__}\n"


def test_the_full_version_says_what_it_is_built_on(capsys: pytest.CaptureFixture[str]) -> None:
    """Python, the system and the packages."""
    assert main(["version", "--full"]) == 0
    text = capsys.readouterr().out
    assert re.search(r"^CPython 3\.\d+\.\d+ on ", text, re.MULTILINE)
    assert re.search(r"^httptools \d", text, re.MULTILINE)


@pytest.mark.parametrize(
    "argv",
    [
        ["version", "full"],
        ["version", "--ful"],
        ["version", "--full=x"],
        ["help", "chek"],
        ["help", "a", "b"],
    ],
)
def test_a_faulty_small_verb_exits_2(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """With one line that says what to write."""
    assert main(argv) == 2
    assert "rite `" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("argv", "begin"),
    [
        (["--help"], "gollamas: one address"),
        (["help"], "gollamas: one address"),
        (["help", "check"], "Usage: gollamas check"),
        (["serve", "-h"], "Usage: gollamas [serve]"),
        (["help", "v"], "Usage: gollamas version"),
        (["health", "-h"], "Usage: gollamas health"),
    ],
)
def test_help_is_printed(argv: list[str], begin: str, capsys: pytest.CaptureFixture[str]) -> None:
    """For all, or for a verb."""
    assert main(argv) == 0
    assert capsys.readouterr().out.startswith(begin)


@pytest.mark.parametrize("argv", [["--help"], *([verb, "--help"] for verb in VERBS)], ids=" ".join)
def test_help_loads_no_server(argv: list[str]) -> None:
    """`--help` imports neither the network nor YAML, and takes less than 250 ms on a quiet machine."""
    code = f"import sys\nfrom gollamas.cli.main import main\nmain({argv})\nprint('|', *sorted(sys.modules))"
    began = time.monotonic()
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    took = time.monotonic() - began
    modules = set(done.stdout.rpartition("|")[2].split())
    assert "gollamas.cli.help" in modules
    assert not modules & {"asyncio", "socket", "ssl", "http.client", "httptools", "msgspec", "uvloop"}
    assert not modules & {"ruamel.yaml", "rich", "prometheus_client"}
    layers = {name.split(".")[1] for name in modules if name.startswith("gollamas.")}
    assert not layers & {"wire", "fleet", "api", "observe", "system", "net", "proxy", "background", "app"}
    assert took < 2.5  # ten times the promise: other tests run beside this one


def test_yaml_is_read_only_where_there_is_a_file() -> None:
    """A configuration of flags loads without the reader of YAML."""
    code = "import sys\nfrom gollamas.config.load import load\nload(['http://a'], {})\nprint(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {name for name in done.stdout.split() if name.startswith(("ruamel", "ssl", "asyncio"))}


def test_check_prints_the_configuration() -> None:
    """YAML to standard output, warnings to standard error, exit 0."""
    done = run("check", URL, env={"GOLLAMAS_PROXY": "x"})
    assert done.returncode == 0
    assert "  127.0.0.1:1: http://127.0.0.1:1" in done.stdout.replace('"', "")
    assert done.stderr.startswith("gollamas: warning: GOLLAMAS_PROXY")


@pytest.mark.parametrize("verb", [["check"], ["serve"], []])
def test_all_faults_are_printed_and_exit_2(verb: list[str]) -> None:
    """By `check` and at start alike, on standard error."""
    done = run(*verb, "--proxy", "a", "--config", "none.yaml", env={"GOLLAMAS_LEVEL": "loud"})
    assert done.returncode == 2
    assert done.stdout == ""
    lines = done.stderr.splitlines()
    assert lines[0] == "gollamas: 3 faults in the configuration:"
    assert [line.strip().partition(": ")[0] for line in lines[1:]] == [
        "--proxy",
        "--config",
        "GOLLAMAS_LEVEL",
    ]


def test_a_mistyped_verb_names_the_nearest() -> None:
    """It is no server, so it does not start one."""
    done = run("srve")
    assert done.returncode == 2
    assert "gollamas: 1 fault on the command line:" in done.stderr
    assert "`gollamas serve`" in done.stderr


def test_quotes_around_a_variable_change_nothing() -> None:
    """As in an env file of Docker, for every verb that reads one."""
    env = {"GOLLAMAS_CONNECTIONS": "'http://a:1','http://b:1'", "OLLAMA_ORIGINS": "'http://a.lan'"}
    done = run("check", env=env)
    assert (done.returncode, done.stderr) == (0, "")
    assert 'origins: ["http://a.lan"]' in done.stdout or "origins: [http://a.lan]" in done.stdout
    done = run("health", env={"GOLLAMAS_ADMIN": "'127.0.0.1:1'"})
    assert "http://127.0.0.1:1/healthz" in done.stderr
    done = run("demo", "--admin", "off", env={"GOLLAMAS_LISTEN": "'x'"})
    assert "`x` has no port. Write `x:11434`" in done.stderr


@pytest.mark.parametrize(
    ("argv", "hint"),
    [
        (["demo", "--port", "8080"], "Write `--listen`, like `--listen localhost:8080`"),
        (["demo", "-p", "8080"], "Write `--listen`"),
        (["demo", "--verbose"], "Write `--level debug`"),
        (["demo", "--admin", "on"], "Write `127.0.0.1:11435`, the default"),
        (["simulate", "--port", "8080"], "Write `--listen`"),
        (["simulate", "--models", "x"], "Write `--model`"),
        (["simulate", "--xyzzy"], "See `gollamas simulate --help`"),
        (["demo", "--proxy", "a=http://h"], "It is for `gollamas serve`"),
        (["demo", "--live"], "Write `gollamas check --live`"),
        (["help", "--full"], "Write `gollamas version --full`"),
        (["help", "start"], "write `gollamas help serve`"),
    ],
)
def test_a_verb_with_flags_of_its_own_names_what_is_meant(
    argv: list[str], hint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """By the same synonyms as the others, where it has the flag."""
    assert main(argv) == 2
    assert hint in capsys.readouterr().err


def test_a_real_file_is_read(tmp_path: Path) -> None:
    """With its path as the place of its faults; a folder is no file."""
    path = tmp_path / "g.yaml"
    path.write_text("servers: [http://a:1]\nlevel: loud\n", encoding="utf-8")
    assert f"{path}:2: `loud`" in run("check", "--config", str(path)).stderr
    assert "can't be read" in run("check", "--config", str(tmp_path)).stderr


def test_a_reader_that_leaves_is_no_crash() -> None:
    """`gollamas --help | head` ends without a traceback."""
    program = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import sys; sys.stdin.read(1)\nfrom gollamas.cli.main import main\nsys.exit(main(['-h']))",
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    with program:
        assert program.stdin
        assert program.stdout
        assert program.stderr
        program.stdout.close()
        program.stdin.write(b"x")
        program.stdin.close()
        assert program.stderr.read() == b""
    assert program.returncode == 1
