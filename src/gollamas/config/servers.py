"""The servers of a configuration: which entries are one server, what it is called, how it is asked.

Owns identity (two ids are two servers, one URL without ids is one) and the fields that are added to requests.
Knows no model.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from gollamas.config.address import ServerUrl, looks_like_server, names_in, parse_url, shown, url_of
from gollamas.config.faults import Findings, Unusable, nearest
from gollamas.config.given import Given, Pair, ServerEntry
from gollamas.config.model import Server
from gollamas.config.options import SERVERS
from gollamas.config.values import Switch

Fields = tuple[tuple[bytes, bytes], ...]
_TOKEN: Final = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+", re.ASCII)  # RFC 9110, section 5.6.2
_ID: Final = re.compile(r"[\x21-\x7e]+")
_OLLAMA_PATHS: Final = ("/api", "/v1")  # what clients of other proxies write behind an address
# These describe one message or one hop: set by us, never by a configuration.
_NOT_OURS_TO_SET: Final = frozenset(
    {
        "connection",
        "content-encoding",
        "content-length",
        "expect",
        "host",
        "keep-alive",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)


@dataclass(frozen=True, slots=True)
class Placed:
    """A server, where its URL leads, and the entry that named it first."""

    server: Server
    target: ServerUrl
    place: str
    is_plain: bool


class Servers:
    """Makes servers of entries and finds the one that a destination means."""

    def __init__(self, read_file: Callable[[str], str], findings: Findings) -> None:
        self._read_file = read_file
        self._findings = findings
        self._by_id: dict[str, Placed] = {}

    @property
    def placed(self) -> dict[str, Placed]:
        """By id, in the order in which they were named."""
        return self._by_id

    def add(self, entries: list[ServerEntry]) -> None:
        """Add the entries with an id first, so that no name made up for a plain URL takes one of them."""
        for entry in entries:
            if entry.id is not None:
                self._connect(entry.id.strip(), entry)
        for entry in entries:
            if entry.id is None:
                try:
                    self._of_target(parse_url(entry.url.strip()), entry.place)
                except Unusable as why:
                    self._findings.unusable(entry.place, why, shown(entry.url.strip()))

    def find(self, entry: Pair) -> str | None:
        """Find the id of an entry's server: an id first, then a URL, then HOST:PORT. None with a fault."""
        destination = entry.target
        if destination in self._by_id:
            return destination
        if not looks_like_server(destination):
            if not self._findings.has_lost(SERVERS.key, destination):
                self._unknown(entry)
            return None
        try:
            return self._of_target(parse_url(destination), entry.place)
        except Unusable as why:
            self._findings.unusable(entry.place, why, entry.name)
            return None

    def known(self, given: Given) -> str | None:
        """Find the id of a server that is there already, by its id or its URL; None with a fault."""
        text = given.text
        if text in self._by_id:
            return text
        is_address = looks_like_server(text)
        if is_address:
            try:
                target = parse_url(text)
            except Unusable as why:
                self._findings.unusable(given.place, why)
                return None
            if name := self._same(target, given.place) or self._at_address(target):
                return name
        if self._by_id and not self._findings.has_lost(SERVERS.key, None if is_address else text):
            near = nearest(text, self._by_id)
            self._findings.fault(
                given.place,
                f"no server is called `{shown(text)}`",
                f"Write `{near}`" if near else f"Write one of: {', '.join(self._by_id)}",
            )
        return None

    def _unknown(self, entry: Pair) -> None:
        destination = entry.target
        if len(several := re.split(r"[\s,;]+", destination)) > 1:
            what = f"`{shown(destination)}`, the server of `{entry.name}`, is more than one"
            ids = [shown(part) for part in several if part]
            entries = ",".join(f"{entry.name}={part}" for part in ids)
            hint = f"Write `{entries}`, in the file `{entry.name}: [{', '.join(ids)}]`"
        else:
            what = f"no server is called `{shown(destination)}`"
            near = nearest(destination, self._by_id)
            hint = f"Write `{near}`" if near else f"Write a URL like `{url_of(destination)}`"
        self._findings.fault(entry.place, what, hint)

    def _connect(self, name: str, entry: ServerEntry) -> None:
        placed = self._placed(name, entry)
        if placed is None:
            self._findings.lose(SERVERS.key, name)
            return
        known = self._by_id.get(name)
        if known is None or (known.is_plain and known.target == placed.target):
            self._by_id[name] = placed
        elif known.target != placed.target:
            self._findings.fault(
                entry.place,
                f"the server `{name}` is {placed.server.url} here and {known.server.url} at {known.place}",
                "Give one of the two another id",
                (*names_in(name), known.place),
            )
        elif not placed.is_plain and placed.server != known.server:
            self._findings.fault(
                entry.place,
                f"the server `{name}` has other headers or tls at {known.place}",
                "Write them in one place",
                (*names_in(name), known.place),
            )

    def _placed(self, name: str, entry: ServerEntry) -> Placed | None:
        before = len(self._findings.faults)
        if not _ID.fullmatch(name):
            self._findings.fault(
                entry.place,
                f"`{name}` can't be a server's id",
                "Write letters, digits and marks without blanks",
                names_in(name),
            )
        try:
            target = parse_url(entry.url.strip())
        except Unusable as why:
            self._findings.unusable(entry.place, why, name)
            return None
        fields = self._fields(target, entry)
        ca_file, verify = self._tls(target, entry)
        if len(self._findings.faults) > before:
            return None
        self._look_at_path(target, entry.place)
        server = _server(name, target, fields, ca_file=ca_file, verify=verify)
        return Placed(server, target, entry.place, entry.is_plain)

    def _of_target(self, target: ServerUrl, place: str) -> str:
        """Give the first server with this URL, made and named where there is none."""
        if same := self._same(target, place):
            return same
        self._look_at_path(target, place)
        name, number = target.name, 1
        while name in self._by_id:
            number += 1
            name = f"{target.name}-{number}"
        fields = ((b"Authorization", target.authorization),) if target.authorization else ()
        self._by_id[name] = Placed(_server(name, target, fields), target, place, is_plain=True)
        return name

    def _same(self, target: ServerUrl, place: str) -> str | None:
        """Find the first server with this URL."""
        same = [name for name, placed in self._by_id.items() if placed.target == target]
        if len(same) > 1:
            self._findings.warn(
                place,
                f"the servers {' and '.join(same)} have this URL; {same[0]} is used (write an id to choose)",
            )
        return same[0] if same else None

    def _at_address(self, target: ServerUrl) -> str | None:
        """Find the first server that has this URL and user info beside it, which not everybody writes."""
        return next(
            (
                name
                for name, placed in self._by_id.items()
                if placed.target._replace(authorization=b"") == target
            ),
            None,
        )

    def _look_at_path(self, target: ServerUrl, place: str) -> None:
        own = next((path for path in _OLLAMA_PATHS if target.prefix.endswith(path)), None)
        if own:
            self._findings.warn(
                place,
                f"the URL `{target.scheme}://{target.name}` ends in `{own}`, and Ollama's paths are put"
                " behind it; leave it out most likely",
            )

    def _fields(self, target: ServerUrl, entry: ServerEntry) -> Fields:
        fields: dict[str, tuple[bytes, bytes]] = {}
        if target.authorization:
            fields["authorization"] = (b"Authorization", target.authorization)
        for name, given in entry.headers:
            if self._may_be_set(name, given, taken=name.lower() in fields):
                fields[name.lower()] = (name.encode(), given.text.strip(" \t").encode())
        return tuple(fields.values())

    def _may_be_set(self, name: str, given: Given, *, taken: bool) -> bool:
        """Whether a header is valid and ours to set; no fault quotes its value."""
        value = given.text.strip(" \t")
        if not _TOKEN.fullmatch(name):
            self._findings.fault(
                given.place, f"`{name}` is no header's name", "Write letters, digits and `-`"
            )
        elif name.lower() in _NOT_OURS_TO_SET:
            self._findings.fault(
                given.place, f"the header `{name}` is set by the proxy itself", "Leave it out"
            )
        elif taken:
            self._findings.fault(
                given.place,
                f"the header `{name}` is there twice (user info in the URL counts)",
                "Keep one of the two",
            )
        elif any((ord(letter) < 32 and letter != "\t") or ord(letter) == 127 for letter in value):
            self._findings.fault(
                given.place,
                f"the value of `{name}` has a line end or a control character",
                "Write it on one line",
            )
        else:
            return True
        return False

    def _tls(self, target: ServerUrl, entry: ServerEntry) -> tuple[str | None, bool]:
        verify = True
        for given in (entry.ca, entry.verify):
            if given and target.scheme != "https":
                self._findings.fault(
                    given.place, "tls is for https, and the URL is http", "Write `https://` or no tls"
                )
                return None, verify
        if entry.verify:
            try:
                verify = Switch().parse(entry.verify.text)
            except Unusable as why:
                self._findings.unusable(entry.verify.place, why)
        if entry.ca is None:
            return None, verify
        if not verify:
            self._findings.fault(
                entry.ca.place,
                "`ca` says what to trust, and `verify: false` trusts everything",
                "Keep one of the two",
            )
        elif (problem := self._problem_of_ca(entry.ca.text)) is not None:
            self._findings.fault(entry.ca.place, problem, "Name a PEM file of certificates")
        return entry.ca.text, verify

    def _problem_of_ca(self, path: str) -> str | None:
        try:
            text = self._read_file(path)
        except UnicodeDecodeError:
            return f"the file `{path}` is no PEM"
        except (OSError, ValueError) as error:
            return f"the file `{path}` can't be read: {getattr(error, 'strerror', None) or error}"
        return None if "-----BEGIN " in text else f"the file `{path}` holds no certificate"


def _server(
    name: str, target: ServerUrl, fields: Fields, *, ca_file: str | None = None, verify: bool = True
) -> Server:
    return Server(
        id=name,
        scheme=target.scheme,
        host=target.host,
        port=target.port,
        prefix=target.prefix,
        fields=fields,
        ca_file=ca_file,
        verify=verify,
    )
