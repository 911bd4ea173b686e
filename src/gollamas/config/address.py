"""Addresses and URLs as people write them: HOST:PORT to listen on, the URL of a server.

Owns their syntax (RFC 3986, section 3) and what to write instead; knows no server and looks up no name.
"""

import base64
import ipaddress
import re
from typing import Final, NamedTuple
from urllib.parse import unquote_to_bytes

from gollamas.config.faults import Unusable, nearest
from gollamas.config.model import Address

_HOST: Final = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_.\-]*[A-Za-z0-9_.])?", re.ASCII)
_PATH: Final = re.compile(r"(?:/(?:[A-Za-z0-9\-._~!$&'()*+,;=:@]|%[0-9A-Fa-f]{2})*)*", re.ASCII)
_WITH_PORT: Final = re.compile(
    r"(?:[^/?#]*@)?(?:\[[^\]/@]*\]|[^:/?#@\[\]]+):\d+(?:/.*)?", re.ASCII | re.DOTALL
)
_DEFAULT_PORTS: Final = {"http": 80, "https": 443}
# A slip in `://`: `http:/h`, `http//h`, `http:h`, `http;//h`, `http:\\h`, `http:///h`.
_SLIP: Final = re.compile(
    r"(https?)(?::(?=[^/\\\d])|[:;.][/\\]+|[/\\]{2,})(?P<rest>.*)", re.IGNORECASE | re.DOTALL
)
_DIGEST: Final = re.compile(r"@sha256[:-]")
_SCHEMES: Final = re.compile(r"(?:https?://+)?(https?)://+(?P<rest>[^/].*)", re.IGNORECASE)
_BEGIN: Final = re.compile(r"[^:/@]*://(?:https?://)*", re.IGNORECASE)
_ENDS_IN_PORT: Final = re.compile(r":\d{1,5}$", re.ASCII)
_BRACKETED: Final = re.compile(r"\[[0-9A-Fa-f:.]+\]")
_SEVERAL: Final = re.compile(r"[,;\s]\s*(?:[^,;=@\s]+=)?https?://", re.IGNORECASE)
_OUR_EXAMPLE: Final = "Write HOST:PORT, like `localhost:11434`, or `:11434` for every address"
_URL_EXAMPLE: Final = "Write a URL like `http://gpu-1:11434`"


class ServerUrl(NamedTuple):
    """Where a server is: what two URLs have in common when they are one server."""

    scheme: str
    host: str  # in lower case, without brackets
    port: int
    prefix: str  # without a slash at its end
    authorization: bytes  # of the user info; empty where there is none

    @property
    def name(self) -> str:
        """What a server without an id is called."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}{self.prefix}"


def parse_listen(text: str) -> Address:
    """Read an address to listen on; raises Unusable. An empty host and `*` mean every address."""
    if (bare := _without_scheme(text)) is not None:
        place = bare.partition("/")[0].rpartition("@")[2]
        raise Unusable(f"`{shown(text)}` is a URL, and an address has no scheme", _write_with_port(place))
    if text.isascii() and text.isdigit():
        raise Unusable(f"`{text}` has no host", f"Write `localhost:{text}`, or `:{text}` for every address")
    host, colon, port = text.rpartition(":")
    if ":" in host and not host.startswith("["):
        raise Unusable(f"`{text}` is no HOST:PORT", "Write an IPv6 address in brackets, like `[::1]:11434`")
    if not colon or (text.startswith("[") and text.endswith("]")):
        raise Unusable(f"`{text}` has no port" if text else "the address is empty", _write_with_port(text))
    number = port_in(port)
    if number is None:
        raise Unusable(f"`{text}` has no port from 0 to 65535", _OUR_EXAMPLE)
    if host in {"", "*"}:
        return Address(host="", port=number)
    return Address(host=_host(host, text, _OUR_EXAMPLE), port=number)


def with_port(place: str) -> str | None:
    """Give a place with our port where it has none; None where it is no place."""
    text = place if _ENDS_IN_PORT.search(place) else f"{place}:11434"
    host = text.rpartition(":")[0]
    is_place = _HOST.fullmatch(host) or _BRACKETED.fullmatch(host) or (not host and text == place)
    return text if is_place else None


def _write_with_port(place: str) -> str:
    text = with_port(place)
    return f"Write `{text}`" if text else _OUR_EXAMPLE


def looks_like_server(text: str) -> bool:
    """Whether a word has what only a server's address has: a scheme, maybe with a slip in it, or a port."""
    return _without_scheme(text) is not None or _WITH_PORT.fullmatch(text) is not None


def _without_scheme(text: str) -> str | None:
    url = slip_in(text) or text
    _, mark, rest = url.partition("://")
    return rest if mark else None


def slip_in(text: str) -> str | None:
    """Give the URL that was meant where the `://` of a text has a slip in it; None where it has none."""
    found = (_SCHEMES if "://" in text else _SLIP).fullmatch(text)
    meant = f"{found[1].lower()}://{found['rest']}" if found else text
    return meant if meant.lower() != text.lower() else None


def shown(text: str) -> str:
    """Give a URL for people: without user info, and without a port that may be half a password."""
    begin = _BEGIN.match(text)
    head, rest = (begin[0], text[begin.end() :]) if begin else ("", text)
    _, at, place = rest.rpartition("@")
    if at:
        return f"{head}***@{place}"
    host, colon, port = rest.partition(":")
    if head and colon and not host.startswith("[") and port_in(port.partition("/")[0]) is None:
        return f"{head}{host}:***"
    return text


