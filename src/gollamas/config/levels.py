"""What is said of all models, of a server, of a model, or of a model on a server.

Owns the notations `[[MODEL][@SERVER]=]VALUE` and `MODEL[@SERVER][=VALUE]`, and what the names in them mean,
wherever they were written. Knows no policy: what holds for a model is worked out of the levels by others.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gollamas import names
from gollamas.config.address import shown, surely_names_in
from gollamas.config.faults import Findings, Unusable, nearest
from gollamas.config.given import Gathered, Given, LevelEntry
from gollamas.config.kept_values import ALL, FALSE, NO, YES, InstanceCount
from gollamas.config.lists import split_list
from gollamas.config.model import Alias, Expose, Model
from gollamas.config.options import ALIASES, MODELS, POLICIES, LevelsOption
from gollamas.config.routes import name_key
from gollamas.config.servers import Servers
from gollamas.config.values import ValueKind

Level = tuple[str, str]  # the model's key and the server's id, as in Levels


def level_entries_of(given: Given, option: LevelsOption, findings: Findings) -> list[LevelEntry]:
    """Read the entries of a comma list; notes what could not be read as lost."""
    try:
        elements = split_list(given.text)
    except Unusable as why:
        if option.implied or set(given.text) & set("=,@"):
            findings.unusable(given.place, why)
            findings.lose(option.key)
            return []
        elements = [given.text]  # one value with a blank in it: its kind says what to write
    read = _named_entry if option.implied else _entry
    entries = [entry for element in elements if (entry := read(element, given.place, option, findings))]
    if len(entries) < len(elements):
        findings.lose(option.key)
    of_all = [entry.value.text for entry in entries if not entry.written]
    if len(of_all) > 1:  # most likely `8,192`, of which 192 would hold
        what = f"the list has more than one value for all models: {', '.join(of_all)}"
        findings.fault(given.place, what, "Keep one of them, and no comma within a number")
        findings.lose(option.key)
    return entries


def _entry(element: str, place: str, option: LevelsOption, findings: Findings) -> LevelEntry | None:
    """Take an entry apart; None with a fault. A URL in it may have a `=`, its value has none."""
    target, equals, value = (part.strip("\"' \t") for part in element.rpartition("="))
    model, at, server = (part.strip() for part in target.partition("@"))
    entry = f"{model}{at}{shown(server)}"
    if "://" in model and equals:
        what = f"`{shown(target)}` stands where a model's name belongs"
        before = "" if option.is_of_servers else "MODEL"
        instead = f"{before}@{shown(target)}={value}"
        findings.fault(place, what, f"Write `{instead}` for the server", (instead,) if before else ())
        return None
    if "@" in value or "://" in value:
        what = f"the entry `{element if surely_names_in(element) else shown(element)}` has no value"
    elif equals and not value:
        what = f"the entry `{entry}` has nothing after its `=`"
    elif (equals and not target) or (at and not server):
        what = f"the entry `{entry}={value}` lacks a name"
    elif server and not model and not option.is_of_servers:
        what = f"the entry `{entry}={value}` lacks a model, and `{option.key}` is not said of a server alone"
    else:
        return LevelEntry(Given(model, place), Given(server, place), Given(value, place), entry)
    findings.fault(
        place,
        what,
        _one_of(option.forms),
        (*option.forms, entry, f"{entry}={value}", *surely_names_in(element)),
    )
    return None


def _named_entry(element: str, place: str, option: LevelsOption, findings: Findings) -> LevelEntry | None:
    """Take an entry apart that is a name first; None with a fault. A URL in it may have a `=`."""
    target, equals, value = (part.strip("\"' \t") for part in element.rpartition("="))
    if not equals or "@" in value or "://" in value:
        target, equals, value = element, "", option.implied
    model, at, server = (part.strip() for part in target.partition("@"))
    entry = f"{model}{at}{shown(server)}"
    word = model.lower()
    instead = _one_of(option.forms)
    if "://" in model or (at and model and names.key_of(model) is None):  # what stands there may be secret
        what = f"`{shown(target)}` stands where a model's name belongs"
        of_server = f"MODEL@{shown(target)}"
        instead = f"Write `{of_server}`" if "://" in model else instead
        findings.fault(place, what, instead, (*option.forms, of_server))
        return None
    if equals and not value:
        what = f"the entry `{entry}` has nothing after its `=`"
    elif at and not server:
        what = f"the entry `{entry}` lacks a name"
    elif not model or (word == ALL and server):
        what = f"the entry `{entry}` lacks a model, and `{option.key}` is not said of a server alone"
    elif equals and not at and value[0].isalpha() and (why := _why_not(value, option.kind)):
        what = f"{why} (in the entry `{entry}`)"
        instead = f"Write `{model}@{value}` for the server, or {option.kind.accepts}"
        entry = f"{model}@{value}"
    elif not equals and not at and (meant := _meant_by_name(word, option.kind)):
        what = f"`{model}` stands where a model's name belongs"
        instead = f"Write `{meant}`" + (f", or `{model}:latest` for a model" if word.isalnum() else "")
    else:
        name = "" if word == ALL else model
        return LevelEntry(Given(name, place), Given(server, place), Given(value, place), entry)
    findings.fault(place, what, instead, (*option.forms, entry, *surely_names_in(element)))
    return None


def _why_not(value: str, kind: ValueKind) -> str:
    """Say why a value can't be used; nothing where it can, or where its kind knows what was meant."""
    try:
        kind.parse(value)
    except Unusable as why:
        return "" if value.lower() in YES | NO else why.what
    return ""


