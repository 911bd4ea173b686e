"""Entries as flags and variables have them: NAME=TARGET, and the URL of a server alone.

Owns this notation; looks no name up.
"""

from gollamas.config.address import looks_like_server, shown, surely_names_in, url_of
from gollamas.config.faults import Findings, Unusable
from gollamas.config.given import Given, Pair, ServerEntry
from gollamas.config.lists import is_url, split_list
from gollamas.config.options import SERVERS, Option


def pairs_of(given: Given, option: Option, findings: Findings) -> list[Pair]:
    """Read models or aliases."""
    pairs: list[Pair] = []
    for element in _elements(given, option, findings):
        before = pairs[-1].name if pairs else ""
        if pair := _pair(element, given.place, option, findings, before):
            pairs.append(pair)
    return pairs


def servers_of(given: Given, findings: Findings) -> list[ServerEntry]:
    """Read servers: ID=URL, or a URL alone as in a list of the file."""
    servers: list[ServerEntry] = []
    for element in _elements(given, SERVERS, findings):
        if turned := _turned_round(element):
            findings.fault(given.place, f"`{shown(element)}` has its id behind the URL", f"Write `{turned}`")
            findings.lose(SERVERS.key)
        elif is_url(element) or ("=" not in element and looks_like_server(element)):
            servers.append(ServerEntry(id=None, url=element, place=given.place))
        elif "=" not in element:
            url = url_of(element)
            name = element if element in url else "gpu-1"
            findings.fault(
                given.place,
                f"`{shown(element)}` is neither ID=URL nor the URL of a server",
                f"Write `{url}`, or with an id `{name}={url}`",
            )
            findings.lose(SERVERS.key, element)
        elif pair := _pair(element, given.place, SERVERS, findings):
            servers.append(ServerEntry(id=pair.name, url=pair.target, place=given.place))
    return servers


def _turned_round(element: str) -> str:
    """Give ID=URL of URL=ID; empty where it is none."""
    url, equals, name = element.rpartition("=")
    is_turned = equals and is_url(url) and not set("@/:") & set(name) and "/" not in url.partition("://")[2]
    return f"{name}={shown(url)}" if is_turned else ""


def _elements(given: Given, option: Option, findings: Findings) -> list[str]:
    try:
        return split_list(given.text)
    except Unusable as why:
        findings.unusable(given.place, why)
        findings.lose(option.key)
        return []


def _pair(element: str, place: str, option: Option, findings: Findings, before: str = "") -> Pair | None:
    """Take NAME=TARGET apart; None with a fault. `before` is the name of the entry before it."""
    # A URL that stands first may have any character in its password: what follows its last `=` is the name.
    parts = element.rpartition("=") if is_url(element) else element.partition("=")
    name, equals, target = (part.strip("\"' \t") for part in parts)
    if equals and name and target:
        return Pair(name, target, place)
    findings.lose(option.key, name or target)
    hint = f"Write {option.written}"
    if not equals:
        names = surely_names_in(element)
        alone = element if names else shown(element)
        if before:
            hint += f", also for the second of two: `{before}={alone}`"
        findings.fault(place, f"`{alone}` has no `=`", hint, names)
    else:
        lacking = "after" if name else "before"
        findings.fault(place, f"`{shown(element)}` has nothing {lacking} its `=`", hint)
    return None
