"""The meaning of the YAML file: which key says what.

Turns a document into the same entries that flags and variables give. A wrong shape is a fault that says which
shape is right.
"""

from collections.abc import Callable, Collection, Iterable, Mapping
from pathlib import Path
from typing import Final

from gollamas.config.address import names_in
from gollamas.config.document import Items, Members, Scalar, Value, read_document
from gollamas.config.faults import Findings, nearest
from gollamas.config.given import Gathered, Given, LevelEntry, Pair, ReadFile, ServerEntry
from gollamas.config.list_values import ListOf
from gollamas.config.options import (
    CONFIG,
    DEFAULT,
    ENTRIES,
    FORCE,
    POLICIES,
    POLICY_KEYS,
    SERVER_POLICY_KEYS,
    VALUES,
)
from gollamas.config.paths import EXAMPLE
from gollamas.config.synonyms import meant_by, nearest_to

_KEYS: Final = (*(option.key for option in (*ENTRIES, *VALUES)), *POLICY_KEYS)
_SERVER_KEYS: Final = ("url", "headers", "tls", *SERVER_POLICY_KEYS)
_MODEL_KEYS: Final = ("servers", *POLICY_KEYS, "per_server")
_POLICY_PARTS: Final = {
    policy: {option.part: option for option in POLICIES if option.policy == policy} for policy in POLICY_KEYS
}
_TLS_KEYS: Final = ("ca", "verify")
# What to write for keys of other programs.
_MEANT_IN_SERVER: Final = {
    **dict.fromkeys(("address", "addr", "host", "uri", "endpoint", "base_url", "link"), "url"),
    **dict.fromkeys(("auth", "authorization", "token", "api_key", "bearer"), "headers"),
    **dict.fromkeys(("insecure", "skip_verify", "verify"), "tls: {verify: false}"),
    **dict.fromkeys(("ca", "ca_file", "cert", "certificate"), "tls: {ca: FILE}"),
    "preload": "models: {MODEL: {per_server: {SERVER: {preload: true}}}}",
    "sync": "models: {MODEL: {per_server: {SERVER: {sync: true}}}}",
    "ping": "models: {MODEL: {per_server: {SERVER: {ping: DURATION}}}}",
}
_MEANT_IN_TLS: Final = {
    **dict.fromkeys(("ca_file", "ca_cert", "cafile", "cert", "certificate"), "ca"),
    **dict.fromkeys(("insecure", "insecure_skip_verify", "skip_verify"), "verify: false"),
}
_MEANT_IN_MODEL: Final = dict.fromkeys(
    ("server", "connection", "connections", "proxy", "host", "hosts", "url", "urls", "backends"), "servers"
)
_MEANT_IN_POLICY: Final = {
    **dict.fromkeys(("value", "fallback", "fill", "optional"), DEFAULT),
    **dict.fromkeys(("forced", "enforce", "enforced", "always", "override"), FORCE),
    **dict.fromkeys(("ctx", "context", "context_length", "max_num_ctx", "tokens"), "num_ctx"),
}
_ALL: Final = Given("", "")  # the name of a level that is of no model or server alone


def read_config_file(
    path: Given, environ: Mapping[str, str], read_file: ReadFile, findings: Findings
) -> Gathered:
    """Give what the file at `path` says; faults go to `findings`, also that it can't be read."""
    said = Gathered()
    try:
        text = read_file(path.text)
    except UnicodeDecodeError:
        findings.fault(
            path.place, f"the file `{path.text}` is not UTF-8", "Save it as UTF-8", names_in(path.text)
        )
        _lose_all(findings)
        return said
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        findings.fault(
            path.place,
            f"the file `{path.text}` can't be read: {reason}",
            "Name a file that is there",
            names_in(path.text),
        )
        _lose_all(findings)
        return said
    number = len(findings.faults)
    root = read_document(text, path.text, environ, findings)
    if root is None or (isinstance(root, Scalar) and root.is_null):
        if len(findings.faults) > number:
            _lose_all(findings)
        return said
    if not isinstance(root, Members):
        findings.fault(
            root.place, "the file is no mapping", "Write `key: value` lines, like `listen: :11434`"
        )
        _lose_all(findings)
        return said
    _File(Path(path.text).parent, findings, said).read(root)
    return said


