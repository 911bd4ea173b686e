"""The model that a request names, and the bytes for one attempt."""

import gzip
import json
import mmap

import pytest

from gollamas.api import dialects, inference
from gollamas.api.inference import MiddlewareRefused, NamedModel, prepare, prepare_in_pieces
from gollamas.api.routes import ROUTES, Kind, Route, find, table
from gollamas.errors import BadRequest, ModelNotFound, ProxyError
from gollamas.fleet.runner_options import PLAIN
from gollamas.wire import body as bodies
from gollamas.wire.message import Request
from tests.recorded import NEWEST, case, make_head
from tests.unit.api.test_form import END, FORM, TYPE, field

BODIES = [route for route in ROUTES if route.kind is Kind.BODY]
CHAT = b'{"model":"smol","messages":[]}'


def route_of(path: str) -> Route:
    """Find a route that has to be there."""
    route = find(path.encode())
    assert route is not None
    return route


def read(route: Route, whole: Request) -> NamedModel:
    """Read the model's name of a whole request."""
    return inference.read(route, whole.head, whole.body)


def request(body: bytes = b"", path: str = "/api/chat", query: bytes = b"", **fields: bytes) -> Request:
    """Make a request; a field's name is written with underscores."""
    head = make_head(
        b"POST",
        path.encode(),
        [(name.replace("_", "-").encode(), value) for name, value in fields.items()],
        query,
    )
    return Request(head, body, "127.0.0.1")


def named_by(body: bytes, path: str = "/api/chat") -> NamedModel:
    """Read the model of a body."""
    return read(route_of(path), request(body, path))


def refusal_of(body: bytes, path: str = "/api/chat", **fields: bytes) -> ProxyError:
    """Read a request that is to be refused."""
    with pytest.raises(ProxyError) as caught:
        read(route_of(path), request(body, path, **fields))
    return caught.value


# -- the name ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("route", BODIES, ids=lambda route: route.path)
def test_the_model_is_read_whatever_the_type_says(route: Route) -> None:
    for kind in (b"application/json", b"text/plain", b"application/x-www-form-urlencoded", b""):
        named = read(route, request(CHAT, route.path, Content_Type=kind))
        assert (named.name, named.key) == ("smol", "model")
    assert named_by(CHAT, route.path).name == "smol"


@pytest.mark.parametrize(
    ("body", "name"),
    [
        (b'{"MODEL":"smol"}', "smol"),
        (b'{"m\\u006fdel":"sm\\u006fl"}', "smol"),
        (b'{"model":"a","model":"smol"}', "smol"),
        (b'{"model":"smol"} {"model":"other"}', "smol"),
        (b'\r\n {"x":[{"model":"no"}],"model":"smol"}', "smol"),
        (b'{"model":"hf.co/a/b:Q4"}', "hf.co/a/b:Q4"),
        (b'{"model":" smol "}', " smol "),
        ('{"model":"é\\ud800"}'.encode(), "é\ufffd"),
    ],
)
def test_the_name_is_the_one_that_ollama_would_read(body: bytes, name: str) -> None:
    assert named_by(body).name == name


@pytest.mark.parametrize(
    "body", [b'{"model":"","name":"smol"}', b'{"name":"smol"}', b'{"model":null,"NAME":"smol"}']
)
def test_an_empty_model_falls_through_to_name_where_ollama_does(body: bytes) -> None:
    named = named_by(body, "/api/show")
    assert named.name == "smol"
    assert prepare(named, "other").count(b'"other"') == 1
    assert b"smol" not in prepare(named, "other")
    assert refusal_of(body, "/api/chat").text == "model is required"


def test_model_comes_before_name() -> None:
    assert named_by(b'{"name":"other","model":"smol"}', "/api/show").name == "smol"


