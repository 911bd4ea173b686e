"""Models come and go: pull, push, create, copy, delete, blobs.

Owns the progress lines of Ollama's `server/images.go` and `server/create.go`, and their error texts.
"""

from collections.abc import AsyncGenerator, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, Final

from gollamas import names
from gollamas.simulate import answers, fields
from gollamas.simulate.engine import Engine
from gollamas.simulate.goformat import dump, quote
from gollamas.simulate.library import Creation
from gollamas.simulate.model import Model, Weights, weights_named
from gollamas.simulate.refusal import Refusal
from gollamas.wire.message import Answer, Head

_STEPS: Final = 10  # progress lines of a layer
_TAKES_FROM: Final = (0, 5, 5)  # the first release whose create has `from` and `files` for a Modelfile
_CATALOG: Final = frozenset(
    (
        "all-minilm",
        "codellama",
        "deepseek-r1",
        "gemma3",
        "gpt-oss",
        "llama3",
        "llama3.1",
        "llama3.2",
        "llama3.2-vision",
        "llama3.3",
        "llava",
        "mistral",
        "mxbai-embed-large",
        "nomic-embed-text",
        "phi3",
        "phi4",
        "qwen2.5",
        "qwen2.5-coder",
        "qwen3",
        "smollm",
        "smollm2",
        "tinyllama",
    )
)
Progress = AsyncGenerator[dict[str, Any], None]


async def _reported(progress: Progress, members: dict[str, Any]) -> Answer:
    """Progress as lines, or its last word alone.

    A refusal before the first line has a status of its own, a later one is a line.
    """
    if members.get("stream") is not False:
        return await answers.stream([(b"Content-Type", answers.NDJSON)], _lines(progress))
    last: dict[str, Any] = {}
    try:
        async for line in progress:
            last = line
    except Refusal as refusal:
        return answers.native({"error": refusal.text}, status=refusal.status, content_type=answers.BARE_JSON)
    return answers.native(last, content_type=answers.BARE_JSON)


async def _lines(progress: Progress) -> AsyncGenerator[bytes, None]:
    is_first = True
    try:
        async for line in progress:
            yield dump(line) + b"\n"
            is_first = False
    except Refusal as refusal:
        if is_first:
            raise
        yield dump({"error": refusal.text}) + b"\n"
    finally:
        await progress.aclose()


def _unreachable(
    engine: Engine, name: names.Name, method: str, path: str, *, insecure: bool
) -> Refusal | None:
    """Give what a real server says when it can't reach the registry of this name."""
    host, _, port = name.host.partition(":")
    if name.host == names.DEFAULT_HOST and engine.settings.registry:
        return None
    if host in ("localhost", "127.0.0.1"):
        why = f"dial tcp 127.0.0.1:{port or 443}: connect: connection refused"
    else:
        why = f"dial tcp: lookup {host} on {engine.settings.resolver}: no such host"
    scheme = "http" if insecure else "https"
    return Refusal(500, f'{method} "{scheme}://{name.host}/v2/{name.namespace}/{name.model}/{path}": {why}')


async def pull(engine: Engine, body: bytes) -> Answer:
    """`POST /api/pull`."""
    members = fields.read("PullRequest", body)
    name = names.parse(members.get("model") or members.get("name", ""))
    if name is None:
        raise Refusal(400, "invalid model name")
    return await _reported(_pulled(engine, name, insecure=bool(members.get("insecure"))), members)


