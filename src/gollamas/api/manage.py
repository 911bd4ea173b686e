"""Requests that change which models servers have: what is asked, who may, and where it goes.

Owns the reading of their bodies, in Ollama's own words where it would refuse one, and the rules of `manage`,
`manage_servers` and `registries`. Pure; whether a server has a model is not asked here.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

import msgspec

from gollamas import names
from gollamas.api import inference
from gollamas.api.blobs import is_digest
from gollamas.api.routes import ROUTES, Kind, Route
from gollamas.config.model import Alias, Config, Expose, Manage
from gollamas.errors import BadRequest, Forbidden, ModelNotFound
from gollamas.events import JobKind
from gollamas.names import Name
from gollamas.wire import body as bodies
from gollamas.wire.body import Members
from gollamas.wire.message import Body

KINDS: Final[Mapping[Kind, JobKind]] = {
    Kind.PULL: JobKind.PULL,
    Kind.PUSH: JobKind.PUSH,
    Kind.CREATE: JobKind.CREATE,
    Kind.COPY: JobKind.COPY,
    Kind.DELETE: JobKind.DELETE,
}
_TRUE: Final = msgspec.Raw(b"true")
_MISSING: Final = "!MISSING!"  # of a part that is empty beside its separator
_FROM_REGISTRY: Final = (JobKind.PULL, JobKind.PUSH)
# Members that are looked at for their type alone, and Go's word for that (`api/types.go`).
_AT_REGISTRY: Final[Mapping[str, str]] = {
    "name": "string",
    "username": "string",
    "password": "string",
    "stream": "bool",
    "insecure": "bool",
}
_TYPES: Final[Mapping[JobKind, Mapping[str, str]]] = {
    JobKind.PULL: _AT_REGISTRY,
    JobKind.PUSH: _AT_REGISTRY,
    JobKind.DELETE: {"name": "string"},
}
_DONE: Final[Mapping[JobKind, str]] = {
    JobKind.PULL: "pulled",
    JobKind.PUSH: "pushed",
    JobKind.CREATE: "created",
    JobKind.COPY: "created by a copy",
    JobKind.DELETE: "deleted",
}


class Unqualified(BadRequest):
    """A push of what is no name, which Ollama refuses after it has begun to answer (server/images.go)."""

    streams = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What is asked for, and where it may be done.

    `name` is what it is about, as the client wrote it: of a copy the destination. `model` and `source` are
    names as servers are asked for them, `key` and `source_key` what these are compared by. `servers` are
    ids, in configuration order.
    """

    kind: JobKind
    method: str
    path: str
    name: str
    model: str
    key: str
    servers: tuple[str, ...]
    body: bytes  # as servers get it: progress comes in lines
    source_name: str = ""  # of a copy, as the client wrote it
    source: str = ""
    source_key: str = ""
    streams: bool = False
    insecure: bool = False
    blobs: tuple[str, ...] = ()  # digests that each server must have
    source_servers: tuple[str, ...] = ()  # those that may pull the source of a create
    source_refusal: str = ""  # why none may, which is a 403
    source_is_configured: bool = False  # else it is there for clients only where what servers have is exposed
    is_exposed: bool = True  # clients can use a model of this name once it is there


