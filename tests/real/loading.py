"""Loads as answers tell them, of real servers and simulated ones.

Loads are told by `load_duration`, against the quickest one of a model that was not loaded: nobody else may
load anything on the real server meanwhile. Names that are made here begin with `gt-` or `gollamas/zz-`.
"""

import os
import re
from pathlib import Path
from typing import Any

from tests.real.fleet import Place

SURE = 0.6  # of the quickest load: what took longer was one, and on a busy machine nothing else takes so long
LOAD_SECONDS = 0.4  # of the simulated server
TOKENS_PER_SECOND = 10.0
VARIANT = "gollamas/zz-smol-1a2b:ctx2048"
EMBED_VARIANT = "gollamas/zz-minilm-3c4d:ctx256"
NAMES = ("gt-copy:latest", "gt-variant:latest")


STARTED = re.compile(rb'msg="starting (?:runner|llama-server)"')


def logged_loads() -> int | None:
    """Count the loads in the first server's own log, which GOLLAMAS_TEST_OLLAMA_LOG names; None without."""
    path = os.environ.get("GOLLAMAS_TEST_OLLAMA_LOG")
    return len(STARTED.findall(Path(path).read_bytes())) if path else None


def make(place: Place, name: str, source: str, **parameters: Any) -> None:
    """Make a model from another one, over the same weights."""
    body = {"model": name, "from": source, "stream": False}
    place.json("POST", "/api/create", {**body, "parameters": parameters} if parameters else body)


def variants(place: Place) -> set[str]:
    """Give the names of the variants that are there."""
    names = {entry["name"] for entry in place.json("GET", "/api/tags")["models"]}
    return {name for name in names if name.startswith("gollamas/")}


def load_of(place: Place, path: str, body: dict[str, Any]) -> float:
    """Ask, and give the seconds that the answer says its load took."""
    return float(place.json("POST", path, body)["load_duration"]) / 1e9


def say(name: str, **options: Any) -> dict[str, Any]:
    """Give the body of a short generate."""
    return {"model": name, "prompt": "Hi", "stream": False, "options": {"num_predict": 1, **options}}


def vector(name: str) -> dict[str, Any]:
    """Give the body of a short embed."""
    return {"model": name, "input": "a"}
