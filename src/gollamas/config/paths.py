"""The routes that a configuration adds: paths under `/v1` whose requests go to a server of their model.

Owns which paths these may be. The ones that are served anyway are in `api/routes`, which stands above this
layer, and here by name; a test compares the two.
"""

import re
from typing import Final

from gollamas.config.address import shown
from gollamas.config.faults import Findings, Unusable
from gollamas.config.given import Given
from gollamas.config.lists import split_list

_UNDER_V1: Final = (
    "chat/completions", "completions", "embeddings", "responses", "messages", "audio/transcriptions",
    "audio/speech", "systemone", "models",
)  # fmt: skip
SERVED: Final = frozenset(f"/v1/{path}" for path in _UNDER_V1)
_OF_A_MODEL: Final = re.compile(r"/v1/models/[^/]+")
WRITTEN: Final = "/v1/PATH"
EXAMPLE: Final = "/v1/new/thing"
_WRONG: Final = tuple(
    (re.compile(pattern), what)
    for pattern, what in (
        (r"://", "is a URL and no path"),
        (r"[?#]", "has a query or a fragment"),
        (r"=", "is an entry and no path; a model and its server are `--proxy MODEL=URL|ID`"),
        (r"%", "has a `%` in it, and a path is written unescaped"),
        (r"//", "has a doubled slash"),
        (r"/\.\.?(/|$)", "has a step like `..` in it"),
        (r"/$", "ends in a slash"),
        (r"^(?!/v1/)", "is not under `/v1/`, and no other path can be added"),
        (r"[^A-Za-z0-9/._~@+\-]", "has characters that no route has"),
    )
)
_HOST: Final = re.compile(r"^[^:/]*://[^/]*")


def paths_of(lists: list[Given], findings: Findings) -> dict[str, tuple[str, ...]]:
    """Paths in their order, and the places of each."""
    places: dict[str, tuple[str, ...]] = {}
    for given in lists:
        try:
            elements = split_list(given.text)
        except Unusable as why:
            findings.unusable(given.place, why)
            continue
        for path in elements:
            if fault := _fault(path):
                findings.unusable(given.place, fault)
            elif given.place not in places.setdefault(path, ()):
                places[path] += (given.place,)
    return places


def _fault(path: str) -> Unusable | None:
    if what := _wrong(path):
        meant = _HOST.sub("", path)
        meant = re.sub(r"/+", "/", "/" + re.split(r"[?#]", meant)[0]).rstrip("/")
        return Unusable(f"the route `{shown(path)}` {what}", f"Write `{EXAMPLE if _wrong(meant) else meant}`")
    if path in SERVED or _OF_A_MODEL.fullmatch(path):
        return Unusable(f"the route `{path}` is served already", "Leave it out")
    return None


def _wrong(path: str) -> str | None:
    return next((what for pattern, what in _WRONG if pattern.search(path)), None)
