"""Which models an operator has unloaded on one server: nothing that keeps models loads them.

Owns when that ends: somebody asks for the model, through us or past us. One that answers requests when it is
told to leave stays until they have ended, and counts as gone. Pure.
"""

from collections.abc import Callable, Collection
from typing import Final

_NONE: Final[frozenset[str]] = frozenset()


class HandUnloads:
    """Models by key."""

    __slots__ = ("_has_left",)

    def __init__(self) -> None:
        self._has_left: dict[str, bool] = {}  # whether a list has shown that it is gone

    def __contains__(self, key: str) -> bool:
        """Whether a model was unloaded by hand, and nobody has asked for it since."""
        return key in self._has_left

    def note(self, *keys: str) -> None:
        """Note that a model is unloaded, by all its names."""
        self._has_left.update(dict.fromkeys(keys, False))

    def asked_for(self, key: str) -> None:
        """Note that somebody wants a model."""
        self._has_left.pop(key, None)

    def leaving(self, shown: Collection[str], weights_of: Callable[[str], str | None]) -> Collection[str]:
        """Give the weights that are about to leave. What has left and is shown again, somebody asked for.

        In: the weights that a server's list shows; those of a model, None where the list says nothing of it.
        """
        if not self._has_left:
            return _NONE
        leaving = set()
        for key, has_left in tuple(self._has_left.items()):
            weights = weights_of(key)
            if weights is None:
                continue
            if weights not in shown:
                self._has_left[key] = True
            elif has_left:
                del self._has_left[key]
            else:
                leaving.add(weights)
        return leaving