@pytest.mark.parametrize(
    "body", [b"{}", b'{"model":""}', b'{"model":null}', b'{"prompt":"x"}', b'{"name":"x"}']
)
@pytest.mark.parametrize(
    "route", [route for route in BODIES if not route.reads_name], ids=lambda route: route.path
)
def test_a_missing_model_is_told_in_ollamas_words(route: Route, body: bytes) -> None:
    error = refusal_of(body, route.path)
    assert (error.status, error.text) == route.model_missing
    assert isinstance(error, ModelNotFound) is (error.status == 404)
    # Of these only the Anthropic dialect is judged by the middleware.
    assert isinstance(error, MiddlewareRefused) is (route.path == "/v1/messages")


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (b"7", "number"), (b"-1.5", "number"), (b"true", "bool"), (b"false", "bool"), (b"[]", "array"),
        (b"{}", "object"),
    ],
)  # fmt: skip
def test_a_model_of_another_type_is_told_in_gos_words(value: bytes, kind: str) -> None:
    for path, struct in (
        ("/api/chat", ".ChatRequest"),
        ("/api/show", "ShowRequest"),
        ("/api/embed", "EmbedRequest"),
        ("/v1/messages", "MessagesRequest"),
        ("/v1/responses", "ResponsesRequest"),
    ):
        error = refusal_of(b'{"Model":%b}' % value, path)
        assert error.status == 400
        assert (
            error.text == f"json: cannot unmarshal {kind} into Go struct field {struct}.model of type string"
        )


def test_a_name_of_another_type_is_refused_where_it_is_read() -> None:
    assert "ShowRequest.name of type string" in refusal_of(b'{"name":7}', "/api/show").text
    assert named_by(b'{"model":"smol","name":7}', "/api/show").name == "smol"


@pytest.mark.parametrize(
    "name",
    [
        "generate-bad-json", "generate-empty-body", "generate-wrong-type", "v1-chat-bad-json",
        "encoding-gzip-body", "generate-no-model",
    ],
)  # fmt: skip
def test_a_bad_body_is_refused_in_the_recorded_words(name: str) -> None:
    recorded = case(NEWEST, name)
    route = find(recorded.request.head.path)
    assert route is not None
    with pytest.raises(ProxyError) as caught:
        read(route, recorded.request)
    assert caught.value.status == recorded.reply.status
    body = dialects.error(
        route.dialect,
        caught.value.status,
        caught.value.text,
        from_handler=not isinstance(caught.value, MiddlewareRefused),
    )
    assert body == (recorded.reply.end_to_end(), recorded.reply.body)


@pytest.mark.parametrize(
    "name",
    [
        "generate-trailing-json", "generate-name-tag", "chat-stream", "v1-chat-stream", "v1-messages-stream",
        "embed", "embeddings", "show", "show-name", "v1-embeddings", "v1-responses-whole",
    ],
)  # fmt: skip
def test_a_recorded_body_names_its_model_and_passes_untouched(name: str) -> None:
    recorded = case(NEWEST, name).request
    route = find(recorded.head.path)
    assert route is not None
    named = read(route, recorded)
    sent, _ = json.JSONDecoder().raw_decode(recorded.body.decode())
    assert named.name == (sent.get("model") or sent["name"])
    assert json.loads(prepare(named, named.name)) == sent
    changed = json.loads(prepare(named, "other"))
    assert changed == {**sent, named.key: "other"}
    assert list(changed) == list(sent)


@pytest.mark.parametrize("body", [b"", b" ", b"\r\n\t"])
def test_an_empty_body_is_told_in_the_words_of_its_family(body: bytes) -> None:
    for route in BODIES:
        error = refusal_of(body, route.path)
        is_native = route.path.startswith("/api/")
        assert (error.status, error.text) == (400, "missing request body" if is_native else "EOF")
        assert isinstance(error, MiddlewareRefused) is not is_native


@pytest.mark.parametrize(
    "body",
    [
        b"[]", b"null", b"7", b'"smol"', b"{", b'{"model":"smol"', b'{"model":"a","Model":"b"}',
        b'{"model":"smol",}', b"\xef\xbb\xbf{}", b"{\x00", b'{"a":NaN}', b'{"\xff":1}',
        '{"model":"x"}'.encode("utf-16"),
        gzip.compress(CHAT, mtime=0),
    ],
)  # fmt: skip
def test_what_is_no_json_object_is_a_400(body: bytes) -> None:
    for route in BODIES:
        error = refusal_of(body, route.path)
        assert error.status == 400
        assert error.text


