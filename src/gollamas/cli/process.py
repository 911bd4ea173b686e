"""The process of `gollamas serve`: its log, its loop, and the signals that end it.

Owns the exit code of a proxy that was started; what it serves is `app`'s.
"""

import asyncio
import os
import sys
import time

from gollamas.admin.logwriter import LogWriter
from gollamas.app import App, loop_factory
from gollamas.cli import occupied
from gollamas.cli.say import complain
from gollamas.cli.signals import hear
from gollamas.config.model import Config
from gollamas.observe.accesslog import AccessLog
from gollamas.observe.gathered import GatheredLines
from gollamas.observe.kinds import level_of
from gollamas.observe.textlines import wants_colour
from gollamas.system import descriptors
from gollamas.system.listening import NotListening


def run(config: Config) -> int:
    """Run the proxy until a signal, or its terminal's closing, ends it.

    Returns the exit code: 0, or 1 where it can't listen or is ended by a second signal.
    """
    descriptors.raise_limit()
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        writer = LogWriter(sys.stderr.fileno())
        lines = GatheredLines(writer, writer.at_once_bytes, runner.get_loop().call_soon)
        log = AccessLog(
            lines,
            time.time,
            level=level_of(config.level),
            is_json=config.log_format == "json",
            colour=wants_colour(is_terminal=sys.stderr.isatty(), environment=os.environ),
        )
        try:
            return runner.run(_serve(App(config, log=log), config))
        finally:
            lines.flush()


async def _serve(app: App, config: Config) -> int:
    loop = asyncio.get_running_loop()
    first: asyncio.Future[None] = loop.create_future()
    second: asyncio.Future[None] = loop.create_future()

    def on_stop() -> None:
        if not first.done():
            first.set_result(None)
        elif not second.done():
            second.set_result(None)

    hear(on_stop, app.hung_up)
    try:
        await app.start()
    except NotListening as why:
        complain(f"gollamas: {occupied.why_taken(why, config)}")
        return 1
    await first
    stopping = loop.create_task(_stop(app), name="stop")
    await asyncio.wait((stopping, second), return_when=asyncio.FIRST_COMPLETED)
    if stopping.done():
        return 0
    stopping.cancel()
    await asyncio.wait((stopping,))
    await app.stop(grace=0)
    return 1


async def _stop(app: App) -> None:
    await app.stop()
