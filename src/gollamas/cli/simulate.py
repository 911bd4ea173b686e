"""`gollamas simulate`: run one simulated Ollama server until it is stopped."""

import asyncio
import os
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from gollamas.cli.say import USAGE, complain, complain_of_each, say
from gollamas.cli.signals import hear
from gollamas.cli.tables import TABLES
from gollamas.config.faults import Faults
from gollamas.config.model import Address
from gollamas.config.own import read_own


def run(argv: Sequence[str]) -> int:
    """Serve until a signal ends it: 0; 1 where the address can't be used, 2 for a faulty command line."""
    try:
        said = read_own(argv, os.environ, TABLES["simulate"])
    except Faults as faults:
        complain_of_each("simulate", faults)
        return USAGE
    return run_until_stopped(lambda: _serve(**said))


def run_until_stopped(work: Callable[[], Coroutine[Any, Any, int]]) -> int:
    """Run this in a loop and give its exit code; Ctrl-C before it listens to signals itself is 0, too."""
    try:
        from gollamas.app import loop_factory  # noqa: PLC0415 - a faulty command line needs no server

        with asyncio.Runner(loop_factory=loop_factory()) as runner:
            return runner.run(work())
    except KeyboardInterrupt:
        return 0


async def _serve(listen: Address, keep_alive: float, **said: Any) -> int:
    from gollamas.simulate.server import SimulatedOllama  # noqa: PLC0415 - as above
    from gollamas.simulate.serving import serving  # noqa: PLC0415 - as above
    from gollamas.simulate.settings import FOREVER, Settings  # noqa: PLC0415 - as above
    from gollamas.system.listening import NotListening  # noqa: PLC0415 - a faulty command line needs no server

    stop = until_stopped("gollamas simulate")
    settings = Settings(
        **said,
        keep_alive=keep_alive if keep_alive >= 0 else FOREVER,
        is_loopback=listen.is_loopback,
        remembered=0,
    )
    try:
        async with serving(SimulatedOllama(settings), listen) as served:
            say(f"a simulated Ollama {settings.version} (no model runs) at {reached(served.address)}")
            say(f"models: {', '.join(settings.models)}")
            await stop
    except NotListening as why:
        complain(f"gollamas simulate: {why}: choose another address with --listen HOST:PORT")
        return 1
    return 0


def reached(address: Address) -> str:
    """Give the URL for a client on this machine."""
    every = address.host in ("", "0.0.0.0", "::")  # noqa: S104 - asked, not bound
    return f"http://{Address(host='localhost', port=address.port) if every else address}"


def until_stopped(program: str) -> asyncio.Future[None]:
    """Give what is done when a signal or the terminal's closing ends us; another one then ends us at once."""
    first: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def on_stop() -> None:
        if first.done():
            os._exit(1)
        first.set_result(None)

    hear(on_stop, lambda: complain(f"{program}: SIGHUP changes nothing"))
    return first
