"""One case: its processes, its rounds, its figures.

Every program is read in turn in every round, while the others that are there have nothing to do.
"""

import http.client
import json
import mmap
import re
import struct
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Final

from bench.cases import Case, Figure
from bench.load import Load, Outcome, outcome, own_command, wrk_command
from bench.processes import Failed, Process, cores, free_port, running, tell
from bench.programs import DIRECT, HAPROXY, PROXY, Contestant, command_of, filled_in

_OPENED_WITHIN: Final = 30.0  # seconds for all streams of a case
_SETTLES: Final = 1.5  # times the length of a reading: how long streams run before memory is read


@dataclass(frozen=True, slots=True)
class Setting:
    """What is the same for all cases of a run."""

    folder: Path
    command: Sequence[str]  # of the proxy
    policy: Sequence[str]  # words behind it that make it enforce num_ctx and keep_alive
    beside: dict[str, str]
    wrk: str | None  # None where our own program makes the load
    seconds: float
    rounds: int
    settle: float


@dataclass(slots=True)
class Read:
    """What was read of one program, round by round."""

    figures: list[float] = field(default_factory=list)
    rates: list[float] = field(default_factory=list)
    p99_us: list[float] = field(default_factory=list)


class _Counts:
    """What the stand-in server counts, in the memory that it shares."""

    def __init__(self, file: Path) -> None:
        with file.open("rb") as opened:
            self._memory = mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ)

    def read(self) -> tuple[int, int, int, int, int]:
        """Give requests, pieces, open streams, requests to a model that was made, bytes of blobs."""
        requests, pieces, streams, made, blobs = struct.unpack("QQQQQ", self._memory[:40])
        return requests, pieces, streams, made, blobs


