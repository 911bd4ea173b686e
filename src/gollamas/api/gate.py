"""Who may ask at all: browsers of other sites and foreign Host names, as Ollama judges them.

Owns CORS and the Host filter. Pure: a head in, a verdict out. Servers never see an Origin, so this is the
only place where it counts.
"""

import ipaddress
import re
from collections.abc import Callable, Iterable
from typing import Final

from gollamas.wire.message import Head

_LOCAL: Final = ("localhost", "127.0.0.1", "0.0.0.0")  # noqa: S104 - origins, nothing listens on them
_APPS: Final = ("app://*", "file://*", "tauri://*", "vscode-webview://*", "vscode-file://*")
DEFAULT_ORIGINS: Final = (
    *(f"{scheme}://{host}{port}" for host in _LOCAL for scheme in ("http", "https") for port in ("", ":*")),
    *_APPS,
)
# What Go calls private; Python's `is_private` is wider.
_PRIVATE: Final = tuple(
    map(ipaddress.ip_network, ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7"))
)
_ALLOWED_TLDS: Final = (".localhost", ".local", ".internal")
_PREFLIGHT: Final = (
    b"Access-Control-Allow-Headers: Authorization,Content-Type,User-Agent,Accept,X-Requested-With,"
    b"Openai-Beta,X-Stainless-Arch,X-Stainless-Async,X-Stainless-Custom-Poll-Interval,X-Stainless-Helper-Method,"
    b"X-Stainless-Lang,X-Stainless-Os,X-Stainless-Package-Version,X-Stainless-Poll-Helper,"
    b"X-Stainless-Retry-Count,X-Stainless-Runtime,X-Stainless-Runtime-Version,X-Stainless-Timeout\r\n"
    b"Access-Control-Allow-Methods: GET,POST,PUT,PATCH,DELETE,HEAD,OPTIONS\r\n"
    b"Access-Control-Max-Age: 43200\r\n"
)


_ONLY_OURS: Final = (
    "on a loopback address only local names are; have the client, or the proxy in front, send Host: localhost"
)


class Verdict:
    """What the gate says of a request.

    `status` is None where the request goes on, else that of an answer with an empty body; `lines` are
    head lines with their CRLF for whatever answer follows. `reason` is for the log: why it was refused.
    """

    __slots__ = ("lines", "reason", "status")

    def __init__(self, status: int | None, lines: bytes = b"", reason: str | None = None) -> None:
        self.status = status
        self.lines = lines
        self.reason = reason


_PASS: Final = Verdict(None)


class Gate:
    """The gate of one configuration.

    `origins` are added to Ollama's own; `is_loopback` says that only this machine can connect, which is when
    Host is judged; `port` is the one that is listened on, `hostnames` are the machine's, `is_own` tells its
    addresses.
    """

    def __init__(
        self,
        origins: Iterable[str],
        *,
        is_loopback: bool,
        port: int,
        hostnames: Iterable[str],
        is_own: Callable[[str], bool],
    ) -> None:
        self._is_any = "*" in origins
        self._patterns = [_pattern(origin) for origin in (*origins, *DEFAULT_ORIGINS)]
        self._is_loopback = is_loopback
        self._hostnames = frozenset(("", "localhost", *(name.lower() for name in hostnames)))
        self._is_own = is_own
        # HOT: what nearly every client on this machine writes needs no reading of an address.
        self._own = frozenset(f"{host}:{port}".encode() for host in ("localhost", "127.0.0.1", "[::1]"))

    def judge(self, head: Head) -> Verdict:
        """Decide on a request. The order is Ollama's: CORS first, the Host filter second."""
        host = head.host
        origin = None if head.is_plain else head.names.get(b"origin")
        # HOT: what nearly every client writes.
        if origin is None and (not self._is_loopback or (host in self._own and head.method != b"OPTIONS")):
            return _PASS
        verdict = self._judge_origin(head, origin, host) if origin is not None else _PASS
        if verdict.status is not None or not self._is_loopback:
            return verdict
        reason = self.why_not_host(host)
        if reason is not None:
            return _forbidden(reason)
        if head.method == b"OPTIONS" and origin is None and not _is_address(_name_in(host)):
            return Verdict(204)
        return verdict

    def why_not_host(self, host: bytes | None) -> str | None:
        """Say why a Host is refused; None where it is not, as by whoever others can reach.

        Else a page of another site could have its own name lead to this machine, and read what is here.
        """
        name = _name_in(host)
        if not self._is_loopback or self.allows_host(name):
            return None
        return f"Host {name} is not allowed: {_ONLY_OURS}"

    def _judge_origin(self, head: Head, origin: bytes, host: bytes | None) -> Verdict:
        if host is not None and origin.lower() in (b"http://" + host.lower(), b"https://" + host.lower()):
            return _PASS
        if not origin:
            return _PASS
        text = origin.decode("latin-1").lower()
        if not self._is_any and not any(pattern.fullmatch(text) for pattern in self._patterns):
            instead = "only * in origins lets it in" if text == "null" else "add it to origins"
            return _forbidden(f"Origin {origin.decode('latin-1')} is not allowed: {instead}")
        allowed = b"Access-Control-Allow-Origin: %b\r\n" % (b"*" if self._is_any else origin)
        if head.method != b"OPTIONS":
            return Verdict(None, allowed if self._is_any else allowed + b"Vary: Origin\r\n")
        varies = (
            b""
            if self._is_any
            else (
                b"Vary: Origin\r\nVary: Access-Control-Request-Method\r\n"
                b"Vary: Access-Control-Request-Headers\r\n"
            )
        )
        return Verdict(204, allowed + _PREFLIGHT + varies)

    def allows_host(self, host: str) -> bool:
        """Whether Ollama on a loopback address would answer to this name or address (R:1803-1839)."""
        host = host.lower()
        if host in self._hostnames or host.endswith(_ALLOWED_TLDS):
            return True
        try:
            address = ipaddress.ip_address(host.strip("[]"))
        except ValueError:
            return False
        return (
            address.is_loopback
            or any(address in net for net in _PRIVATE if net.version == address.version)
            or address.is_unspecified
            or self._is_own(str(address))
        )


def _forbidden(reason: str) -> Verdict:
    return Verdict(403, reason=reason)


def _name_in(host: bytes | None) -> str:
    """Give the name or address that a Host says, without its port; empty where there is none."""
    return _without_port((host or b"").decode("latin-1"))


def _without_port(host: str) -> str:
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.rpartition(":")[0] if host.count(":") == 1 else host


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _pattern(origin: str) -> re.Pattern[str]:
    """One `*` stands for anything, as in gin's cors."""
    before, star, after = origin.lower().partition("*")
    return re.compile(re.escape(before) + (".*" if star else "") + re.escape(after))
