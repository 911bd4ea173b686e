"""The page `/state`: all that is told of one moment, written in parts.

Owns the order of its members, and what they are read from. It changes nothing and asks no server.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import Final, NamedTuple, Protocol

import msgspec

from gollamas.config.model import Config
from gollamas.events import RequestEnded
from gollamas.fleet.policy import Policies
from gollamas.fleet.view import View
from gollamas.observe import jsonlines
from gollamas.observe.jsonlines import encoded
from gollamas.observe.models import RoutedModels
from gollamas.observe.moment import Moment, SteadyClock
from gollamas.observe.state import UnderWay
from gollamas.observe.telling import (
    Meanwhile,
    job_state,
    loads_by_server,
    owed_state,
    request_state,
    server_state,
    sync_state,
)
from gollamas.observe.traffic import Traffic
from gollamas.observe.wrong import Happened, UnlikeModels, WrongState, wrong_now

IN_A_STEP: Final = 64  # requests or jobs that are written before others are served


class Ended(Protocol):
    """The last requests that have ended, the oldest first, of so many in all."""

    @property
    def ended(self) -> Sequence[RequestEnded]:
        """The last of them."""

    @property
    def ended_count(self) -> int:
        """How many there were."""


class Known(NamedTuple):
    """What is known of the proxy that is told of, and what gives it.

    `not_ready` says why nothing can be served, or None; `happened` what else may be wrong.
    """

    version: str
    view: View
    config: Callable[[], Config]
    policies: Callable[[], Policies]
    under_way: UnderWay
    not_ready: Callable[[], str | None]
    traffic: Traffic
    ended: Ended
    happened: Callable[[Moment], Happened]


class StatePage:
    """Writes the page. `now` tells the time by both clocks."""

    def __init__(self, known: Known, now: Callable[[], Moment]) -> None:
        self.known = known
        self.now = SteadyClock(now)
        self.began_at = self.now().monotonic
        self.unlike = UnlikeModels()
        self._routed: RoutedModels | None = None

    def parts(self) -> Iterator[bytes]:
        """Write the page, a part for each server and for some requests or jobs; each is as it is then."""
        known, now, config = self.known, self.now(), self.known.config()
        yield self.head(now) + b',"servers":['
        under_way = known.under_way
        meanwhile = Meanwhile(config, now, loads_by_server(under_way.loads()))
        for number, server in enumerate(tuple(known.view.servers.values())):
            yield (b"," if number else b"") + encoded(server_state(server, meanwhile))
        yield b'],"requests":['
        yield from _in_parts(request_state(one) for one in under_way.requests())
        yield b'],"jobs":['
        yield from _in_parts(job_state(one) for one in under_way.jobs())
        yield b'],"owed":['
        yield from _in_parts(owed_state(one) for one in under_way.owed())
        yield b'],"sync":['
        yield from _in_parts(sync_state(one) for one in under_way.lacking())
        yield b'],"models":['
        models = self.models(config)
        yield from _in_parts((models.state(*one) for one in list(models.routed(known.view))), 1)
        yield b'],"wrong":'
        for _ in self.unlike.look(known.view, config):
            yield b""
        yield encoded(self.wrong(now))
        yield b',"traffic":' + encoded(known.traffic.last) + b',"history":' + self.history() + b',"ended":['
        yield b",".join(self.ended_lines(len(known.ended.ended), now)) + b"]}\n"

    def head(self, now: Moment) -> bytes:
        """Write what stands before the servers, without the brace at the end."""
        known = self.known
        members = {
            "gollamas": known.version,
            "time": now.when(now.monotonic),
            "started_at": now.when(self.began_at),
            "not_ready": known.not_ready(),
        }
        return encoded(members)[:-1]

    def models(self, config: Config) -> RoutedModels:
        """Give the models of a configuration."""
        if self._routed is None or self._routed.config is not config:
            self._routed = RoutedModels(config, self.known.policies())
        return self._routed

    def wrong(self, now: Moment) -> list[WrongState]:
        """Say what is wrong; `unlike` was brought up to date before."""
        known = self.known
        return wrong_now(known.view, known.config(), self.unlike.found, known.happened(now), now)

    def history(self) -> bytes:
        """Write the samples of the last ten minutes."""
        return encoded(self.known.traffic.history())

    def ended_lines(self, most: int, now: Moment) -> list[bytes]:
        """Write the last requests that have ended, each as its line in a JSON log."""
        ended = tuple(self.known.ended.ended)
        return [jsonlines.line(one, now.when(one.ended_at)) for one in ended[len(ended) - most :]]


def _in_parts(states: Iterable[msgspec.Struct], size: int = IN_A_STEP) -> Iterator[bytes]:
    """Write what stands in a list, some at once."""
    states, comma = iter(states), b""
    while some := [encoded(one) for one in islice(states, size)]:
        yield comma + b",".join(some)
        comma = b","