class CaseRun:
    """A case whose processes run: `rounds` reads them."""

    def __init__(self, case: Case, setting: Setting, processes: ExitStack) -> None:
        self._case, self._setting = case, setting
        core, self._core = cores()
        folder, upstream = setting.folder, free_port()
        counts = folder / "counts"
        command = [str(folder / "standin"), str(upstream), str(case.pieces), str(case.gap_us), str(counts)]
        server = processes.enter_context(running(command, self._core, folder / "standin.log"))
        server.wait_listening(upstream)
        self._counts = _Counts(counts)
        self._contestants = []
        for name in (PROXY, *setting.beside):
            port = free_port()
            if name == PROXY:
                values = {"port": port, "upstream": upstream, "level": "info" if case.is_logged else "error"}
                command = filled_in([*setting.command, *(setting.policy if case.has_policy else ())], values)
            else:
                command = command_of(name, setting.beside[name], (port, upstream), folder)
            process = processes.enter_context(running(command, core, folder / f"{name}.log"))
            self._contestants.append(Contestant(name, port, process))
        for contestant in self._contestants:
            contestant.process.wait_listening(contestant.port)
        if case.figure in (Figure.LATENCY, Figure.DELAY):
            self._contestants.append(Contestant(DIRECT, upstream, server))

    def rounds(self) -> dict[str, Read]:
        """Read every program as often as asked."""
        case, setting = self._case, self._setting
        time.sleep(setting.settle)
        read = {contestant.name: Read() for contestant in self._contestants}
        for contestant in self._contestants:
            self._answers_with_the_name(contestant)
        if case.figure is Figure.MEMORY:
            for contestant in self._contestants:
                read[contestant.name].figures.append(self._memory(contestant))
            return read
        for contestant in self._contestants:
            with self._load(contestant, setting.seconds / 4) as load:
                load.wait_ended(setting.seconds / 4)  # what is done the first time only
        for _ in range(setting.rounds):
            for contestant in self._contestants:
                self._time(contestant, read[contestant.name], setting.seconds)
        return read

    def _answers_with_the_name(self, contestant: Contestant) -> None:
        """See that the proxy answers what it is asked for: a quick error is no good figure."""
        if self._case.figure is Figure.MEMORY or contestant.name != PROXY:
            return
        if self._case.blob_mib:
            return  # the load tells of errors
        request = self._case.requests(contestant.port)[0]
        body = request.partition(b"\r\n\r\n")[2]
        connection = http.client.HTTPConnection("127.0.0.1", contestant.port, timeout=30)
        connection.request("POST", self._case.path, body, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        said = answer.read()
        connection.close()
        names = set(re.findall(rb'"model":"([^"]*)"', said))
        if answer.status != 200 or names != {self._case.asks_for.encode()}:
            raise Failed(f"{self._case.name}: the proxy answers {answer.status} {said[:300]!r}")
        if self._case.has_policy and self._case.path.startswith("/v1/") and not self._counts.read()[3]:
            raise Failed(
                f"{self._case.name}: the proxy asked for no variant, so that no name was changed back"
            )

    def _time(self, contestant: Contestant, read: Read, seconds: float) -> None:
        """Read one program once, in the middle of a load."""
        case = self._case
        if case.name == "paced":
            seconds *= 2  # the streams begin together: whole ones are to be counted
        before = min(0.5, seconds / 2)
        whole = before + seconds + min(0.2, seconds / 2)
        with self._load(contestant, whole) as load:
            time.sleep(before)
            begun, counted, used = self._read(contestant)
            time.sleep(seconds)
            ended, count, used_then = self._read(contestant)
            outcome_ = outcome(load.wait_ended(whole))
        count -= counted
        read.figures.append(_figure(case.figure, outcome_, (used_then - used) / max(count, 1)))
        read.rates.append(count / (ended - begun))
        read.p99_us.append(outcome_.late_p99_us if case.figure is Figure.DELAY else outcome_.p99_us)
        if outcome_.faults:
            tell(f"{case.name}: {contestant.name}: {outcome_.faults} answers were errors or broke off")
        if not count:
            raise Failed(f"{case.name}: {contestant.name} answered nothing for {seconds} s")

    def _read(self, contestant: Contestant) -> tuple[float, float, float]:
        """Give the time, how much of what counts came by then, and the program's processor time."""
        used = contestant.process.processor_us()
        requests, pieces, *_, blobs = self._counts.read()
        count = blobs / (1 << 20) if self._case.blob_mib else pieces if self._case.pieces else requests
        return time.monotonic(), count, used

    def _memory(self, contestant: Contestant) -> float:
        """Tell what each open stream adds to a program that has just started."""
        wanted, opened = self._case.connections, 0
        end = time.monotonic() + _OPENED_WITHIN
        while self._counts.read()[2] and time.monotonic() < end:  # streams of the one before
            time.sleep(0.05)
        before = contestant.process.memory_kib()
        with self._load(contestant, 600):
            end = time.monotonic() + _OPENED_WITHIN
            while opened < wanted and time.monotonic() < end:
                time.sleep(0.05)
                opened = self._counts.read()[2]
            time.sleep(self._setting.seconds * _SETTLES)
            added = contestant.process.memory_kib() - before
        if opened < wanted:
            tell(f"{self._case.name}: {contestant.name}: only {opened} streams of {wanted} are open")
        return added / max(opened, 1)

    @contextmanager
    def _load(self, contestant: Contestant, seconds: float) -> Iterator[Process]:
        case, setting = self._case, self._setting
        load = Load(contestant.port, case.connections, case.requests(contestant.port), case.blob_mib << 20)
        if setting.wrk is None or case.figure is Figure.DELAY or case.blob_mib:
            command = own_command(load, seconds, setting.folder)
        else:
            command = wrk_command(setting.wrk, load, seconds, setting.folder)
        with running(command, self._core, setting.folder / "load.log") as process:
            yield process


def _figure(figure: Figure, seen: Outcome, used_us: float) -> float:
    """Choose what a case is about."""
    if figure is Figure.LATENCY:
        return seen.p50_us
    return seen.late_p50_us if figure is Figure.DELAY else used_us


def run(case: Case, setting: Setting) -> dict[str, Read]:
    """Start what a case needs, read it, end it."""
    with ExitStack() as processes:
        return CaseRun(case, setting, processes).rounds()


def summary(case: Case, read: dict[str, Read]) -> dict[str, object]:
    """Give the medians of a case, as JSON says them."""
    said: dict[str, object] = {"unit": case.figure.value}
    for name, values in read.items():
        said[name] = median(values.figures)
        if values.rates:
            said[f"{name}_rate"] = median(values.rates)
            said[f"{name}_p99"] = median(values.p99_us)
        ratio = _ratio(values, read.get(HAPROXY))
        if name not in (HAPROXY, DIRECT) and ratio is not None:
            said["ratio" if name == PROXY else f"{name}_ratio"] = ratio
    said["rounds"] = {name: [round(figure, 2) for figure in values.figures] for name, values in read.items()}
    return said


def as_json(results: dict[str, dict[str, object]]) -> str:
    """Write all cases as one object."""
    return json.dumps(results) + "\n"


def _ratio(values: Read, haproxy: Read | None) -> float | None:
    """Compare round by round, so that a machine whose speed drifts does it to both."""
    if haproxy is None:
        return None
    pairs = zip(values.figures, haproxy.figures, strict=True)
    return median(one / other if other else float("inf") for one, other in pairs)
