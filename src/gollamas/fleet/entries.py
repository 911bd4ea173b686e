"""One entry of a server's `/api/tags` or `/api/ps`, and how such a body is read.

Owns which members matter to us (name, digest, one time) and keeps the rest untouched, so that fields of
versions to come pass through. Refuses to know which server said it.
"""

import re
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Final

import msgspec

from gollamas import names

# What Go's zero time is in Unix seconds: a time that is not there sorts last and reads so.
ZERO_TIME: Final = -62135596800 * 1_000_000_000

_RFC3339: Final = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)[Tt ](\d\d):(\d\d):(\d\d)(?:\.(\d{1,18}))?(?:[Zz]|([+-])(\d\d):(\d\d))",
    re.ASCII,
)
_EPOCH: Final = date(1970, 1, 1).toordinal()


def nanoseconds(text: str) -> int:
    """Unix time in nanoseconds of an RFC 3339 time in any zone; `ZERO_TIME` for what is none.

    `datetime` is of no use here: it keeps microseconds only, and Go writes nanoseconds.
    """
    found = _RFC3339.fullmatch(text)
    if found is None:
        return ZERO_TIME
    year, month, day, hour, minute, second, fraction, sign, zone_hours, zone_minutes = found.groups()
    try:
        days = date(int(year), int(month), int(day)).toordinal() - _EPOCH
    except ValueError:
        return ZERO_TIME
    seconds = days * 86400 + int(hour) * 3600 + int(minute) * 60 + int(second)
    if sign:
        offset = int(zone_hours) * 3600 + int(zone_minutes) * 60
        seconds += -offset if sign == "+" else offset
    return seconds * 1_000_000_000 + int((fraction or "0")[:9].ljust(9, "0"))


class Entry:
    """A model as one server lists it.

    `name` is the server's spelling, `key` what names are compared by, `json` the object's own bytes,
    `time_ns` its `modified_at` (tags) or `expires_at` (ps) in Unix nanoseconds, `size` its bytes, None where
    it does not say. `digests` are those of all entries that the server has under the name: from 0.40 on there
    is one per `runner`.
    """

    __slots__ = ("digest", "digests", "is_remote", "json", "key", "name", "size", "time_ns")

    def __init__(
        self,
        name: str,
        key: str,
        digest: str,
        json: bytes,
        time_ns: int,
        *,
        is_remote: bool = False,
    ) -> None:
        self.name = name
        self.key = key
        self.digest = digest
        self.digests = frozenset((digest,))
        self.json = json
        self.time_ns = time_ns
        self.size: int | None = None
        self.is_remote = is_remote  # another host runs it: nothing is loaded here

    def renamed(self, name: str) -> bytes:
        """Give the object's bytes another name, every other member as it was and where it was."""
        return self._with(dict.fromkeys(("name", "model"), name))

    def of(self, other: "Entry") -> "Entry":
        """Give this entry as one of another model, by that one's name and digest."""
        json = self._with({"name": other.name, "model": other.name, "digest": other.digest})
        entry = Entry(other.name, other.key, other.digest, json, self.time_ns, is_remote=self.is_remote)
        entry.size = self.size
        return entry

    def _with(self, texts: Mapping[str, str]) -> bytes:
        """Write the object with other texts for members that it has."""
        members = msgspec.json.decode(self.json, type=dict[str, msgspec.Raw])
        for member, text in texts.items():
            if member in members:
                members[member] = msgspec.Raw(msgspec.json.encode(text))
        return msgspec.json.encode(members)


def numbers(entry: Entry, *members: str) -> Sequence[int | None]:
    """Read whole numbers of an entry; None for each that is not there, or is none."""
    found = msgspec.json.decode(entry.json, type=dict[str, msgspec.Raw])
    return [_number(found.get(member)) for member in members]


def _number(raw: msgspec.Raw | None) -> int | None:
    try:
        return None if raw is None else msgspec.json.decode(raw, type=int | None)
    except msgspec.DecodeError:
        return None


def read(body: bytes, time_member: str) -> Sequence[Entry]:
    """Read the body of `/api/tags` (`modified_at`) or `/api/ps` (`expires_at`), in the server's order.

    An entry without a name that Ollama would accept is passed over: no request could ask for it.
    Raises ValueError when the body is no such listing at all.
    """
    try:
        members = msgspec.json.decode(body, type=dict[str, msgspec.Raw])
        listed = msgspec.json.decode(members["models"], type=list[msgspec.Raw] | None)
    except (msgspec.DecodeError, KeyError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(f"no list of models: {error}") from error
    entries = (_entry(bytes(raw), time_member) for raw in listed or ())
    return [entry for entry in entries if entry is not None]


def _entry(json: bytes, time_member: str) -> Entry | None:
    try:
        members = msgspec.json.decode(json, type=dict[str, msgspec.Raw])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    name = _text(members, "name") or _text(members, "model")
    key = names.key_of(name)
    if key is None:
        return None
    entry = Entry(
        name,
        key,
        _text(members, "digest"),
        json,
        nanoseconds(_text(members, time_member)),
        is_remote=bool(_text(members, "remote_host")),
    )
    entry.size = _number(members.get("size"))
    return entry


def _text(members: dict[str, msgspec.Raw], member: str) -> str:
    """Return the text of a member, empty when it is not there or no text."""
    raw = members.get(member)
    if raw is None:
        return ""
    try:
        return msgspec.json.decode(raw, type=str)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return ""
