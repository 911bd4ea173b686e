"""The meaning of the YAML file: which key says what.

Turns a document into the same entries that flags and variables give. A wrong shape is a fault that says which
shape is right; keys of a later release are warnings.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

from gollamas.config.document import Items, Members, Scalar, Value, read_document
from gollamas.config.faults import Findings, nearest
from gollamas.config.given import Gathered, Given, Pair, ReadFile, ServerEntry
from gollamas.config.options import ENTRIES, LATER, LATER_OF_MODEL, VALUES
from gollamas.config.values import Origins

_KEYS: Final = tuple(option.key for option in (*ENTRIES, *VALUES))
_SERVER_KEYS: Final = ("url", "headers", "tls")
_MODEL_KEYS: Final = ("servers",)
_TLS_KEYS: Final = ("ca", "verify")


def read_config_file(
    path: Given, environ: Mapping[str, str], read_file: ReadFile, findings: Findings
) -> Gathered:
    """Give what the file at `path` says; faults go to `findings`, also that it can't be read."""
    said = Gathered()
    try:
        text = read_file(path.text)
    except UnicodeDecodeError:
        findings.fault(path.place, f"the file `{path.text}` is not UTF-8", "Save it as UTF-8")
        return said
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        findings.fault(
            path.place, f"the file `{path.text}` can't be read: {reason}", "Name a file that is there"
        )
        return said
    root = read_document(text, path.text, environ, findings)
    if root is None or (isinstance(root, Scalar) and root.is_null):
        return said
    if not isinstance(root, Members):
        findings.fault(
            root.place, "the file is no mapping", "Write `key: value` lines, like `listen: :11434`"
        )
        return said
    _File(Path(path.text).parent, findings, said).read(root)
    return said


class _File:
    """Walks one document; `folder` is what the paths in it are relative to."""

    def __init__(self, folder: Path, findings: Findings, said: Gathered) -> None:
        self._folder = folder
        self._findings = findings
        self._said = said

    def read(self, root: Members) -> None:
        lists = {"servers": self._servers, "models": self._models, "aliases": self._aliases}
        options = {option.key: option for option in VALUES}
        for key, value in self._known(root, _KEYS, LATER):
            if _is_nothing(value):
                continue
            if read_entries := lists.get(key):
                read_entries(value)
            elif isinstance(options[key].kind, Origins) and isinstance(value, Items):
                texts = [given.text for item in value.nodes if (given := self._text(item, key))]
                self._said.values[key] = Given(",".join(texts), value.place)
            elif given := self._text(value, key):
                self._said.values[key] = given

    def _servers(self, value: Value) -> None:
        if isinstance(value, Items):
            for item in value.nodes:
                if given := self._text(item, "servers"):
                    self._said.servers.append(ServerEntry(id=None, url=given.text, place=given.place))
        elif members := self._members(value, "servers", "ID: URL", "gpu-1: http://gpu-1:11434"):
            for name, (place, server) in members.nodes.items():
                self._server(name, place, server)

    def _server(self, name: str, place: str, value: Value) -> None:
        example = f"Write `{name}: http://gpu-1:11434` or `{name}: {{url: http://gpu-1:11434}}`"
        if isinstance(value, Scalar) and not value.is_null:
            self._said.servers.append(ServerEntry(id=name, url=value.text, place=place))
            return
        if not isinstance(value, Members):
            self._findings.fault(place, f"the server `{name}` has no URL", example)
            return
        parts = dict(self._known(value, _SERVER_KEYS, LATER))
        tls = self._tls(parts["tls"]) if "tls" in parts else {}
        url = self._text(parts["url"], "url") if "url" in parts else None
        headers = self._headers(parts["headers"]) if "headers" in parts else ()
        if url is None:
            if "url" not in parts or _is_nothing(parts["url"]):
                self._findings.fault(place, f"the server `{name}` has no URL", example)
            return
        ca = tls.get("ca")
        entry = ServerEntry(
            id=name,
            url=url.text,
            place=place,
            headers=headers,
            ca=Given(str(self._folder / ca.text), ca.place) if ca else None,
            verify=tls.get("verify"),
        )
        self._said.servers.append(entry)

    def _headers(self, value: Value) -> tuple[tuple[str, Given], ...]:
        if _is_nothing(value):
            return ()
        members = self._members(value, "headers", "NAME: VALUE", 'Authorization: "Bearer ${TOKEN}"')
        found: list[tuple[str, Given]] = []
        for name, (place, field) in members.nodes.items() if members else ():
            if isinstance(field, Scalar) and not field.is_null:
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
        known = self._known(members, _TLS_KEYS, ()) if members else ()
        return {key: given for key, part in known if (given := self._text(part, key))}

    def _models(self, value: Value) -> None:
        members = self._members(value, "models", "MODEL: [SERVER, ...]", "llama3.2: [gpu-1, gpu-2]")
        for name, (place, model) in members.nodes.items() if members else ():
            servers: Value | None = model
            if isinstance(model, Members):
                servers = dict(self._known(model, _MODEL_KEYS, LATER_OF_MODEL)).get("servers")
            self._routes(name, place, servers)

    def _routes(self, name: str, place: str, servers: Value | None) -> None:
        example = f"Write `{name}: [gpu-1]` with the ids or URLs of servers"
        if servers is None or _is_nothing(servers) or (isinstance(servers, Items) and not servers.nodes):
            self._findings.fault(place, f"the model `{name}` has no server", example)
        elif isinstance(servers, Members):
            self._findings.fault(servers.place, f"the servers of `{name}` are a mapping", example)
        else:
            for node in servers.nodes if isinstance(servers, Items) else (servers,):
                if given := self._text(node, name):
                    self._said.models.append(Pair(name, given.text, given.place))

    def _aliases(self, value: Value) -> None:
        members = self._members(value, "aliases", "ALIAS: MODEL", "gpt-4o: llama3.2")
        for name, (place, model) in members.nodes.items() if members else ():
            if isinstance(model, Scalar) and not model.is_null:
                self._said.aliases.append(Pair(name, model.text, place))
            else:
                self._findings.fault(
                    place, f"the alias `{name}` does not name one model", f"Write `{name}: llama3.2`"
                )

    def _known(
        self, members: Members, keys: tuple[str, ...], later: tuple[str, ...]
    ) -> Iterable[tuple[str, Value]]:
        """Give the members whose key is one of `keys`; the others are faults or warnings."""
        for key, (place, value) in members.nodes.items():
            if key in keys:
                yield key, value
            elif key in later:
                self._findings.warn(place, f"`{key}` comes in a later release; this one ignores it")
            else:
                near = nearest(key, (*keys, *later))
                hint = f"Write `{near}`" if near else f"The keys here are: {', '.join(keys)}"
                self._findings.fault(place, f"the key `{key}` is unknown", hint)

    def _members(self, value: Value, key: str, form: str, example: str) -> Members | None:
        if isinstance(value, Members):
            return value
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
            return None if value.is_null else Given(value.text, value.place)
        kind = "a list" if isinstance(value, Items) else "a mapping"
        self._findings.fault(
            value.place, f"`{key}` takes one value, and this is {kind}", f"Write `{key}: VALUE`"
        )
        return None


def _is_nothing(value: Value) -> bool:
    return isinstance(value, Scalar) and value.is_null
