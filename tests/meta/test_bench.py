"""The bench (bench/measure): every case gives a figure, what is missing is named, nothing is left running."""

import http.client
import json
import os
import re
import shlex
import shutil
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bench import processes
from bench.cases import all_cases
from bench.processes import compile_c, cores, found, free_port
from bench.programs import POLICY
from bench.readings import Read, summary
from gollamas.config import options
from gollamas.fleet import facts
from tests.meta.documents import ROOT
from tests.meta.running import started

pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or shutil.which("cc") is None, reason="the bench needs Linux and a C compiler"
)

MEASURE = str(ROOT / "bench" / "measure")
PROXY = (
    f"{sys.prefix}/bin/gollamas --listen 127.0.0.1:{{port}} --proxy llama3.2=http://127.0.0.1:{{upstream}} "
    "--alias gpt-4o=llama3.2 --admin off --level {level}"
)
# A shell that leaves out what is put behind the command: a proxy that takes no policy.
WITHOUT_POLICY = f"sh -c {shlex.quote('exec ' + PROXY)} sh"
TAKES_POLICY = not set(shlex.split(POLICY)) & set(getattr(options, "LATER_FLAGS", ()))
WEIGHTS = "dde5aa3fc5ffc17176b5e8bdc82f587b24b2678c6c66101bf7da77af9f7ccdff"
NAMES = [case.name for case in all_cases(0).values() if not case.has_policy]
OF_A_POLICY = [case.name for case in all_cases(0).values() if case.has_policy]
QUICK = ["--rounds", "1", "--seconds", "0.2", "--streams", "50", "--load", "own"]


# What the bench is given as its compiler: each run would make the same programs of the same sources.
COPIES = """#!/bin/sh
for word; do
    [ "$last" != -o ] || target=$word
    last=$word
done
exec cp "{made}/${{target##*/}}" "$target"
"""


