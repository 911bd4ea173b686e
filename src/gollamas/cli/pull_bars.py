"""The progress of a pull on a terminal: a bar for each server, out of what `/state` says of jobs.

Owns what a bar shows, and that the terminal is whole again whatever ends the pull. Until the state
tells of the pull, and where it never does, the one bar is that of the answer.
"""

import signal
import sys
import threading
from collections.abc import Iterator
from types import FrameType, TracebackType
from typing import Final, Self

import msgspec

from gollamas import names
from gollamas.cli.asking import Endpoint, Question, Unanswered, ask
from gollamas.cli.pull_lines import PullLine
from gollamas.cli.say import warn
from gollamas.cli.terminal import PullBar, PullDrawing
from gollamas.cli.wanted import Named
from gollamas.events import JobEnd, JobKind
from gollamas.observe.safe import escaped
from gollamas.observe.state import JobState, TargetState

_PAUSE: Final = 0.25  # seconds between two looks at the state
_TIMEOUT: Final = 2.0  # seconds that a look may take
_WAITS: Final = "waits for its turn"
_WAITS_FOR_OTHERS: Final = "waits for another job of this model"
_FAILED: Final = frozenset((JobEnd.FAILED, JobEnd.DOWN, JobEnd.STOPPED, JobEnd.MISSING))


class JobsAlone(msgspec.Struct):
    """What is read of the state."""

    jobs: list[JobState]


class PullBars:
    """The bars of one pull, drawn for as long as its block lasts."""

    def __init__(self, named: Named, admin: Endpoint) -> None:
        self._named = named
        self._admin = admin
        self._drawing = PullDrawing(f"pulling {named}", sys.stdout)
        self._notes: list[str] = []
        self._layers: dict[str, tuple[int, int]] = {}  # by digest
        self._bars: dict[str, PullBar] = {}  # by server, as it was seen last
        self._has_ended = threading.Event()
        self._lock = threading.Lock()  # of what is drawn: the answer and the state are read side by side
        self._looker = threading.Thread(target=self._look_on, daemon=True)

    def __enter__(self) -> Self:
        self._before = signal.signal(signal.SIGTERM, _terminated)
        self._drawing.start()
        self._looker.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, why: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._has_ended.set()
        self._drawing.stop()
        signal.signal(signal.SIGTERM, self._before)
        warn(f"{self._named}: {note}" for note in self._notes)

    def hear(self, line: bytes, said: PullLine) -> None:
        """Keep a note for the end, and draw the answer's own progress where there is no other."""
        del line
        if said.error:
            self._fail(said.error)
            return
        if said.is_note:
            self._notes.append(escaped(said.status))
            return
        if said.digest:
            self._layers[said.digest] = said.completed, said.total
        with self._lock:
            if self._bars:
                return
            done, total = (sum(part) for part in zip((0, 0), *self._layers.values(), strict=True))
            self._drawing.draw([PullBar("", escaped(said.status), done, total)])

    def succeed(self) -> None:
        """Draw what the state tells no more, since the pull is over: all that has not failed is done."""
        self._has_ended.set()
        with self._lock:
            bars = [bar if bar.text in _FAILED else bar.filled(JobEnd.DONE) for bar in self._bars.values()]
            self._drawing.draw(bars or [PullBar("", "success", 1, 1)])

    def _fail(self, error: str) -> None:
        """Draw how it has ended: an error that names no server is that of all."""
        self._has_ended.set()
        with self._lock:
            bars = self._bars or {"": PullBar("", "", 0, 0)}
            have_failed = {server for server in bars if f"server {server}: " in error} or set(bars)
            for server, bar in bars.items():
                if server in have_failed and bar.text not in _FAILED:
                    bars[server] = bar._replace(text=JobEnd.FAILED, total=max(bar.total, 1))
                elif bar.text not in _FAILED:
                    bars[server] = bar.filled(JobEnd.DONE)
            self._drawing.draw(bars.values())

    def _look_on(self) -> None:
        while not self._has_ended.wait(_PAUSE if self._bars else _PAUSE / 5):
            bars = {target.server: _bar(job, target) for job, target in self._targets()}
            with self._lock:
                if bars and not self._has_ended.is_set():
                    self._bars |= bars
                    self._drawing.draw(self._bars.values())

    def _targets(self) -> Iterator[tuple[JobState, TargetState]]:
        """Give what the state tells of this pull, that which waits for another job of the model first."""
        try:
            reply = ask(self._admin, Question("/state", timeout=_TIMEOUT))
            jobs = msgspec.json.decode(reply.body, type=JobsAlone).jobs
        except (Unanswered, ValueError, RecursionError):
            return  # what was seen last stays
        key = names.key_of(self._named.model)
        ours = [job for job in jobs if job.kind == JobKind.PULL and names.key_of(job.model) == key]
        for job in sorted(ours, key=lambda job: not job.is_waiting):
            for target in job.targets:
                if self._named.server in (None, target.server):
                    yield job, target


def _bar(job: JobState, target: TargetState) -> PullBar:
    text = _WAITS_FOR_OTHERS if job.is_waiting else target.status or _WAITS
    bar = PullBar(escaped(target.server), escaped(text), target.completed or 0, target.total or 0)
    return bar.filled(text) if text == JobEnd.DONE else bar


def _terminated(number: int, frame: FrameType | None) -> None:
    """End as by Ctrl-C: what is drawn is put in order on the way out."""
    del frame
    sys.exit(128 + number)