@pytest.mark.parametrize("body", [b'{"x":' + b"[" * 200_000 + b"]" * 200_000 + b"}", b"[" * 200_000])
def test_what_is_nested_too_deeply_is_a_400(body: bytes) -> None:
    error = refusal_of(body)
    assert error.status == 400
    assert error.text


def test_any_other_coding_is_never_undone() -> None:
    error = refusal_of(gzip.compress(CHAT, mtime=0), "/v1/chat/completions", Content_Encoding=b"gzip")
    assert error.text == "invalid character '\\x1f' looking for beginning of value"
    assert named_by(CHAT).name == "smol"
    assert read(route_of("/api/chat"), request(CHAT, Content_Encoding=b"gzip")).name == "smol"


# -- what is known of the answer ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("stream", "on_native", "on_others"),
    [
        (b"", True, False), (b',"stream":null', True, False), (b',"stream":true', True, True),
        (b',"stream":false', False, False), (b',"STREAM":true', True, True),
        (b',"Stream":false', False, False),
    ],
)  # fmt: skip
def test_whether_an_answer_comes_in_pieces(stream: bytes, on_native: bool, on_others: bool) -> None:
    body = b'{"model":"smol"' + stream + b"}"
    assert named_by(body, "/api/chat").streams is on_native
    assert named_by(body, "/api/generate").streams is on_native
    for path in ("/v1/chat/completions", "/v1/completions", "/v1/messages", "/v1/responses"):
        assert named_by(body, path).streams is on_others


@pytest.mark.parametrize(
    ("keep_alive", "unloads"),
    [
        (b"0", True), (b"-0", True), (b"0.0", True), (b"0e9", True), (b"4e-10", True), (b'"0"', True),
        (b'"0s"', True), (b'"-0"', True), (b'"0m0s"', True), (b'"0.4ns"', True), (b'"-0.4ns"', True),
        (b'"0.6ns0.6ns"', True), ('"0µs"'.encode(), True), ('"0μs"'.encode(), True), (b'"00.s"', True),
        (b"-1", False), (b"-1e-10", False), (b"0.5", False), (b"300", False), (b"1e-9", False),
        (b"1e400", False), (b'"5m"', False), (b'"0.5s"', False), (b'"0m5s"', False), (b'"500ms"', False),
        (b'"-1m"', False), (b'"1ns"', False), (b'"0.001us"', False), ('"\u0660s"'.encode(), False),
        (b"null", False), (b'""', False), (b'"s"', False), (b'"0.0"', False), (b'"0d"', False),
        (b"false", False), (b"[0]", False), (b'"' + b"0s" * 40 + b'5s"', False),
    ],
)  # fmt: skip
def test_a_request_may_unload_its_model(keep_alive: bytes, unloads: bool) -> None:
    assert named_by(b'{"model":"smol","keep_alive":' + keep_alive + b"}").unloads is unloads
    assert not named_by(CHAT).unloads


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/embeddings", "/v1/messages", "/api/show"])
def test_where_ollama_reads_no_keep_alive_nothing_unloads(path: str) -> None:
    assert not named_by(b'{"model":"smol","keep_alive":0}', path).unloads


# -- the bytes for an attempt ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "name", "words"),
    [
        (b"/api/show", "library/X:1", "model 'X:1' not found"),
        (b"/api/chat", "library/X:1", "model 'library/X:1' not found"),
        (b"/v1/models/x", "library/X:1", "model 'X:1' not found"),
        (b"/v1/models/x", "a b", "model 'a b' not found"),
    ],
)  # fmt: skip
def test_a_model_that_nobody_has_is_told_in_the_routes_words(path: bytes, name: str, words: str) -> None:
    route = find(path)
    assert route is not None
    assert inference.not_found(route, name).text == words


def test_only_the_name_is_changed() -> None:
    body = (
        b'{ "messages" : [ {"content":"\\u003c\\ud83d\\ude00", "model":"smol"} ], "MODEL": "smol", "n":1.0e2}'
    )
    named = named_by(body)
    same = b'{"messages":[ {"content":"\\u003c\\ud83d\\ude00", "model":"smol"} ],"MODEL":"smol","n":1.0e2}'
    assert prepare(named, "smol") == same
    assert prepare(named, 'a"b') == same.replace(b'"MODEL":"smol"', b'"MODEL":"a\\"b"')
    assert prepare(named, "smol") == same  # an attempt leaves nothing behind for the next