class Rules:
    """Who may change what, by one configuration."""

    def __init__(self, config: Config) -> None:
        self._config = config
        keys = (*config.models, *(alias.model_key for alias in config.aliases.values()))
        self._registries = {*config.registries, *(key.partition("/")[0] for key in keys)}

    def read(self, route: Route, body: Body, only: str | None = None) -> Change:
        """Read a request; raises ProxyError for one that Ollama would refuse, or that is not allowed.

        `only` is the id of the server that it is limited to.
        """
        change = self._read(route, body)
        if only is None:
            return change
        if only not in change.servers:
            raise BadRequest(f"model '{change.name}' does not run on server '{only}'")
        return replace(change, servers=(only,))

    def _read(self, route: Route, body: Body) -> Change:
        members, _ = inference.members_in(route, body)
        kind = KINDS[route.kind]
        if kind is JobKind.COPY:
            return self._copy(route, members)
        if kind is JobKind.CREATE:
            return self._create(route, members)
        key_in_body, text = _named(route, members)
        for member, go_kind in _TYPES[kind].items():
            _check_type(route, members, member, go_kind)
        streams = kind in _FROM_REGISTRY and _bool(members, "stream", default=True)
        name = _parsed(kind, text, streams=streams)
        alias = self._config.aliases.get(name.key)
        model, key = (text, name.key) if alias is None else (alias.model, alias.model_key)
        self._check_ours(kind, name, text)
        if kind is JobKind.PULL and alias is not None:
            raise _is_alias(alias, kind)
        self._check_managed(kind, key, text)
        if kind in _FROM_REGISTRY:
            self._check_registry(kind, key.partition("/")[0])
        changed = {**members, key_in_body: bodies.raw_text(model)}
        if kind in _FROM_REGISTRY:
            changed[bodies.find(members, "stream") or "stream"] = _TRUE
        return Change(
            kind=kind,
            method=route.methods[0],
            path=route.path,
            name=text,
            model=model,
            key=key,
            servers=self._servers(key),
            body=bodies.encode(changed),
            streams=streams,
            insecure=_bool(members, "insecure", default=False),
            is_exposed=self._is_exposed(key),
        )

    def _copy(self, route: Route, members: Members) -> Change:
        """Read a copy: its source is any model that is routed, which is not judged here."""
        texts = {member: _text_of(route, members, member) for member in ("source", "destination")}
        parsed = {}
        for member, text in texts.items():
            name = names.parse_bare(text)
            if name is None:
                raise BadRequest(f"{member} {_quoted(text)} is invalid")
            parsed[member] = name
        source, name = parsed["source"], parsed["destination"]
        self._check_ours(JobKind.COPY, name, texts["destination"])
        if (alias := self._config.aliases.get(name.key)) is not None:
            raise _is_alias(alias, JobKind.COPY)
        self._check_managed(JobKind.COPY, name.key, texts["destination"])
        alias = self._config.aliases.get(source.key)
        asked, key = (texts["source"], source.key) if alias is None else (alias.model, alias.model_key)
        if names.is_ours(key):
            raise no_source(texts["source"])
        changed = {**members, bodies.find(members, "source") or "source": bodies.raw_text(asked)}
        return Change(
            kind=JobKind.COPY,
            method=route.methods[0],
            path=route.path,
            name=texts["destination"],
            model=texts["destination"],
            key=name.key,
            servers=self._servers(name.key),
            body=bodies.encode(changed),
            source_name=texts["source"],
            source=asked,
            source_key=key,
            is_exposed=self._is_exposed(name.key),
        )

    def _create(self, route: Route, members: Members) -> Change:
        """Read a create: from a model, or from blobs that were uploaded before."""
        _, text = _named(route, members)
        _check_type(route, members, "stream", "bool")
        name = names.parse_bare(text)
        if name is None:
            raise BadRequest("invalid model name")
        self._check_ours(JobKind.CREATE, name, text)
        if (alias := self._config.aliases.get(name.key)) is not None:
            raise _is_alias(alias, JobKind.CREATE)
        self._check_managed(JobKind.CREATE, name.key, text)
        if _text_of(route, members, "remote_host") and self._config.manage is not Manage.ALL:
            raise Forbidden(f"'{text}' can't be created with `remote_host`: `manage` is not `all`")
        changed = {**members, bodies.find(members, "stream") or "stream": _TRUE}
        change = Change(
            kind=JobKind.CREATE,
            method=route.methods[0],
            path=route.path,
            name=text,
            model=text,
            key=name.key,
            servers=self._servers(name.key),
            body=bodies.encode(changed),
            streams=_bool(members, "stream", default=True),
            blobs=_digests_in(members),
            is_exposed=self._is_exposed(name.key),
        )
        written = _text_of(route, members, "from")
        # Ollama 0.18 and later ignore white space here: what either takes for a name is judged.
        source = names.parse_bare(written) or names.parse(written)
        return change if source is None else self._with_source(change, changed, written, source.key)

    def _with_source(self, change: Change, members: Members, written: str, key: str) -> Change:
        """Resolve the model that another one is made from."""
        alias = self._config.aliases.get(key)
        text, key = (written, key) if alias is None else (alias.model, alias.model_key)
        if names.is_ours(key):
            raise ModelNotFound(f"model '{written}' not found")
        host = key.partition("/")[0]
        is_refused = host not in self._registries
        is_managed = self._config.manage is Manage.ALL or key in self._config.models
        refusal = f"model '{written}' can't be pulled from {host}: add it to `registries` to allow it"
        if names.is_cloud(
            text
        ):  # no server looks for it: before 0.18 it is pulled, then it leads to the cloud
            if is_refused:
                raise Forbidden(refusal)
            if not is_managed:
                raise Forbidden(f"'{change.name}' can't be created from '{written}': `manage` is not `all`")
        return replace(
            change,
            body=bodies.encode({**members, bodies.find(members, "from") or "from": bodies.raw_text(text)}),
            source_name=written,
            source=text,
            source_key=key,
            source_servers=self._servers(key) if is_managed and not is_refused else (),
            source_refusal=refusal if is_refused else "",
            source_is_configured=key in self._config.models,
        )

    def _check_ours(self, kind: JobKind, name: Name, text: str) -> None:
        """Names under `gollamas/` are ours: nobody changes them, and to all else they are not there."""
        if not names.is_ours(name.key):
            return
        if kind is JobKind.PUSH:
            raise ModelNotFound(f"model '{text}' not found")
        raise BadRequest(f"'{text}' can't be {_DONE[kind]}: names under gollamas/ belong to gollamas itself")

    def _check_managed(self, kind: JobKind, key: str, text: str) -> None:
        """Whether clients may change this model at all."""
        config = self._config
        what = f"'{text}' can't be {_DONE[kind]} through gollamas"
        if config.manage is Manage.OFF:
            raise Forbidden(f"{what}: `manage` is `off`")
        if config.manage is Manage.CONFIGURED and key not in config.models:
            raise Forbidden(
                f"{what}: it is not among its models, and `manage` is `configured`; "
                "add it to `models`, or set `manage: all`"
            )

    def _check_registry(self, kind: JobKind, host: str) -> None:
        if host not in self._registries:
            where = "pulled from" if kind is JobKind.PULL else "pushed to"
            raise Forbidden(f"models can't be {where} {host}: add it to `registries` to allow it")

    def _servers(self, key: str) -> tuple[str, ...]:
        model = self._config.models.get(key)
        if model is not None:
            return model.servers
        return self._config.manage_servers or tuple(self._config.servers)

    def _is_exposed(self, key: str) -> bool:
        return key in self._config.models or self._config.expose is Expose.INSTALLED


