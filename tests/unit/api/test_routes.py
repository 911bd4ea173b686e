"""What every URL means, as Ollama has it."""

import pytest

from gollamas.api.dialects import Dialect
from gollamas.api.redirects import Redirect, redirect
from gollamas.api.routes import (
    BY_PATH,
    ROUTES,
    Kind,
    Route,
    find,
    is_own_answer,
    parameter,
    shape_of,
    table,
)
from gollamas.wire.lines import Shape
from gollamas.wire.tail import Telling
from tests.recorded import NEWEST, VERSIONS, case, cases

# Path, methods (as Allow has them), dialect, whether an answer comes in pieces by default.
TABLE = {
    "/": ("HEAD, GET", Dialect.NATIVE, False),
    "/api/version": ("HEAD, GET", Dialect.NATIVE, False),
    "/api/status": ("GET", Dialect.NATIVE, False),
    "/api/tags": ("HEAD, GET", Dialect.NATIVE, False),
    "/api/ps": ("GET", Dialect.NATIVE, False),
    "/api/generate": ("POST", Dialect.NATIVE, True),
    "/api/chat": ("POST", Dialect.NATIVE, True),
    "/api/embed": ("POST", Dialect.NATIVE, False),
    "/api/embeddings": ("POST", Dialect.NATIVE, False),
    "/api/show": ("POST", Dialect.NATIVE, False),
    "/api/pull": ("POST", Dialect.NATIVE, True),
    "/api/push": ("POST", Dialect.NATIVE, True),
    "/api/create": ("POST", Dialect.NATIVE, True),
    "/api/copy": ("POST", Dialect.NATIVE, False),
    "/api/delete": ("DELETE", Dialect.NATIVE, False),
    "/api/blobs/:digest": ("HEAD, POST", Dialect.NATIVE, False),
    "/v1/chat/completions": ("POST", Dialect.OPENAI, False),
    "/v1/completions": ("POST", Dialect.OPENAI, False),
    "/v1/embeddings": ("POST", Dialect.OPENAI, False),
    "/v1/models": ("GET", Dialect.OPENAI, False),
    "/v1/models/:model": ("GET", Dialect.OPENAI, False),
    "/v1/responses": ("POST", Dialect.OPENAI, False),
    "/v1/messages": ("POST", Dialect.ANTHROPIC, False),
    "/v1/audio/transcriptions": ("POST", Dialect.OPENAI, False),
    "/v1/audio/speech": ("POST", Dialect.OPENAI, False),
    "/v1/systemone": ("POST", Dialect.OPENAI, False),
}
# What an answer looks like on the routes that infer: how it tells its counts, how it carries the model's name
# in one body and in pieces, and what it may come as beside a JSON object.
LINES, EVENTS = b"application/x-ndjson", b"text/event-stream"
ANSWERS = {
    "/api/generate": (Telling.NATIVE, Shape.WHOLE, Shape.NATIVE_LINES, {LINES}),
    "/api/chat": (Telling.NATIVE, Shape.WHOLE, Shape.NATIVE_LINES, {LINES}),
    "/api/embed": (Telling.NATIVE, Shape.WHOLE, Shape.WHOLE, set()),
    "/api/embeddings": (None, None, None, set()),
    "/v1/chat/completions": (Telling.OPENAI, Shape.WHOLE, Shape.CHAT_EVENTS, {EVENTS}),
    "/v1/completions": (Telling.OPENAI, Shape.WHOLE, Shape.COMPLETIONS_EVENTS, {EVENTS}),
    "/v1/embeddings": (Telling.OPENAI, Shape.WHOLE, Shape.WHOLE, set()),
    "/v1/responses": (Telling.RESPONSES, Shape.WHOLE, Shape.RESPONSES_EVENTS, {EVENTS}),
    "/v1/messages": (Telling.MESSAGES, Shape.WHOLE, Shape.MESSAGES_EVENTS, {EVENTS}),
    "/v1/audio/transcriptions": (None, None, None, {LINES}),
}
JSON = b"application/json"
ANYTHING = {"/v1/audio/speech", "/v1/systemone"}  # what they answer is not known
PLAIN = [route for route in ROUTES if ":" not in route.path]


def route_of(path: str) -> Route:
    """Find a route that has to be there."""
    route = find(path.encode())
    assert route is not None
    return route


