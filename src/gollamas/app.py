"""The application: a fleet of a Config, another Config applied to it, started and stopped.

Owns what is built of what, and the order of start and stop. Every part gets the few things that it needs;
none of them knows this module.
"""

import asyncio
import socket
import sys
import time
from collections.abc import Callable, Iterable
from secrets import token_hex
from typing import Any, Final

from gollamas import __version__
from gollamas.admin.events import EventStreams
from gollamas.admin.permission import Permission
from gollamas.admin.service import MAX_BODY_BYTES, Admin, Changes, Operators, Reads, refuse
from gollamas.api.gate import Gate
from gollamas.api.outbound import Target
from gollamas.background.duties import Duties, Served
from gollamas.background.duty import Duty
from gollamas.background.prober import Prober
from gollamas.config.model import PRELOADED, Address, Config, Expose
from gollamas.events import Crashed, Draining, Event, Stopped, Warned
from gollamas.fleet.admit import Admission
from gollamas.fleet.judging import PS, TAGS
from gollamas.fleet.routing import Routing
from gollamas.fleet.view import View
from gollamas.net.ask import Ask
from gollamas.net.crowd import Crowd
from gollamas.net.listener import Listener
from gollamas.net.pool import Pool
from gollamas.net.rounds import Round
from gollamas.observe.exposition import Exposition
from gollamas.observe.gauges import Gauges
from gollamas.observe.live import LiveState
from gollamas.observe.metrics import Metrics
from gollamas.observe.moment import Moment
from gollamas.observe.observers import Observers
from gollamas.observe.page import Known, StatePage
from gollamas.observe.started import started
from gollamas.observe.state import OpenRequest, UnderWay
from gollamas.observe.traffic import Traffic
from gollamas.proxy.inflight import open_requests
from gollamas.proxy.manage import JobAnswers
from gollamas.proxy.own import Listings, Own
from gollamas.proxy.service import Proxy
from gollamas.proxy.turn import Context, Snapshot
from gollamas.proxy.upload import Uploads
from gollamas.system import descriptors
from gollamas.system.descriptors import Descriptors
from gollamas.system.listening import NotListening, bind, is_loopback, is_own_address
from gollamas.system.supervisor import Supervisor
from gollamas.system.timers import Timers

_LONGEST_SWEEP: Final = 1.0  # seconds between two looks at all clocks
_SHORTEST_SWEEP: Final = 0.05
_ADMIN_CONNECTIONS: Final = 48  # within the reserve of descriptors; some are left where 32 watch
# What a list of models is made of: under `running` also what is loaded.
_TAGS_NEED: Final = {Expose.CONFIGURED: (TAGS,), Expose.RUNNING: (TAGS, PS), Expose.INSTALLED: (TAGS, PS)}


