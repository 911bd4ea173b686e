"""What the pages say holds: every command of theirs runs as it stands, as far as it can here.

A `sh` block is run, line by line. A `console` block needs what is not here (Docker, a cluster, a real
Ollama), so it is taken apart and what can be checked of it is. The addresses of the reader's two machines
stand for simulated servers.
"""

import re
import shlex
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest

from gollamas.config.load import load
from tests.meta.documents import ROOT, Block, blocks_of, commands_of, image_env

PAGES = (
    "README.md",
    *sorted(f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md")),
    "CONTRIBUTING.md",
)
BIN = f"{sys.prefix}/bin"
SECRET = "a-secret-of-ours"


def all_commands(language: str) -> list[str]:
    """Find the commands of every page's blocks in one language, each once."""
    found = [
        command
        for page in PAGES
        for block in blocks_of(page)
        if block.language == language
        for command in commands_of(block)
    ]
    return list(dict.fromkeys(found))


def yaml_blocks() -> list[str]:
    """Find the configuration files that README shows."""
    return [block.text for block in blocks_of("README.md") if block.language == "yaml"]


def run(command: str, **env: str) -> subprocess.CompletedProcess[str]:
    """Run a line in a shell as a reader would, in the repository, with our commands on the path."""
    path = {"PATH": f"{BIN}:/usr/local/bin:/usr/bin:/bin"}
    return subprocess.run(
        ["/bin/sh", "-c", command],
        cwd=ROOT,
        env=path | env,
        check=False,
        capture_output=True,
        text=True,
        timeout=50,
    )


@pytest.mark.parametrize("page", PAGES)
def test_every_block_is_of_a_known_kind(page: str) -> None:
    """A block is run, taken apart, read as configuration, or no command at all."""
    known = {"sh", "console", "yaml", "json", "toml", "ini", "nginx", "crontab", ""}
    assert {block.language for block in blocks_of(page)} <= known


def test_every_command_has_a_test() -> None:
    """Commands of a kind that nobody tries do not slip into the pages."""
    kinds = {
        "sh": r"(\w+=\S* )*gollamas( check)? |curl http://localhost:11434/|"
        r"make (run|test|check)$|export \w+=|"
        r"pipx install \.$|python3 -m venv |~/\.local/share/gollamas/bin/pip install \.$",
        "console": r"docker run |docker compose up -d$|kubectl apply -f |make (test-real|bench)\b|"
        r"(\w+=\S+ )*gollamas (check|--listen) |python -X importtime -m gollamas --help$|"
        r"journalctl -u gollamas |launchctl setenv |"
        r"gollamas (load|unload) [a-z]|curl -d .*:11435/load$|"
        r"curl (-N )?http://127.0.0.1:11435/(state|events)$|gollamas status( --json)?$|"
        r"gollamas (models|ps)$|gollamas (models|show|pull|rm)( [\w.:-]+(@pc-[12])?)+$|"
        r"gollamas cp [\w.-]+ [\w.-]+$|"
        r"curl -X POST .*:11435/variants/prune$|gollamas variants( --prune| --json)?$|export \w+=|"
        r"gollamas (load|unload)( [\w.:-]+(@gpu-1)?)+$|curl -d '{[^']+}' http://127.0.0.1:11435/(load|pull|delete)$|"
        r"curl (-i )?(-H '[\w: -]+' )?http://localhost:11434/api/pull -d '{[^']+}'$|"
        r"OLLAMA_HOST=localhost:11434 ollama (pull|create|cp|rm) |printf 'FROM [^']+' > Modelfile$|"
        r"sudo (apt install|python3 -m venv|chmod|install|systemctl|/opt/gollamas/bin/\w+) ",
    }
    for language, known in kinds.items():
        for command in all_commands(language):
            assert re.match(known, command), command


@pytest.mark.parametrize("command", [line for line in all_commands("sh") if " check " in line])
def test_checking_finds_no_fault(command: str) -> None:
    """A `gollamas check` of the pages prints a configuration and warns of nothing."""
    done = run(command, GOLLAMAS_LISTEN="127.0.0.1:0", GOLLAMAS_ADMIN="off")
    assert (done.returncode, done.stderr) == (0, "")
    assert "servers:" in done.stdout


@pytest.mark.parametrize(
    "command", [line for line in all_commands("sh") if re.match(r"(\w+=\S* )*gollamas (?!check )", line)]
)
def test_a_start_of_the_pages_has_no_fault(command: str) -> None:
    """What the pages start the proxy by is a configuration that `gollamas check` warns of nothing in."""
    done = run(
        re.sub(r"\bgollamas ", "gollamas check ", command, count=1),
        GOLLAMAS_LISTEN="127.0.0.1:0",
        GOLLAMAS_ADMIN="off",
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("text", yaml_blocks())
def test_a_file_of_the_pages_is_accepted(text: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    """A YAML block is a whole configuration without a fault or a warning, and its secret is not printed."""
    path = tmp_path_factory.mktemp("file") / "gollamas.yaml"
    path.write_text(text, encoding="utf-8")
    secrets = dict.fromkeys(re.findall(r"\$\{(\w+)\}", text), SECRET)
    assert secrets
    done = run(f"gollamas check --listen 127.0.0.1:0 --admin off --config {path}", **secrets)
    assert (done.returncode, done.stderr) == (0, "")
    assert SECRET not in done.stdout


@pytest.mark.parametrize(
    "command", [line for line in all_commands("console") if re.match("docker run .* gollamas/", line)]
)
def test_docker_run_starts_the_image(command: str) -> None:
    """The variables of a `docker run` are a configuration, its port and image are the image's own."""
    words = shlex.split(command)
    options = dict(pairwise(words))
    given = dict(word.split("=", 1) for flag, word in pairwise(words) if flag == "-e")
    config = load([], image_env() | given)
    assert config.warnings == ()
    assert len(config.models) == 2
    assert options["-p"] == f"11434:{config.listen.port}"
    assert words[-1] == "gollamas/gollamas:1"


def test_the_files_that_commands_name_are_there() -> None:
    """What `kubectl` and compose are to read is in the repository, under the name that they look for."""
    named = [
        words[-1] for words in map(shlex.split, all_commands("console")) if words[:2] == ["kubectl", "apply"]
    ]
    assert named == ["deploy/kubernetes.yaml"]
    assert all((ROOT / path).is_file() for path in [*named, "compose.yaml"])


@pytest.mark.parametrize(
    "command", ["make test", *(line for line in all_commands("console") if line[:5] == "make ")]
)
def test_make_would_do_it(command: str) -> None:
    """A `make` line that cannot run inside the suite would run something, with what it was given."""
    done = run(f"{command} --dry-run --assume-old=setup", HOME=str(ROOT))
    assert done.returncode == 0
    words = shlex.split(command)
    expected = {"test": "pytest", "test-real": "-m real", "bench": "measure"}[words[1]]
    assert expected in done.stdout
    for given in words[2:]:
        assert given.partition("=")[2] in done.stdout


@pytest.mark.parametrize("command", [line for line in all_commands("console") if line.startswith("python")])
def test_python_lines_run(command: str) -> None:
    """A line that needs nothing but Python ends well."""
    assert run(command).returncode == 0


SHOWN = [block for block in blocks_of("docs/configuration.md") if block.language == "console"]


@pytest.mark.parametrize("shown", SHOWN, ids=[commands_of(block)[0] for block in SHOWN])
def test_what_a_check_shows_is_what_it_prints(shown: Block, tmp_path: Path) -> None:
    """The page about configuration shows a file, checks of it, and lines that they really print."""
    texts = [block.text for block in blocks_of("docs/configuration.md") if block.language == "yaml"]
    (text,) = [text for text in texts if text.startswith("listen:")]
    (tmp_path / "gollamas.yaml").write_text(text, encoding="utf-8")
    (command,) = commands_of(shown)
    done = run(f"cd {tmp_path} && {command}")
    lines = [line for line in shown.text.splitlines()[1:] if line != "..."]
    assert lines
    assert set(lines) <= set((done.stdout + done.stderr).splitlines())
    assert done.returncode == (2 if "faults" in shown.text else 0)