async def _pulled(engine: Engine, name: names.Name, *, insecure: bool) -> Progress:
    yield {"status": "pulling manifest"}
    fault = _unreachable(engine, name, "Get", f"manifests/{name.tag}", insecure=insecure)
    if fault is not None:
        raise Refusal(500, f"pull model manifest: {fault.text}")
    if name.namespace != names.DEFAULT_NAMESPACE or name.model.lower() not in _CATALOG:
        raise Refusal(500, "pull model manifest: file does not exist")
    model = Model(name=name, weights=weights_named(name), modified_at=engine.clock.now())
    for digest, size in model.layers:
        line = {"status": f"pulling {digest[:12]}", "digest": f"sha256:{digest}", "total": size}
        if engine.library.has_layer(digest):
            yield {**line, "completed": size}
            continue
        yield line
        for step in range(1, _STEPS + 1):
            await engine.clock.sleep(engine.settings.pull_seconds / _STEPS / len(model.layers))
            yield {**line, "completed": size * step // _STEPS}
    yield {"status": "verifying sha256 digest"}
    yield {"status": "writing manifest"}
    engine.library.put(replace(model, modified_at=engine.clock.now()))
    yield {"status": "success"}


async def push(engine: Engine, body: bytes) -> Answer:
    """`POST /api/push`."""
    members = fields.read("PushRequest", body)
    text = members.get("model") or members.get("name", "")
    if not text:
        raise Refusal(400, "model is required")
    return await _reported(_pushed(engine, text, insecure=bool(members.get("insecure"))), members)


async def _pushed(engine: Engine, text: str, *, insecure: bool) -> Progress:
    yield {"status": "retrieving manifest"}
    name = names.parse(text)
    if name is None:
        raise Refusal(500, "invalid model name")
    model = engine.library.find(text)
    if model is None:
        yield {"status": "couldn't retrieve manifest"}
        place = f"{name.host}/{name.namespace}/{name.model}/{name.tag}"
        raise Refusal(500, f"open {engine.settings.home}/manifests/{place}: no such file or directory")
    fault = _unreachable(engine, name, "Head", f"blobs/sha256:{model.weights.digest}", insecure=insecure)
    if fault is not None:
        raise fault
    for digest, size in model.layers:
        line = {"status": f"pushing {digest[:12]}", "digest": f"sha256:{digest}", "total": size}
        yield line
        await engine.clock.sleep(engine.settings.pull_seconds / len(model.layers))
        yield {**line, "completed": size}
    yield {"status": "pushing manifest"}
    yield {"status": "success"}


async def create(engine: Engine, body: bytes) -> Answer:
    """`POST /api/create`."""
    members = fields.read("CreateRequest", body)
    name = names.parse(members.get("model") or members.get("name", ""))
    if name is None:
        raise Refusal(400, "invalid model name")
    if engine.settings.release < _TAKES_FROM:
        raise Refusal(400, "path or Modelfile are required")
    files = members.get("files", {})
    if engine.settings.release >= (0, 34):
        _check_files(engine, files)
    if not members.get("from") and not files:
        fault = Refusal(400, "neither 'from' or 'files' was specified")
        return answers.native({"error": fault.text}, status=400, content_type=answers.BARE_JSON)
    try:
        return await _reported(_created(engine, name, members), members)
    except Refusal as refusal:  # the first thing that a stream would have said
        return answers.native({"error": refusal.text}, status=refusal.status, content_type=answers.BARE_JSON)


async def _created(engine: Engine, name: names.Name, members: dict[str, Any]) -> Progress:
    source = members.get("from", "")
    with _recorded(engine, Creation(name.shortest, source, members.get("parameters", {}))):
        if source:
            base = engine.library.find_exact(source)
            if base is None:
                async for line in _base_pulled(engine, source):
                    yield line
                base = engine.library.find_exact(source)
            if base is None:
                raise Refusal(500, "pull model manifest: file does not exist")
            model = replace(base, name=name, parent=base.name.shortest)
        else:
            files = members["files"]
            weights = _weights(engine, name, files)
            yield {"status": "parsing GGUF"}
            parent = next(iter(files)) if engine.settings.release >= (0, 34) else ""
            model = Model(name=name, weights=weights, modified_at=0.0, parent=parent)
        model = _changed(model, members, engine.clock.now())
        for digest, _ in model.layers:
            word = "using existing" if engine.library.has_layer(digest) else "creating new"
            yield {"status": f"{word} layer sha256:{digest}"}
        yield {"status": "writing manifest"}
        engine.library.put(model)
    yield {"status": "success"}


@contextmanager
def _recorded(engine: Engine, creation: Creation) -> Iterator[None]:
    engine.library.creates.append(creation)
    engine.changed()
    try:
        yield
        creation.ended = "made"
    except Refusal:
        creation.ended = "failed"
        raise
    finally:
        creation.ended = creation.ended or "aborted"
        engine.changed()


async def _base_pulled(engine: Engine, source: str) -> Progress:
    name = names.parse(source)
    if name is None:
        raise Refusal(400, "invalid model name")
    is_first = True
    async for line in _pulled(engine, name, insecure=False):
        # The word of a manifest that can't be had is not sent by create.
        if not is_first and line["status"] != "success":
            yield line
        is_first = False


def _weights(engine: Engine, name: names.Name, files: dict[str, Any]) -> Weights:
    found = weights_named(name)
    for digest in files.values():
        if not engine.library.has_blob(str(digest)):
            raise Refusal(500, f"open {_blob_path(engine, str(digest))}: no such file or directory")
        content = engine.library.blob(str(digest))
        if content is not None and not content.startswith(b"GGUF"):
            raise _no_gguf(engine, content)
        found = replace(found, origin=str(digest))
    return found


def _check_files(engine: Engine, files: dict[str, Any]) -> None:
    for path, digest in files.items():
        try:
            is_there = engine.library.has_blob(str(digest))
        except Refusal as refusal:
            raise Refusal(400, f"invalid digest for {path}: {refusal.text}") from None
        if not is_there and not path.endswith((".gguf", ".safetensors")):
            fault = f"open {_blob_path(engine, str(digest))}: no such file or directory"
            raise Refusal(400, f"blob not found for {path} (digest {digest}): {fault}")


def _blob_path(engine: Engine, digest: str) -> str:
    return f"{engine.settings.home}/blobs/{digest.replace(':', '-')}"


def _no_gguf(engine: Engine, content: bytes) -> Refusal:
    if engine.settings.release < (0, 34):
        return Refusal(400, "supplied file was not in GGUF format")
    if len(content) < 4:
        return Refusal(500, "unexpected EOF" if content else "EOF")
    return Refusal(500, f"unsupported file type [{' '.join(str(byte) for byte in content[:4])}]")


def _changed(model: Model, members: dict[str, Any], now: float) -> Model:
    licenses = members.get("license", model.license)
    return replace(
        model,
        modified_at=now,
        parameters={**model.parameters, **members.get("parameters", {})},
        template=members.get("template") or model.template,
        system=members.get("system") or model.system,
        license=(licenses,) if isinstance(licenses, str) else tuple(str(text) for text in licenses),
        messages=tuple(members.get("messages", model.messages)),
    )


def copy(engine: Engine, body: bytes, _: Head) -> Answer:
    """`POST /api/copy`."""
    members = fields.read("CopyRequest", body)
    source, destination = members.get("source", ""), members.get("destination", "")
    for word, text in (("source", source), ("destination", destination)):
        if names.parse(text) is None:
            raise Refusal(400, f"{word} {quote(text)} is invalid")
    model = engine.library.find(source)
    name = names.parse(destination)
    if model is None or name is None:
        raise Refusal(404, f"model {quote(source)} not found")
    if name.key != model.name.key:
        engine.library.put(model.renamed(name, engine.clock.now()))
    return answers.empty(200)


def delete(engine: Engine, body: bytes, _: Head) -> Answer:
    """`DELETE /api/delete`."""
    members = fields.read("DeleteRequest", body)
    text = members.get("model") or members.get("name", "")
    if not text:
        raise Refusal(400, "model is required")
    if names.parse(text) is None:
        raise Refusal(400, f"name {quote(text)} is invalid")
    model = engine.library.find(text)
    if model is None:
        raise Refusal(404, f"model '{text}' not found")
    engine.library.remove(model)
    return answers.empty(200)


def has_blob(engine: Engine, digest: str) -> Answer:
    """`HEAD /api/blobs/:digest`."""
    if not engine.library.has_blob(digest):
        raise Refusal(404, f'blob "{digest}" not found')
    return answers.empty(200)


def put_blob(engine: Engine, digest: str, body: bytes) -> Answer:
    """`POST /api/blobs/:digest`."""
    return answers.empty(201 if engine.library.put_blob(digest, body) else 200)
