"""All that acts on servers beside the prober: loads, touches, variants, jobs, and who keeps models.

Owns what of it hears of a change, and in which order they stop; each does its own.
"""

import asyncio
import time
from collections.abc import Callable
from typing import NamedTuple

from gollamas import names
from gollamas.api.manage import Change
from gollamas.api.outcomes import PartOutcome
from gollamas.background.by_hand import HandLoads
from gollamas.background.duty import Duty
from gollamas.background.fanout import Jobs
from gollamas.background.jobs_by_hand import HandJobs
from gollamas.background.keeper import Keeper, Means, Wishes
from gollamas.background.loads import Loads
from gollamas.background.parts import OtherDuties, Parts
from gollamas.background.prober import Prober
from gollamas.background.second_names import AskForJobs
from gollamas.background.slots import Slots
from gollamas.background.touches import Touches
from gollamas.background.variants import VariantMaker
from gollamas.config.model import Config
from gollamas.events import Event, JobCause, LoadEnd, LoadEnded
from gollamas.fleet.admit import Lease
from gollamas.fleet.crowding import Crowding
from gollamas.fleet.judging import PS, TAGS
from gollamas.fleet.keeping import Keeping
from gollamas.fleet.reloads import Reloads
from gollamas.fleet.routing import Routing
from gollamas.fleet.runner_options import PLAIN
from gollamas.fleet.syncing import Syncing
from gollamas.fleet.wishes import sync_wishes_of, wishes_of
from gollamas.observe.moment import Moment
from gollamas.observe.wrong import Happened


class Served(NamedTuple):
    """What requests are served by now."""

    config: Callable[[], Config]
    routing: Callable[[], Routing]


class Duties:
    """Made once. In: `jobs_ask` asks servers for jobs; `call_later` calls some seconds later."""

    def __init__(
        self,
        duty: Duty,
        prober: Prober,
        jobs_ask: AskForJobs,
        call_later: Callable[[float, Callable[[], None]], object],
        served: Served,
    ) -> None:
        self._view, self._emit = duty.view, duty.emit
        self.reloads = Reloads(duty.emit)
        self.crowding = Crowding()
        look, routing = prober.ask_soon, served.routing
        self.loads = Loads(
            duty._replace(emit=self._hear),
            reloads=self.reloads,
            changed=look,
            timeout=lambda: served.config().load_timeout,
        )
        self.touches = Touches(duty, changed=look)
        self.by_hand = HandLoads(duty, loads=self.loads, touches=self.touches, prober=prober, routing=routing)
        self.variants = VariantMaker(duty, changed=look, policies=lambda: routing().policies)
        others = OtherDuties(self.loads, self.touches, self.variants, prober)
        slots = Slots(served.config().manage_parallel)
        self.jobs = Jobs(duty, Parts(duty, others, jobs_ask, slots), slots)
        self.keeper = Keeper(duty, Means(self.loads, self.touches, self.jobs, look, call_later))
        self.jobs.on_end, self.jobs.on_gone = self._job_ended, self.keeper.wake
        self.jobs_by_hand = HandJobs(self._view, self.jobs, served.config)
        prober.on_found = self._found
        self._view.on_failed = self._failed

    def apply(self, config: Config, routing: Routing) -> None:
        """Act by another configuration from now on."""
        keeping = Keeping(wishes_of(config), self._view, self._emit)
        syncing = Syncing(sync_wishes_of(config), self._view)
        self.keeper.apply(Wishes(keeping, syncing, routing.policies))
        self.jobs.retain(config.servers.values())

    def drain(self) -> None:
        """Do only what clients wait for."""
        self.keeper.drain()
        self.loads.drain()
        self.jobs.drain()

    def note_reload(self, lease: Lease) -> None:
        """Tell of a model that a server loaded anew by itself, for a request."""
        server = self._view.servers.get(lease.server)
        entry = None if server is None else server.installed.get(lease.key)
        name = lease.key if entry is None else entry.name
        now = asyncio.get_running_loop().time()
        self.reloads.noted(lease.server, name, None, lease.wanted or PLAIN, now)

    def happened(self, now: Moment) -> Happened:
        """Tell what may be wrong beside what the view knows."""
        return Happened(
            unfit=self.keeper.unfit(),
            crowded=self.crowding.pairs(now.monotonic),
            reloads=self.reloads.last_hour(now.monotonic),
            owed=self.jobs.owed(),
            lacking=self.keeper.lacking(),
        )

    def _hear(self, event: Event) -> None:
        """Tell what loads tell; what left for one is found out."""
        if isinstance(event, LoadEnded) and event.end is LoadEnd.LOADED:
            key, now = names.key_of(event.model) or event.model, asyncio.get_running_loop().time()
            self.crowding.loaded(event.server, key, event.why, event.took_s, now)
        self._emit(event)

    def _found(self, server_id: str, path: str) -> None:
        """Go on with what waits for a server's lists."""
        if path == TAGS:
            self.variants.listed(server_id)
            self.jobs.listed(server_id)
        elif path == PS and (server := self._view.servers.get(server_id)) is not None:
            self.crowding.listed(server, asyncio.get_running_loop().time(), time.time())
        self.keeper.wake()

    def _failed(self, server_id: str) -> None:
        """End what a server is at that is down."""
        self.jobs.server_down(server_id)
        self.keeper.wake()

    def _job_ended(self, change: Change, outcome: PartOutcome, why: JobCause) -> None:
        self.keeper.job_ended(change, outcome, why)
        self.keeper.wake()
