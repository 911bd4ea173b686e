"""What an answer changed in its server's memory, and what follows from it.

Owns what is noted when a request gives its lease back: which model is there and with which options, how long
it stays, that the server loaded it anew; whether it has cut the prompt. What is there says `fleet/instances`.
"""

from gollamas.fleet.admit import Lease
from gollamas.fleet.instance import Instance
from gollamas.fleet.instances import Memory
from gollamas.fleet.overflow import context_of, is_cut
from gollamas.proxy.relay import Call
from gollamas.system import defects


class Effects(Call):
    """Notes what the attempts of one request did."""

    unloads = False  # its client has the model leave behind it

    def note_effects(self, lease: Lease) -> None:
        """Note what this attempt changed, now that its lease was given back."""
        instance, plan = lease.instance, lease.plan
        is_as_wanted = instance is not None and instance.options is lease.wanted
        if (
            is_as_wanted
            and plan is None
            and instance is not None
            and self.load_s <= instance.least_reload
            and not self.unloads
        ):
            return  # HOT: the usual request finds its model as it wants it
        status = self.event.status
        if status is None or not self.route.loads:
            return
        try:
            leaves = self.unloads if plan is None or plan.keep_alive is None else plan.keep_alive == 0
            memory = self.context.view.memory_of(lease.server)
            if memory is not None and status < 300:
                if leaves and not (plan is not None and plan.touches):
                    memory.unloaded(lease.key)
                elif instance is None or not is_as_wanted or (plan is not None and instance.is_foreign):
                    memory.answered(instance, lease.key, lease.wanted)
                self._note_reload(lease, instance, memory)
                self._note_keep(lease, memory, leaves=leaves)
            if instance is None or leaves:
                self.context.changed(lease.server)
        except Exception as defect:  # noqa: BLE001 - the request ends, whoever hears of it
            defects.tell("telling of a change", defect)

    def note_overflow(self, lease: Lease | None, tokens_in: int) -> None:
        """Note whether the server has cut the prompt, as far as its count shows that."""
        context = None if lease is None else context_of(lease)
        if lease is None or context is None:
            return
        server, event = lease.held, self.event
        release = None if server is None else server.version
        truncated = event.truncated = is_cut(tokens_in, context, event.bytes_in, release)
        if truncated and server is not None:
            server.truncated[lease.key] = server.truncated.get(lease.key, 0) + 1

    def _note_reload(self, lease: Lease, instance: Instance | None, memory: Memory) -> None:
        """Tell of a load that nobody here asked for, of a model that was there."""
        is_one = instance is not None and self.load_s > instance.least_reload and self.route.takes_options
        if is_one and not memory.is_loading_any(lease.loads):
            self.context.reloaded(lease)

    def _note_keep(self, lease: Lease, memory: Memory, *, leaves: bool) -> None:
        """Note how long the model stays; have it stay where the request could not say so."""
        plan = lease.plan
        if plan is None or plan.policy.keep_alive is None:
            return
        if plan.touches and plan.keep_alive is not None:
            self.context.keep(lease, plan.keep_alive, self.route.embeds)
        elif not leaves:
            memory.gave(lease.key, plan.keep_alive, self.context.unix())
