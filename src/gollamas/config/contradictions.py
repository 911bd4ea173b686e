"""What does not go together although each part of it is right: a fault, or a warning where it does no harm.

Owns the judgement of policies by the limit, and of what is preloaded by the servers that are there. Reads no
notation.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from gollamas import names
from gollamas.config.given import Given
from gollamas.config.levels import Level, Targets, level_name
from gollamas.config.model import EVERYWHERE, LOADED, Expose, level_of
from gollamas.config.options import MODELS, POLICIES, SERVERS

_ALL: Final = ("", "")
_LIMIT: Final = "limit_num_ctx"
_PRELOAD: Final = "preload"
_OF_ALL: Final = {_PRELOAD: "preloaded", "sync": "pulled where they are missing"}
_COMPARED: Final = ("force_num_ctx", "num_ctx", _LIMIT)


@dataclass(frozen=True, slots=True)
class Whole:
    """All levels that were read, with the place of each, and what they may be said of."""

    levels: Mapping[str, Mapping[Level, Any]]
    origins: Mapping[tuple[str, str], str]
    targets: Targets

    def look(self, ready: Given) -> None:
        """Find what does not go together; `ready` is when we are to be ready."""
        if self.levels[_LIMIT] and not self._has_lost("expose", *_COMPARED):
            self._look_at_limits()
        if not self._has_lost(_PRELOAD, MODELS.key, SERVERS.key):
            self._look_at_numbers()
            self._look_at_ready(ready)
        if not self._has_lost(*_OF_ALL, MODELS.key):
            self._look_at_all_of_none()

    def _has_lost(self, *keys: str) -> bool:
        """Whether something that decides may be missing only since it has a fault itself."""
        policies = (option.policy for option in POLICIES if option.key in keys)
        return any(map(self.targets.findings.has_lost, (*keys, *policies)))

    def _look_at_limits(self) -> None:
        """No num_ctx of ours may be above the limit that holds where it is sent; once for two entries."""
        seen: set[tuple[str, Level, Level]] = set()
        for key, server in self._places():
            policy = self._policy(key, server)
            limit = level_of(self.levels[_LIMIT], key, server)
            most = None if limit is None else self.levels[_LIMIT][limit]
            if policy is None or limit is None or most is None:
                continue
            option, level = policy
            tokens = self.levels[option][level]
            if tokens <= most or (option, level, limit) in seen:
                continue
            seen.add((option, level, limit))
            model = f"for `{self._name(key)}` " if key else ""
            place = self._place(_LIMIT, limit)
            self.targets.findings.fault(
                self._place(option, level),
                f"`num_ctx` is {tokens} here, and the limit {model}on `{server}` is {most} ({place})",
                "Lower the one or raise the other",
                (place,),
            )

    def _policy(self, key: str, server: str) -> tuple[str, Level] | None:
        """Find the num_ctx that is sent: a force before any default; None where there is no number."""
        for option in ("force_num_ctx", "num_ctx"):
            level = level_of(self.levels[option], key, server)
            if level is not None and self.levels[option][level] is not None:
                return None if self.levels[option][level] == LOADED else (option, level)
        return None

    def _places(self) -> Iterable[tuple[str, str]]:
        """Give each model on each server that may run it; "" is any model that is not named."""
        servers = tuple(self.targets.servers.placed)
        for model in self.targets.models.values():
            if not names.is_cloud(model.key):
                yield from ((model.key, server) for server in model.servers)
        if self.targets.expose is not Expose.CONFIGURED:
            named = dict.fromkeys(key for option in _COMPARED for key, _ in self.levels[option])
            others = [key for key in named if key not in self.targets.models and not names.is_cloud(key)]
            yield from ((key, server) for key in dict.fromkeys((*others, "")) for server in servers)

    def _look_at_numbers(self) -> None:
        """Warn of more instances than there are servers that may have one, once for an entry."""
        preload = self.levels[_PRELOAD]
        for level, number in preload.items():
            if number is None or number == EVERYWHERE:
                continue
            models = (
                [level[0]] if level[0] else [key for key in self.targets.models if (key, "") not in preload]
            )
            few = {self._name(key): count for key in models if (count := self._room(key)) < number}
            if few:
                counts = ", ".join(f"`{name}` has {count}" for name, count in few.items())
                text = f"{number} instances are to be preloaded, each on a server of its own, and {counts}"
                self.targets.findings.warn(self._place(_PRELOAD, level), text)

    def _room(self, key: str) -> int:
        """Count the servers that may have an instance."""
        model = self.targets.models.get(key)
        servers = model.servers if model else tuple(self.targets.servers.placed)
        preload = self.levels[_PRELOAD]
        return sum(1 for server in servers if preload.get((key, server), EVERYWHERE) is not None)

    def _look_at_ready(self, ready: Given) -> None:
        if ready.text == "preloaded" and not any(self._preloaded()):
            text = "no model is preloaded, so there is nothing to wait for; see `--preload`"
            self.targets.findings.warn(ready.place, text)

    def _look_at_all_of_none(self) -> None:
        """Warn of what is said of all configured models where none is."""
        for option, done in _OF_ALL.items():
            if self.levels[option].get(_ALL) and not self.targets.models:
                text = f"all configured models are to be {done} and none is configured; name them, as in"
                self.targets.findings.warn(self._place(option, _ALL), f"{text} `--{option} llama3.2`")

    def _preloaded(self) -> Iterable[bool]:
        """Whether each configured model is preloaded on each of its servers, and each other one somewhere."""
        preload, models = self.levels[_PRELOAD], self.targets.models
        for model in models.values():
            for server in model.servers:
                level = level_of(preload, model.key, server)
                yield level is not None and preload[level] is not None
        yield from (value is not None for (key, _), value in preload.items() if key and key not in models)

    def _name(self, key: str) -> str:
        model = self.targets.models.get(key)
        name = names.parse(key)
        return model.name if model else name.shortest if name else key

    def _place(self, option: str, level: Level) -> str:
        return self.origins[option, level_name(level)]
