"""Log lines for people: one line per event, in columns, coloured where asked.

Owns how an event reads; a crash alone has more lines, indented, which say where. Nothing that a client or
a server wrote can begin a line, end one, or look like a column of ours.
"""

import re
import traceback
from collections.abc import Mapping
from functools import lru_cache
from typing import Final

from gollamas import events
from gollamas.observe.kinds import KINDS, Level
from gollamas.observe.safe import (
    LONGEST,
    LONGEST_ERROR,
    LONGEST_PATH,
    cut,
    escaped,
    without_user_info,
)

_PLAIN_WORD: Final = re.compile(r"[\w.:/@+,*~\[\]%-]+")

_RESET: Final = "\x1b[0m"
_DIM: Final = "\x1b[2m"
_RED: Final = "\x1b[31m"
_GREEN: Final = "\x1b[32m"
_YELLOW: Final = "\x1b[33m"
_CYAN: Final = "\x1b[36m"
_LEVELS: Final = {Level.WARN: _YELLOW, Level.ERROR: _RED}
_DONE: Final = events.End.DONE  # HOT: CPython 3.11 looks a member of an Enum up by a slow path
_FULL: Final[Mapping[type, str]] = {
    events.ConnectionsFull: (
        " is reached: the longest idle connection ends for a new one; where none is idle, "
        "the new one gets a 503"
    ),
    events.AcceptingPaused: ": new connections wait; raise the limit (ulimit -n, LimitNOFILE=)",
}
_MOST_KEPT: Final = 512  # parts of lines that were written before; what is in them was cut


def wants_colour(*, is_terminal: bool, environment: Mapping[str, str]) -> bool:
    """Decide about colour: on a terminal that has some, unless NO_COLOR (no-color.org) says something."""
    return is_terminal and not environment.get("NO_COLOR") and environment.get("TERM") != "dumb"


def line(event: events.Event, time: str, *, colour: bool) -> str:
    """Write an event, without the last line end."""
    if isinstance(event, events.RequestEnded):
        return _request(event, time, colour=colour)
    kind = KINDS[type(event)]
    head = f"{kind.level.word:<5} {kind.word}"
    if colour:
        paint = _LEVELS.get(kind.level, _CYAN)
        return f"{_DIM}{time}{_RESET} {paint}{head}{_RESET} {_rest(event)}"
    return f"{time} {head} {_rest(event)}"


def word(value: str, longest: int = LONGEST) -> str:
    """Write a value of somebody else: bare where it is one plain word, else in quotes."""
    if value.isalnum() and value.isascii() and len(value) <= longest:
        return value  # HOT: an id of ours, without the pattern
    value = cut(value, longest)
    if _PLAIN_WORD.fullmatch(value) and value.isprintable():
        return value
    text = escaped(value.replace("\\", "\\\\").replace('"', '\\"'))
    return f'"{text}"'


def seconds(span: float | None) -> str:
    """Write a span so that its size is seen at a glance."""
    if span is None:
        return "-"
    if span < 0.9995:
        return format(span * 1000, ".1f") + "ms" if span < 0.00995 else f"{round(span * 1000)}ms"
    return f"{span:.2f}s" if span < 100 else f"{span:.0f}s"


def _request(event: events.RequestEnded, time: str, *, colour: bool) -> str:
    # HOT: what many requests have in common is written once.
    model, used = event.model, event.model_used
    text = f"{_DIM}{time}{_RESET}" if colour else time
    text += _columns(
        (event.status, cut(event.method), event.route, event.server),
        None if model is None else cut(model),
        None if used is None or used == model else cut(used),
        event.num_ctx,
        colour,
    )
    text += seconds(event.total_s)
    if event.first_byte_s is not None:
        text += " first=" + seconds(event.first_byte_s)
    if event.wait_s is not None and event.wait_s >= 0.001:
        text += " wait=" + seconds(event.wait_s)
    if event.load_s is not None:
        text += " load=" + seconds(event.load_s)
    if event.tokens_in is not None or event.tokens_out is not None:
        text += _tokens(event)
    text += f" bytes={event.bytes_in}/{event.bytes_out} client={event.client} id={word(event.request_id)}"
    if event.why:
        text += _why(event.why)
    if event.end is not _DONE:
        end = f"end={event.end.value}"
        text += f" {_YELLOW}{end}{_RESET}" if colour else f" {end}"
    if event.error is not None:
        text += f" error={word(without_user_info(event.error), LONGEST_ERROR)}"
    if event.path is not None:
        text += f" path={word(without_user_info(event.path), LONGEST_PATH)}"
    return text


def _tokens(event: events.RequestEnded) -> str:
    text = f" tokens={_count(event.tokens_in)}/{_count(event.tokens_out)}"
    if event.tokens_cached:
        text += f" cached={event.tokens_cached}"
    if event.truncated:
        text += " truncated"
    if event.tokens_per_s is not None:
        text += f" {event.tokens_per_s:.1f}/s"
    return text


