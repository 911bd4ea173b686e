"""Tells servers how long a model is to stay, where a request could not say so, and to let it go.

Owns the requests; when one is due says `fleet/keep`. None of them waits for anything, and none goes out while
its model is being loaded: a server keeps a load waiting for as long as it was told that the old one stays.
"""

import asyncio
import time
from collections.abc import Callable
from typing import Final

from gollamas.background.duty import Duty
from gollamas.background.empty_request import EmptyRequest, ask_empty
from gollamas.errors import ProxyError
from gollamas.events import Warned
from gollamas.fleet.admit import Lease
from gollamas.fleet.instance import Instance
from gollamas.fleet.load_requests import GENERATE, failure, is_well, unload_body
from gollamas.fleet.routing import Found
from gollamas.fleet.runner_options import PLAIN
from gollamas.fleet.server_view import ServerView

_TIMEOUT: Final = 5.0  # seconds; each is answered at once


class Touches:
    """Touches and unloads models on the servers of a view.

    In: `changed` has a server's memory looked at anew.
    """

    def __init__(self, duty: Duty, *, changed: Callable[[str], None]) -> None:
        self._view, self._ask, self._tasks, self._emit = duty
        self._changed = changed

    def keep(self, lease: Lease, seconds: float, embeds: bool) -> None:
        """Have the model of an answered request stay so long from now on; with 0 it leaves if it is idle."""
        server = self._view.servers.get(lease.server)
        instance = None if server is None else server.instances.get(lease.key)
        entry = None if server is None else server.installed.get(lease.key)
        if server is None or instance is None or entry is None or instance.asked_with is None:
            return
        if seconds == 0:
            if not _is_in_use(server, instance):
                self._start_unload(server, lease.key)
            return
        if _is_loading(server):
            return  # it would wait for that, and take its place: the next answer comes
        now, unix = asyncio.get_running_loop().time(), time.time()
        if instance.keep.is_due(seconds, instance.expires_at, now, unix):
            instance.keep.touched(seconds, server.memory.changed(), now, unix)
            options = instance.asked_with
            empty = EmptyRequest(entry.name, options, seconds, _embeds(server, instance, embeds))
            run = self._touch(server, instance, empty)
            self._tasks.create_task(run, name=f"touch {server.id} {entry.name}")

    def extend(self, server_id: str, key: str, keep_alive: float | None) -> None:
        """Have a model stay longer that is kept in memory: so many seconds, or what it was told last."""
        server = self._view.servers.get(server_id)
        instance = None if server is None else server.instances.get(key)
        entry = None if server is None else server.installed.get(key)
        if server is None or instance is None or entry is None or _is_loading(server):
            return
        options = instance.asked_with
        if options is None and instance.context is not None:  # somebody else's: with what it shows
            options = PLAIN.with_num_ctx(instance.context)
        if options is not None:
            empty = EmptyRequest(entry.name, options, keep_alive, _embeds(server, instance, embeds=False))
            run = self._touch(server, instance, empty)
            self._tasks.create_task(run, name=f"touch {server.id} {entry.name}")

    def unload(self, found: Found, asked_too: str) -> None:
        """Have a model leave the memory of all its servers but the one that its client's request goes to.

        Where the operator keeps it in memory it stays.
        """
        for server_id in found.candidates:
            server = self._view.servers.get(server_id)
            instance = None if server is None else server.instances.get(found.key)
            policy = None if found.policies is None else found.policies.get(server_id)
            if server is None or server_id == asked_too or not server.is_up:
                continue
            if instance is None or instance.is_loading:  # what others wait for is not there yet
                continue
            if policy is None or not policy.keeps_on_unload:
                self._start_unload(server, found.key)

    async def leave(self, server: ServerView, key: str) -> str:
        """Have a model leave a server's memory; answers why it did not, nothing where all is well."""
        entry = server.installed.get(key)
        name = key if entry is None else entry.name
        server.memory.unloaded(key)
        try:
            reply = await self._ask(server.server, "POST", GENERATE, unload_body(name), timeout=_TIMEOUT)
            why = "" if is_well(reply) else failure(server.id, reply).text
        except ProxyError as error:
            why = error.text
        if why:
            self._emit(Warned(f"{name} could not be unloaded from {server.id}: {why}"))
        self._changed(server.id)
        return why

    async def _touch(self, server: ServerView, instance: Instance, empty: EmptyRequest) -> None:
        if instance.is_loading:
            return  # a load has begun meanwhile
        try:
            reply = await ask_empty(self._ask, server.server, empty, _TIMEOUT)
            why = "" if is_well(reply) else failure(server.id, reply).text
        except ProxyError as error:
            why = error.text
        if why:
            instance.keep.gave(None, server.memory.changed(), time.time())
            self._emit(Warned(f"{server.id} failed to keep {empty.name} in memory: {why}"))
        self._changed(server.id)

    def _start_unload(self, server: ServerView, key: str) -> None:
        server.memory.unloaded(key)  # at once: whoever comes next has it loaded, behind this
        self._tasks.create_task(self._unload(server, key), name=f"unload {server.id} {key}")

    async def _unload(self, server: ServerView, key: str) -> None:
        await self.leave(server, key)


def _is_loading(server: ServerView) -> bool:
    return any(instance.is_loading for instance in server.instances.values())


def _embeds(server: ServerView, instance: Instance, embeds: bool) -> bool:
    """Whether a model only embeds, as far as is known; else as it was asked for."""
    facts = server.memory.facts_of(instance.digest)
    return embeds if facts is None else facts.only_embeds


def _is_in_use(server: ServerView, instance: Instance) -> bool:
    """Whether a request of ours runs on an instance, by any name."""
    in_flight = server.in_flight_by_model
    return any(key in in_flight for key, other in server.instances.items() if other is instance)
