"""The image: a linter has no complaint, its steps install a program that works, without root or compiler.

There is no Docker here, so the steps of the build stage run as a shell would run them, with the image's
folders moved below an empty one and Python from an empty virtual environment.
"""

import json
import os
import re
import shutil
import socket
import subprocess
import sys
from fnmatch import fnmatch
from pathlib import Path

import pytest

from tests.meta.building import quick_pip, virtual_environment
from tests.meta.documents import ROOT, Instruction, image_env, stages_of, text_of
from tests.meta.running import LISTENING, started

FOLDERS = ("/opt/gollamas", "/dist")  # what the steps write to, beside the working directory


@pytest.fixture
def build() -> list[Instruction]:
    """Give the stage that installs."""
    return stages_of("Dockerfile")[0]


@pytest.fixture
def final() -> list[Instruction]:
    """Give the stage that is shipped."""
    return stages_of("Dockerfile")[-1]


def rest_of(stage: list[Instruction], word: str) -> list[str]:
    """Find what follows each instruction of one word."""
    return [instruction.rest for instruction in stage if instruction.word == word]


def test_a_linter_has_no_complaint() -> None:
    """Hadolint, with all of its rules, says nothing."""
    linter = Path(sys.executable).with_name("hadolint")
    said = subprocess.run([linter, ROOT / "Dockerfile"], check=False, capture_output=True, text=True)
    assert (said.returncode, said.stdout, said.stderr) == (0, "", "")


def test_the_image_is_small_and_has_no_compiler(build: list[Instruction], final: list[Instruction]) -> None:
    """Two stages, one Python: the first one has a compiler, the slim one gets the installed program alone."""
    assert len(stages_of("Dockerfile")) == 2
    assert "-slim" in final[0].rest
    assert build[0].rest == f"{final[0].rest.replace('-slim', '')} AS build"
    assert rest_of(final, "COPY") == ["--from=build /opt/gollamas /opt/gollamas"]
    assert not re.search(r"apt-get|apk|gcc|build-essential|pip", " ".join(rest_of(final, "RUN")))
    locked = re.findall(r"--require-hashes( --only-binary :all:)? -r", " ".join(rest_of(build, "RUN")))
    assert len(locked) == 2
    assert all(locked)


def test_the_image_runs_without_root_and_is_reachable(final: list[Instruction]) -> None:
    """A user by number, every address of the container, Ollama's port, a health check, our command."""
    user = rest_of(final, "USER")[-1]
    assert re.fullmatch(r"[1-9]\d+:[1-9]\d+", user)
    assert "GOLLAMAS_LISTEN=0.0.0.0:11434" in rest_of(final, "ENV")[0].split()
    assert rest_of(final, "EXPOSE") == ["11434"]
    assert rest_of(final, "HEALTHCHECK")[0].endswith('CMD ["gollamas", "health"]')
    assert json.loads(rest_of(final, "ENTRYPOINT")[0]) == ["gollamas"]
    words = [instruction.word for instruction in final]
    assert words.index("USER") > max(at for at, word in enumerate(words) if word in ("RUN", "COPY"))


def test_the_build_gets_what_it_copies_and_no_more(build: list[Instruction]) -> None:
    """Each source of a COPY is there and passes `.dockerignore`, which keeps out all the rest."""
    rules = [line for line in text_of(".dockerignore").splitlines() if line and not line.startswith("#")]
    assert rules[0] == "*"
    kept = {rule.removeprefix("!") for rule in rules if rule.startswith("!")}
    copied = {source for rest in rest_of(build, "COPY") for source in rest.split()[:-1]}
    assert copied == kept
    assert all((ROOT / source).exists() for source in copied)
    for made_here in ("src/gollamas/__pycache__", "src/gollamas/net/relay.cpython-313-x86_64-linux-gnu.so"):
        assert any(fnmatch(made_here, rule) for rule in rules)


def moved(text: str, root: Path) -> str:
    """Move the image's folders in a command below `root`."""
    return re.sub("|".join(map(re.escape, FOLDERS)), lambda found: f"{root}{found[0]}", text)


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory, compiler: dict[str, str]) -> Path:
    """Run the build stage in an empty virtual environment; give the program that it installed."""
    root = tmp_path_factory.mktemp("image")
    work = root / "src"
    work.mkdir()
    virtual_environment(root / "python")
    env = {"PATH": f"{root}/python/bin:/usr/bin:/bin", "HOME": str(root)} | compiler
    env |= {
        name: value for name, value in os.environ.items() if name.startswith(("PIP_", "SSL_", "REQUESTS_"))
    }
    env |= quick_pip()
    for instruction in stages_of("Dockerfile")[0]:
        if instruction.word == "COPY":
            *sources, target = instruction.rest.split()
            for source in sources:
                if (ROOT / source).is_dir():
                    skipped = shutil.ignore_patterns("__pycache__", "*.so")
                    shutil.copytree(ROOT / source, work / target, ignore=skipped)
                else:
                    shutil.copy(ROOT / source, work / target)
        elif instruction.word == "RUN":
            command = moved(instruction.rest, root)
            done = subprocess.run(
                ["/bin/sh", "-ec", command], cwd=work, env=env, check=False, capture_output=True
            )
            assert done.returncode == 0, done.stdout.decode() + done.stderr.decode()
    return root / "opt/gollamas/bin/gollamas"


@pytest.mark.timeout(300)
def test_the_steps_install_the_program(installed: Path) -> None:
    """What the steps leave behind is gollamas with its dependencies alone, and it tells its version."""
    version = re.search(r'^version = "(.*)"', text_of("pyproject.toml"), re.MULTILINE)
    assert version
    said = subprocess.run([installed, "--version"], check=True, capture_output=True, text=True, env={})
    assert version[1] in said.stdout
    packages = installed.parents[1].glob("lib/python3.*/site-packages/*.dist-info")
    names = {re.sub(r"[-_.]+", "-", path.name.partition("-")[0]).lower() for path in packages}
    locked = set(re.findall(r"^([a-z0-9.-]+)==", text_of("requirements.lock"), re.MULTILINE))
    assert names - {"gollamas"} <= locked
    assert "gollamas" in names


@pytest.mark.timeout(300)
def test_the_program_needs_only_its_proxies(installed: Path) -> None:
    """With the image's variables and GOLLAMAS_PROXIES it serves and calls itself well, and SIGINT ends it."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        admin = f"127.0.0.1:{free.getsockname()[1]}"
    env = image_env() | {"PATH": f"{installed.parent}:/usr/bin:/bin"}
    env["GOLLAMAS_LISTEN"] = env["GOLLAMAS_LISTEN"].replace(":11434", ":0")  # the port may be taken here
    env |= {"GOLLAMAS_ADMIN": admin, "GOLLAMAS_PROXIES": "llama3.2=http://127.0.0.1:9"}
    with started("exec gollamas", env) as program:
        assert program.until(LISTENING)[1].startswith("0.0.0.0:")
        health = subprocess.run([installed, "health"], env=env, check=False, capture_output=True, text=True)
        assert (health.returncode, health.stderr) == (0, "")
        assert "stopped" in program.interrupt()
    gone = subprocess.run([installed, "health"], env=env, check=False, capture_output=True, text=True)
    assert gone.returncode == 1