def route_of(kind: JobKind) -> Route:
    """Find the route by which a change is asked for."""
    return next(route for route in ROUTES if KINDS.get(route.kind) is kind)


def with_source(change: Change, name: str) -> Change:
    """Give a create in a server's own spelling of its source: Ollama minds its case there."""
    if names.parse_bare(name) == names.parse_bare(change.source):
        return change
    members = bodies.members_of(change.body)
    key = bodies.find(members, "from") or "from"
    return replace(change, body=bodies.encode({**members, key: bodies.raw_text(name)}))


def no_source(text: str) -> ModelNotFound:
    """Say as Ollama does that there is nothing of this name to copy."""
    return ModelNotFound(f"model {_quoted(text)} not found")


def _named(route: Route, members: Members) -> tuple[str, str]:
    """Find the name and the member that holds it: an empty `model` falls through to `name`."""
    key = bodies.find(members, "model") or "model"
    text = inference.text_in(route, members, key)
    if not text and (other := bodies.find(members, "name")):
        text, key = inference.text_in(route, members, other), other
    return key, text


def _parsed(kind: JobKind, text: str, *, streams: bool) -> Name:
    """Read a name; raises BadRequest in Ollama's words for each kind."""
    if kind is not JobKind.PUSH and names.names_both_sources(text):
        raise BadRequest(f"use either :local or :cloud, not both: {_quoted(text)}")
    name = (names.parse_bare if kind is JobKind.PUSH else names.parse)(text)
    if name is not None:
        return name
    if kind is JobKind.PULL:
        raise BadRequest("invalid model name")
    if not text:
        raise BadRequest("model is required")
    if kind is JobKind.DELETE:
        raise BadRequest(f"name {_quoted(text)} is invalid")
    why = Unqualified(f"unqualified name: {_spelt_out(text)}")
    why.streams = streams
    raise why


def _spelt_out(text: str) -> str:
    """Write what is no name as Ollama spells out one that it could not read."""
    *above, last = text.rsplit("/", 2)
    model, _, tag = last.rpartition(":") if ":" in last else (last, "", names.DEFAULT_TAG)
    defaults = (names.DEFAULT_HOST, names.DEFAULT_NAMESPACE)
    host, *rest = (*defaults[: len(defaults) - len(above)], *above, model)
    _, is_behind_scheme, behind = host.partition("://")
    if is_behind_scheme:
        host = behind or names.DEFAULT_HOST
    parts = (host, *rest)
    return f"{'/'.join(part or _MISSING for part in parts)}:{tag or _MISSING}"


def _is_alias(alias: Alias, kind: JobKind) -> BadRequest:
    return BadRequest(f"'{alias.name}' can't be {_DONE[kind]}: it is an alias of '{alias.model}'")


def _check_type(route: Route, members: Members, member: str, go_kind: str) -> None:
    key = bodies.find(members, member)
    kind = "null" if key is None else bodies.kind_of(members[key])
    if kind not in (go_kind, "null"):
        field = f"{route.go_type}.{member}"
        raise inference.refused(
            route, f"json: cannot unmarshal {kind} into Go struct field {field} of type {go_kind}"
        )


def _text_of(route: Route, members: Members, member: str) -> str:
    key = bodies.find(members, member)
    return "" if key is None else inference.text_in(route, members, key)


def _digests_in(members: Members) -> tuple[str, ...]:
    """List the blobs that a create names; what is no list of files is for servers to refuse."""
    found: dict[str, None] = {}
    for member in ("files", "draft_files", "adapters"):
        key = bodies.find(members, member)
        try:
            files = msgspec.json.decode(members[key], type=dict[str, str] | None) if key is not None else None
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            continue
        found |= {digest: None for digest in (files or {}).values() if is_digest(digest)}
    return tuple(found)


def _bool(members: Members, member: str, *, default: bool) -> bool:
    key = bodies.find(members, member)
    raw = b"null" if key is None else bytes(members[key])
    return default if raw == b"null" else raw == b"true"


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
