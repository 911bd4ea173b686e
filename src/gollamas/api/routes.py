"""What every URL means: one table of Ollama's routes (0.34.3 and some of later), and of what is none.

Owns paths, methods, where the model's name is and what an answer looks like; knows nothing of servers. The
path that a server is asked comes from here, never from a client's bytes. Nobody else compares a path: what
is done on one route and not on another is a column.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Final
from urllib.parse import unquote_to_bytes

from gollamas.api.dialects import Dialect
from gollamas.wire.lines import Shape
from gollamas.wire.tail import Telling


class Kind(Enum):
    """How a request on a route is served."""

    BODY = auto()  # by the model in its JSON body
    FORM = auto()  # by the model in a part of its form
    EITHER = auto()  # by the model in its body, which is a form where its Content-Type says so, else JSON
    PATH = auto()  # by the model in its path
    TAGS = auto()
    PS = auto()
    MODELS = auto()
    VERSION = auto()
    STATUS = auto()
    ROOT = auto()
    PULL = auto()
    PUSH = auto()
    CREATE = auto()
    COPY = auto()
    DELETE = auto()
    BLOB = auto()


_ROUTED: Final = (Kind.BODY, Kind.FORM, Kind.EITHER, Kind.PATH)
CHANGING: Final = (Kind.PULL, Kind.PUSH, Kind.CREATE, Kind.COPY, Kind.DELETE)  # which models servers have


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Route:
    """One path, and what Ollama does on it."""

    path: str
    kind: Kind
    methods: tuple[str, ...] = ("POST",)
    dialect: Dialect = Dialect.NATIVE
    streams: bool = False  # unless `stream` says otherwise
    go_type: str = (
        ""  # the struct that Ollama decodes the body into, for its error texts; in a nameless one: `.Name`
    )
    reads_name: bool = False  # an empty `model` falls through to `name`
    takes_zstd: bool = False
    quotes: str = "'{}'"  # how "model … not found" quotes a name
    asks_to_pull: bool = False
    lacks_model_is_404: bool = False
    minds_case: bool = False
    loads: bool = False  # a request here brings its model into memory
    embeds: bool = False  # by a request that a model that only embeds can serve
    takes_options: bool = False  # `options` says with what it is loaded
    takes_shift: bool = False  # so does `shift`; and a prompt is cut, unless `truncate` is false
    takes_keep_alive: bool = False  # `keep_alive` says how long it stays
    unloaded: bytes = b""  # the answer to a request that only unloads: `model` in JSON, `at` a time
    own_types: frozenset[bytes] = frozenset()  # media types of Ollama's answers, where it infers
    telling: Telling | None = None  # how its answers tell their counts
    whole: Shape | None = None  # how an answer in one body carries the model's name
    streamed: Shape | None = None  # how one in lines or events does, where that differs
    names_only_to: bytes = b""  # clients whose answers carry it, by the start of their User-Agent
    answers_anything: bool = False  # bytes of any kind, which carry the name only where their type says JSON

    # Derived, since every request asks.
    allowed: tuple[bytes, ...] = field(init=False)  # HOT: a tuple, for none of them is hashed
    upstream: bytes = field(init=False)  # the path that a server is asked
    is_routed: bool = field(init=False)  # by its model

    def __post_init__(self) -> None:
        """Derive what every request asks."""
        object.__setattr__(self, "allowed", tuple(method.encode() for method in self.methods))
        object.__setattr__(self, "upstream", self.path.encode())
        object.__setattr__(self, "is_routed", self.kind in _ROUTED)

    @property
    def allow(self) -> bytes:
        """The value of Allow."""
        return ", ".join(self.methods).encode()

    def not_found(self, name: str) -> str:
        """Ollama's words for a model that is not there; `name` in the spelling that the route shows."""
        ending = " not found, try pulling it first" if self.asks_to_pull else " not found"
        return "model " + self.quotes.format(name) + ending

    @property
    def model_missing(self) -> tuple[int, str]:
        """Ollama's answer to a body that names no model."""
        return (404, "model '' not found") if self.lacks_model_is_404 else (400, "model is required")


_JSON: Final = frozenset((b"application/json",))
_JSON_OR_LINES: Final = _JSON | {b"application/x-ndjson"}
_JSON_OR_EVENTS: Final = _JSON | {b"text/event-stream"}
_UNLOADED: Final = b'{"model":%%(model)b,"created_at":"%%(at)b",%b,"done":true,"done_reason":"unload"}'

