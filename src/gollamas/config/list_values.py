"""The kinds of values that are lists: web origins, servers by their ids, registries by their hosts.

Owns what an element may be; the notation of a list is in `lists`. No fault quotes what may be part of a
password.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from gollamas import names
from gollamas.config.address import port_in, shown, slip_in
from gollamas.config.faults import Unusable
from gollamas.config.lists import split_list

_ORIGIN: Final = re.compile(r"[\x21-\x7e]+")


@dataclass(frozen=True, slots=True)
class ListOf:
    """Elements of one kind, each of them once: a comma list or, in the file, also a list."""

    placeholder: str
    accepts: str  # what an element is, for people
    element: Callable[[str], str]  # reads one; raises Unusable
    types: tuple[str, ...] = ("string",)  # what an editor may take an element for

    def parse(self, text: str) -> tuple[str, ...]:
        """Read the elements of a comma list; raises Unusable where one is none."""
        return tuple(dict.fromkeys(map(self.element, split_list(text))))

    def show(self, value: tuple[str, ...]) -> str:
        """As a comma list."""
        return ",".join(value)

    def schema(self) -> Mapping[str, object]:
        """Describe a list of elements, or one."""
        of_elements = {"type": "array", "items": {"type": [*self.types]}}
        return {"anyOf": [of_elements, {"type": [*self.types, "null"]}]}


def _origin(text: str) -> str:
    if url := slip_in(text):
        raise Unusable(f"`{shown(text)}` is no origin", f"Write `{shown(url)}`")
    scheme, mark, rest = text.partition("://")
    if "@" in rest:
        host = rest.rpartition("@")[2].partition("/")[0]
        raise Unusable(f"`{shown(text)}` has user info, and an origin has none", f"Write `{scheme}://{host}`")
    if not _ORIGIN.fullmatch(text):
        raise Unusable(f"`{text}` is no origin", "Write it like `https://chat.example`")
    if text.count("*") > 1:
        raise Unusable(f"`{text}` has more than one `*`", "Write one `*`, like `http://192.168.*`")
    if not mark and "*" not in text:
        raise Unusable(f"`{text}` has no scheme", f"Write `https://{text}` or `http://{text}`")
    if mark and (not scheme or not rest or "/" in rest):
        host = rest.partition("/")[0] or "chat.example"
        instead = f"Write `{scheme or 'https'}://{host}`"
        raise Unusable(f"`{text}` is no origin: it has a path, or lacks scheme or host", instead)
    return text


def _server_id(text: str) -> str:
    return text  # which servers there are is known when all sources are read


def _registry(text: str) -> str:
    """Give HOST[:PORT] in lower case, without the scheme before it."""
    if url := slip_in(text):
        raise Unusable(f"`{shown(text)}` is no host", f"Write `{shown(url).partition('://')[2]}`")
    place = text.partition("://")[2] if "://" in text else text
    if "@" in place:
        host = place.rpartition("@")[2].partition("/")[0] or names.DEFAULT_HOST
        raise Unusable(
            f"`{shown(text)}` has user info, and the host of a model's name has none", _write(host)
        )
    place, slash, _ = place.partition("/")
    if place.startswith("["):
        raise Unusable(
            "an IPv6 address in brackets can't be the host of a model's name", "Write the host by its name"
        )
    host, colon, port = place.partition(":")
    if not names.is_host(host):
        what = f"`{host}` can't be the host of a model's name" if host else "an entry names no host"
        raise Unusable(what, f"Write HOST or HOST:PORT, like `{names.DEFAULT_HOST}`")
    if colon and not port_in(port):
        raise Unusable(f"the port of `{host}` is no number from 1 to 65535", _write(f"{host}:5000"))
    if slash:
        raise Unusable(f"`{place}` has a path behind it, and any path of a host is meant", _write(place))
    return place.lower()


def _write(host: str) -> str:
    return f"Write `{host}`"


# As `OLLAMA_ORIGINS` has them: `https://chat.example`, `http://192.168.*`, `*`.
ORIGINS: Final = ListOf("ORIGIN,...", "SCHEME://HOST[:PORT], with one * at most", _origin)
SERVER_IDS: Final = ListOf("ID,...", "ids of servers", _server_id, ("string", "number", "boolean"))
REGISTRIES: Final = ListOf("HOST,...", "HOST[:PORT]", _registry)
