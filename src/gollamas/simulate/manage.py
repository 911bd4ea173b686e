"""Models come and go: pull, push, create, copy, delete, blobs.

Owns the progress lines of Ollama's `server/images.go` and `server/create.go`, and their error texts.
"""

from collections.abc import AsyncGenerator, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, Final

from gollamas import names
from gollamas.simulate import answers, fields
from gollamas.simulate.blobs import Blob
from gollamas.simulate.engine import Engine
from gollamas.simulate.goformat import dump, quote
from gollamas.simulate.library import Creation
from gollamas.simulate.model import Model, Weights, weights_named
from gollamas.simulate.refusal import Refusal, check_source
from gollamas.simulate.transfers import Copy, Progress, Transfer
from gollamas.wire.message import Answer, Head

_STEPS: Final = 10  # progress lines of a layer
_MISSING: Final = "!MISSING!"  # stands for an empty part of a name
_TAKES_FROM: Final = (0, 5, 5)  # the first release whose create has `from` and `files` for a Modelfile


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


async def pull(engine: Engine, body: bytes) -> Answer:
    """`POST /api/pull`."""
    members = fields.read("PullRequest", body)
    text = members.get("model") or members.get("name", "")
    check_source(text)
    name = names.parse(text)
    if name is None:
        raise Refusal(400, "invalid model name")
    record = Transfer(name.shortest, bool(members.get("insecure")))
    progress = _pulled(engine, name, insecure=record.insecure)
    return await _reported(engine.transfers.pulled(record, progress, engine.settings.home), members)


async def _pulled(engine: Engine, name: names.Name, *, insecure: bool) -> Progress:
    yield {"status": "pulling manifest"}
    request = f"Get manifests/{name.tag}"
    fault = engine.catalog.unreachable(engine.settings, name, request, insecure=insecure)
    if fault is not None:
        raise Refusal(500, f"pull model manifest: {fault.text}")
    model = engine.catalog.find(name, engine.clock.now())
    if model is None:
        raise Refusal(500, "pull model manifest: file does not exist")
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
    replaced = engine.library.named(name)
    engine.library.put(replace(model, modified_at=engine.clock.now()))
    if replaced is not None and replaced.digest != model.digest:
        yield {"status": "removing unused layers"}
    yield {"status": "success"}


async def push(engine: Engine, body: bytes) -> Answer:
    """`POST /api/push`."""
    members = fields.read("PushRequest", body)
    text = members.get("model") or members.get("name", "")
    if not text:
        raise Refusal(400, "model is required")
    name = names.parse_bare(text)
    record = Transfer(name.shortest if name else text, bool(members.get("insecure")))
    progress = _pushed(engine, text, name, insecure=record.insecure)
    return await _reported(engine.transfers.pushed(record, progress), members)


async def _pushed(engine: Engine, text: str, name: names.Name | None, *, insecure: bool) -> Progress:
    yield {"status": "retrieving manifest"}
    model = engine.library.named(name) if name else None
    if name is None or model is None:
        yield {"status": "couldn't retrieve manifest"}
        if name is None:
            raise Refusal(500, f"unqualified name: {_parts(text)}")
        place = f"{name.host}/{name.namespace}/{name.model}/{name.tag}"
        raise Refusal(500, f"open {engine.settings.home}/manifests/{place}: no such file or directory")
    request = f"Head blobs/sha256:{model.weights.digest}"
    fault = engine.catalog.unreachable(engine.settings, name, request, insecure=insecure)
    if fault is not None:
        raise fault
    for digest, size in model.layers:
        line = {"status": f"pushing {digest[:12]}", "digest": f"sha256:{digest}", "total": size}
        yield line
        await engine.clock.sleep(engine.settings.pull_seconds / len(model.layers))
        yield {**line, "completed": size}
    yield {"status": "pushing manifest"}
    yield {"status": "success"}


def _parts(text: str) -> str:
    """Spell out a name that is none: what Ollama takes its parts for."""
    rest, tag = text, names.DEFAULT_TAG
    if text.rfind(":") > text.rfind("/"):
        rest, _, tag = text.rpartition(":")
    host, namespace = names.DEFAULT_HOST, names.DEFAULT_NAMESPACE
    rest, slash, model = rest.rpartition("/")
    if slash:
        left, slash, namespace = (rest or _MISSING).rpartition("/")
        if slash:
            host = left.partition("://")[2] or left
    return f"{host or _MISSING}/{namespace or _MISSING}/{model or _MISSING}:{tag or _MISSING}"


async def create(engine: Engine, body: bytes) -> Answer:
    """`POST /api/create`."""
    members = fields.read("CreateRequest", body)
    name = names.parse_bare(members.get("model") or members.get("name", ""))
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
        blob = engine.library.blob(str(digest))
        if blob is not None and blob.kind != b"GGUF":
            raise _no_gguf(engine, blob.kind)
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


def _no_gguf(engine: Engine, kind: bytes) -> Refusal:
    if engine.settings.release < (0, 34):
        return Refusal(400, "supplied file was not in GGUF format")
    if len(kind) < 4:
        return Refusal(500, "unexpected EOF" if kind else "EOF")
    return Refusal(500, f"unsupported file type [{' '.join(str(byte) for byte in kind)}]")


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
    origin, name = (
        _valid(f"{word} {quote(text)} is invalid", text)
        for word, text in (("source", source), ("destination", destination))
    )
    if name != origin:  # onto the very same name there is nothing to do, not even to find it
        model = engine.library.named(origin)
        if model is None:
            engine.transfers.copied(Copy(source, destination, "failed"))
            raise Refusal(404, f"model {quote(source)} not found")
        if name.key != origin.key:
            engine.library.put(model.renamed(name, engine.clock.now()))
    engine.transfers.copied(Copy(source, destination, "done"))
    return answers.empty(200)


def _valid(fault: str, text: str) -> names.Name:
    name = names.parse_bare(text)
    if name is None:
        raise Refusal(400, fault)
    return name


def delete(engine: Engine, body: bytes, _: Head) -> Answer:
    """`DELETE /api/delete`."""
    members = fields.read("DeleteRequest", body)
    text = members.get("model") or members.get("name", "")
    if not text:
        raise Refusal(400, "model is required")
    check_source(text)
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


def put_blob(engine: Engine, digest: str, blob: Blob) -> Answer:
    """`POST /api/blobs/:digest`."""
    return answers.empty(201 if engine.library.put_blob(digest, blob) else 200)