# fmt: off
ROUTES: Final = (
    Route(
        path="/api/generate",
        kind=Kind.BODY,
        streams=True,
        go_type=".GenerateRequest",
        lacks_model_is_404=True,
        loads=True,
        takes_options=True,
        takes_keep_alive=True,
        unloaded=_UNLOADED % b'"response":""',
        takes_shift=True,
        own_types=_JSON_OR_LINES,
        telling=Telling.NATIVE,
        whole=Shape.WHOLE,
        streamed=Shape.NATIVE_LINES,
    ),
    Route(
        path="/api/chat",
        kind=Kind.BODY,
        streams=True,
        go_type=".ChatRequest",
        loads=True,
        takes_options=True,
        takes_keep_alive=True,
        unloaded=_UNLOADED % b'"message":{"role":"assistant","content":""}',
        takes_shift=True,
        own_types=_JSON_OR_LINES,
        telling=Telling.NATIVE,
        whole=Shape.WHOLE,
        streamed=Shape.NATIVE_LINES,
    ),
    Route(
        path="/api/embed",
        kind=Kind.BODY,
        go_type="EmbedRequest",
        lacks_model_is_404=True,
        quotes='"{}"',
        asks_to_pull=True,
        loads=True,
        embeds=True,
        takes_options=True,
        takes_keep_alive=True,
        unloaded=b'{"model":%(model)b,"embeddings":[]}',
        own_types=_JSON,
        telling=Telling.NATIVE,
        whole=Shape.WHOLE,
    ),
    Route(
        path="/api/embeddings",
        kind=Kind.BODY,
        go_type="EmbeddingRequest",
        minds_case=True,
        quotes='"{}"',
        asks_to_pull=True,
        loads=True,
        embeds=True,
        takes_options=True,
        takes_keep_alive=True,
        unloaded=b'{"embedding":[]}',
        own_types=_JSON,
    ),
    Route(
        path="/api/show",
        kind=Kind.BODY,
        go_type="ShowRequest",
        reads_name=True,
        whole=Shape.SHOW_BASENAME,  # to all others that member tells the model's family
        names_only_to=b"GitHubCopilotChat/",
    ),
    Route(
        path="/v1/chat/completions",
        kind=Kind.BODY,
        dialect=Dialect.OPENAI,
        takes_zstd=True,
        go_type="ChatCompletionRequest",
        loads=True,
        own_types=_JSON_OR_EVENTS,
        telling=Telling.OPENAI,
        whole=Shape.WHOLE,
        streamed=Shape.CHAT_EVENTS,
    ),
    Route(
        path="/v1/completions",
        kind=Kind.BODY,
        dialect=Dialect.OPENAI,
        takes_zstd=True,
        go_type="CompletionRequest",
        lacks_model_is_404=True,
        loads=True,
        own_types=_JSON_OR_EVENTS,
        telling=Telling.OPENAI,
        whole=Shape.WHOLE,
        streamed=Shape.COMPLETIONS_EVENTS,
    ),
    Route(
        path="/v1/embeddings",
        kind=Kind.BODY,
        dialect=Dialect.OPENAI,
        takes_zstd=True,
        go_type="EmbedRequest",
        lacks_model_is_404=True,
        quotes='"{}"',
        asks_to_pull=True,
        loads=True,
        embeds=True,
        own_types=_JSON,
        telling=Telling.OPENAI,
        whole=Shape.WHOLE,
    ),
    Route(
        path="/v1/responses",
        kind=Kind.BODY,
        dialect=Dialect.OPENAI,
        takes_zstd=True,
        go_type="ResponsesRequest",
        loads=True,
        own_types=_JSON_OR_EVENTS,
        telling=Telling.RESPONSES,
        whole=Shape.WHOLE,
        streamed=Shape.RESPONSES_EVENTS,
    ),
    Route(
        path="/v1/messages",
        kind=Kind.BODY,
        dialect=Dialect.ANTHROPIC,
        takes_zstd=True,
        go_type="MessagesRequest",
        loads=True,
        own_types=_JSON_OR_EVENTS,
        telling=Telling.MESSAGES,
        whole=Shape.WHOLE,
        streamed=Shape.MESSAGES_EVENTS,
    ),
    Route(
        path="/v1/audio/transcriptions",
        kind=Kind.FORM,
        dialect=Dialect.OPENAI,
        loads=True,
        own_types=_JSON_OR_LINES,  # it is a stream inside, and says so
    ),
    # Since 0.40.8 and 0.35: what they answer was not seen yet, so none of it proves that an Ollama is there.
    Route(
        path="/v1/audio/speech",
        kind=Kind.BODY,
        dialect=Dialect.OPENAI,
        takes_zstd=True,
        loads=True,
        answers_anything=True,
    ),
    Route(
        path="/v1/systemone",
        kind=Kind.BODY,
        dialect=Dialect.OPENAI,
        takes_zstd=True,
        loads=True,
        takes_keep_alive=True,
        answers_anything=True,
    ),
    Route(
        path="/v1/models/:model",
        kind=Kind.PATH,
        methods=("GET",),
        dialect=Dialect.OPENAI,
        whole=Shape.MODEL_ENTRY,
    ),
    Route(path="/v1/models", kind=Kind.MODELS, methods=("GET",), dialect=Dialect.OPENAI),
    Route(path="/api/tags", kind=Kind.TAGS, methods=("HEAD", "GET")),
    Route(path="/api/ps", kind=Kind.PS, methods=("GET",)),
    Route(path="/api/version", kind=Kind.VERSION, methods=("HEAD", "GET")),
    Route(path="/api/status", kind=Kind.STATUS, methods=("GET",)),
    Route(path="/", kind=Kind.ROOT, methods=("HEAD", "GET")),
    Route(path="/api/pull", kind=Kind.PULL, streams=True, reads_name=True, go_type="PullRequest"),
    Route(path="/api/push", kind=Kind.PUSH, streams=True, reads_name=True, go_type="PushRequest"),
    Route(path="/api/create", kind=Kind.CREATE, streams=True, reads_name=True, go_type="CreateRequest"),
    Route(path="/api/copy", kind=Kind.COPY, go_type="CopyRequest", quotes='"{}"'),
    Route(
        path="/api/delete", kind=Kind.DELETE, methods=("DELETE",), reads_name=True, go_type="DeleteRequest"
    ),
    Route(path="/api/blobs/:digest", kind=Kind.BLOB, methods=("HEAD", "POST")),
)
# fmt: on


