"""Metrics: what is counted, under which labels, and that their number is bounded."""

import re
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest
from prometheus_client.openmetrics import parser as openmetrics
from prometheus_client.parser import text_string_to_metric_families

from gollamas import events
from gollamas.observe import metrics
from gollamas.observe.exposition import DESCRIBED, LOADS, Exposition
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

    def loaded(self) -> Iterable[tuple[str, str, bool]]:
        return [("llama3.2", "gpu-1", True), ("llama3.2", "gpu-2", False)]

    def differing(self) -> Iterable[tuple[str, bool]]:
        return [("llama3.2", True), ("qwen3", False)]


def counted(*happened: events.Event, label: Callable[[str], str | None] = KNOWN.get) -> Exposition:
    return told(Metrics(label), *happened)


def told(counts: Metrics, *happened: events.Event) -> Exposition:
    for event in happened:
        counts(event)
    return Exposition(counts, Fleet(), "1.2.3")


def page(found: Exposition) -> str:
    return b"".join(found.page("")[1]).decode()


def samples(found: Exposition) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(page(found))
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


def load(
    end: events.LoadEnd = events.LoadEnd.LOADED,
    why: events.LoadCause = events.LoadCause.COLD,
    model: str = "LLAMA3.2:latest",
    took_s: float = 4.0,
) -> events.LoadEnded:
    return events.LoadEnded(
        server="gpu-1", model=model, options="-", why=why, end=end, took_s=took_s, waited=1, error=None
    )


def test_loads_are_counted_by_model_server_cause_and_end() -> None:
    found = counted(
        load(),
        load(took_s=40.0),
        load(why=events.LoadCause.OPTIONS),
        load(events.LoadEnd.SAME, events.LoadCause.OPTIONS),
        load(events.LoadEnd.GIVEN_UP, took_s=600.0),
        load(events.LoadEnd.FAILED, model="nobody knows"),
    )
    name, place = "gollamas_loads_total", {"model": "llama3.2", "server": "gpu-1"}
    assert value(found, name, **place, cause="cold", end="loaded") == 2
    assert value(found, name, **place, cause="options", end="loaded") == 1
    assert value(found, name, **place, cause="options", end="same") == 1
    assert value(found, name, **place, cause="cold", end="given_up") == 1
    assert value(found, name, model="other", server="gpu-1", cause="cold", end="failed") == 1


def test_only_loads_that_loaded_something_say_how_long_one_takes() -> None:
    found = counted(*(load(end, took_s=4.0) for end in events.LoadEnd), load(took_s=40.0))
    place = {"model": "llama3.2", "server": "gpu-1"}
    assert value(found, "gollamas_load_seconds_count", **place) == 2
    assert value(found, "gollamas_load_seconds_sum", **place) == 44
    assert value(found, "gollamas_load_seconds_bucket", **place, le="5.0") == 1


def reload(differs: str = "num_ctx", model: str = "LLAMA3.2:latest") -> events.Reloaded:
    return events.Reloaded(server="gpu-1", model=model, differs=differs, before="-", after="num_ctx=2048")


def test_reloads_are_counted_by_model_server_and_what_differed() -> None:
    found = counted(reload(), reload(), reload("num_ctx, num_gpu"), reload(model="nobody knows"))
    name, place = "gollamas_reloads_total", {"model": "llama3.2", "server": "gpu-1"}
    assert value(found, name, **place, differs="num_ctx") == 2
    assert value(found, name, **place, differs="num_ctx, num_gpu") == 1
    assert value(found, name, model="other", server="gpu-1", differs="num_ctx") == 1


def job(kind: events.JobKind, end: events.JobEnd, server: str = "gpu-1") -> events.JobEnded:
    return events.JobEnded(
        kind=kind,
        server=server,
        model="m",
        end=end,
        took_s=1.0,
        why=events.JobCause.CLIENT,
        is_owed=False,
        error=None,
    )


