"""An alias on every dialect and framing: its name comes back in every line or event, and nowhere else."""

import json

import pytest

from tests.sockets.proxying import in_front_of, one_server, runs
from tests.sockets.raw import Message, Peer, RawServer, answer, chunk, chunked_head, get, post, says

MODEL, ALIAS = "llama3.2", "gpt-4o-mini"
LISTED = b'{"models":[{"name":"LLaMA3.2:latest","model":"LLaMA3.2:latest","size":1,"digest":"%b"}]}' % (
    b"d" * 64
)

# `{n}` is the reply's own name, `{other}` the same text elsewhere, which must stay.
OTHER = r"\"model\":\"llama3.2\""
STREAMS = {
    "/api/generate": (
        "application/x-ndjson",
        '{{"model":"{n}","created_at":"x","response":"{other} {s}","done":false}}\n' * 3
        + '{{"model":"{n}","created_at":"x","response":"","done":true,"context":[1,2]}}\n',
    ),
    "/api/chat": (
        "application/x-ndjson",
        '{{"model":"{n}","created_at":"x","message":{{"role":"assistant","content":"{other}","tool_calls":'
        '[{{"function":{{"name":"f","arguments":{{"model":"{s}"}}}}}}]}},"done":false}}\n' * 3,
    ),
    "/v1/chat/completions": (
        "text/event-stream",
        'data: {{"id":"chatcmpl-1","object":"chat.completion.chunk","created":1,"model":"{n}",'
        '"system_fingerprint":"fp_ollama","choices":[{{"index":0,"delta":{{"content":"{other}"}}}}]}}\n\n'
        * 3
        + "data: [DONE]\n\n",
    ),
    "/v1/completions": (
        "text/event-stream",
        'data: {{"id":"cmpl-1","object":"text_completion","created":1,"choices":'
        '[{{"text":"{other} {s}","index":0,"finish_reason":null}}],"model":"{n}","x":"y"}}\n\n'
        * 3
        + "data: [DONE]\n\n",
    ),
    "/v1/responses": (
        "text/event-stream",
        (
            'event: response.created\ndata: {{"response":{{"id":"r","metadata":{{"model":"{s}"}},'
            '"model":"{n}"}},"type":"response.created"}}\n\n'
            'event: response.output_text.delta\ndata: {{"delta":"{other}","type":"x"}}\n\n'
        ),
    ),
    "/v1/messages": (
        "text/event-stream",
        (
            'event: message_start\ndata: {{"type":"message_start","message":{{"id":"m","model":"{n}"}}}}\n\n'
            'event: content_block_delta\ndata: {{"type":"x","delta":{{"text":"{other} {s}"}}}}\n\n'
        ),
    ),
}
WHOLES = {
    "/api/generate": '{{"model":"{n}","created_at":"x","response":"{other} {s}","done":true}}',
    "/api/chat": '{{"model":"{n}","message":{{"role":"assistant","content":"{other}"}},"done":true}}',
    "/api/embed": '{{"model":"{n}","embeddings":[[0.1]]}}',
    "/v1/embeddings": '{{"object":"list","data":[],"model":"{n}","usage":{{}}}}\n',
    "/v1/chat/completions": '{{"id":"c","model":"{n}","choices":[{{"message":{{"content":"{other}"}}}}]}}\n',
    "/v1/completions": '{{"id":"c","choices":[{{"text":"{other}"}}],"model":"{n}"}}\n',
    "/v1/responses": '{{"id":"r","output":[{{"model":"{s}"}}],"model":"{n}"}}\n',
    "/v1/messages": '{{"id":"m","content":[{{"text":"{other}"}}],"model":"{n}"}}\n',
}


def made(text: str, name: str) -> bytes:
    return text.format(n=name, s=MODEL, other=OTHER).encode()