def test_the_table_is_ollamas() -> None:
    assert {route.path: (route.allow.decode(), route.dialect, route.streams) for route in ROUTES} == TABLE
    assert all(route.allowed == tuple(route.allow.split(b", ")) for route in ROUTES)
    assert all(route.upstream == route.path.encode() for route in ROUTES)


@pytest.mark.parametrize("path", ANSWERS)
def test_an_answer_on_a_route_that_infers_looks_like_ollamas(path: str) -> None:
    route = route_of(path)
    telling, whole, streamed, others = ANSWERS[path]
    assert (route.loads, route.telling, route.own_types) == (True, telling, frozenset({JSON, *others}))
    assert [shape_of(route, JSON), shape_of(route, b"Application/JSON; charset=utf-8")] == [whole, whole]
    for streaming in (LINES, EVENTS, b"Text/Event-Stream; charset=utf-8"):
        assert shape_of(route, streaming) is streamed


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.path)
def test_no_other_answer_is_inference(route: Route) -> None:
    """It loads no model, tells no counts and is no sign of health."""
    said = (route.loads, route.telling, route.own_types, route.streamed)
    nothing: tuple[bool, None, frozenset[bytes], None] = (route.path in ANYTHING, None, frozenset(), None)
    assert (said == nothing) is (route.path not in ANSWERS)
    assert route.answers_anything is (route.path in ANYTHING)


@pytest.mark.parametrize("path", sorted(ANYTHING))
def test_an_answer_of_any_kind_carries_a_name_only_where_it_says_that_it_is_json(path: str) -> None:
    kinds: dict[bytes, Shape | None] = {
        JSON: Shape.WHOLE,
        b"Application/JSON; charset=utf-8": Shape.WHOLE,
        EVENTS: Shape.CHAT_EVENTS,
        LINES: Shape.NATIVE_LINES,
    }
    for kind in (
        b"",
        b"audio/mpeg",
        b"audio/wav",
        b"application/octet-stream",
        b"text/plain",
        JSON + b"-seq",
    ):
        kinds[kind] = None
    assert {kind: shape_of(route_of(path), kind) for kind in kinds} == kinds


def test_a_table_with_configured_routes_finds_and_redirects_them() -> None:
    by_path = table(["/v1/new/thing"])
    route = by_path[b"/v1/new/thing"]
    assert (route.kind, route.dialect, route.allow) == (Kind.EITHER, Dialect.OPENAI, b"POST")
    assert (route.answers_anything, route.loads, route.is_routed) == (True, True, True)
    assert (route.telling, route.own_types) == (None, frozenset())
    assert {path: by_path[path] for path in BY_PATH} == BY_PATH
    for path in (b"/v1/new/thing", b"/v1/new/%74hing"):
        assert find(path, by_path) is route
        assert find(path) is None
    for path, location in (
        (b"/v1/new/thing/", b"/v1/new/thing"),
        (b"//v1/new/thing", b"/v1/new/thing"),
        (b"/v1//new/thing/", b"/v1/new/thing/"),
    ):
        assert redirect(path, b"POST", b"", by_path) == Redirect(307, location)
        assert redirect(path, b"POST", b"") is None
    assert redirect(b"/v1/new/thing/", b"GET", b"", by_path) is None
    assert find(b"/v1/models/x", by_path) is find(b"/v1/models/x")


def test_without_configured_routes_the_table_is_ollamas_own() -> None:
    """Nothing is copied, so nothing is slower."""
    assert table(()) is BY_PATH


def test_few_other_answers_carry_a_models_name() -> None:
    """`/api/show` puts the asked name in for Copilot only; elsewhere that member tells the family."""
    entry, show = find(b"/v1/models/smol"), route_of("/api/show")
    assert entry is not None
    assert shape_of(entry, JSON) is Shape.MODEL_ENTRY
    assert shape_of(show, JSON, b"GitHubCopilotChat/0.2") is Shape.SHOW_BASENAME
    assert shape_of(show, JSON) is shape_of(show, JSON, b"GitHubCopilot/1") is None
    named = (entry, show)
    others = [route for route in ROUTES if route.path not in {*ANSWERS, *ANYTHING} and route not in named]
    assert {shape_of(route, JSON, b"GitHubCopilotChat/0.2") for route in others} == {None}


@pytest.mark.parametrize("route", PLAIN, ids=lambda route: route.path)
def test_a_path_is_found_as_it_stands_and_percent_encoded(route: Route) -> None:
    path = route.path.encode()
    assert find(path) is route
    assert find(path[:-1] + b"%%%02x" % path[-1]) is route
    assert find(path[:-1] + b"%%%02X" % path[-1]) is route