class App:
    """The proxy of one process. Made, started, stopped once each; `apply` as often as wanted.

    `clock` tells monotonic seconds: all that is swept goes by it.
    """

    def __init__(
        self, config: Config, *, log: Callable[[Event], None], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._clock = clock
        self._config = config
        self._hostname = socket.gethostname()
        self._pseudonym = f"gollamas-{token_hex(4)}"
        self._is_draining = False
        metrics = Metrics(self._label)
        self._emit = observers = Observers(metrics, log)
        self._tasks = Supervisor(self._emit)
        self.view = View(self._emit)
        self.gauges = Gauges(self.view, config, self._connections)
        self._exposition = Exposition(metrics, self.gauges, __version__)
        agent = f"gollamas/{__version__}"
        self._ask, self._ask_jobs = Ask(config.connect_timeout, agent), Ask(config.connect_timeout, agent)
        self._timers = Timers()
        self._prober = Prober(
            self.view,
            self._ask,
            self._tasks,
            self._emit,
            interval=config.probe_interval,
            sleep=self._timers.sleep,
        )
        duty = Duty(self.view, self._ask, self._tasks, self._emit)
        served = Served(lambda: self._config, lambda: self._routing)
        self._duties = Duties(duty, self._prober, self._ask_jobs, self._timers.call_later, served)
        self._traffic = Traffic(metrics, self.view, self._requests, self._moment)
        self._state = StatePage(self._known(observers), self._moment)
        self._watching = EventStreams(LiveState(self._state), self._tasks, self._timers.call_later, clock)
        self._round = Round()
        self._pool = Pool(config.connect_timeout, self._round)
        self._pools = (self._pool, self._ask.pool, self._ask_jobs.pool)  # of requests, probes and loads, jobs
        self._files = Descriptors(descriptors.limit(), self._count_connections, self._close_idle_to_servers)
        self._listener: Listener | None = None
        self._admin: Listener | None = None
        self.address = config.listen  # with the port that was bound
        self.admin_address: Address | None = None

    def _known(self, ended: Observers) -> Known:
        """Say where all that is told of us comes from."""
        duties = self._duties
        return Known(
            version=__version__,
            view=self.view,
            config=lambda: self._config,
            policies=lambda: self._routing.policies,
            under_way=UnderWay(
                self._requests,
                duties.loads.under_way,
                duties.jobs.under_way,
                duties.jobs.owed,
                duties.keeper.lacking,
            ),
            not_ready=self._why_not_ready,
            traffic=self._traffic,
            ended=ended,
            happened=duties.happened,
        )

    def _on_defect(self, _: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """Tell of an exception in a callback, which has no task to end."""
        error = context.get("exception") or RuntimeError(context.get("message", "unknown"))
        self._emit(Crashed(str(context.get("message", "a callback")), error))

    # -- start, apply, stop --------------------------------------------------------------------------

    async def start(self) -> None:
        """Listen and begin to probe; raises NotListening."""
        asyncio.get_running_loop().set_exception_handler(self._on_defect)
        config = self._config
        sockets = bind(config.listen)
        self.address = Address(host=config.listen.host, port=sockets[0].getsockname()[1])
        admin_sockets = self._bind_admin(sockets)
        self._is_loopback = is_loopback(sockets)
        duties = self._duties
        context = Context(
            view=self.view,
            admission=Admission(self.view),
            emit=self._emit,
            clock=self._clock,
            pseudonym=self._pseudonym.encode(),
            via=f"Via: 1.1 {self._pseudonym}\r\n".encode(),
            look_up=self._prober.look_up,
            await_list=self._prober.first_list,
            changed=self._prober.ask_soon,
            load=duties.loads.load,
            release=duties.loads.release,
            unload=duties.touches.unload,
            make_variant=duties.variants.make,
            keep=duties.touches.keep,
            reloaded=duties.note_reload,
            unix=time.time,
        )
        listings = Listings(
            tags=lambda: self._prober.fresh(*_TAGS_NEED[self._config.expose]),
            ps=lambda: self._prober.fresh(PS),
            version=self._prober.first_version,
        )
        changes = JobAnswers(self.view, duties.jobs.begin, self._prober.look_up)
        uploads = Uploads(self.view, self._ask_jobs, self._prober.first_list)
        own = Own(self.view, listings, changes, uploads)
        self._proxy = Proxy(context, self._snapshot(config), self._gate(config), own)
        self._watch(config)
        crowd = Crowd(self._files.most_clients(config.max_connections), self._emit, self._files)
        self._listener = Listener(self._proxy, config, self._tasks, self._clock, self._round, crowd)
        await self._listener.start(sockets)
        if admin_sockets:
            await self._start_admin(admin_sockets)
        self._files.measure()
        self._look_at_clocks()
        self._traffic.begin(self._timers.call_later)
        self._tell_started(sockets)

    def apply(self, config: Config) -> None:
        """Serve by another configuration; only servers that changed are started and stopped.

        Requests that have begun keep the configuration that they began with. Where it listens stays.
        """
        self._config = config
        self._proxy.apply(self._snapshot(config), self._gate(config))
        self._watch(config)

    def _watch(self, config: Config) -> None:
        self.gauges.config = config
        started, stopped = self.view.apply(config)
        for server in stopped:
            self._prober.stop(server.id)
            for pool in self._pools:
                pool.forget(server)
        self._duties.apply(config, self._routing)
        for server in started:
            self._prober.start(server)

    def drain(self) -> None:
        """Take no new connection; what is being answered goes on."""
        if self._is_draining:
            return
        self._is_draining = True
        assert self._listener is not None  # noqa: S101 - it is started before it is stopped
        self._listener.stop_accepting()
        self._duties.drain()
        self._watching.drain()
        self._emit(Draining(self._listener.clients.busy, self._config.grace))

    def hung_up(self) -> None:
        """Say what becomes of a SIGHUP that is not a terminal's end."""
        self._emit(Warned("SIGHUP changes nothing: restart to have the configuration read again"))

    async def stop(self, grace: float | None = None) -> int:
        """Drain for at most `grace` seconds, then end everything; return how many streams were cut."""
        self.drain()
        assert self._listener is not None  # noqa: S101 - as in `drain`
        cut = await self._listener.wait_closed(self._config.grace if grace is None else grace)
        await self._duties.jobs.close()
        self._timers.close()
        if self._admin is not None:
            self._admin.stop_accepting()
            self._admin.clients.abort()
        self._prober.close()
        await self._tasks.close()
        for pool in self._pools:
            pool.close()
        self._emit(Stopped(cut))
        return cut

    # -- parts of the start --------------------------------------------------------------------------

    async def _start_admin(self, sockets: list[socket.socket]) -> None:
        """Serve the second port."""
        config, duties = self._config, self._duties
        admin = Admin(
            Reads(
                metrics=self._exposition.page,
                state=self._state.parts,
                ready=self._why_not_ready,
                variants=duties.variants.states,
                events=self._watching.watch,
            ),
            Changes(
                prune=duties.variants.prune,
                load=duties.by_hand.load,
                unload=duties.by_hand.unload,
                pull=duties.jobs_by_hand.pull,
                delete=duties.jobs_by_hand.delete,
            ),
            self._admin_gate(sockets).why_not_host,
            Permission(config.admin_token, is_loopback=is_loopback(sockets)),
        )
        service = Operators(admin.respond, refuse, MAX_BODY_BYTES)
        crowd = Crowd(_ADMIN_CONNECTIONS)
        self._admin = Listener(service, config, self._tasks, self._clock, crowd=crowd)
        await self._admin.start(sockets)

    def _snapshot(self, config: Config) -> Snapshot:
        shows = config.server_header
        servers = config.servers.values()
        self._routing = Routing(config)
        return Snapshot(
            config=config,
            routing=self._routing,
            targets={
                server.id: Target(server, _server_line(server.id) if shows else b"") for server in servers
            },
            connections={server.id: self._pool.of(server) for server in servers},
        )

    def _gate(self, config: Config) -> Gate:
        return Gate(
            config.origins,
            is_loopback=self._is_loopback,
            port=self.address.port,
            hostnames=(self._hostname,),
            is_own=is_own_address,
        )

    def _admin_gate(self, sockets: list[socket.socket]) -> Gate:
        """Judge Host on the second port as on the first, and let the name in that it listens by."""
        address = self.admin_address
        assert address is not None  # noqa: S101 - it was bound
        return Gate(
            (),
            is_loopback=is_loopback(sockets),
            port=address.port,
            hostnames=(self._hostname, address.host),
            is_own=is_own_address,
        )

    def _bind_admin(self, taken: Iterable[socket.socket]) -> list[socket.socket]:
        """Sockets of the second port; the default one may be missing, a configured one may not."""
        config = self._config
        if config.admin is None:
            return []
        try:
            sockets = bind(config.admin)
        except NotListening as why:
            if config.admin_is_default:
                self._emit(
                    Warned(f"no admin port: {why}; choose another with --admin HOST:PORT, or --admin off")
                )
                return []
            for sock in taken:
                sock.close()
            raise
        self.admin_address = Address(host=config.admin.host, port=sockets[0].getsockname()[1])
        return sockets

    def _tell_started(self, sockets: list[socket.socket]) -> None:
        config = self._config
        for warning in config.warnings:
            self._emit(Warned(warning))
        most = self._files.most_clients(config.max_connections)
        if most < config.max_connections:
            text = f"max_connections is {most}, not {config.max_connections}: the limit of open files is "
            text += f"{self._files.limit}, and each client takes two; raise it (ulimit -n, LimitNOFILE=)"
            self._emit(Warned(text))
        admin = str(self.admin_address) if self.admin_address is not None else None
        self._emit(started(config, tuple(_place(sock) for sock in sockets), admin))

    def _look_at_clocks(self) -> None:
        """Sweep over all clocks: once a second, more often where a time-out is shorter than four seconds."""
        config = self._config
        shortest = min(
            config.first_byte_timeout, config.idle_timeout, config.header_timeout, config.body_timeout,
            config.write_timeout, config.client_idle_timeout,
        )  # fmt: skip
        pause = max(_SHORTEST_SWEEP, min(_LONGEST_SWEEP, shortest / 4))
        self._timers.call_later(pause, self._look_at_clocks)  # first: a defect below is not the end of it
        now = self._clock()
        for listener in (self._listener, self._admin):
            if listener is not None:
                listener.clients.check(now)
        for pool in self._pools:
            pool.check(now)

    # -- what metrics and the admin port ask ---------------------------------------------------------

    def _connections(self) -> Iterable[tuple[str, int]]:
        """Give each side's open connections."""
        yield "client", len(self._listener.clients.live) if self._listener is not None else 0
        yield "server", len(self._pool.open)

    def _requests(self) -> Iterable[OpenRequest]:
        """Give the requests that are being answered."""
        return open_requests(self._listener.clients.live, self._clock) if self._listener is not None else ()

    def _moment(self) -> Moment:
        return Moment(self._clock(), time.time())

    def _count_connections(self) -> int:
        """How many descriptors are connections, of clients, operators, requests and probes."""
        count = sum(len(pool.open) for pool in self._pools)
        if self._listener is not None:
            count += len(self._listener.clients.live)
        if self._admin is not None:
            count += len(self._admin.clients.live)
        return count

    def _close_idle_to_servers(self) -> bool:
        return sum(pool.close_all_idle() for pool in self._pools) > 0

    def _label(self, name: str) -> str | None:
        return self.gauges.label(name)

    def _why_not_ready(self) -> str | None:
        if self._is_draining:
            return "gollamas is shutting down"
        if not self.view.any_up:
            return "no Ollama server is up"
        untried = self._duties.keeper.not_tried() if self._config.ready == PRELOADED else ()
        return f"models are still being loaded: {', '.join(untried)}" if untried else None


def _server_line(server_id: str) -> bytes:
    return f"X-Gollamas-Server: {server_id}\r\n".encode("ascii", errors="replace")


def _place(sock: socket.socket) -> str:
    host, port = sock.getsockname()[:2]
    return str(Address(host=host, port=port))


def loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """Name uvloop's loop where there is one, else asyncio's own."""
    if sys.platform == "win32":
        return None
    import uvloop  # noqa: PLC0415 - Windows has none

    return uvloop.new_event_loop