def test_jobs_are_counted_by_kind_and_end_once_for_each_server() -> None:
    kind, end = events.JobKind, events.JobEnd
    found = counted(
        job(kind.PULL, end.DONE),
        job(kind.PULL, end.DONE, "gpu-2"),
        job(kind.PULL, end.FAILED, "gpu-3"),
        job(kind.DELETE, end.DONE),
    )
    assert {labels: count for (name, labels), count in samples(found).items() if "jobs" in name} == {
        (("end", "done"), ("kind", "pull")): 2,
        (("end", "failed"), ("kind", "pull")): 1,
        (("end", "done"), ("kind", "delete")): 1,
    }


def test_variants_that_are_refused_are_counted_by_server() -> None:
    refused = [events.VariantRefused(name, "m", 4096, "read-only") for name in ("gpu-1", "gpu-1", "gpu-2")]
    found = counted(*refused, events.VariantMade("gpu-1", "m", 4096, 0.01))
    name = "gollamas_variants_refused_total"
    assert (value(found, name, server="gpu-1"), value(found, name, server="gpu-2")) == (2, 1)


def test_requests_are_counted_by_route_model_server_status_and_end() -> None:
    broken = request(end=events.End.SERVER_BROKE)
    refused = request(status=503, server=None, end=events.End.REFUSED)
    found = counted(request(), request(), refused, broken)
    labels = {"route": "/api/chat", "model": "llama3.2"}
    name = "gollamas_requests_total"
    assert value(found, name, **labels, server="gpu-1", status="200", end="done") == 2
    assert value(found, name, **labels, server="gpu-1", status="200", end="server_broke") == 1
    assert value(found, name, **labels, server="", status="503", end="refused") == 1


def test_failed_attempts_are_counted_by_server_and_cause() -> None:
    def failed(cause: events.Cause, *, moves_on: bool) -> events.Event:
        return events.AttemptFailed(
            request_id="r", server="gpu-1", model="llama3.2", cause=cause, why="x", moves_on=moves_on
        )

    found = counted(
        failed(events.Cause.CONNECT, moves_on=True),
        failed(events.Cause.CONNECT, moves_on=False),
        failed(events.Cause.BROKE_LATE, moves_on=False),
    )
    name = "gollamas_attempts_failed_total"
    assert value(found, name, server="gpu-1", cause="connect") == 2
    assert value(found, name, server="gpu-1", cause="broke_late") == 1
    assert len([key for key in samples(found) if key[0] == name]) == 2


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
            end="done",
        )
        == 3
    )


