"""`/api/tags` and `/api/ps` as tables: what clients see, where nobody says which server has what."""

from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from typing import Final

import msgspec

from gollamas import names
from gollamas.cli.answers import NothingTold, no_gollamas
from gollamas.cli.asking import Question
from gollamas.cli.client_paths import PS, TAGS
from gollamas.cli.clients_port import port_of, reply_of
from gollamas.cli.fleet_page import WHERE
from gollamas.cli.page import say_page
from gollamas.cli.plain import PageRead, StateTable, cells, expiry_text, seconds_between, size_text, span
from gollamas.cli.say import complain, say_bytes
from gollamas.cli.wanted import Named
from gollamas.config.load import Loaded

_TIMEOUT: Final = 30.0  # seconds
_DIGEST_LETTERS: Final = 12
_ZERO_YEAR: Final = "0001-"  # what Go writes for no time


class SeenModel(msgspec.Struct):
    """An entry of either list."""

    name: str
    size: int | None = None
    digest: str = ""
    modified_at: str = ""
    size_vram: int | None = None
    context_length: int | None = None
    expires_at: str = ""


class SeenModels(msgspec.Struct):
    """Either list."""

    models: list[SeenModel]


Cells = Callable[[SeenModel, str], Sequence[object]]


def show_tags(loaded: Loaded, why: NothingTold, wanted: Sequence[Named]) -> int:
    """Print which models there are, and why no more than that; raises as `clients_port.reply_of`."""
    columns = ("MODEL", "SIZE", "DIGEST", "MODIFIED")
    return _show(loaded, TAGS, why, wanted, StateTable("", columns, [], "there is no model"))


def show_ps(loaded: Loaded, why: NothingTold) -> int:
    """Print what is loaded, and why no more than that; raises as `clients_port.reply_of`."""
    columns = ("MODEL", "CONTEXT", "SIZE", "CPU", "EXPIRES")
    return _show(loaded, PS, why, (), StateTable("", columns, [], "no model is loaded"))


def _show(loaded: Loaded, path: str, why: NothingTold, wanted: Sequence[Named], table: StateTable) -> int:
    complain(f"gollamas: {why}; only the admin port knows which server has what: {WHERE}")
    if any(one.server for one in wanted):
        return 1
    port = port_of(loaded)
    reply = reply_of(port, Question(path, timeout=_TIMEOUT))
    now = datetime.now(UTC).isoformat()
    try:
        seen = msgspec.json.decode(reply.body, type=SeenModels).models
        there = {names.key_of(one.name) for one in seen}
        keys = {names.key_of(one.model) for one in wanted}
        seen = [one for one in seen if not keys or names.key_of(one.name) in keys]
        write = _tag if path == TAGS else _running
        table.rows.extend(cells(write(one, now)) for one in seen)
    except (ValueError, RecursionError) as error:
        raise no_gollamas(port.url + path, "its answer is not what gollamas sends") from error
    if loaded.own.get("json"):
        say_bytes(msgspec.json.encode([_told(one) for one in seen]) + b"\n")
    elif seen or not wanted:
        say_page(PageRead("", [table]))
    return complain_of_unseen(named for named in wanted if names.key_of(named.model) not in there)


def complain_of_unseen(unseen: Iterable[Named]) -> int:
    """Say what no server has; 1 if there is any such model."""
    told = ", ".join(map(str, unseen))
    if told:
        complain(f"gollamas: no server has {told}")
    return 1 if told else 0


def _told(one: SeenModel) -> dict[str, object]:
    """Give the members as the verbs name them, with a server that is not known."""
    members = {name: value or None for name, value in msgspec.structs.asdict(one).items()}
    return {"model": members.pop("name"), "server": None, **members}


def _tag(one: SeenModel, now: str) -> Sequence[object]:
    has_time = one.modified_at and not one.modified_at.startswith(_ZERO_YEAR)
    changed = f"{span(seconds_between(one.modified_at, now))} ago" if has_time else None
    return one.name, size_text(one.size), one.digest.removeprefix("sha256:")[:_DIGEST_LETTERS], changed


def _running(one: SeenModel, now: str) -> Sequence[object]:
    cpu = None
    if one.size and one.size_vram is not None:
        cpu = f"{max(0.0, 1 - one.size_vram / one.size):.0%}"
    expiry = expiry_text(one.expires_at or None, now)
    return one.name, one.context_length, size_text(one.size), cpu, expiry
