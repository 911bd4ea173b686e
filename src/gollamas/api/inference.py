"""Requests that a model answers: where its name is, and the bytes for one attempt.

Owns the reading of the model's name in each kind of body, and what is changed for a server; every other
member goes on byte for byte. Pure.
"""

import re
import sys
from typing import Final

import msgspec

from gollamas import names
from gollamas.api import form as forms
from gollamas.api.dialects import Dialect
from gollamas.api.form import Form
from gollamas.api.routes import Kind, Route, media_type, parameter
from gollamas.api.splice import spliced
from gollamas.errors import BadRequest, BodyTooLarge, ModelNotFound, ProxyError
from gollamas.fleet.policy import Asked, Fill
from gollamas.fleet.runner_options import PLAIN, RunnerOptions, largest_num_ctx, runner_options
from gollamas.wire import body as bodies
from gollamas.wire.body import BadBody, Members, Pieces
from gollamas.wire.message import LARGE_BYTES, Body, Head

if sys.version_info >= (3, 14):
    from compression import zstd
else:  # before Python 3.14
    import zstandard as zstd

_BODY: Final = Kind.BODY  # HOT: CPython 3.11 looks a member of an Enum up by a slow path
_SPACE: Final = b" \t\r\n"
MAX_INFLATED_BYTES: Final = 20 * 1024 * 1024  # as Ollama's own reader of zstd bodies
_MAX_WINDOW_BYTES: Final = 8 * 1024 * 1024
_LONGEST_ZERO: Final = 64  # bytes
_SECONDS: Final = re.compile(rb"-?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?")
_NUMBER: Final = r"\d+\.?\d*|\.\d+"
_UNIT: Final = "ns|us|µs|μs|ms|s|m|h"
_DURATION: Final = re.compile(rf"[-+]?(?:0|(?:(?:{_NUMBER})(?:{_UNIT}))+)", re.ASCII)  # time.ParseDuration
_PART: Final = re.compile(rf"({_NUMBER})({_UNIT})")
_NANOSECONDS: Final = {
    "ns": 1, "us": 1e3, "µs": 1e3, "μs": 1e3, "ms": 1e6, "s": 1e9, "m": 60e9, "h": 3600e9,
}  # fmt: skip
_EMPTY: Final = re.compile(rb'""|null|\[[ \t\r\n]*\]')
_MAX_NAME_BYTES: Final = 8 * 1024  # of a model, as JSON; Ollama takes a tenth of that


class MiddlewareRefused(BadRequest):
    """A 400 that Ollama's middleware gives before the handler: its shape differs slightly on `/v1`."""


class PassthroughRefused(BadRequest):
    """A 400 of the layer in front of `/v1`, which speaks the native shape there too."""


class NamedModel:
    """A request's model as the client wrote it, and what is needed to write another one in its place.

    `runner_options` are those that its model is to be loaded with, None where Ollama refuses one of them.
    `key` is that of the member of `members` that holds the name; `in_query` says that the name goes on in the
    URL's query; `unloads` that the request has its model leave the memory; `is_large` that its body is better
    not copied.
    """

    __slots__ = (
        "form",
        "in_query",
        "is_large",
        "key",
        "members",
        "name",
        "route",
        "runner_options",
        "unloads",
    )

    def __init__(self, route: Route, name: str, key: str = "", members: Members | None = None) -> None:
        self.route = route
        self.name = name
        self.key = key
        self.members = members
        self.form: Form | None = None
        self.runner_options: RunnerOptions | None = PLAIN
        self.in_query = self.is_large = False
        self.unloads = (
            members is not None
            and "keep_alive" in members
            and route.takes_keep_alive
            and _is_zero(members["keep_alive"])
        )

    @property
    def streams(self) -> bool:
        """Whether the answer comes in pieces: `stream` is absent, null or a bool (api/types.go)."""
        members = self.members
        key = bodies.find(members, "stream") if members is not None else None
        if members is None or key is None:
            return self.route.streams
        raw = bytes(memoryview(members[key])[:5])
        return self.route.streams if raw == b"null" else raw == b"true"

    def asked(self, options: RunnerOptions | None) -> Asked:
        """What a policy is asked about the request. In: the runner options that it is to be loaded with.

        Raises BadRequest for more options than a policy is put among.
        """
        members, route = self.members, self.route
        spelt = bodies.find(members, "options") if members is not None and route.takes_options else None
        if members is not None and spelt is not None and bodies.has_too_many(bytes(members[spelt])):
            raise BadRequest(f"the options have more than {bodies.MAX_MEMBERS} members")
        takes_keep_alive = route.takes_keep_alive and members is not None
        key = bodies.find(members, "keep_alive") if takes_keep_alive and members is not None else None
        asked = Asked(
            options,
            takes_options=route.takes_options,
            takes_keep_alive=takes_keep_alive,
            has_keep_alive=key is not None and members is not None and bytes(members[key]) != b"null",
        )
        if options is None and members is not None and route.takes_options and not self.only_unloads:
            is_plain = bodies.is_plain(members)
            asked.beside_num_ctx = runner_options(
                members, is_plain=is_plain, takes_shift=route.takes_shift, ignores_num_ctx=True
            )
            asked.num_ctx = largest_num_ctx(members)
        return asked

    def let_go(self) -> None:
        """Free the body."""
        self.members = self.form = None

    @property
    def only_unloads(self) -> bool:
        """Whether its model is only to leave the memory: nothing runs for such a request."""
        members = self.members
        if not self.unloads or members is None or not self.route.unloaded:
            return False
        for name in ("prompt", "messages", "input"):
            key = bodies.find(members, name)
            value = None if key is None else members[key]
            if value is not None and _EMPTY.fullmatch(memoryview(value)) is None:
                return False
        return True


