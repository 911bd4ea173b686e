"""Who is at an address that gollamas wants for itself, and what to do about it.

Owns the words. The likeliest neighbour is an Ollama on the same machine: both want port 11434.
"""

import http.client
import socket
from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

from gollamas.config.faults import Fault, Faults
from gollamas.config.load import Loaded
from gollamas.config.model import Address, Config, Server
from gollamas.config.options import SERVERS
from gollamas.fleet import judging
from gollamas.system.listening import NotListening, bind, is_own_address

_TIMEOUT: Final = 1.0  # seconds; who is asked is on this machine
_MOST_BYTES: Final = 64 * 1024
_LOCALHOST: Final = frozenset({"127.0.0.1", "::1"})
# What the advice names: the ports beside 11434 and the admin port.
_FOR_OLLAMA: Final = 11433
_FOR_GOLLAMAS: Final = 11436
GOLLAMAS: Final = "another gollamas"


class _VersionReply(NamedTuple):
    """What somebody answers who was asked for a version."""

    status: int
    body: bytes
    location: str = ""


def who_is_at(address: Address) -> str | None:
    """Say who answers HTTP there, as `Ollama 0.24.0`; None where nobody does."""
    connection = http.client.HTTPConnection(address.for_clients.host, address.port, timeout=_TIMEOUT)
    try:
        connection.request("GET", judging.VERSION)
        response = connection.getresponse()
        reply = _VersionReply(response.status, response.read(_MOST_BYTES))
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()
    if response.getheader("X-Request-Id") is not None:  # Ollama sends none
        return GOLLAMAS
    asked = Server(id="", scheme="http", host=address.host, port=address.port)
    try:
        return f"Ollama {judging.version_in(asked, reply)}"
    except judging.NotOllama:
        return None


def why_taken(why: NotListening, config: Config) -> str:
    """Say why an address can't be listened on, and what to do."""
    if why.address == config.admin:
        return f"{why}: choose another address with --admin HOST:PORT, or --admin off"
    return _advice(why, who_is_at(why.address) if why.is_taken else None)


def _advice(why: NotListening, who: str | None) -> str:
    address = why.address
    elsewhere = "choose another address with --listen HOST:PORT"
    if who is None:
        return f"{why}: {elsewhere}"
    if who == GOLLAMAS:
        return f"{GOLLAMAS} answers at {address}: end it first, or {elsewhere}"
    return (
        f"{who} answers at {address}. Start it with OLLAMA_HOST=127.0.0.1:{_FOR_OLLAMA} and give gollamas "
        f"http://localhost:{_FOR_OLLAMA} as a server, or {elsewhere}"
    )


def look_for_faults(loaded: Loaded) -> None:
    """Raise Faults where a server stands at an address where gollamas is to listen itself."""
    config = loaded.config
    ours = [address for address in (config.listen, config.admin) if address is not None]
    faults = []
    for server in config.servers.values():
        for address in ours:
            if _is_at(server, address):
                place = loaded.origins.get((SERVERS.key, server.id), "gollamas")
                faults.append(_fault(server, place, is_admin=address is config.admin))
                break
    if faults:
        raise Faults(faults, config.warnings)


def _fault(server: Server, place: str, *, is_admin: bool) -> Fault:
    what = f"`{server.url}` is where gollamas is to listen itself"
    if is_admin:
        return Fault(
            place,
            f"{what}, for metrics, health and state",
            "Choose another address for those with --admin HOST:PORT",
        )
    who = who_is_at(Address(host=server.host, port=server.port))
    if who is not None and who != GOLLAMAS:
        what = f"{what}, and {who} answers there"
    return Fault(
        place,
        what,
        f"Start that Ollama with OLLAMA_HOST=127.0.0.1:{_FOR_OLLAMA} and write `http://localhost:{_FOR_OLLAMA}`,"
        f" or have gollamas listen elsewhere: --listen localhost:{_FOR_GOLLAMAS}",
    )


def _is_at(server: Server, address: Address) -> bool:
    """Whether a server's URL leads to an address of this machine. No name is looked up but its own."""
    if server.port != address.port:
        return False
    host = server.host.lower()
    if host == address.host.lower():
        return True
    theirs = _addresses_of(host)
    if address.host in ("", "0.0.0.0", "::"):  # noqa: S104 - compared, not bound
        return any(is_own_address(one) for one in theirs)
    return not theirs.isdisjoint(_addresses_of(address.host.lower()))


def _addresses_of(host: str) -> frozenset[str]:
    if host == "localhost":
        return _LOCALHOST
    if host.partition(".")[0] != socket.gethostname().lower().partition(".")[0]:
        return frozenset({host}) if _is_literal(host) else frozenset()
    try:
        return frozenset(str(found[4][0]) for found in socket.getaddrinfo(host, None))
    except OSError:
        return frozenset()


def _is_literal(host: str) -> bool:
    return ":" in host or host.replace(".", "").isdecimal()


def not_to_be_had(config: Config) -> list[str]:
    """Say which address can't be listened on, and why; one where gollamas runs already is no matter."""
    why = _why_not(config.listen)
    if why is not None:
        who = who_is_at(config.listen) if why.is_taken else None
        return [] if who == GOLLAMAS else [_advice(why, who)]
    why = None if config.admin is None else _why_not(config.admin)
    return [] if why is None else [why_taken(why, config)]


def _why_not(address: Address) -> NotListening | None:
    """Try whether an address can be had."""
    try:
        sockets = bind(address)
    except NotListening as why:
        return why
    for sock in sockets:
        sock.close()
    return None


def next_free(address: Address, but: Iterable[int] = ()) -> Address:
    """Give the address, or the next one that can be had where its port is taken; `but` are not wanted."""
    for one in _following(address, frozenset(but)):
        why = _why_not(one)
        if why is None or not why.is_taken:  # where it is another trouble another port is no better
            return one
    return address


def _following(address: Address, but: frozenset[int]) -> Iterator[Address]:
    ports = range(address.port, min(address.port + 100, 1 << 16)) if address.port else (0,)
    return (Address(host=address.host, port=port) for port in ports if port not in but)
