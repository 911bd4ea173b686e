"""Text as somebody wrote it, with its place: what flags, variables and the file have in common."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

ReadFile = Callable[[str], str]  # a path's text; raises OSError, or UnicodeDecodeError
DEFAULT: Final = "default"  # the place of what nobody said


@dataclass(frozen=True, slots=True)
class Given:
    """One value before it is read."""

    text: str
    place: str  # a flag, a variable or file:line


@dataclass(frozen=True, slots=True)
class Pair:
    """An entry NAME=TARGET: a model and a destination, an alias and a model."""

    name: str
    target: str
    place: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerEntry:
    """A server as it was written; `id` is None for a plain URL."""

    id: str | None
    url: str
    place: str
    headers: tuple[tuple[str, Given], ...] = ()
    ca: Given | None = None
    verify: Given | None = None

    @property
    def is_plain(self) -> bool:
        """Whether it says no more than where the server is."""
        return not self.headers and self.ca is None and self.verify is None


@dataclass(frozen=True, slots=True)
class LevelEntry:
    """What is said of a model, a server, a model on a server or, where both texts are empty, of all."""

    model: Given
    server: Given
    value: Given
    written: str | None = None  # which one of a list it is; None in the file, where its place says that

    @property
    def names(self) -> tuple[str, ...]:
        """What a fault may quote: its `@` ends no password."""
        return (self.written,) if self.written else ()


@dataclass(slots=True)
class Gathered:
    """All that one or more sources said, before it is put together."""

    values: dict[str, Given] = field(default_factory=dict)  # by option key
    servers: list[ServerEntry] = field(default_factory=list)
    models: list[Pair] = field(default_factory=list)
    aliases: list[Pair] = field(default_factory=list)
    routes: list[Given] = field(default_factory=list)  # each a list of paths
    levels: dict[str, list[LevelEntry]] = field(default_factory=dict)  # by option key; a later one wins
    own: dict[str, Any] = field(default_factory=dict)  # values of what the verb has for itself
    words: list[str] = field(default_factory=list)  # what it is told beside flags, where that is no server