@lru_cache(_MOST_KEPT)
def _columns(
    place: tuple[int | None, str, str, str | None],
    model: str | None,
    used: str | None,
    num_ctx: int | None,
    colour: bool,
) -> str:
    """Write what stands between the time and the spans: status, route, server and model."""
    status, method, route, server = place
    shown = "---" if status is None else str(status)
    if colour:
        shown = f"{_paint(status)}{shown}{_RESET}"
    where = f"{word(method)} {route}"
    name = "-" if model is None else word(model)  # as asked, and behind an arrow as used where that differs
    if model is not None and used is not None:
        name += f"->{word(used)}"
    if num_ctx is not None:
        name += f" num_ctx={num_ctx}"
    return f" info  request {shown} {where:<25} {server or '-':<10} {name} total="


@lru_cache(_MOST_KEPT)
def _why(why: str) -> str:
    return f" why={word(why)}"


def _count(number: int | None) -> str:
    return "-" if number is None else str(number)


def _paint(status: int | None) -> str:
    if status is None or 400 <= status < 500:
        return _YELLOW
    return _RED if status >= 500 else _GREEN


def _rest(event: events.Event) -> str:
    """Say in words what happened; the access line is a column of its own."""
    match event:
        case events.AttemptFailed():
            then = "another try follows" if event.moves_on else "no other try"
            said = f"{_said(event.why)}; {then}; model={word(event.model)} id={word(event.request_id)}"
            return f"{event.server} {said}"
        case events.ServerWentUp(server=server, version=version):
            return f"{server} version={word(version)}"
        case events.ServerWentDown(server=server, why=why):
            return f"{server} {_said(why)}"
        case events.DigestsDiffer():
            one, other = event.servers
            return f"{word(event.model)} has other contents on {one} than on {other}"
        case events.ModelMissing() | events.ModelFound():
            is_missing = isinstance(event, events.ModelMissing)
            said = "does not have this model, which it is to run" if is_missing else "has this model now"
            return f"{event.server} {said}; model={word(event.model)}"
        case _:
            return _life(event)


def _work(event: events.LoadEnded | events.JobEnded) -> str:
    said = _load(event) if isinstance(event, events.LoadEnded) else _job(event)
    error = event.error
    return said if error is None else f"{said} error={word(without_user_info(error), LONGEST_ERROR)}"


def _load(event: events.LoadEnded) -> str:
    said = f"{event.server} {word(event.model)} {event.end} in {seconds(event.took_s)} why={event.why}"
    return f"{said} options={event.options} waited={event.waited}"


def _job(event: events.JobEnded) -> str:
    said = f"{event.server} {event.kind} {word(without_user_info(event.model))} {event.end}"
    said += f" in {seconds(event.took_s)}"
    if event.why is not events.JobCause.CLIENT:
        said += f" why={event.why}"
    return f"{said} is_owed" if event.is_owed else said


def _life(event: events.Event) -> str:
    """Say what the proxy itself did, or what became of it."""
    match event:
        case events.LoadEnded() | events.JobEnded():
            return _work(event)
        case events.Started():
            return _started(event)
        case events.Crashed():
            return _crashed(event)
        case events.Warned():
            return _said(event.text)
        case events.ConnectionsFull() | events.AcceptingPaused():
            return _pairs(event) + _FULL[type(event)]
        case _:
            return _pairs(event)


def _pairs(event: events.Event) -> str:
    """Write what an event says by its keys; a span loses the unit in its key and shows one of its own."""
    said = []
    for key in KINDS[type(event)].keys:
        value = getattr(event, key)
        if key.endswith("_s"):
            shown = seconds(value)
        else:
            shown = "-" if value is None else word(without_user_info(str(value)))
        said.append(f"{key.removesuffix('_s')}={shown}")
    return " ".join(said)


def _said(text: str) -> str:
    """Write a sentence of ours, which may quote others."""
    return escaped(without_user_info(text))


def _started(event: events.Started) -> str:
    servers = ", ".join(f"{id_}={without_user_info(url)}" for id_, url in event.servers) or "none"
    models = ", ".join(f"{model} on {'+'.join(ids) or 'none'}" for model, ids in event.models) or "as found"
    said = f"listening on {', '.join(event.listen)}; admin {event.admin or 'off'}"
    said += f"; servers: {servers}; models: {models}"
    if event.aliases:
        said += f"; aliases: {', '.join(f'{alias}={model}' for alias, model in event.aliases)}"
    return escaped(said)


def _crashed(event: events.Crashed) -> str:
    frames = "".join(traceback.format_exception(event.error)).splitlines()
    first = f"{event.where}: {type(event.error).__name__}: {event.error}"
    return "\n".join([_said(first), *(f"    {_said(frame)}" for frame in frames)])
