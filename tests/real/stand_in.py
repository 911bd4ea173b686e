"""A simulated server like a real one that was found: its version, and models of the same names and abilities.

Owns nothing else; versions that are not simulated to the letter are skipped.
"""

from dataclasses import replace

import pytest

from gollamas.simulate.server import SimulatedOllama
from gollamas.simulate.settings import VERSIONS, Settings
from tests.real.fleet import RealFleet


def stand_in(
    fleet: RealFleet, *, version: str = "", load_seconds: float = 0.0, tokens_per_second: float = 0.0
) -> SimulatedOllama:
    """Make a server whose loads take this long and which speaks as fast as it goes, or as said.

    Its version is that of the first server where none is given.
    """
    version = version or fleet.version
    if version not in VERSIONS:
        pytest.skip(f"only {' and '.join(VERSIONS)} are simulated to the letter, not {version}")
    settings = Settings(
        version=version,
        models=(fleet.chat, fleet.embed),
        load_seconds=load_seconds,
        tokens_per_second=tokens_per_second,
        prompt_tokens_per_second=0.0,
        pull_seconds=0.0,
        registry=False,
    )
    server = SimulatedOllama(settings)
    for name in (fleet.chat, fleet.embed):
        model = server.engine.library.find(name)
        assert model is not None
        weights = replace(model.weights, capabilities=tuple(fleet.capabilities[name]))
        server.engine.library.put(replace(model, weights=weights))
    return server
