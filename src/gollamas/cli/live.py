"""What `check --live` sees: each server's version and models, asked at the same time.

Asks as the proxy would (URL, prefix, headers, TLS), waits five seconds at most in all, prints no secret.
"""

import asyncio
import contextlib
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Final

from gollamas import __version__
from gollamas.config.faults import on_one_line
from gollamas.config.model import Config, Server
from gollamas.errors import ServerBroke, ServerRefused, ServerTooSlow
from gollamas.fleet import judging
from gollamas.fleet.judging import PS, TAGS, VERSION, NotOllama
from gollamas.names import is_cloud
from gollamas.net.ask import Ask

TIMEOUT: Final = 5.0
MISSING: Final = "MISSING on"


@dataclass(slots=True)
class Sighting:
    """What one server said; there is a `problem` until it has said everything."""

    problem: str | None
    version: str = ""
    models: Mapping[str, str] = field(default_factory=dict)  # names by key, in the server's order
    loaded: frozenset[str] = frozenset()  # keys


@dataclass(frozen=True, slots=True)
class Report:
    """Lines to print, and whether every server and every configured model is there."""

    lines: list[str] = field(default_factory=list)
    is_complete: bool = True


def look(config: Config, timeout: float = TIMEOUT) -> Report:
    """Ask every server of a configuration; ends after `timeout` seconds whatever they do."""
    return report(config, asyncio.run(_look(config, timeout)))


def report(config: Config, seen: Mapping[str, Sighting]) -> Report:
    """Say what was seen: each server with its models, then where each configured model is."""
    lines: list[str] = []
    is_complete = True
    for name, server in config.servers.items():
        if problem := seen[name].problem:
            lines.append(f"server {name} ({server.url}): FAILS: {problem}")
            is_complete = False
        else:
            number = len(seen[name].models)
            lines.append(
                f"server {name} ({server.url}): Ollama {seen[name].version}, "
                f"{number} {'model' if number == 1 else 'models'}"
            )
            lines += _models(seen[name])
    for model in config.models.values():
        states = {name: _state(model.name, model.key, seen[name]) for name in model.servers}
        is_missing = MISSING in states.values()
        is_complete = is_complete and not is_missing
        line = f"model {model.name}: {', '.join(f'{state} {name}' for name, state in states.items())}"
        others = [name for name, one in seen.items() if name not in states and model.key in one.models]
        lines.append(f"{line}; it is on {', '.join(others)}" if is_missing and others else line)
    return Report(lines, is_complete)


def _models(seen: Sighting) -> Iterator[str]:
    for key, name in seen.models.items():
        yield f"  {on_one_line(name)}{' (loaded)' if key in seen.loaded else ''}"


def _state(name: str, key: str, seen: Sighting) -> str:
    if seen.problem:
        return "not known of"
    if key in seen.models:
        return "on"
    return "perhaps (cloud models are not listed) on" if is_cloud(name) else MISSING


async def _look(config: Config, timeout: float) -> dict[str, Sighting]:  # noqa: ASYNC109 - each question has its own
    asyncio.get_running_loop().set_default_executor(_Unawaited())
    seen = {name: Sighting(_silence(timeout)) for name in config.servers}
    ask = Ask(min(config.connect_timeout, timeout), f"gollamas/{__version__}")
    async with asyncio.TaskGroup() as tasks:
        for name, server in config.servers.items():
            tasks.create_task(_ask(ask, server, seen[name], timeout), name=f"look {name}")
    ask.pool.close()
    return seen


async def _ask(ask: Ask, server: Server, seen: Sighting, timeout: float) -> None:  # noqa: ASYNC109 - as above
    """Fill in what a server says; the problem goes last, so that half an answer never looks whole."""
    clock = asyncio.get_running_loop().time
    until = clock() + timeout
    try:
        seen.version = judging.version_in(server, await ask(server, "GET", VERSION, timeout=timeout))
        reply = await ask(server, "GET", TAGS, timeout=until - clock())
        seen.models = {entry.key: entry.name for entry in judging.listing_in(server, TAGS, reply)}
        reply = await ask(server, "GET", PS, timeout=until - clock())
        with contextlib.suppress(NotOllama):  # a request needs no such list
            seen.loaded = frozenset(entry.key for entry in judging.listing_in(server, PS, reply))
        seen.problem = None
    except ServerTooSlow:
        seen.problem = _silence(timeout)
    except (ServerRefused, ServerBroke, NotOllama) as error:
        seen.problem = error.text


def _silence(timeout: float) -> str:
    return f"no answer within {timeout:g} s"


class _Unawaited(ThreadPoolExecutor):
    """Runs the look-ups of names in threads that nobody waits for: one can take a minute."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> "Future[Any]":
        """Run a call in a thread of its own, which does not keep the process."""
        future: Future[Any] = Future()
        future.set_running_or_notify_cancel()  # it can't be cancelled, only left alone

        def run() -> None:
            try:
                future.set_result(fn(*args, **kwargs))
            except BaseException as error:  # noqa: BLE001 - whoever awaits it gets it
                future.set_exception(error)

        threading.Thread(target=run, daemon=True).start()
        return future
