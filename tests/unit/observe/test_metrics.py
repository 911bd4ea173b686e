"""Metrics: what is counted, under which labels, and that their number is bounded."""

import re
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest
from prometheus_client import generate_latest
from prometheus_client.exposition import choose_encoder
from prometheus_client.parser import text_string_to_metric_families

from gollamas import events
from gollamas.observe import metrics
from gollamas.observe.exposition import DESCRIBED, Exposition
from gollamas.observe.metrics import Metrics
from tests.happened import request_ended

DOCUMENT = (Path(__file__).parents[3] / "docs" / "metrics.md").read_text(encoding="utf-8")
KNOWN = {"llama3.2": "llama3.2", "LLAMA3.2:latest": "llama3.2"}


class Fleet:
    """A source with one server of each kind."""

    def in_flight(self) -> Iterable[tuple[str, str, int]]:
        return [("llama3.2", "gpu-1", 3)]

    def connections(self) -> Iterable[tuple[str, int]]:
        return [("client", 2), ("server", 1)]

    def servers(self) -> Iterable[tuple[str, bool]]:
        return [("gpu-1", True), ("gpu-2", False)]


def counted(*happened: events.Event, label: Callable[[str], str | None] = KNOWN.get) -> Exposition:
    return told(Metrics(label), *happened)


def told(counts: Metrics, *happened: events.Event) -> Exposition:
    for event in happened:
        counts(event)
    return Exposition(counts, Fleet(), "1.2.3")


def samples(found: Exposition) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    families = text_string_to_metric_families(generate_latest(found.registry).decode())
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in families
        for sample in family.samples
    }


def value(found: Exposition, name: str, **labels: str) -> float | None:
    return samples(found).get((name, tuple(sorted(labels.items()))))


def request(**changes: object) -> events.RequestEnded:
    said: dict[str, object] = {
        "request_id": "r",
        "client": "c",
        "method": "POST",
        "route": "/api/chat",
        "status": 200,
        "model": "llama3.2",
        "server": "gpu-1",
        "total_s": 2.0,
    }
    return request_ended(**(said | changes))


def test_requests_are_counted_by_route_model_server_and_status() -> None:
    found = counted(request(), request(), request(status=503, server=None))
    labels = {"route": "/api/chat", "model": "llama3.2"}
    name = "gollamas_requests_total"
    assert value(found, name, **labels, server="gpu-1", status="200") == 2
    assert value(found, name, **labels, server="", status="503") == 1


def test_spellings_and_aliases_count_as_the_model() -> None:
    found = counted(
        request(model="gpt-4o", model_used="llama3.2"), request(model="LLAMA3.2:latest"), request()
    )
    assert (
        value(
            found,
            "gollamas_requests_total",
            route="/api/chat",
            model="llama3.2",
            server="gpu-1",
            status="200",
        )
        == 3
    )


def test_names_that_clients_make_up_are_one_label() -> None:
    counts = Metrics(KNOWN.get)
    found = told(counts, *(request(model=f"made-up-{n}", status=404, server=None) for n in range(5000)))
    rows = [key for key in samples(found) if key[0] == "gollamas_requests_total"]
    assert len(rows) == 1
    assert (
        value(found, "gollamas_requests_total", route="/api/chat", model="other", server="", status="404")
        == 5000
    )
    assert len(counts._spelt) == 0


def test_spellings_of_a_known_model_do_not_pile_up() -> None:
    counts = Metrics(lambda _: "llama3.2")
    found = told(counts, *(request(model=f"spelling-{n}") for n in range(10_000)))
    assert len(counts._spelt) <= 4096
    assert (
        value(
            found,
            "gollamas_requests_total",
            route="/api/chat",
            model="llama3.2",
            server="gpu-1",
            status="200",
        )
        == 10_000
    )


def test_a_model_that_becomes_known_gets_its_own_label() -> None:
    known: dict[str, str] = {}
    counts = Metrics(known.get)
    counts(request(model="new"))
    known["new"] = "new"
    found = told(counts, request(model="new"))
    rows = {dict(labels)["model"] for name, labels in samples(found) if name == "gollamas_requests_total"}
    assert rows == {"other", "new"}


def test_a_request_without_a_model_or_an_answer_is_counted_too() -> None:
    found = counted(request(model=None, route="/api/tags", server=None, status=None))
    assert value(found, "gollamas_requests_total", route="/api/tags", model="", server="", status="none") == 1


