"""Many programs with unlike ideas of a context, on a real server whose proxy enforces one."""

import asyncio
from urllib.parse import urlsplit

import pytest

from gollamas.config import options
from tests.clients.programs import started
from tests.mixture import mix, mixture
from tests.real.fleet import Place, RealFleet
from tests.real.loading import logged_loads
from tests.real.test_proxied_loads import Loading

ENFORCES = ("--force-num-ctx", "2048")
WITHIN = 280.0  # seconds


@pytest.mark.skipif(ENFORCES[0] in getattr(options, "LATER_FLAGS", ()), reason="num_ctx is not enforced")
def test_one_line_of_configuration_ends_the_reloading(
    fleet: RealFleet, place: Place, words: list[str]
) -> None:
    """Each model is loaded once, by the proxy and in the server's own log; the answers say their own name."""
    with started(*words, *ENFORCES) as program:
        proxied = Loading(program)
        parts = urlsplit(proxied.place.url)
        asked = mixture(fleet.chat, fleet.embed)
        address = (parts.hostname or "", parts.port or 0)
        found = asyncio.run(mix(address, asked, lambda: logged_loads() or 0, within=WITHIN))
        assert found.faults == []
        loads = sorted(proxied.loads())
    assert [load[:3] for load in loads] == [
        (name, "loaded", "cold") for name in sorted((fleet.chat, fleet.embed))
    ]
    if logged_loads() is not None and place is fleet.first:
        assert found.reloads == 0