def streams_in(form: str, content_type: str, body: bytes) -> list[bytes]:
    """Frame a stream in one of the ways in which a server may, as pieces of one write each."""
    kind = content_type.encode()
    if form == "one chunk":
        return [chunked_head(kind) + chunk(body) + chunk(b"")]
    if form == "chunks of lines":
        return [chunked_head(kind), *(chunk(line) for line in body.splitlines(keepends=True)), chunk(b"")]
    if form == "chunks of bytes":
        return [chunked_head(kind), *(chunk(body[at : at + 1]) for at in range(len(body))), chunk(b"")]
    if form == "length":
        head = b"HTTP/1.1 200 OK\r\nContent-Type: %b\r\nContent-Length: %d\r\n\r\n" % (kind, len(body))
        return [head, *(body[at : at + 7] for at in range(0, len(body), 7))]
    return [b"HTTP/1.0 200 OK\r\nContent-Type: %b\r\n\r\n" % kind, body, b""]


FORMS = ("one chunk", "chunks of lines", "chunks of bytes", "length", "until close")


@pytest.mark.parametrize("version", [b"1.1", b"1.0"])
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("path", STREAMS)
@runs
async def test_a_stream_carries_the_alias_in_every_line(path: str, form: str, version: bytes) -> None:
    content_type, text = STREAMS[path]

    async def handler(_: Message, peer: Peer) -> None:
        await peer.drip(streams_in(form, content_type, made(text, MODEL)))
        if form == "until close":
            peer.close()

    async with one_server(aliases={ALIAS: MODEL}) as (server, proxy):
        server.handler = handler
        got = await proxy.ask(post(path, b'{"stream":true,"model":"%b"}' % ALIAS.encode(), version=version))
        assert (got.body, got.is_whole) == (made(text, ALIAS), True)
        assert server.requests[0].body == b'{"stream":true,"model":"llama3.2"}'


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("path", WHOLES)
@runs
async def test_a_whole_answer_carries_the_alias(path: str, form: str) -> None:
    async def handler(_: Message, peer: Peer) -> None:
        await peer.drip(streams_in(form, "application/json", made(WHOLES[path], MODEL)))
        if form == "until close":
            peer.close()

    async with one_server(aliases={ALIAS: MODEL}) as (server, proxy):
        server.handler = handler
        client = await proxy.connect()
        for _ in range(2):
            got = await client.ask(post(path, b'{"model":"%b"}' % ALIAS.encode()))
            assert (got.body, got.is_whole) == (made(WHOLES[path], ALIAS), True)


@pytest.mark.parametrize("spelling", ["GPT-4o-Mini", "gpt-4o-mini:latest", "library/gpt-4o-mini"])
@runs
async def test_an_alias_comes_back_in_the_clients_spelling(spelling: str) -> None:
    async with one_server(aliases={ALIAS: MODEL}) as (server, proxy):
        server.handler = says(answer(made(WHOLES["/api/chat"], MODEL)))
        got = await proxy.ask(post("/api/chat", b'{"model":"%b"}' % spelling.encode()))
        assert json.loads(got.body)["model"] == spelling
        assert server.requests[0].body == b'{"model":"llama3.2"}'


@pytest.mark.parametrize("spelling", ["LLAMA3.2", "llama3.2:latest", "library/llama3.2", "llama3.2:LATEST"])
@runs
async def test_another_spelling_of_a_model_goes_on_as_the_client_wrote_it(spelling: str) -> None:
    body = b'{"model":"%b"}' % spelling.encode()
    async with one_server() as (server, proxy):
        server.handler = says(answer(body))
        got = await proxy.ask(post("/api/chat", body))
        assert server.requests[0].body == got.body == body


@runs
async def test_the_entry_of_an_alias_has_the_alias_as_its_id() -> None:
    async with one_server(aliases={ALIAS: MODEL}) as (server, proxy):
        server.handler = says(
            answer(b'{"id":"llama3.2","object":"model","created":1,"owned_by":"library"}\n')
        )
        got = await proxy.ask(get(f"/v1/models/{ALIAS}"))
        assert json.loads(got.body)["id"] == ALIAS
        assert server.requests[0].path == b"/v1/models/llama3.2"


@pytest.mark.parametrize("key", ["model", "name", "Model", "NAME"])
@runs
async def test_show_of_an_alias_asks_for_its_model_under_the_clients_key(key: str) -> None:
    body = b'{"model_info":{"general.basename":"llama3.2"}}'
    async with one_server(aliases={ALIAS: MODEL}) as (server, proxy):
        server.handler = says(answer(body))
        got = await proxy.ask(post("/api/show", json.dumps({key: ALIAS, "verbose": True}).encode()))
        assert (got.status, got.body) == (200, body)
        assert json.loads(server.requests[0].body) == {key: MODEL, "verbose": True}


