"""The command: its words, its table."""

import argparse
import shlex
import shutil
import signal
import sys
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final, NoReturn

from bench.cases import all_cases
from bench.processes import Failed, compile_c, cores, found, tell
from bench.programs import HAPROXY, POLICY, PROXY, beside, gollamas, open_files
from bench.readings import Setting, as_json, run, summary

_HELP: Final = """\
What a proxy costs: processor time for each request and each streamed piece, as a ratio to
HAProxy's in the same run.

A stand-in for an Ollama server (bench/standin.c) answers at next to no cost. The proxy, HAProxy
and nginx run in front of it on one core, the server and the load on another one, and each program
is read in turn in every round. The figure to look at is the ratio: it holds when the machine's
speed drifts. How fast it went is shown beside it.

It needs Linux, Python 3.11 and a C compiler. Without HAProxy there are no ratios, nginx is left
out where it is missing, and without wrk a program of our own makes the load (bench/load.c):
apt-get install gcc libc6-dev haproxy wrk nginx-light
"""
_CASES: Final = """\
The command behind -- is another proxy's. {{port}}, {{upstream}} and {{level}} in it are filled in;
the level of its log is error, in the case log info. It has that case only where {{level}} is
there, alias only with --path-alias, and those of a policy only with --policy, whose words are put
behind the command. Without a command, this repository's gollamas is measured.

cases:
{cases}
"""


def _parser() -> argparse.ArgumentParser:
    cases = "\n".join(
        f"  {case.name:14} {case.says}: {case.figure.value}" for case in all_cases(4000).values()
    )
    parser = argparse.ArgumentParser(
        "bench/measure",
        description=_HELP,
        epilog=_CASES.format(cases=cases),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--only", action="append", choices=list(all_cases(0)), help="this case; may be repeated")
    add(
        "--rounds",
        type=int,
        default=3,
        help="how often each program is read in a case (3); medians are shown",
    )
    add("--seconds", type=float, default=2.0, help="how long a reading takes (2)")
    add("--streams", type=int, default=4000, help="how many streams the case idle opens (4000)")
    add("--settle", type=float, default=0.0, help="wait so many seconds before the first reading of a case")
    add(
        "--load",
        choices=("wrk", "own"),
        help="who makes the load: wrk where it is there, unless seconds are below 1",
    )
    add(
        "--path-alias",
        action="store_true",
        help="the command answers to gpt-4o for llama3.2: measure alias too",
    )
    add(
        "--policy",
        metavar="WORDS",
        help=f"behind the command: it enforces num_ctx 4096 and keep_alive -1 ({POLICY})",
    )
    add("--json", action="store_true", help="one JSON object in place of the table")
    add("command", nargs="*", help="the proxy's command and its words, behind --")
    return parser


def _chosen(options: argparse.Namespace) -> list[str]:
    """Name the cases: those that were asked for, else all that the command can do."""
    can_not = set()
    if options.command:
        can_not |= set() if options.path_alias else {"alias"}
        can_not |= (
            set() if options.policy else {case.name for case in all_cases(0).values() if case.has_policy}
        )
        can_not |= set() if any("{level}" in word for word in options.command) else {"log"}
    if options.only and can_not & set(options.only):
        raise Failed(f"this command has no {', '.join(sorted(can_not & set(options.only)))}: see --help")
    return (
        [name for name in all_cases(0) if name in options.only]
        if options.only
        else [name for name in all_cases(0) if name not in can_not]
    )


def _wrk(options: argparse.Namespace) -> str | None:
    """Find wrk, or say that our own program stands in for it."""
    if options.load == "own":
        return None
    program = found("wrk")
    if program is None:
        if options.load == "wrk":
            raise Failed("wrk is not here: apt-get install wrk")
        tell("wrk is not here, so bench/load.c makes the load: apt-get install wrk")
    elif options.load is None and options.seconds < 1:
        tell("wrk takes a second at least, so bench/load.c makes the load")
        return None
    return program


def _measure(options: argparse.Namespace, folder: Path) -> None:
    streams = min(options.streams, (open_files() - 1000) // 2)
    if streams < options.streams:
        tell(
            f"idle opens {streams} streams, not {options.streams}: raise the limit of open files (ulimit -Hn)"
        )
    chosen, command = _chosen(options), options.command or gollamas()
    compile_c(folder)
    policy = shlex.split(POLICY if options.policy is None else options.policy)
    measured = options.seconds, options.rounds, options.settle
    setting = Setting(folder, command, policy, beside(), _wrk(options), *measured)
    if len(set(cores())) == 1:
        tell("there is one core for all: the load is in the proxies' way, and the ratios say less")
    results = {}
    for case in (all_cases(streams)[name] for name in chosen):
        results[case.name] = summary(case, run(case, setting))
        if not options.json:
            _show(case.name, results[case.name], is_first=len(results) == 1)
    if options.json:
        sys.stdout.write(as_json(results))


def _show(name: str, result: dict[str, object], *, is_first: bool) -> None:
    """Write a case's line as soon as it is known."""
    columns = ("proxy", "haproxy", "ratio", "nginx", "nginx_ratio", "direct")
    if is_first:
        heads = [column.replace("_", " ") for column in columns]
        sys.stdout.write(
            f"{'case':14}{''.join(f'{head:>12}' for head in heads)}  unit; pieces, requests or MiB a second\n"
        )
    figures = (result.get(column) for column in columns)
    shown = "".join(f"{figure:12.2f}" if isinstance(figure, float) else f"{'-':>12}" for figure in figures)
    rates = [result.get(f"{program}_rate") for program in (PROXY, HAPROXY)]
    fast = ", ".join(f"{rate:,.0f}/s" for rate in rates if isinstance(rate, float))
    sys.stdout.write(f"{name:14}{shown}  {result['unit']}{'; ' if fast else ''}{fast}\n")
    sys.stdout.flush()


def _terminated(*_: object) -> NoReturn:
    raise KeyboardInterrupt


def main(words: Sequence[str]) -> int:
    """Run; 2 where it can't, 130 where it was broken off."""
    options = _parser().parse_args(words)
    if sys.platform != "linux":
        tell("this needs Linux: it reads the kernel's accounts")
        return 2
    signal.signal(signal.SIGTERM, _terminated)  # all that was started is ended then too
    folder = Path(tempfile.mkdtemp(prefix="gollamas-bench-"))
    try:
        _measure(options, folder)
    except Failed as why:
        tell(str(why))
        return 2
    except KeyboardInterrupt:
        tell("broken off")
        return 130
    finally:
        with suppress(OSError):
            shutil.rmtree(folder)
    return 0