@pytest.mark.parametrize(
    "path",
    [
        b"", b"*", b"/api", b"/api/", b"/api/nothing", b"/API/tags", b"/api/tags/", b"//api/tags",
        b"/api//tags", b"/api/./tags", b"/api/../api/tags", b"/api/tags;x", b"/api/tags%00", b"/api/tags%2f",
        b"/api%2Ftags/", b"/api/%2e%2e/api/tags", b"/debug/pprof/", b"/api/me", b"/api/signout",
        b"/api/user/keys/x", b"/api/experimental/web_fetch", b"/v1", b"/v1/models/", b"/v1/models/a/b",
        b"/v1/models/a%2Fb", b"/v1/models/x/", b"/api/blobs/", b"/api/blobs/a/b", b"/api/blobs/..%2f..",
        b"/v1/messages/count_tokens", b"/metrics", b"/v1/responses/x", b"/api/tags%", b"/%c0%afapi/tags",
    ],
)  # fmt: skip
def test_nothing_else_is_a_route(path: bytes) -> None:
    assert find(path) is None


@pytest.mark.parametrize(
    ("path", "route", "text"),
    [
        (b"/v1/models/smol", "/v1/models/:model", "smol"),
        (b"/v1/models/smol:latest", "/v1/models/:model", "smol:latest"),
        (b"/v1/models/gpt%2D4o%3Ax", "/v1/models/:model", "gpt-4o:x"),
        (b"/v1/models/%C3%A9", "/v1/models/:model", "é"),
        (b"/v1/models/%ff", "/v1/models/:model", "\ufffd"),
        (b"/v1/models/a%20b", "/v1/models/:model", "a b"),
        (b"/v1/models/..", "/v1/models/:model", ".."),
        (b"/api/blobs/sha256:00ff", "/api/blobs/:digest", "sha256:00ff"),
    ],
)
def test_the_last_segment_is_a_parameter(path: bytes, route: str, text: str) -> None:
    found = find(path)
    assert found is not None
    assert (found.path, parameter(path)) == (route, text)


@pytest.mark.parametrize("path", [b"/v1/models/", b"/v1/models/a%2Fb", b"/v1/models/a/b", b"/api/tags", b"/"])
def test_a_path_without_one_has_no_parameter(path: bytes) -> None:
    assert parameter(path) == ""


@pytest.mark.parametrize(
    ("path", "method", "query", "status", "location"),
    [
        (b"//api/tags", b"GET", b"", 307, b"/api/tags"),
        (b"/api//tags", b"POST", b"a=b", 307, b"/api/tags?a=b"),
        (b"///api///tags", b"HEAD", b"", 307, b"/api/tags"),
        (b"/api/tags/", b"GET", b"", 301, b"/api/tags"),
        (b"/api/tags/", b"HEAD", b"", 307, b"/api/tags"),
        (b"/api/chat/", b"POST", b"x", 307, b"/api/chat?x"),
        (b"//", b"GET", b"", 307, b"/"),
        (b"/api/tags//", b"GET", b"", 307, b"/api/tags/"),
        (b"/v1/models/smol/", b"GET", b"", 301, b"/v1/models/smol"),
        (b"//v1/models/smol", b"GET", b"", 307, b"/v1/models/smol"),
    ],
)
def test_doubled_and_trailing_slashes_are_redirected_to_routes(
    path: bytes, method: bytes, query: bytes, status: int, location: bytes
) -> None:
    assert redirect(path, method, query) == Redirect(status, location)


@pytest.mark.parametrize(
    "path",
    [
        b"/api/nothing", b"/api/tags", b"/", b"", b"//evil.example", b"//evil.example/api/tags",
        b"/api/nothing/", b"/api//nothing", b"//%2f", b"//api/%74ags", b"/api/tags%2f", b"//api/../tags",
        b"*", b"/api/",
    ],
)  # fmt: skip
def test_nothing_else_is_redirected(path: bytes) -> None:
    assert redirect(path, b"GET", b"") is None


@pytest.mark.parametrize("name", ["double-slash", "trailing-slash"])
def test_redirects_are_the_recorded_ones(name: str) -> None:
    recorded = case(NEWEST, name)
    head = recorded.request.head
    assert redirect(head.path, head.method, head.query) == Redirect(
        recorded.reply.status, recorded.reply.get(b"location") or b""
    )