def names_in(*texts: str) -> tuple[str, ...]:
    """Give those that are no server's address: an `@` in them is part of a name and ends no password."""
    return tuple(
        text
        for text in texts
        if "@" in text and "://" not in text and (_DIGEST.search(text) or not looks_like_server(text))
    )


def surely_names_in(*texts: str) -> tuple[str, ...]:
    """As `names_in`, for places where a server's address may stand: without a `:` there is no password."""
    return tuple(
        text for text in names_in(*texts) if _DIGEST.search(text) or ":" not in text.partition("@")[0]
    )


def url_of(text: str) -> str:
    """Give the URL that somebody most likely meant by a host, or an example where it is no host."""
    host, slash, path = text.partition("/")
    return f"http://{host}:11434{slash}{path}" if _HOST.fullmatch(host) else "http://gpu-1:11434"


def parse_url(text: str) -> ServerUrl:
    """Find the target of a URL, `http` where it has a port and no scheme; raises Unusable.

    User info becomes Basic authorization (RFC 7617). No fault quotes it.
    """
    _look_for_slips(text)
    if "://" not in text:
        if not looks_like_server(text):
            raise Unusable(f"`{shown(text)}` has neither a scheme nor a port", f"Write `{url_of(text)}`")
        text = f"http://{text}"
    scheme, _, rest = text.partition("://")
    scheme = scheme.lower()
    if scheme not in _DEFAULT_PORTS:
        near = nearest(scheme, _DEFAULT_PORTS)
        example = f"Write `{shown(f'{near}://{rest}')}`" if near else _URL_EXAMPLE
        raise Unusable(f"`{shown(text)}` is neither http nor https", example)
    if "?" in rest or "#" in rest:
        raise Unusable(
            f"`{shown(text)}` has a query or a fragment",
            f"Write it without what follows the `{_first(rest)}`",
        )
    authority, slash, path = rest.partition("/")
    user_info, _, place = authority.rpartition("@")
    host, port = _host_and_port(place, text)
    prefix = (slash + path).rstrip("/")
    if not _PATH.fullmatch(prefix) or {".", ".."} & set(prefix.split("/")) or "//" in prefix:
        raise Unusable(
            f"the path of `{shown(text)}` has characters or steps that no path may have",
            "Write it percent-encoded, without `//`, `.` and `..` (in user info `/` is `%2F`, `@` is `%40`)",
        )
    return ServerUrl(scheme, host, port or _DEFAULT_PORTS[scheme], prefix, _basic(user_info))


def _look_for_slips(text: str) -> None:
    """Raise Unusable for what is no URL for a reason that is easily told."""
    if not text:
        raise Unusable("the URL is empty", _URL_EXAMPLE)
    if _SEVERAL.search(text):
        raise Unusable(f"`{shown(text)}` is more than one URL", "Write each URL as an entry of its own")
    if not text.isprintable() or " " in text:
        raise Unusable(
            "the URL has a blank or a control character", f"{_URL_EXAMPLE}, with commas between several"
        )
    if meant := slip_in(text):
        raise Unusable(f"`{shown(text)}` is no URL", f"Write `{shown(meant)}`")


def _first(rest: str) -> str:
    return next(mark for mark in rest if mark in "?#")


def _host_and_port(place: str, text: str) -> tuple[str, int | None]:
    """Split them; a port that is no number is not quoted, since it may be half a password."""
    host, colon, port = place.rpartition(":")
    if not colon or place.endswith("]"):
        host, port = place, ""
    if not host:
        raise Unusable(f"`{shown(text)}` names no host", _URL_EXAMPLE)
    if ":" in host and not host.startswith("["):
        raise Unusable(
            "the URL has more than one `:` in its host",
            "Write an IPv6 address in brackets, like `http://[::1]:11434`, and user info percent-encoded",
        )
    number = port_in(port) if port else None
    if port and not number:
        raise Unusable(
            "the URL's port is no number from 1 to 65535",
            f"{_URL_EXAMPLE}; in user info write `/` as `%2F`, `,` as `%2C` and `@` as `%40`",
        )
    return _host(host, text, _URL_EXAMPLE).lower(), number


def port_in(text: str) -> int | None:
    """Read the number of a port, 0 included; None where it is none."""
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 5 and int(text) <= 65535 else None


def _host(host: str, text: str, example: str) -> str:
    """Give the host without brackets, a name beyond ASCII in its punycode (RFC 3490); raises Unusable."""
    if host.startswith("[") and host.endswith("]"):
        try:
            return str(ipaddress.IPv6Address(host[1:-1]))
        except ValueError:
            raise Unusable(f"`{shown(text)}` has no IPv6 address in its brackets", example) from None
    if not host.isascii():
        try:
            host = host.encode("idna").decode()
        except UnicodeError:
            raise Unusable(f"`{shown(text)}` names no host", example) from None
    if not _HOST.fullmatch(host) or ".." in host:
        raise Unusable(f"`{shown(text)}` names no host", example)
    return host


def _basic(user_info: str) -> bytes:
    if not user_info:
        return b""
    user, _, password = user_info.partition(":")
    credentials = unquote_to_bytes(user) + b":" + unquote_to_bytes(password)
    return b"Basic " + base64.b64encode(credentials)