def test_on_a_configured_route_the_model_is_read_of_json_or_of_a_form() -> None:
    """Its Content-Type tells a form; whatever else it says, it is JSON."""
    route = table(["/v1/new/thing"])[b"/v1/new/thing"]
    for content_type in (b"", b"application/json", b"text/plain"):
        named = read(route, request(CHAT, content_type=content_type))
        assert (named.name, inference.is_form(route, request(content_type=content_type).head)) == (
            "smol",
            False,
        )
        assert prepare(named, "other") == CHAT.replace(b"smol", b"other")
    whole = request(FORM, content_type=TYPE.replace(b"multipart", b"Multipart"))
    assert inference.is_form(route, whole.head)
    assert b"".join(prepare_in_pieces(read(route, whole), "other")) == prepare(form(FORM), "other")
    for body, content_type in ((b"{}", b""), (END, TYPE)):
        with pytest.raises(ProxyError, match="model is required"):
            read(route, request(body, content_type=content_type))


def test_a_pull_names_its_model_as_ollama_reads_it() -> None:
    for body in (b'{"model":"m"}', b'{"name":"m"}', b'{"Name":"m","model":""}', b'{"model":"m","name":"n"}'):
        assert named_by(body, "/api/pull").name == "m"


def test_one_key_goes_on_once() -> None:
    assert prepare(named_by(b'{"model":"a","x":1,"model":"b","x":2}'), "b") == b'{"model":"b","x":2}'
    assert prepare(named_by(b'{"model":"a"} {"model":"b"}'), "a") == b'{"model":"a"}'


def test_in_pieces_it_is_the_same_body() -> None:
    picture = b'"' + b"A" * 100_000 + b'"'
    body = b'{"images":[%b],"model":"smol"}' % picture
    for named in (named_by(body), named_by(CHAT), form(FORM)):
        for model in (named.name, "other"):
            assert b"".join(prepare_in_pieces(named, model)) == prepare(named, model)
    large = prepare_in_pieces(named_by(body), "other")
    assert [len(piece) for piece in large if isinstance(piece, memoryview)] == [len(picture) + 2]
    in_path = read(route_of("/v1/models/smol"), request(path="/v1/models/smol"))
    assert prepare_in_pieces(in_path, "other") == []


@pytest.mark.parametrize("more", [-1, 0, 1])
def test_a_body_of_more_than_256_kib_is_large(more: int) -> None:
    size = 256 * 1024 + more
    whole = CHAT[:-1] + b',"x":"' + b"x" * (size - len(CHAT) - 7) + b'"}'
    assert len(whole) == size
    assert named_by(whole).is_large is (more > 0)
    whole = field(b"model", b"m") + field(b"x", b"") + END
    whole = field(b"model", b"m") + field(b"x", b"x" * (size - len(whole))) + END
    assert len(whole) == size
    assert form(whole).is_large is (more > 0)


def test_a_name_in_the_path_is_no_body() -> None:
    route = route_of("/v1/models/smol")
    for path, name in (("/v1/models/smol", "smol"), ("/v1/models/a%3A8b", "a:8b")):
        named = read(route, request(path=path))
        assert (named.name, named.streams, prepare(named, "other")) == (name, False, b"")


# -- forms ------------------------------------------------------------------------------------------------

AUDIO = "/v1/audio/transcriptions"


def form(body: bytes, query: bytes = b"", content_type: bytes = TYPE) -> NamedModel:
    """Read the model of a form."""
    return read(route_of(AUDIO), request(body, AUDIO, query, Content_Type=content_type))


def test_the_model_of_a_form_is_a_field_of_it() -> None:
    named = form(FORM)
    assert (named.name, named.streams, named.in_query) == ("whisper", False, False)
    assert prepare(named, "whisper") == FORM
    assert prepare(named, "other") == FORM.replace(b"whisper", b"other")


