"""What a server's answers to questions of ours say: its version, a listing, or what it is instead of Ollama.

Owns what counts as Ollama's answer, and the words for all that doesn't. The prober and `check --live` both
judge by it. Refuses to know how a server is asked, and what follows for its health.
"""

import re
from collections.abc import Sequence
from typing import Final, Protocol

import msgspec

from gollamas.config.model import Server
from gollamas.fleet import entries
from gollamas.fleet.entries import Entry

VERSION: Final = "/api/version"
TAGS: Final = "/api/tags"
PS: Final = "/api/ps"

_TIME_MEMBERS: Final = {TAGS: "modified_at", PS: "expires_at"}
_PASSING: Final = frozenset((400, 408, 429))
_LONGEST_VERSION: Final = 100
_LONGEST_LOCATION: Final = 200
_USER_INFO: Final = re.compile(r"(?<=//)[^/]*@")
# What servers of TLS say to plain HTTP: Go, nginx, Apache.
_WANTS_TLS: Final = re.compile(rb"HTTPS (?:server|port)|SSL-enabled|TLS-enabled")


class NotOllama(Exception):
    """A server's answer is none that Ollama gives; `text` says why, for people.

    `may_pass` says that the answer speaks of this request or this moment, not of what is there.
    """

    def __init__(self, text: str, *, may_pass: bool = False) -> None:
        super().__init__(text)
        self.text = text
        self.may_pass = may_pass


class ProbeReply(Protocol):
    """What is read of an answer."""

    @property
    def status(self) -> int:
        """The status code."""

    @property
    def body(self) -> bytes:
        """The whole body."""

    @property
    def location(self) -> str:
        """The value of Location; empty where there is none."""


def version_in(server: Server, reply: ProbeReply) -> str:
    """Read the answer to `/api/version`; raises NotOllama."""
    _check_status(server, VERSION, reply)
    version = _version(_object(reply.body))
    if not version or not version.isprintable() or len(version) > _LONGEST_VERSION:
        raise NotOllama(f"{VERSION} names no version: this is no Ollama")
    return version


def listing_in(server: Server, path: str, reply: ProbeReply) -> Sequence[Entry]:
    """Read the answer to `/api/tags` or `/api/ps`; raises NotOllama."""
    _check_status(server, path, reply)
    try:
        return entries.read(reply.body, _TIME_MEMBERS[path])
    except ValueError:
        raise NotOllama(f"{path} lists no models: this is no Ollama") from None


def _object(body: bytes) -> dict[str, msgspec.Raw]:
    try:
        return msgspec.json.decode(body, type=dict[str, msgspec.Raw])
    except msgspec.ValidationError:
        raise NotOllama(f"what {VERSION} answers is no JSON object: this is no Ollama") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise NotOllama(f"what {VERSION} answers is no JSON: this is no Ollama") from None


def _version(members: dict[str, msgspec.Raw]) -> str:
    try:
        return msgspec.json.decode(members["version"], type=str)
    except (msgspec.DecodeError, KeyError, UnicodeDecodeError):
        return ""


def _check_status(server: Server, path: str, reply: ProbeReply) -> None:
    if reply.status != 200:
        hint = _hint(server, reply)
        raise NotOllama(
            f"{path} answered {reply.status}" + (f": {hint}" if hint else ""),
            may_pass=reply.status in _PASSING or reply.status >= 500,
        )


def _hint(server: Server, reply: ProbeReply) -> str:
    """Say what a status other than 200 usually means here, and what helps; empty where nobody can tell."""
    status = reply.status
    if 300 <= status < 400 and reply.location:
        return f"it redirects to {_shown(reply.location)}: write the URL that needs no redirect"
    if status == 400 and server.scheme == "http" and _WANTS_TLS.search(reply.body):
        return "it speaks TLS: write https:// in its URL"
    if status in (401, 403):
        return _why_barred(server, reply)
    return "no Ollama is there, or it has another path" if status == 404 else ""


def _why_barred(server: Server, reply: ProbeReply) -> str:
    if reply.status == 403 and not reply.body:  # as Ollama answers a Host that it does not know
        return (
            f"it does not accept us, or {server.host} as its name: "
            "set `headers:` for this server, or OLLAMA_HOST=0.0.0.0 there"
        )
    if any(name.lower() == b"authorization" for name, _ in server.fields):
        return "it does not accept our password or key"
    if reply.status == 403:  # of a firewall, say: nothing asks for a key
        return "it does not let us in: if it wants a password or key, set `headers:` for this server"
    return "it asks for a password or key: set `headers:` for this server"


def _shown(location: str) -> str:
    """Cut a redirect's target to what people need: no user info, no query, which may hold secrets."""
    place, mark, _ = _USER_INFO.sub("", location).partition("?")
    text = "".join(char if char.isprintable() else "�" for char in place + ("?…" if mark else ""))
    return text if len(text) <= _LONGEST_LOCATION else text[: _LONGEST_LOCATION - 1] + "…"