def _lose_all(findings: Findings) -> None:
    for option in (*ENTRIES, *POLICIES):
        findings.lose(option.key)


class _File:
    """Walks one document; `folder` is what the paths in it are relative to."""

    def __init__(self, folder: Path, findings: Findings, said: Gathered) -> None:
        self._folder = folder
        self._findings = findings
        self._said = said

    def read(self, root: Members) -> None:
        lists = {
            "servers": self._servers,
            "models": self._models,
            "aliases": self._aliases,
            "routes": self._paths,
        }
        options = {option.key: option for option in VALUES}
        for key, value in self._known(root, _KEYS, _meant_at_top):
            if _is_nothing(value):
                continue
            if key in POLICY_KEYS:
                self._levels({key: value}, _ALL, _ALL)
            elif read_entries := lists.get(key):
                read_entries(value)
            elif isinstance(options[key].kind, ListOf) and isinstance(value, Items):
                texts = [given.text for item in value.nodes if (given := self._text(item, key))]
                self._said.values[key] = Given(",".join(texts), value.place)
            elif given := self._text(value, key):
                self._said.values[key] = given
            else:
                self._findings.lose(key)

    def _servers(self, value: Value) -> None:
        if isinstance(value, Items):
            for item in value.nodes:
                if given := self._text(item, "servers"):
                    self._said.servers.append(ServerEntry(id=None, url=given.text, place=given.place))
        elif members := self._members(value, "servers", "ID: URL` or `- URL", "gpu-1: http://gpu-1:11434"):
            for name, (place, server) in members.nodes.items():
                if entry := self._server(name, place, server):
                    self._said.servers.append(entry)
                else:
                    self._findings.lose("servers", name)

    def _server(self, name: str, place: str, value: Value) -> ServerEntry | None:
        """Read one server; None with a fault."""
        if isinstance(value, Scalar) and not value.is_null:
            return None if value.is_lost else ServerEntry(id=name, url=value.text, place=place)
        parts: dict[str, Value] = {}
        if isinstance(value, Members):
            parts = dict(self._known(value, _SERVER_KEYS, _MEANT_IN_SERVER.get))
        tls = self._tls(parts["tls"]) if "tls" in parts else {}
        headers = self._headers(parts["headers"]) if "headers" in parts else ()
        if "url" not in parts or _is_nothing(parts["url"]):
            if not any(_MEANT_IN_SERVER.get(key) == "url" for key in _keys_of(value)):
                lines = f"{name}: http://gpu-1:11434", f"{name}: {{url: http://gpu-1:11434}}"
                self._findings.fault(
                    place,
                    f"the server `{name}` has no URL",
                    f"Write `{lines[0]}` or `{lines[1]}`",
                    _names(name, *lines),
                )
            return None
        self._levels(parts, _ALL, Given(name.strip(), place))
        url = self._text(parts["url"], "url")
        if url is None:
            return None
        ca = tls.get("ca")
        return ServerEntry(
            id=name,
            url=url.text,
            place=place,
            headers=headers,
            ca=Given(str(self._folder / ca.text), ca.place) if ca else None,
            verify=tls.get("verify"),
        )

    def _headers(self, value: Value) -> tuple[tuple[str, Given], ...]:
        if _is_nothing(value):
            return ()
        members = self._members(value, "headers", "NAME: VALUE", 'Authorization: "Bearer ${TOKEN}"')
        found: list[tuple[str, Given]] = []
        for name, (place, field) in members.nodes.items() if members else ():
            if isinstance(field, Scalar) and not field.is_null:
                if not field.is_lost:
                    found.append((name, Given(field.text, place)))
            else:
                self._findings.fault(
                    place, f"the header `{name}` has no text for its value", f"Write `{name}: TEXT`"
                )
        return tuple(found)

    def _tls(self, value: Value) -> dict[str, Given]:
        if _is_nothing(value):
            return {}
        members = self._members(value, "tls", "ca: FILE", "verify: false")
        known = self._known(members, _TLS_KEYS, _MEANT_IN_TLS.get) if members else ()
        return {key: given for key, part in known if (given := self._text(part, key))}

    def _models(self, value: Value) -> None:
        members = self._members(value, "models", "MODEL: [SERVER, ...]", "llama3.2: [gpu-1, gpu-2]")
        for name, (place, model) in members.nodes.items() if members else ():
            servers: Value | None = model
            has_policy = False
            if isinstance(model, Members):
                parts = dict(self._known(model, _MODEL_KEYS, _MEANT_IN_MODEL.get))
                servers = parts.pop("servers", None)
                has_policy = self._policies(parts, Given(name, place))
            number = len(self._said.models)
            is_slip = any(key in _MEANT_IN_MODEL for key in _keys_of(model))
            if has_policy and _says_nothing(servers) and not is_slip:
                continue  # its servers are named elsewhere, or it is a model that is not configured
            if servers is not None or not is_slip:
                self._routes(name, place, servers)
            if len(self._said.models) == number:
                self._findings.lose("models", name)

    def _routes(self, name: str, place: str, servers: Value | None) -> None:
        line = f"{name}: [gpu-1]"
        example, names = f"Write `{line}` with the ids or URLs of servers", _names(name, line)
        if servers is None or _is_nothing(servers) or (isinstance(servers, Items) and not servers.nodes):
            self._findings.fault(place, f"the model `{name}` has no server", example, names)
        elif isinstance(servers, Members):
            self._findings.fault(servers.place, f"the servers of `{name}` are a mapping", example, names)
        else:
            for node in servers.nodes if isinstance(servers, Items) else (servers,):
                if given := self._text(node, name):
                    lines = (line.strip() for line in given.text.splitlines())
                    self._said.models += (Pair(name, line, given.place) for line in lines if line)

    def _policies(self, parts: Mapping[str, Value], model: Given) -> bool:
        """Read what a model has beside its servers; whether that is anything."""
        self._levels(parts, model, _ALL)
        per_server = parts.get("per_server")
        if per_server is not None and not _is_nothing(per_server):
            form, example = "SERVER: {num_ctx: TOKENS}", "gpu-1: {num_ctx: {force: 4096}}"
            members = self._members(per_server, "per_server", form, example)
            for name, (place, server) in members.nodes.items() if members else ():
                if isinstance(server, Members):
                    known = dict(self._known(server, POLICY_KEYS, _meant_nowhere))
                    self._levels(known, model, Given(name.strip(), place))
                elif not _is_nothing(server):
                    line = f"{name}: {{num_ctx: TOKENS}}"
                    what = f"what `{name}` has for `{model.text}` is no mapping"
                    self._findings.fault(place, what, f"Write `{line}`", _names(name, line))
        return not all(map(_says_nothing, parts.values()))

    def _levels(self, parts: Mapping[str, Value], model: Given, server: Given) -> None:
        """Read the policies among some parts: each `KEY: VALUE`, or `KEY: {PART: VALUE, ...}`."""
        for key, options in _POLICY_PARTS.items():
            number = len(self._findings.faults)
            for part, value in self._parts(key, parts[key]) if key in parts else ():
                if given := self._text(value, key if value is parts[key] else part):
                    entries = self._said.levels.setdefault(options[part].key, [])
                    entries.append(LevelEntry(model, server, given))
            if len(self._findings.faults) > number:
                for option in options.values():
                    self._findings.lose(option.key)

    def _parts(self, key: str, policy: Value) -> Iterable[tuple[str, Value]]:
        """Give what a policy says, by its parts. A value right behind the key is the part that is short."""
        options = _POLICY_PARTS[key]
        short = next((part for part, option in options.items() if option.is_short), None)
        if isinstance(policy, Members) and short != "":
            return self._known(policy, tuple(options), _meant_in(options))
        if short is not None:
            return ((short, policy),)
        if not _is_nothing(policy):
            self._members(policy, key, "num_ctx: TOKENS", "num_ctx: 32768")
        return ()

    def _aliases(self, value: Value) -> None:
        members = self._members(value, "aliases", "ALIAS: MODEL", "gpt-4o: llama3.2")
        for name, (place, model) in members.nodes.items() if members else ():
            if isinstance(model, Scalar) and not (model.is_null or model.is_lost):
                self._said.aliases.append(Pair(name, model.text.strip(), place))
                continue
            self._findings.lose("aliases", name)
            if not (isinstance(model, Scalar) and model.is_lost):
                self._findings.fault(
                    place,
                    f"the alias `{name}` does not name one model",
                    f"Write `{name}: llama3.2`",
                    _names(name, f"{name}: llama3.2"),
                )

    def _paths(self, value: Value) -> None:
        if isinstance(value, Members):
            self._findings.fault(
                value.place,
                "`routes` is a mapping, not a list of paths",
                f"Write `routes: [{EXAMPLE}]`, or `models:` for models and their servers",
            )
            return
        nodes = value.nodes if isinstance(value, Items) else (value,)
        self._said.routes += (given for node in nodes if (given := self._text(node, "routes")))

    def _known(
        self,
        members: Members,
        keys: tuple[str, ...],
        meant: Callable[[str], str | None],
    ) -> Iterable[tuple[str, Value]]:
        """Give the members whose key is one of `keys`; the others are faults."""
        for key, (place, value) in members.nodes.items():
            if key in keys:
                yield key, value
            else:
                near = meant(key) or nearest(key, keys)
                hint = f"Write `{near}`" if near else f"The keys here are: {', '.join(keys)}"
                self._findings.fault(place, f"the key `{key}` is unknown", hint, names_in(key))
                if keys is _KEYS and near:
                    self._findings.lose(near.partition(":")[0])

    def _members(self, value: Value, key: str, form: str, example: str) -> Members | None:
        if isinstance(value, Members):
            return value
        self._findings.lose(key)
        if isinstance(value, Scalar) and value.is_lost:
            return None
        kind = "a list" if isinstance(value, Items) else "a text"
        self._findings.fault(
            value.place,
            f"`{key}` is {kind}, not a mapping",
            f"Write `{form}` lines under it, like `{example}`",
        )
        return None

    def _text(self, value: Value, key: str) -> Given | None:
        """Give the text of a scalar; None for nothing and, with a fault, for a list or a mapping."""
        if isinstance(value, Scalar):
            return None if value.is_null or value.is_lost else Given(value.text, value.place)
        kind = "a list" if isinstance(value, Items) else "a mapping"
        self._findings.fault(
            value.place,
            f"`{key}` takes one value, and this is {kind}",
            f"Write `{key}: VALUE`",
            _names(key, f"{key}: VALUE"),
        )
        return None


def _meant_at_top(key: str) -> str | None:
    meant = meant_by(key) or nearest_to(key)
    return meant.key if meant and meant.option is not CONFIG else None


def _names(name: str, *lines: str) -> tuple[str, ...]:
    """Give the name and lines that begin with it where an `@` in it is to be shown."""
    return (name, *lines) if names_in(name) else ()


def _keys_of(value: Value) -> Iterable[str]:
    return value.nodes if isinstance(value, Members) else ()


def _is_nothing(value: Value) -> bool:
    return isinstance(value, Scalar) and value.is_null


def _says_nothing(value: Value | None) -> bool:
    return value is None or _is_nothing(value)


def _meant_in(parts: Collection[str]) -> Callable[[str], str | None]:
    def meant(key: str) -> str | None:
        word = _MEANT_IN_POLICY.get(key)
        return word if word in parts else None

    return meant


def _meant_nowhere(_: str) -> None:
    """Know no word of other programs."""