def _meant_by_name(word: str, kind: ValueKind) -> str | None:
    """Give the entry for all models that is meant by a value alone; None for what is most likely a name."""
    if word in NO:
        return f"{ALL}={FALSE}"
    if word.isdecimal() and isinstance(kind, InstanceCount):
        return f"{ALL}={word}"
    return ALL if word in YES else None


def _one_of(forms: tuple[str, ...]) -> str:
    return f"Write `{'`, `'.join(forms[:-1])}` or `{forms[-1]}`"


@dataclass(frozen=True, slots=True)
class Targets:
    """All that levels may be said of: a name that is none of these is a fault."""

    servers: Servers
    models: Mapping[str, Model]
    aliases: Mapping[str, Alias]
    expose: Expose
    findings: Findings

    def find(self, entry: LevelEntry, option: LevelsOption) -> Level | None:
        """Give the level of an entry; None with a fault."""
        key = self._model(entry, option) if entry.model.text else ""
        server = self.servers.known(entry.server) if entry.server.text else ""
        if key is None or server is None:
            return None
        model = self.models.get(key)
        if model and model.servers and server and server not in model.servers:
            self.findings.fault(
                entry.server.place,
                f"`{model.name}` does not run on the server `{server}`",
                f"Name one of its own: {', '.join(model.servers)}; or let it run there, too,"
                f" as in `--proxy {model.name}={server}`",
            )
            return None
        return key, server

    def _model(self, entry: LevelEntry, option: LevelsOption) -> str | None:
        name, place = entry.model.text, entry.model.place
        key = name_key(entry.model, "model", self.findings)
        if names.is_cloud(name):
            self.findings.warn(place, f"`{name}` runs in Ollama's cloud, so this does nothing for it")
        if key is None or key in self.models:
            return key
        if alias := self.aliases.get(key):
            self.findings.fault(place, f"`{name}` is an alias", f"Write its model, `{alias.model}`")
            return None
        if any(self.findings.has_lost(option.key, name) for option in (MODELS, ALIASES)):
            return None
        is_server = name in self.servers.placed
        of_server = f"`@{name}`" + ("" if option.is_of_servers else " behind a model's name")
        if self.expose is Expose.CONFIGURED:
            near = self._near(name, key)
            meant = of_server if is_server else f"`{near}`" if near else None
            instead = f"Write {meant}" if meant else f"Add it, as in `--proxy {name}=http://gpu-1:11434`"
            self.findings.fault(
                place,
                f"no model `{name}` is configured",
                f"{instead}, or expose the installed ones (`--expose installed`)",
            )
            return None
        if is_server:
            self.findings.warn(
                place,
                f"`{name}` is read as a model's name, and a server is called so: write {of_server} for it",
            )
        return key

    def _near(self, name: str, key: str) -> str | None:
        """Find the configured model that was most likely meant: with another tag, or another letter."""
        of_other_tag = (
            model.name
            for model in self.models.values()
            if model.key.rpartition(":")[0] == key.rpartition(":")[0]
        )
        return next(of_other_tag, None) or nearest(name, (model.name for model in self.models.values()))


def all_levels(said: Gathered, targets: Targets) -> tuple[dict[str, Any], dict[tuple[str, str], str]]:
    """Give the `Levels` of each option by its key, and its origins by option key and `level_name`."""
    levels: dict[str, Any] = {}
    origins: dict[tuple[str, str], str] = {}
    for option in POLICIES:
        found = _levels_of(option, said.levels.get(option.key, []), targets)
        levels[option.key] = {level: value for level, (value, _) in found.items()}
        origins |= {(option.key, level_name(level)): entry.value.place for level, (_, entry) in found.items()}
    return levels, origins


def level_name(level: Level) -> str:
    """Give one text for a level; no key has an `@`."""
    return "@".join(level)


def _levels_of(
    option: LevelsOption, entries: list[LevelEntry], targets: Targets
) -> dict[Level, tuple[Any, LevelEntry]]:
    """Read every entry, also one that is overruled by a later one; within the file none is."""
    found: dict[Level, tuple[Any, LevelEntry]] = {}
    for entry in entries:
        level = targets.find(entry, option)
        kind = option.kind_for(is_one=bool(entry.model.text and entry.server.text))
        try:
            value = kind.parse(entry.value.text)
        except Unusable as why:
            targets.findings.unusable(entry.value.place, why, entry.written or "", entry.names)
            targets.findings.lose(option.key)
            continue
        if level is None:
            targets.findings.lose(option.key)
            continue
        other, before = found.get(level, (value, entry))
        if other != value and before.written is None and entry.written is None:
            targets.findings.fault(
                entry.value.place,
                f"`{option.policy}` is {option.kind.show(value)} here"
                f" and {option.kind.show(other)} at {before.value.place}, for the same",
                "Keep one of the two",
                (before.value.place,),
            )
        found[level] = value, entry
    return found