# By the paths that hold no parameter, as clients write them.
BY_PATH: Final = {r.path.encode(): r for r in ROUTES if ":" not in r.path}
_MODEL: Final = next(r for r in ROUTES if r.kind is Kind.PATH)
_BLOB: Final = next(r for r in ROUTES if r.path == "/api/blobs/:digest")
_PREFIXES: Final = ((b"/v1/models/", _MODEL), (b"/api/blobs/", _BLOB))
# How an answer of any kind carries the name, where it does.
_BY_TYPE: Final = {
    b"application/json": Shape.WHOLE,
    b"application/x-ndjson": Shape.NATIVE_LINES,
    b"text/event-stream": Shape.CHAT_EVENTS,  # whatever the order of the members
}


def table(configured: Iterable[str]) -> dict[bytes, Route]:
    """`BY_PATH` with the routes that a configuration adds, of which no more is known than their path."""
    added = {
        path.encode(): Route(
            path=path,
            kind=Kind.EITHER,
            dialect=Dialect.OPENAI,
            takes_zstd=True,
            loads=True,
            answers_anything=True,
        )
        for path in configured
    }
    return {**BY_PATH, **added} if added else BY_PATH


def is_own_answer(route: Route, status: int, content_type: bytes) -> bool:
    """Whether an answer to inference is one that only Ollama gives: a 2xx in the route's own type."""
    return 200 <= status < 300 and media_type(content_type) in route.own_types


def media_type(content_type: bytes) -> bytes:
    """The type alone, in lower case."""
    return content_type.partition(b";")[0].strip().lower()


def shape_of(route: Route, content_type: bytes, user_agent: bytes = b"") -> Shape | None:
    """How an answer carries the model's name; None where it carries none.

    A reply to `stream: true` can be one body: a load or unload. So its Content-Type decides.
    """
    if route.answers_anything:
        return _BY_TYPE.get(media_type(content_type))
    if not user_agent.startswith(route.names_only_to):
        return None
    if content_type[:20].lower().startswith((b"application/x-ndjson", b"text/event-stream")):
        return route.streamed or route.whole
    return route.whole


def find(path: bytes, by_path: dict[bytes, Route] = BY_PATH) -> Route | None:
    """The route of a path, still percent-encoded; None where there is none."""
    route = by_path.get(path)
    if route is not None:
        return route
    for prefix, with_parameter in _PREFIXES:
        if path.startswith(prefix) and parameter(path):
            return with_parameter
    return by_path.get(_decoded(path)) if b"%" in path else None


def parameter(path: bytes) -> str:
    """The last segment of `/v1/models/:model`, decoded; empty where it is none or has a slash in it.

    gin matches on the decoded path, so `%2F` is a slash there: such a name can't be asked for.
    """
    for prefix, _ in _PREFIXES:
        if path.startswith(prefix):
            text = _decoded(path[len(prefix) :]).decode(errors="replace")
            return "" if "/" in text else text
    return ""


def _decoded(path: bytes) -> bytes:
    return unquote_to_bytes(path)