def _is_zero(keep_alive: msgspec.Raw) -> bool:
    """Whether a model is to leave at once: a number of seconds, or a Go duration, below a nanosecond.

    A number below 0 is for ever; of a duration each part is cut to nanoseconds, before its sign counts.
    """
    view = memoryview(keep_alive)
    if len(view) > _LONGEST_ZERO:
        return False
    raw = bytes(view)
    if raw == b"0":
        return True
    if raw[:1] != b'"':
        return _SECONDS.fullmatch(raw) is not None and 0 <= float(raw) < 1e-9
    text = raw[1:-1].decode(errors="replace")
    if _DURATION.fullmatch(text) is None:
        return False
    return all(float(number) * _NANOSECONDS[unit] < 1 for number, unit in _PART.findall(text))


def read(route: Route, head: Head, body: Body) -> NamedModel:
    """Find the model that a request names; raises a ProxyError in Ollama's words."""
    if route.kind is not _BODY:
        if route.kind is Kind.PATH:
            return NamedModel(route, parameter(head.path))
        if is_form(route, head):
            return _read_form(route, head, body)
    if not head.is_plain and b"content-encoding" in head.names:
        body = _plain(route, head, bytes(body))
    members, is_plain = members_in(route, body)
    value = members.get("model")
    is_large = len(body) > LARGE_BYTES
    # HOT: the usual name is a string of its own key; all else is told apart below.
    name = bodies.plain_text(value) if value is not None and not is_large else ""
    named = NamedModel(route, name, "model", members) if name else _find_name(route, members)
    if is_large:
        named.is_large = True
    if not is_plain and route.takes_keep_alive and (spelt := bodies.find(members, "keep_alive")):
        named.unloads = _is_zero(members[spelt])
    if route.takes_options:
        named.runner_options = runner_options(members, is_plain=is_plain, takes_shift=route.takes_shift)
    return named


def members_in(route: Route, body: Body) -> tuple[Members, bool]:
    """Read a body that is to be a JSON object, as `bodies.read`; raises BadRequest in Ollama's words."""
    try:
        return bodies.read(body)
    except BadBody as why:
        raise refused(route, "" if not bytes(body).strip(_SPACE) else str(why)) from why


def is_form(route: Route, head: Head) -> bool:
    """Whether the model is named in a part of a form."""
    if route.kind is not Kind.EITHER:
        return route.kind is Kind.FORM
    return media_type(head.get(b"content-type") or b"") == b"multipart/form-data"


def _find_name(route: Route, members: Members) -> NamedModel:
    """Find a name that does not stand as usual, or say what is wrong with it."""
    key = bodies.find(members, "model") or "model"
    name = text_in(route, members, key)
    if not name and route.reads_name and (other := bodies.find(members, "name")):
        name, key = text_in(route, members, other), other
    if not name:
        raise _missing(route)
    return NamedModel(route, name, key, members)


def not_found(route: Route, name: str) -> ModelNotFound:
    """Say as Ollama does on this route that no server has the model that a client calls `name`."""
    is_shown_whole = route.kind is Kind.PATH or route.reads_name
    parsed = names.parse(name) if is_shown_whole else None
    return ModelNotFound(route.not_found(name if parsed is None else parsed.shortest))


def _missing(route: Route) -> ProxyError:
    """Say in Ollama's words that no model is named; on two routes its middleware finds out."""
    status, text = route.model_missing
    if status == 404:
        return ModelNotFound(text)
    is_early = route.kind is Kind.FORM or route.dialect is Dialect.ANTHROPIC
    return (MiddlewareRefused if is_early else BadRequest)(text)