def test_the_query_wins_over_the_field() -> None:
    named = form(FORM, b"model=other%3A8b&x=y")
    assert (named.name, named.in_query) == ("other:8b", True)
    assert prepare(named, "z") == FORM.replace(b"whisper", b"z")
    named = form(field(b"a", b"1") + END, b"model=m")
    assert (named.name, named.in_query, prepare(named, "z")) == ("m", True, field(b"a", b"1") + END)
    assert not form(FORM, b"model=whisper").in_query


@pytest.mark.parametrize("body", [field(b"a", b"1") + END, field(b"model", b"") + END])
def test_a_form_without_a_model_is_told_so_before_the_handler(body: bytes) -> None:
    with pytest.raises(MiddlewareRefused, match="model is required"):
        form(body)


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (CHAT, b"application/json"),
        (FORM, b""),
        (FORM[:-5], TYPE),
        (b"", TYPE),
        (FORM, b"multipart/form-data"),
    ],
)
def test_what_is_no_form_is_refused_in_ollamas_words(body: bytes, content_type: bytes) -> None:
    with pytest.raises(MiddlewareRefused, match="failed to parse multipart form: "):
        form(body, content_type=content_type)


def test_a_form_without_a_content_type_is_refused() -> None:
    assert isinstance(refusal_of(FORM, AUDIO), MiddlewareRefused)


@pytest.mark.parametrize("path", ["/api/chat", "/api/show", "/v1/chat/completions"])
@pytest.mark.parametrize("key", [b"model", b"Model"])
def test_a_name_that_is_longer_than_any_is_refused_unread(path: str, key: bytes) -> None:
    error = refusal_of(b'{"%b":"%b"}' % (key, b"x" * (1 << 20)), path)
    assert (error.status, error.text) == (400, "invalid model name")


@pytest.mark.parametrize("padding", [10, 1 << 20])
def test_a_large_body_is_read_as_a_small_one(padding: int) -> None:
    for key in (b"model", b"Model"):
        named = named_by(
            b'{"%b":"a\\u0062","stream":false,"keep_alive":"0s","x":"%b"}' % (key, b"x" * padding)
        )
        assert (named.name, named.streams, named.unloads, named.is_large) == ("ab", False, True, padding > 10)


@pytest.mark.parametrize(
    ("path", "body", "only"),
    [
        ("/api/generate", b'{"model":"m","keep_alive":0}', True),
        ("/api/chat", b'{"model":"m","messages":[],"keep_alive":"0s"}', True),
        ("/api/chat", b'{"model":"m","messages":[ \n],"keep_alive":0}', True),
        ("/api/chat", b'{"model":"m","messages":[{}],"keep_alive":0}', False),
        ("/api/generate", b'{"model":"m","prompt":"","keep_alive":0}', True),
        ("/api/generate", b'{"model":"m","prompt":" ","keep_alive":0}', False),
        ("/api/generate", b'{"model":"m","prompt":"hi","keep_alive":0}', False),
        ("/api/generate", b'{"model":"m"}', False),
        ("/api/generate", b'{"model":"m","keep_alive":0.5}', False),
        ("/api/embed", b'{"model":"m","keep_alive":0}', True),
        ("/api/embed", b'{"model":"m","input":[],"keep_alive":"0"}', True),
        ("/api/embed", b'{"model":"m","input":"","keep_alive":0}', True),
        ("/api/embed", b'{"model":"m","input":null,"keep_alive":0}', True),
        ("/api/embed", b'{"model":"m","input":[""],"keep_alive":0}', False),
        ("/api/embeddings", b'{"model":"m","prompt":"","keep_alive":0}', True),
        ("/api/embeddings", b'{"model":"m","prompt":"hi","keep_alive":0}', False),
        ("/v1/chat/completions", b'{"model":"m","messages":[],"keep_alive":0}', False),
    ],
)
def test_a_request_may_only_have_its_model_leave_the_memory(path: str, body: bytes, only: bool) -> None:
    assert read(route_of(path), request(body, path)).only_unloads is only


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("/api/generate", {"num_ctx": 2048, "shift": False}),
        ("/api/chat", {"num_ctx": 2048, "shift": False}),
        ("/api/embed", {"num_ctx": 2048}),
        ("/api/embeddings", {"num_ctx": 2048}),
        ("/v1/chat/completions", {}),
        ("/v1/embeddings", {}),
        ("/api/show", {}),
    ],
)
def test_runner_options_are_read_where_ollama_reads_them(path: str, told: dict[str, object]) -> None:
    body = b'{"model":"m","Options":{"num_ctx":2048.5,"seed":1},"shift":false}'
    made = read(route_of(path), request(body, path)).runner_options
    assert made is not None
    assert made.told == told