@pytest.fixture(scope="module", autouse=True)
def compiled_once(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Put a compiler first on the PATH that has done its work."""
    made = tmp_path_factory.mktemp("made")
    compile_c(made)
    compiler = tmp_path_factory.mktemp("bin") / "cc"
    compiler.write_text(COPIES.format(made=made), encoding="utf-8")
    compiler.chmod(0o755)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", str(compiler.parent), prepend=os.pathsep)
        yield


def measure(*words: str, path: str | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, MEASURE, *words],
        env={"PATH": path or os.environ["PATH"]},
        check=False,
        capture_output=True,
        text=True,
    )


def figures(*words: str, path: str | None = None, command: str = PROXY) -> tuple[dict[str, Any], str]:
    """Measure our own proxy; give the cases and what was said beside them."""
    done = measure(*QUICK, "--json", "--path-alias", *words, "--", *shlex.split(command), path=path)
    assert done.returncode == 0, done.stderr
    cases: dict[str, Any] = json.loads(done.stdout)
    return cases, done.stderr


def without_haproxy(folder: Path) -> str:
    """Make a PATH that has what compiles and a shell, and no proxy to compare with."""
    for name in ("cc", "cp", "sh"):
        (folder / name).symlink_to(shutil.which(name) or "")
    return str(folder)


@pytest.mark.parametrize("names", [NAMES[:5], NAMES[5:], OF_A_POLICY], ids=["first", "second", "policy"])
def test_every_case_gives_a_figure(names: list[str], tmp_path: Path) -> None:
    """The proxy alone, where HAProxy is not installed: no ratio, and it is said what gives one."""
    if names == OF_A_POLICY and not TAKES_POLICY:
        pytest.skip("this proxy takes no policy")
    chosen = [word for name in names for word in ("--only", name)]
    cases, said = figures(*chosen, "--policy", POLICY, path=without_haproxy(tmp_path))
    assert list(cases) == names
    for name, case in cases.items():
        assert case["proxy"] > 0, name
        assert case["rounds"]["proxy"] == [round(case["proxy"], 2)], name
        assert "ratio" not in case, name
    assert "apt-get install haproxy" in said
    assert "broke off" not in said


@pytest.mark.skipif(found("haproxy") is None, reason="HAProxy is not here")
def test_haproxy_gives_a_ratio() -> None:
    """By the load that most people will have: wrk's where it is there."""
    cases, said = figures("--only", "embed", "--load", "wrk" if found("wrk") else "own")
    (case,) = cases.values()
    assert case["ratio"] == pytest.approx(case["proxy"] / case["haproxy"])
    assert case["proxy_rate"] > 100
    assert "broke off" not in said


def test_a_variant_that_nobody_asks_for_is_no_figure(tmp_path: Path) -> None:
    """Native requests have no need of one; the name in others would be what it is anyway."""
    path = without_haproxy(tmp_path)
    cases, _ = figures("--policy", "x", "--only", "policy-request", path=path, command=WITHOUT_POLICY)
    assert cases["policy-request"]["proxy"] > 0
    words = ["--policy", "x", "--only", "policy-sse", "--", *shlex.split(WITHOUT_POLICY)]
    done = measure(*QUICK, *words, path=path)
    assert done.returncode == 2
    assert "policy-sse: the proxy asked for no variant" in done.stderr


def test_the_stand_in_server_lists_what_it_made(tmp_path: Path) -> None:
    """And speaks by that name, until it is deleted; loads and descriptions are whole answers."""
    compile_c(tmp_path)
    port, variant = free_port(), "gollamas/llama3.2-1a2b:ctx4096"
    command = [str(tmp_path / "standin"), str(port), "3", "0", str(tmp_path / "counts")]

    def ask(path: str, method: str = "POST", **body: Any) -> str:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        connection.request(method, path, json.dumps(body), {"Content-Type": "application/json"})
        answer = connection.getresponse()
        said = answer.read().decode()
        connection.close()
        assert answer.status == 200, said
        return said

    def listed() -> list[str]:
        return [entry["name"] for entry in json.loads(ask("/api/tags", "GET"))["models"]]

    with processes.running(command, cores()[1], tmp_path / "log") as server:
        server.wait_listening(port)
        assert listed() == ["llama3.2:latest"]
        created = ask(
            "/api/create", model=variant, **{"from": "llama3.2:latest"}, parameters={"num_ctx": 4096}
        )
        assert json.loads(created) == {"status": "success"}
        assert listed() == ["llama3.2:latest", variant]
        for name in (variant, "llama3.2"):
            said = ask("/v1/chat/completions", model=name, messages=[], stream=True)
            assert set(re.findall(r'"model":"([^"]*)"', said)) == {name}
        loaded = ask("/api/generate", model="llama3.2", options={"num_ctx": 4096}, keep_alive=-1)
        assert json.loads(loaded)["done_reason"] == "load"
        assert facts.read(ask("/api/show", model="llama3.2").encode()) == (f"sha256-{WEIGHTS}", False)
        ask("/api/delete", "DELETE", model=variant)
        assert listed() == ["llama3.2:latest"]
        counts = struct.unpack("QQQQ", (tmp_path / "counts").read_bytes()[:32])
    assert counts == (2, 8, 0, 1)


def test_the_stand_in_server_takes_blobs_and_has_none(tmp_path: Path) -> None:
    """It counts their bytes, those that come with the head too, and the connection goes on behind them."""
    compile_c(tmp_path)
    port, sizes = free_port(), (0, 5, 8192, 3_000_000)
    command = [str(tmp_path / "standin"), str(port), "0", "0", str(tmp_path / "counts")]
    with processes.running(command, cores()[1], tmp_path / "log") as server:
        server.wait_listening(port)
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        for size in sizes:
            for method, body, status in (("HEAD", b"", 404), ("POST", bytes(size), 201)):
                connection.request(method, "/api/blobs/sha256:0", body)
                answer = connection.getresponse()
                assert (answer.status, answer.read()) == (status, b"")
        connection.close()
        counts = struct.unpack("QQQQQ", (tmp_path / "counts").read_bytes()[:40])
    assert counts == (0, 0, 0, 0, sum(sizes))


def test_ratios_are_compared_round_by_round() -> None:
    """A machine that is slow for a while is slow for both."""
    read = {
        "proxy": Read([2.0, 20.0, 3.0]),
        "haproxy": Read([1.0, 10.0, 2.0]),
        "nginx": Read([1.0, 15.0, 3.0]),
    }
    said = summary(all_cases(0)["embed"], read)
    assert (said["ratio"], said["nginx_ratio"], said["proxy"], said["haproxy"]) == (2.0, 1.5, 3.0, 2.0)


def test_an_error_is_no_figure(tmp_path: Path) -> None:
    """A proxy that does not know the alias answers quickly, which says nothing."""
    command = PROXY.replace("--alias gpt-4o=llama3.2", "")
    words = ["--path-alias", "--only", "alias", "--", *shlex.split(command)]
    done = measure(*QUICK, *words, path=without_haproxy(tmp_path))
    assert done.returncode == 2
    assert "alias: the proxy answers 404" in done.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--only", "policy-sse", "--", "proxy", "{port}"], "this command has no policy-sse"),
        (["--only", "log", "--", "proxy", "{port}"], "this command has no log"),
        (["--only", "embed", "--", "no-such-proxy", "{port}"], "no-such-proxy: "),
        (["--only", "embed", "--", "true", "{port}"], "does not listen on port"),
        (["--only", "embed", "--", "proxy"], "does not say where {port}"),
    ],
)
def test_a_command_that_can_not_be_measured_is_told(words: list[str], said: str) -> None:
    done = measure(*QUICK, *words)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr


def test_help_names_every_case_and_what_to_install() -> None:
    said = measure("--help").stdout
    assert all(f"  {case.name} " in said and case.says in said for case in all_cases(4000).values())
    assert "apt-get install" in said


def test_control_c_ends_all_that_was_started(tmp_path: Path) -> None:
    """The proxy, the stand-in server and the folder of a run are gone when it is broken off."""
    begun, mark = tmp_path / "begun", f"{tmp_path.parent.name}-{tmp_path.name}"
    os.mkfifo(begun)
    proxy = f"echo > {begun}; exec {PROXY} --alias {mark}=llama3.2"
    command = f"{MEASURE} --seconds 30 --only embed -- sh -c {shlex.quote(proxy)}"
    with started(f"exec {command}", {"PATH": os.environ["PATH"], "TMPDIR": str(tmp_path)}) as bench:
        begun.read_bytes()  # it is the last but HAProxy that is started
        assert running_with(mark, str(tmp_path))
        assert "broken off" in bench.interrupt()
    assert not running_with(mark, str(tmp_path))
    assert list(tmp_path.iterdir()) == [begun]


def running_with(*words: str) -> list[bytes]:
    """Find the processes whose command has one of these words in it."""
    commands = []
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            commands.append(file.read_bytes())
        except OSError:  # ended since
            continue
    return [command for command in commands if any(word.encode() in command for word in words)]
