"""The models and aliases of a configuration: which spellings are one model, where each name leads.

Owns equality by `names.key_of` and the chains of aliases; servers are found for it.
"""

from collections.abc import Callable, Mapping

from gollamas.config.address import looks_like_server, names_in, shown
from gollamas.config.faults import Findings, nearest
from gollamas.config.given import Given, Pair
from gollamas.config.model import Alias, Expose, Model
from gollamas.config.options import ALIASES, MODELS
from gollamas.names import is_ours, key_of

_NAME_RULE = (
    "Write a name as Ollama has it: [HOST/][NAMESPACE/]MODEL[:TAG] of letters, digits, `_`, `-` and `.`"
)


def models_of(
    pairs: list[Pair], find: Callable[[Pair], str | None], findings: Findings
) -> tuple[dict[str, Model], dict[str, tuple[str, ...]]]:
    """Models by key in their order, and the places of each. `find` gives the id of an entry's server."""
    names: dict[str, str] = {}
    servers: dict[str, list[str]] = {}
    places: dict[str, list[str]] = {}
    for pair in pairs:
        key = _key(pair, "model", findings)
        if _is_turned_round(pair):
            findings.lose(MODELS.key, pair.target)
            continue
        server = find(pair)
        if key is None:
            continue
        names.setdefault(key, pair.name)
        known = servers.setdefault(key, [])
        if server is not None and server not in known:
            known.append(server)
        if pair.place not in places.setdefault(key, []):
            places[key].append(pair.place)
    models = {key: Model(name=name, key=key, servers=tuple(servers[key])) for key, name in names.items()}
    return models, {key: tuple(where) for key, where in places.items()}


def aliases_of(
    pairs: list[Pair], models: Mapping[str, Model], expose: Expose, findings: Findings
) -> tuple[dict[str, Alias], dict[str, tuple[str, ...]]]:
    """Aliases by key in their order, chains followed to the model, and the places of each."""
    written: dict[str, tuple[Pair, str]] = {}
    places: dict[str, list[str]] = {}
    for pair in pairs:
        key, target = _key(pair, "alias", findings), None
        if not _is_turned_round(pair):
            target = name_key(Given(pair.target, pair.place), "model", findings, entry=pair.name)
        if key is None or target is None:
            findings.lose(ALIASES.key, pair.name)
            continue
        if key in models:
            findings.fault(
                pair.place,
                f"the alias `{pair.name}` hides the model `{models[key].name}`",
                "Give the alias another name, or leave it out",
            )
            continue
        first = written.setdefault(key, (pair, target))
        if first[1] != target:
            findings.fault(
                pair.place,
                f"the alias `{pair.name}` means `{pair.target}` here"
                f" and `{first[0].target}` at {first[0].place}",
                "Keep one of the two",
                (first[0].place,),
            )
        elif pair.place not in places.setdefault(key, []):
            places[key].append(pair.place)
    aliases: dict[str, Alias] = {}
    for key, (pair, _) in written.items():
        if alias := _followed(key, written, models, expose, findings):
            aliases[key] = alias
        else:
            findings.lose(ALIASES.key, pair.name)
    return aliases, {key: tuple(where) for key, where in places.items()}


def _followed(
    key: str,
    written: Mapping[str, tuple[Pair, str]],
    models: Mapping[str, Model],
    expose: Expose,
    findings: Findings,
) -> Alias | None:
    """Give the alias at the end of its chain; None with a fault for a loop or an unknown model."""
    start = written[key][0]
    pair, target = written[key]
    seen = [key]
    while target in written:
        if target in seen:
            if target == key == next(alias for alias in written if alias in seen):  # said once a loop
                chain = " -> ".join(written[step][0].name for step in (*seen, key))
                findings.fault(
                    start.place, f"the alias leads back to itself: {chain}", "Let it end at a model"
                )
            return None
        seen.append(target)
        pair, target = written[target]
    if target not in models and expose is Expose.CONFIGURED:
        if any(findings.has_lost(option.key, pair.target) for option in (MODELS, ALIASES)):
            return None
        near = nearest(pair.target, (*(model.name for model in models.values()),))
        hint = (
            f"Write `{near}`" if near else f"Add the model, as in `--proxy {pair.target}=http://gpu-1:11434`"
        )
        findings.fault(
            pair.place,
            f"the alias `{pair.name}` means `{pair.target}`, and no such model is configured",
            f"{hint}, or expose the installed ones (`--expose installed`)",
        )
        return None
    name = models[target].name if target in models else pair.target
    return Alias(name=start.name, key=key, model=name, model_key=target)


def _is_turned_round(pair: Pair) -> bool:
    """Whether a server's address stands where a name belongs."""
    if "://" in pair.name:
        return True
    return key_of(pair.name) is None and looks_like_server(pair.name) and not names_in(pair.name)


def _key(pair: Pair, what: str, findings: Findings) -> str | None:
    """Give the key of an entry's name; None with a fault."""
    if _is_turned_round(pair):
        findings.fault(
            pair.place,
            f"`{shown(pair.name)}` stands where the {what}'s name belongs",
            f"Write the name first: `{shown(pair.target)}={shown(pair.name)}`",
        )
        return None
    return name_key(Given(pair.name, pair.place), what, findings)


def name_key(given: Given, what: str, findings: Findings, entry: str = "") -> str | None:
    """Give the key of a name; None with a fault for what is no name, and for one that only we may use."""
    key = key_of(given.text)
    where = f" (in the entry `{entry}`)" if entry else ""
    names = names_in(given.text, entry)
    if key is None:
        said = shown(given.text) if "://" in given.text else given.text
        findings.fault(given.place, f"`{said}` is no {what}'s name{where}", _NAME_RULE, names)
    elif is_ours(key):
        findings.fault(
            given.place,
            f"`{given.text}` can't be named{where}: what is under `gollamas/` belongs to gollamas itself",
            "Write another name",
            names,
        )
        return None
    return key