@pytest.mark.parametrize(
    ("name", "bounds", "field"),
    [
        ("gollamas_first_byte_seconds", metrics.FIRST_BYTE_BUCKETS, "first_byte_s"),
        ("gollamas_request_seconds", metrics.REQUEST_BUCKETS, "total_s"),
        ("gollamas_wait_seconds", metrics.WAIT_BUCKETS, "wait_s"),
    ],
)
def test_a_span_falls_into_the_first_bucket_that_holds_it(
    name: str, bounds: tuple[float, ...], field: str
) -> None:
    labels = {"route": "/api/chat", "model": "llama3.2"}
    for place, bound in enumerate(bounds):
        found = counted(request(**{field: bound}))
        assert value(found, f"{name}_bucket", **labels, le=str(bound)) == 1
        assert place == 0 or value(found, f"{name}_bucket", **labels, le=str(bounds[place - 1])) == 0
    found = counted(request(**{field: 1e6}), request(**{field: 0.5}))
    assert value(found, f"{name}_bucket", **labels, le=str(bounds[-1])) == 1
    assert value(found, f"{name}_bucket", **labels, le="+Inf") == value(found, f"{name}_count", **labels) == 2
    assert value(found, f"{name}_sum", **labels) == 1e6 + 0.5
    assert list(bounds) == sorted(set(bounds))


def test_spans_that_are_not_known_are_not_counted() -> None:
    found = counted(request())
    assert value(found, "gollamas_request_seconds_count", route="/api/chat", model="llama3.2") == 1
    assert value(found, "gollamas_first_byte_seconds_count", route="/api/chat", model="llama3.2") is None
    assert value(found, "gollamas_wait_seconds_count", route="/api/chat", model="llama3.2") is None


def test_tokens_are_counted_both_ways() -> None:
    found = counted(
        request(tokens_in=12, tokens_out=5), request(tokens_in=1, route="/api/generate"), request()
    )
    assert value(found, "gollamas_tokens_total", direction="in", model="llama3.2", server="gpu-1") == 13
    assert value(found, "gollamas_tokens_total", direction="out", model="llama3.2", server="gpu-1") == 5


def test_gauges_are_asked_for_at_the_scrape() -> None:
    found = counted()
    assert value(found, "gollamas_in_flight", model="llama3.2", server="gpu-1") == 3
    assert value(found, "gollamas_connections", side="client") == 2
    assert value(found, "gollamas_server_up", server="gpu-1") == 1
    assert value(found, "gollamas_server_up", server="gpu-2") == 0
    build = [dict(labels) for name, labels in samples(found) if name == "gollamas_build_info"]
    assert [labels["version"] for labels in build] == ["1.2.3"]


def test_other_events_are_no_requests() -> None:
    found = counted(events.ServerWentDown("gpu-1", "refused"), events.Stopped(0))
    assert not [key for key in samples(found) if key[0] == "gollamas_requests_total"]


def test_label_values_are_escaped() -> None:
    found = counted(request(model='a"b\\c\nd'), label=lambda name: name)
    models = {dict(labels).get("model") for _, labels in samples(found)}
    assert 'a"b\\c\nd' in models


def test_openmetrics_can_be_made_of_them() -> None:
    encode, _ = choose_encoder("application/openmetrics-text")
    assert encode(counted(request(tokens_in=1)).registry).endswith(b"# EOF\n")


def test_two_of_them_do_not_meet_in_one_registry() -> None:
    one, two = counted(request()), counted()
    assert one.registry is not two.registry
    assert not [key for key in samples(two) if key[0] == "gollamas_requests_total"]


def test_the_document_lists_the_metrics_of_the_code() -> None:
    rows = re.findall(r"^\| `(\w+)` \| (\w+) \| (.+) \| (.+) \|$", DOCUMENT, re.MULTILINE)
    labels = [re.findall(r"`(\w+)`", row[2]) for row in rows]
    assert [(row[0], row[1], tuple(found), row[3]) for row, found in zip(rows, labels, strict=True)] == list(
        DESCRIBED
    )


def test_what_is_scraped_is_what_is_described() -> None:
    found = counted(request(tokens_in=1, tokens_out=1, wait_s=1.0, first_byte_s=1.0))
    families = list(found.collect())
    names = [f.name + ("_total" if f.type == "counter" else "") for f in families]
    assert sorted(names) == sorted(described.name for described in DESCRIBED)
    by_name = {described.name.removesuffix("_total"): described for described in DESCRIBED}
    for family in families:
        described = by_name[family.name]
        assert (family.type, family.documentation) == (described.kind, described.text)
        for sample in family.samples:
            assert set(sample.labels) - {"le"} == set(described.labels)