@runs
async def test_the_official_client_sends_an_empty_model_and_a_name() -> None:
    async with one_server(aliases={ALIAS: MODEL}) as (server, proxy):
        assert (
            await proxy.ask(post("/api/show", b'{"model":"","name":"%b"}' % ALIAS.encode()))
        ).status == 200
        assert json.loads(server.requests[0].body) == {"model": "", "name": MODEL}


@runs
async def test_copilot_finds_the_name_it_asked_for_in_show() -> None:
    body = b'{"model_info":{"general.architecture":"llama","general.basename":"llama3.2"}}'
    async with one_server(aliases={ALIAS: MODEL}) as (server, proxy):
        server.handler = says(answer(body))
        got = await proxy.ask(
            post("/api/show", b'{"model":"%b"}' % ALIAS.encode(), b"User-Agent: GitHubCopilotChat/0.2")
        )
        assert json.loads(got.body)["model_info"]["general.basename"] == ALIAS


FORM = (
    b'--X\r\nContent-Disposition: form-data; name="file"; filename="model"\r\nContent-Type: audio/wav\r\n\r\n'
    b'RIFF\x00\r\n--Y\r\nContent-Disposition: form-data; name="model"\r\n\r\nllama\r\n'
    b'--X\r\nContent-Disposition: form-data; name="model"\r\n\r\n%b\r\n'
    b'--X\r\nContent-Disposition: form-data; name="language"\r\n\r\nen\r\n--X--\r\n'
)
MULTIPART = b"Content-Type: multipart/form-data; boundary=X"


@pytest.mark.parametrize("name", [MODEL, ALIAS])
@runs
async def test_a_transcription_is_routed_by_its_models_part(name: str) -> None:
    async with one_server(aliases={ALIAS: MODEL}) as (server, proxy):
        server.handler = says(answer(b'{"text":"hello"}'))
        got = await proxy.ask(post("/v1/audio/transcriptions", FORM % name.encode(), MULTIPART))
        assert (got.status, got.body) == (200, b'{"text":"hello"}')
        (request,) = server.requests
        assert request.body == FORM % MODEL.encode()
        assert request.get(b"content-type") == MULTIPART.partition(b": ")[2]


@runs
async def test_a_transcription_without_a_form_or_a_model_is_ollamas_400() -> None:
    async with one_server() as (server, proxy):
        for data, text in (
            (post("/v1/audio/transcriptions", b"{}"), "failed to parse multipart form: "),
            (post("/v1/audio/transcriptions", FORM % b"", MULTIPART), "model is required"),
            (
                post("/v1/audio/transcriptions", FORM[:-6] % b"x", MULTIPART),
                "failed to parse multipart form: ",
            ),
        ):
            got = await proxy.ask(data)
            assert got.status == 400
            assert json.loads(got.body)["error"]["message"].startswith(text)
        unknown = await proxy.ask(post("/v1/audio/transcriptions", FORM % b"nope", MULTIPART))
        assert (unknown.status, json.loads(unknown.body)["error"]["message"]) == (
            404,
            "model 'nope' not found",
        )
        assert server.hits == 0


@pytest.mark.parametrize("asked", ["llama3.2", "LLAMA3.2:latest", ALIAS])
@runs
async def test_the_older_embeddings_get_the_spelling_that_the_server_lists(asked: str) -> None:
    async with RawServer(tags=LISTED) as server, in_front_of(server, aliases={ALIAS: MODEL}) as proxy:
        await proxy.ask(get("/api/tags"))
        await proxy.ask(post("/api/embeddings", json.dumps({"model": asked, "prompt": "a"}).encode()))
        assert json.loads(server.requests[0].body) == {"model": "LLaMA3.2:latest", "prompt": "a"}
        await proxy.ask(post("/api/embed", json.dumps({"model": asked}).encode()))
        assert json.loads(server.requests[1].body)["model"] == (MODEL if asked == ALIAS else asked)