def test_runner_options_that_ollama_refuses_are_for_it_to_refuse() -> None:
    assert named_by(b'{"model":"m","options":{"num_ctx":"2048"}}').runner_options is None
    assert named_by(b'{"model":"m","options":{"temperature":"hot"}}').runner_options is PLAIN


@pytest.mark.parametrize(
    ("path", "body", "fields"),
    [
        ("/api/chat", b'{"model":"m","images":["%b"]}' % (b"A" * (1 << 20)), {}),
        (AUDIO, field(b"file", b"a" * (1 << 20)) + FORM, {"Content_Type": TYPE}),
    ],
)
def test_nothing_holds_a_body_that_was_let_go(path: str, body: bytes, fields: dict[str, bytes]) -> None:
    space = mmap.mmap(-1, len(body))
    space[:] = body
    named = inference.read(route_of(path), request(path=path, **fields).head, space)
    assert prepare(named, "m")
    named.let_go()
    assert prepare(named, "m") == b""
    space.close()  # which fails while anything of it is in use


# -- what a policy is asked ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "takes_options", "takes_keep_alive"),
    [
        ("/api/generate", True, True),
        ("/api/chat", True, True),
        ("/api/embed", True, True),
        ("/api/embeddings", True, True),
        ("/v1/chat/completions", False, False),
        ("/v1/completions", False, False),
        ("/v1/embeddings", False, False),
        ("/v1/responses", False, False),
        ("/v1/messages", False, False),
        ("/v1/systemone", False, True),
    ],
)
@pytest.mark.parametrize(
    ("keep_alive", "has_one"),
    [
        (b"", False),
        (b',"keep_alive":null', False),
        (b',"keep_alive":0', True),
        (b',"Keep_Alive":"5m"', True),
        (b',"Keep_Alive":null', False),
    ],
)
def test_a_policy_is_asked_by_what_the_route_can_carry_and_the_body_does(
    path: str, takes_options: bool, takes_keep_alive: bool, keep_alive: bytes, has_one: bool
) -> None:
    asked = named_by(b'{"model":"m"' + keep_alive + b"}", path).asked(PLAIN)
    assert asked.options is PLAIN
    assert (asked.takes_options, asked.takes_keep_alive) == (takes_options, takes_keep_alive)
    assert asked.has_keep_alive is (has_one and takes_keep_alive)
    assert named_by(b'{"model":"m"}', path).asked(None).options is None


def test_a_form_carries_nothing_that_a_policy_gives() -> None:
    asked = read(route_of(AUDIO), request(FORM, AUDIO, Content_Type=TYPE)).asked(PLAIN)
    assert (asked.takes_options, asked.takes_keep_alive, asked.has_keep_alive) == (False, False, False)
    assert asked.options is PLAIN


@pytest.mark.parametrize("keep_alive", [b"0", b'"0s"', b"-1"])
def test_a_route_that_answers_no_unload_never_only_unloads(keep_alive: bytes) -> None:
    """It does what it does, and has its model leave behind it."""
    named = named_by(b'{"model":"m","keep_alive":' + keep_alive + b"}", "/v1/systemone")
    assert not named.only_unloads
    assert named.unloads is (keep_alive != b"-1")


def test_a_policy_is_put_among_no_more_options_than_a_body_may_have_members() -> None:
    many = b",".join(b'"x%d":1' % number for number in range(bodies.MAX_MEMBERS + 1))
    named = named_by(b'{"model":"m","options":{' + many + b"}}")
    with pytest.raises(BadRequest, match="more than 1000 members"):
        named.asked(PLAIN)
