"""What `/state` tells of traffic is what `/metrics` and the log tell of the same requests."""

from collections.abc import Mapping

import pytest

from gollamas.events import RequestEnded
from gollamas.observe.metrics import FIRST_BYTE_BUCKETS
from gollamas.observe.traffic import quantile
from gollamas.simulate.faults import Fails
from tests.sockets.proxying import runs
from tests.sockets.simulated import EMBEDDER, fleet
from tests.sockets.test_metrics import ADMIN, samples
from tests.sockets.test_state import state_of

Samples = Mapping[tuple[str, frozenset[tuple[str, str]]], float]


def total(found: Samples, name: str, **labels: str) -> float:
    """Add up all series of a metric that have these labels."""
    wanted = labels.items()
    return sum(value for (one, has), value in found.items() if one == name and wanted <= set(has))


def first_bytes(found: Samples) -> list[int]:
    """Give how many answers began within each bucket, of all routes, models and servers."""
    sums: dict[float, float] = {}
    for (name, labels), value in found.items():
        if name == "gollamas_first_byte_seconds_bucket":
            bound = float(dict(labels)["le"])
            sums[bound] = sums.get(bound, 0) + value
    below = [int(sums[bound]) for bound in (*FIRST_BYTE_BUCKETS, float("inf"))]
    return [more - less for more, less in zip(below, [0, *below], strict=False)]


@runs
async def test_traffic_metrics_and_log_agree() -> None:
    async with fleet("a", admin=ADMIN) as both:
        both.ollama.fail_next(Fails(500, b'{"error":"out of luck"}'), path="/api/generate")
        for path in ("/api/chat", "/v1/chat/completions", "/v1/messages", "/api/generate"):
            await both.ask(path)
        await both.ask("/api/embed", EMBEDDER)
        await both.ask("/api/chat", "nothing")
        await both.proxy.events.ended(6)
        ended = both.proxy.events.of(RequestEnded)
        both.proxy.app._traffic.sample()
        state, found = await state_of(both.proxy), await samples(both.proxy)
        traffic = state["traffic"]
        tokens = sum(one.tokens_out or 0 for one in ended)
        assert tokens > 0
        # By the second, of which all have the same number.
        for told, counted, logged in (
            ("requests_per_s", total(found, "gollamas_requests_total"), 6),
            ("tokens_per_s", total(found, "gollamas_tokens_total", direction="out"), tokens),
            ("errors_per_s", total(found, "gollamas_requests_total", status="500"), 1),
        ):
            assert counted == logged, told
            assert traffic[told] / traffic["requests_per_s"] == pytest.approx(logged / 6, rel=0.01), told
        for told, share in (("first_byte_p50_s", 0.5), ("first_byte_p95_s", 0.95)):
            assert traffic[told] == quantile(share, first_bytes(found), FIRST_BYTE_BUCKETS)
        assert [one["request_id"] for one in state["ended"]] == [one.request_id for one in ended]