@pytest.mark.parametrize("name", ["wrong-method", "wrong-method-delete", "preflight-local"])
def test_the_allowed_methods_are_the_recorded_ones(name: str) -> None:
    recorded = case(NEWEST, name)
    route = find(recorded.request.head.path)
    assert route is not None
    assert recorded.request.head.method not in route.allowed
    assert route.allow == recorded.reply.get(b"allow")


@pytest.mark.parametrize(
    ("path", "missing", "not_found"),
    [
        ("/api/generate", (404, "model '' not found"), "model 'x' not found"),
        ("/v1/completions", (404, "model '' not found"), "model 'x' not found"),
        ("/api/chat", (400, "model is required"), "model 'x' not found"),
        ("/v1/chat/completions", (400, "model is required"), "model 'x' not found"),
        ("/v1/responses", (400, "model is required"), "model 'x' not found"),
        ("/v1/messages", (400, "model is required"), "model 'x' not found"),
        ("/v1/audio/transcriptions", (400, "model is required"), "model 'x' not found"),
        ("/api/embed", (404, "model '' not found"), 'model "x" not found, try pulling it first'),
        ("/v1/embeddings", (404, "model '' not found"), 'model "x" not found, try pulling it first'),
        ("/api/embeddings", (400, "model is required"), 'model "x" not found, try pulling it first'),
        ("/api/show", (400, "model is required"), "model 'x' not found"),
    ],
)
def test_a_missing_and_an_unknown_model_are_told_in_ollamas_words(
    path: str, missing: tuple[int, str], not_found: str
) -> None:
    route = route_of(path)
    assert route.model_missing == missing
    assert route.not_found("x") == not_found


def test_routes_by_model_are_those_with_a_name_to_read() -> None:
    routed = {route.path for route in ROUTES if route.is_routed}
    assert routed == {
        "/api/generate", "/api/chat", "/api/embed", "/api/embeddings", "/api/show", "/v1/chat/completions",
        "/v1/completions", "/v1/embeddings", "/v1/responses", "/v1/messages", "/v1/audio/transcriptions",
        "/v1/models/:model", *ANYTHING,
    }  # fmt: skip
    assert {route.path for route in ROUTES if route.loads} == routed - {"/api/show", "/v1/models/:model"}
    assert {route.path for route in ROUTES if route.minds_case} == {"/api/embeddings"}


def test_zstd_is_taken_where_ollama_takes_it() -> None:
    assert {route.path for route in ROUTES if route.takes_zstd} == {
        "/v1/chat/completions",
        "/v1/completions",
        "/v1/embeddings",
        "/v1/responses",
        "/v1/messages",
        *ANYTHING,  # where it is not known whether Ollama does
    }


def test_a_name_beside_the_model_is_read_where_ollama_reads_it() -> None:
    assert {route.path for route in ROUTES if route.reads_name} == {
        "/api/show",
        "/api/pull",
        "/api/push",
        "/api/create",
        "/api/delete",
    }


@pytest.mark.parametrize(
    ("path", "method"), [(b"/api/tags/", b"POST"), (b"/api/chat/", b"GET"), (b"/v1/models/smol/", b"DELETE")]
)
def test_a_trailing_slash_is_redirected_only_to_a_route_of_this_method(path: bytes, method: bytes) -> None:
    assert redirect(path, method, b"") is None
    assert redirect(b"/" + path[:-1], method, b"") == Redirect(307, path[:-1])


@pytest.mark.parametrize("version", VERSIONS)
def test_each_recorded_answer_to_inference_is_ollamas_own(version: str) -> None:
    """A 2xx, and no other status; and nothing on the routes that infer nothing."""
    seen = set()
    for one in cases(version):
        route = find(one.request.head.path)
        if route is None or one.request.head.method not in route.allowed:
            continue
        reply = one.reply
        is_own = is_own_answer(route, reply.status, reply.get(b"content-type") or b"")
        assert is_own is (route.loads and reply.status == 200), one.name
        seen.add((route.path, is_own))
    assert {("/api/chat", True), ("/v1/messages", True), ("/api/show", False)} <= seen


@pytest.mark.parametrize(
    "content_type", [b"", b"text/html", b"text/plain; charset=utf-8", b"application/xml"]
)
def test_no_other_type_is_an_answer_of_ollamas(content_type: bytes) -> None:
    """Whatever the route."""
    assert not any(is_own_answer(route, 200, content_type) for route in ROUTES)