def test_names_that_clients_make_up_are_one_label() -> None:
    counts = Metrics(KNOWN.get)
    found = told(counts, *(request(model=f"made-up-{n}", status=404, server=None) for n in range(5000)))
    rows = [key for key in samples(found) if key[0] == "gollamas_requests_total"]
    assert len(rows) == 1
    assert (
        value(
            found,
            "gollamas_requests_total",
            route="/api/chat",
            model="other",
            server="",
            status="404",
            end="done",
        )
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
            end="done",
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
    assert (
        value(
            found,
            "gollamas_requests_total",
            route="/api/tags",
            model="",
            server="",
            status="none",
            end="done",
        )
        == 1
    )


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
    labels = {"route": "/api/chat", "model": "llama3.2", "server": "gpu-1"}
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
    labels = {"route": "/api/chat", "model": "llama3.2", "server": "gpu-1"}
    assert value(found, "gollamas_request_seconds_count", **labels) == 1
    assert not [name for name, _ in samples(found) if name.startswith(("gollamas_first", "gollamas_wait"))]


def test_spans_are_told_by_server() -> None:
    found = counted(request(), request(server="gpu-2"), request(server=None, status=503))
    labels = {"route": "/api/chat", "model": "llama3.2"}
    for server in ("gpu-1", "gpu-2", ""):
        assert value(found, "gollamas_request_seconds_count", **labels, server=server) == 1


def test_tokens_are_counted_both_ways() -> None:
    found = counted(
        request(tokens_in=12, tokens_out=5), request(tokens_in=1, route="/api/generate"), request()
    )
    assert value(found, "gollamas_tokens_total", direction="in", model="llama3.2", server="gpu-1") == 13
    assert value(found, "gollamas_tokens_total", direction="out", model="llama3.2", server="gpu-1") == 5


def test_prompts_that_were_cut_are_counted_by_model() -> None:
    """In any spelling; a model that is not ours to know is `other`."""
    asked = [
        request(truncated=True),
        request(truncated=True, model="LLAMA3.2:latest"),
        request(truncated=True, model="gpt-4o", model_used="llama3.2"),
        request(truncated=False),
        request(truncated=None),
        request(truncated=True, model="made up"),
    ]
    found = counted(*asked)
    name = "gollamas_prompts_truncated_total"
    assert value(found, name, model="llama3.2") == 3
    assert value(found, name, model="other") == 1
    assert not [key for key in samples(counted(request())) if key[0] == name]


def test_cached_tokens_are_told_once_a_server_has_told_some() -> None:
    labels = {"direction": "cached", "model": "llama3.2", "server": "gpu-1"}
    assert value(counted(request(tokens_in=12)), "gollamas_tokens_total", **labels) is None
    assert value(counted(request(tokens_in=12, tokens_cached=0)), "gollamas_tokens_total", **labels) == 0
    found = counted(request(tokens_cached=11), request(), request(tokens_cached=2))
    assert value(found, "gollamas_tokens_total", **labels) == 13


def test_gauges_are_asked_for_at_the_scrape() -> None:
    found = counted()
    assert value(found, "gollamas_in_flight", model="llama3.2", server="gpu-1") == 3
    assert value(found, "gollamas_connections", side="client") == 2
    assert value(found, "gollamas_server_up", server="gpu-1") == 1
    assert value(found, "gollamas_server_up", server="gpu-2") == 0
    assert value(found, "gollamas_model_loaded", model="llama3.2", server="gpu-1") == 1
    assert value(found, "gollamas_model_loaded", model="llama3.2", server="gpu-2") == 0
    assert value(found, "gollamas_digests_differ", model="llama3.2") == 1
    assert value(found, "gollamas_digests_differ", model="qwen3") == 0
    build = [dict(labels) for name, labels in samples(found) if name == "gollamas_build_info"]
    assert [labels["version"] for labels in build] == ["1.2.3"]


def test_other_events_are_no_requests() -> None:
    found = counted(events.ServerWentDown("gpu-1", "refused"), events.Stopped(0))
    assert not [key for key in samples(found) if key[0] == "gollamas_requests_total"]


def test_label_values_are_escaped() -> None:
    found = counted(request(model='a"b\\c\nd'), label=lambda name: name)
    models = {dict(labels).get("model") for _, labels in samples(found)}
    assert 'a"b\\c\nd' in models


ACCEPT = "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.3"


def test_openmetrics_say_the_same_to_who_asks_for_them() -> None:
    found = counted(request(tokens_in=1, wait_s=0.1), request(model='a"b\\c\nd'), label=lambda name: name)
    kind, parts = found.page(ACCEPT)
    text = b"".join(parts).decode()
    assert kind.startswith("application/openmetrics-text; version=1.0.0")
    assert text.endswith("# EOF\n")
    said = {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in openmetrics.text_string_to_metric_families(text)  # type: ignore[no-untyped-call]  # theirs
        for sample in family.samples
    }
    ours = {key: value for key, value in samples(found).items() if key[0].startswith("gollamas_")}
    assert ours == {key: value for key, value in said.items() if key[0].startswith("gollamas_")}


@pytest.mark.parametrize("accept", ["", "*/*", "\xff;;;=,", "application/openmetrics-text;version=x"])
def test_any_accept_field_gets_text(accept: str) -> None:
    kind, parts = counted(request()).page(accept)
    assert kind == "text/plain; version=0.0.4; charset=utf-8"
    assert b"\n# TYPE gollamas_requests_total counter\n" in b"".join(parts)


def test_a_long_page_comes_in_parts_of_some_kilobytes() -> None:
    """Whoever serves it lets clients go on between two parts."""
    found = counted(*(request(server=f"gpu-{n}", first_byte_s=1.0, wait_s=1.0) for n in range(1000)))
    parts = list(found.page("")[1])
    assert len(b"".join(parts)) > 5_000_000
    assert max(map(len, parts)) < 1_000_000


def test_names_that_are_no_text_break_no_page() -> None:
    assert 'model="a?"' in page(counted(request(model="a\udc80"), label=lambda name: name))


def test_two_of_them_count_apart() -> None:
    one, two = counted(request()), counted()
    assert [key for key in samples(one) if key[0] == "gollamas_requests_total"]
    assert not [key for key in samples(two) if key[0] == "gollamas_requests_total"]


def test_the_document_lists_the_metrics_of_the_code() -> None:
    rows = re.findall(r"^\| `(\w+)` \| (\w+) \| (.+) \| (.+) \|$", DOCUMENT, re.MULTILINE)
    labels = [re.findall(r"`(\w+)`", row[2]) for row in rows]
    assert [(row[0], row[1], tuple(found), row[3]) for row, found in zip(rows, labels, strict=True)] == list(
        DESCRIBED
    )


def test_what_is_scraped_is_what_is_described() -> None:
    failed = events.AttemptFailed(
        request_id="r", server="s", model="m", cause=events.Cause.BUSY, why="", moves_on=True
    )
    asked = request(tokens_in=1, tokens_cached=1, truncated=True, wait_s=1.0, first_byte_s=1.0)
    refused = events.VariantRefused("s", "m", 4096, "read-only")
    pulled = job(events.JobKind.PULL, events.JobEnd.DONE)
    found = counted(asked, failed, load(), reload(), pulled, refused)
    families = [
        family
        for family in text_string_to_metric_families(page(found))
        if not family.name.startswith("process_")
    ]
    names = [f.name + ("_total" if f.type == "counter" else "") for f in families]
    assert names == [described.name for described in DESCRIBED]
    by_name = {described.name.removesuffix("_total"): described for described in DESCRIBED}
    for family in families:
        described = by_name[family.name]
        assert (family.type, family.documentation) == (described.kind, described.text)
        assert family.samples
        for sample in family.samples:
            assert set(sample.labels) - {"le"} == set(described.labels)


def test_the_document_names_every_end_cause_and_direction() -> None:
    for start, words in (
        ("end", list(events.End)),
        ("cause", list(events.Cause)),
        ("direction", ["in", "cached", "out"]),
        ("cause` and the `end", [*events.LoadCause, *events.LoadEnd]),
        ("kind` and the `end", [*events.JobKind, *events.JobEnd]),
    ):
        text = re.search(
            rf"^- (?:The )?`{start}`(?: of a load| of a \[job\]\(manage\.md\))? (?:is|are) (.+?)(?=^- |^$)",
            DOCUMENT,
            re.MULTILINE | re.DOTALL,
        )
        assert text is not None
        assert {f"`{word}`" for word in words} <= set(re.findall(r"`[^`]+`", text[1])), start


ALERTS = re.findall(r"^\| [^|`]+ \| `([^`]+)` \| \d+[smh] \|$", DOCUMENT, re.MULTILINE)


@pytest.mark.parametrize("expression", ALERTS)
def test_an_alert_asks_for_metrics_and_labels_that_there_are(expression: str) -> None:
    assert "\\" not in expression, "it is to be copied from the page as it stands"
    by_name = {described.name: described for described in DESCRIBED}
    names = re.findall(r"\b(gollamas_\w+)", expression)
    known = [by_name[re.sub(r"_seconds_bucket$", "_seconds", name)] for name in names]
    own = re.findall(r"\b(process_\w+|up)\b", expression)
    assert known or own
    labels = {label for described in known for label in described.labels} | {"le", "job"}
    asked = re.findall(r"(\w+)(?:=~|!=|=)\"", expression)
    for group in re.findall(r"by \(([\w, ]+)\)", expression):
        asked += group.split(", ")
    assert set(asked) <= labels
    for label, word in re.findall(r'(\w+)="(\w+)"', expression):
        if label in ("end", "cause"):
            told = [events.LoadEnd, events.LoadCause] if LOADS in known else [events.End, events.Cause]
            assert word in {one for words in told for one in words}
    assert expression.count("(") == expression.count(")")


def test_there_are_alerts_for_servers_streams_and_models() -> None:
    assert len(ALERTS) >= 12