def text_in(route: Route, members: Members, key: str) -> str:
    """The text of a member, empty where it is not there; raises BadRequest in Ollama's words."""
    value = members.get(key)
    if value is None:
        return ""
    kind = bodies.kind_of(value)
    if kind == "string":
        if len(memoryview(value)) > _MAX_NAME_BYTES:
            raise BadRequest("invalid model name")
        return bodies.text_of(value)
    if kind == "null":
        return ""
    raise refused(
        route,
        f"json: cannot unmarshal {kind} into Go struct field {route.go_type}.{key.lower()} of type string",
    )


def refused(route: Route, text: str) -> ProxyError:
    """The 400 for a body that can't be read; no text means that there is no body."""
    if route.dialect is not Dialect.NATIVE:
        return MiddlewareRefused(text or "EOF")
    return BadRequest(text or "missing request body")


def _plain(route: Route, head: Head, body: bytes) -> bytes:
    """The body without zstd, which Ollama takes on five routes; no other coding is ever undone."""
    coding = head.names[b"content-encoding"]
    if not route.takes_zstd or coding.strip().lower() != b"zstd":
        return body
    try:
        plain = _inflate(body)
    except _ZstdError as why:
        raise PassthroughRefused("the zstd body can't be decoded") from why
    if len(plain) > MAX_INFLATED_BYTES:
        raise BodyTooLarge("the decoded request body is larger than 20 MiB")
    return plain


if sys.version_info >= (3, 14):
    _ZstdError = zstd.ZstdError

    def _inflate(body: bytes) -> bytes:
        """At most one byte more than is allowed is ever decoded."""
        plain = b""
        while body and len(plain) <= MAX_INFLATED_BYTES:
            frame = zstd.ZstdDecompressor(options={zstd.DecompressionParameter.window_log_max: 23})
            plain += frame.decompress(body, MAX_INFLATED_BYTES + 1 - len(plain))
            if not frame.eof and len(plain) <= MAX_INFLATED_BYTES:
                raise zstd.ZstdError("the frame is cut")
            body = frame.unused_data
        return plain
else:  # before Python 3.14
    _ZstdError = zstd.ZstdError

    def _inflate(body: bytes) -> bytes:
        """At most one byte more than is allowed is ever decoded."""
        decoder = zstd.ZstdDecompressor(max_window_size=_MAX_WINDOW_BYTES)
        with decoder.stream_reader(body, read_across_frames=True) as reader:
            plain = reader.read(MAX_INFLATED_BYTES + 1)
        rest = body if len(plain) <= MAX_INFLATED_BYTES else b""
        while rest:  # the reader does not tell a frame that is cut; now that the size is known, ask once more
            frame = decoder.decompressobj()
            frame.decompress(rest)
            if not frame.eof:
                raise zstd.ZstdError("the frame is cut")
            rest = frame.unused_data
        return plain


def _read_form(route: Route, head: Head, body: Body) -> NamedModel:
    """The `model` of a transcription: URL query first, then its part of the form (Go's FormValue)."""
    content_type = head.get(b"content-type") or b""
    parsed = forms.parse(content_type, body, "model")
    if parsed is None:
        raise MiddlewareRefused(f"failed to parse multipart form: {forms.trouble(content_type)}")
    name = forms.query_value(head.query, "model") or parsed.value
    if not name:
        raise _missing(route)
    named = NamedModel(route, name)
    named.form = parsed
    named.in_query = not parsed.value or named.name != parsed.value
    named.is_large = len(body) > LARGE_BYTES
    return named


def prepare(named: NamedModel, model: str, fill: Fill | None = None) -> bytes:
    """The body for one attempt, with `model` as the name; empty where the name is in the path.

    `fill` is what a policy puts into it.
    """
    members = named.members
    if members is not None:
        return bodies.encode(_changed(members, named, model, fill))
    if named.form is not None:
        return b"".join(named.form.with_value(model))
    return b""


def prepare_in_pieces(named: NamedModel, model: str, fill: Fill | None = None) -> Pieces:
    """As `prepare`, for a body that is large: what it holds is not copied."""
    members = named.members
    if members is not None:
        return bodies.in_pieces(_changed(members, named, model, fill))
    return named.form.with_value(model) if named.form is not None else []


def _changed(members: Members, named: NamedModel, model: str, fill: Fill | None) -> Members:
    if model != named.name:
        members = {**members, named.key: bodies.raw_text(model)}
    return members if fill is None else spliced(members, named.route, fill)
