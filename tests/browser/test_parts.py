"""What the page shows of a fleet, and how soon."""

import json
from typing import Any

import pytest

from gollamas.names import key_of
from gollamas.simulate.faults import Fails, FailsToLoad, HangsAfter, HangsLoading
from tests.browser.page import GPU, Shows
from tests.sockets.jobs import NEW, QUICK, held, pull, release
from tests.sockets.raw import Client
from tests.sockets.simulated import CHAT, EMBEDDER

METRICS = (
    "requests_per_s", "tokens_per_s", "in_flight", "waiting", "first_byte_p50_s", "first_byte_p95_s",
    "errors_per_s",
)  # fmt: skip
CHAT_ROW = "#models-table tr[data-model=smol]"


def test_a_fleet_that_is_well_has_one_quiet_line(shows: Shows) -> None:
    with shows("one", "two") as page:
        assert page.has("#wrong-none", "Nothing")
        page.lacks("#wrong-list > li")
        assert page.all("main > section", "id") == [
            "wrong", "now", "servers", "models", "requests", "work",
        ]  # fmt: skip
        assert page.has("#work-none")
        page.lacks("#connection")
        assert "Ready" in page.has("#ready")


def test_a_server_that_dies_and_returns(shows: Shows) -> None:
    """Its row, the models that nobody has then, and what to do; all of it goes when it is back."""
    with shows("one") as page:
        page.stage.do(page.fleet.take_down("one"))
        page.has("#servers-table tr[data-server=one][data-health=down] [data-column=health]", "down")
        page.has("#wrong-list > li[data-kind=server_down][data-server=one] .wrong-text", "one")
        assert len(page.has("#wrong-list > li[data-kind=server_down] .wrong-advice")) > 20
        assert page.has("#wrong-list > li[data-kind=no_server][data-model=smol] .wrong-text", "smol")
        assert page.all("#wrong-list > li", "data-kind")[0] in ("not_ready", "server_down")
        page.has("#ready", "Not ready")
        assert page.window.look("return document.title").startswith("(")
        page.stage.do(page.fleet.bring_back("one"))
        page.has("#servers-table tr[data-server=one][data-health=up] [data-column=health]", "up")
        page.has("#wrong-none")
        page.lacks("#wrong-list > li")


def test_what_is_in_memory_and_what_loads(shows: Shows) -> None:
    with shows("one", "two") as page:
        ollama = page.fleet.ollama
        page.stage.call(ollama.fail_next_load, HangsLoading())
        chat = page.stage.begin(page.fleet.ask("/api/chat"))
        row = "#servers-table tr[data-server=one]"
        page.has(f"{row} [data-column=loading]", "smol")
        page.has("#work [data-work=load][data-model='smol:latest'][data-server=one]", "request")
        page.has(f"{CHAT_ROW} td[data-server=one][data-state=loading]")
        page.has("#requests-table tr[data-end=running] [data-column=model]", CHAT)
        page.stage.call(ollama.release)
        assert chat.result(5).status == 200
        memory = page.has(f"{row} [data-column=memory] li[data-model='smol:latest']", "4K")
        assert "4 min" in memory
        page.has(f"{CHAT_ROW} td[data-server=one][data-state=loaded]")
        page.has(f"{CHAT_ROW} td[data-server=two][data-state=installed]")
        page.lacks("#work [data-work=load]")


def test_an_instance_that_lies_on_the_cpu_says_how_much(shows: Shows) -> None:
    with shows("one", settings={"vram_bytes": 50_000_000}) as page:
        assert page.stage.do(page.fleet.ask("/api/chat")).status == 200
        assert "%" in page.has("#servers-table [data-column=memory] li[data-model='smol:latest']", "CPU")
        page.has("#wrong-list > li[data-kind=on_cpu][data-server=one]", "smol")


def test_digests_that_differ(shows: Shows) -> None:
    with shows("one", "two", settings={**GPU, **QUICK}) as page:
        page.stage.call(page.fleet.ollamas["two"].publish, CHAT, 1)
        answer = page.stage.do(page.fleet.proxy.ask(pull(CHAT, b"X-Gollamas-Server: two")))
        assert b"success" in answer.body
        page.has("#wrong-list > li[data-kind=digests_differ]", CHAT)
        page.has(f"{CHAT_ROW} [data-column=digest]", "2 digests")


def test_a_model_that_a_server_lacks_and_what_it_is_owed(shows: Shows) -> None:
    with shows("one", "two", settings={**GPU, **QUICK}) as page:
        page.stage.do(page.fleet.ask_directly("/api/delete", {"model": EMBEDDER}, "DELETE", "two"))
        page.has("#wrong-list > li[data-kind=model_missing][data-server=two]", EMBEDDER)
        page.has("#models-table tr[data-model=minilm] td[data-server=two][data-state=missing]")
        page.stage.do(page.fleet.take_down("two"))
        page.stage.do(page.fleet.proxy.ask(pull(NEW)))
        page.has("#work [data-work=owed][data-server=two]", NEW)
        page.has("#wrong-list > li[data-kind=owed][data-server=two]")


def test_models_are_in_the_order_of_the_configuration_with_what_is_wanted_of_them(shows: Shows) -> None:
    key = key_of(CHAT) or ""
    options: dict[str, Any] = {
        "preload": {(key, ""): 1},
        "num_ctx": {(key, "two"): 8192},
        "keep_alive": {("", ""): -1.0},
    }
    with shows("one", "two", aliases={"gpt-4o": CHAT}, **options) as page:
        assert page.all("#models-table tr[data-model]", "data-model") == [CHAT, EMBEDDER]
        assert "gpt-4o" in page.has(f"{CHAT_ROW} [data-column=name]", CHAT)
        page.has(f"{CHAT_ROW} [data-column=kept]", "preload")
        page.has(f"{CHAT_ROW} td[data-server=two]", "8K")
        model = page.fleet.ollama.engine.library.find(CHAT)
        assert model is not None
        page.has(f"{CHAT_ROW} [data-column=digest]", model.digest[:12])


def test_traffic_has_numbers_and_a_line_of_each(shows: Shows) -> None:
    with shows() as page:
        for metric in METRICS:
            page.has(f"#now [data-metric={metric}]")
            assert page.all(f"#now [data-metric={metric}] svg[role=img]", "aria-label")[0]
        for _ in range(3):
            page.stage.do(page.fleet.ask("/api/chat"))
        page.stage.call(page.fleet.ollama.fail_next, Fails(500), path="/api/chat")
        page.stage.do(page.fleet.ask("/api/chat"))
        for metric in ("requests_per_s", "tokens_per_s", "errors_per_s"):
            peaks = f"document.querySelector('#now [data-metric={metric}]').innerText.match(/peak ([0-9.]+)/)"
            page.window.until(f"Number({peaks}[1]) > 0")
        line = "document.querySelector('#now [data-metric=requests_per_s] path.line').getAttribute('d')"
        page.window.until(f"{line}.includes('L')")
        told = "document.querySelector('#now [data-metric=first_byte_p50_s]').innerText"
        page.window.until(f"/peak [0-9.]+ m?s/.test({told})")


def test_a_request_is_a_row_while_it_runs_and_afterwards(shows: Shows) -> None:
    with shows(aliases={"gpt-4o": CHAT}) as page:
        page.stage.call(page.fleet.ollama.fail_next, HangsAfter(1))
        chat = page.stage.begin(page.fleet.ask("/api/chat", "gpt-4o", stream=True))
        page.has("#requests-table tr[data-end=running] [data-column=server]", "one")
        page.stage.call(page.fleet.ollama.release)
        chat.result(5)
        page.has("#requests-table tr[data-end=done] [data-column=model]", "gpt-4o")
        page.has("#requests-table tr[data-end=done] [data-column=client]", "127.0.0.1")
        page.has("#requests-table tr[data-end=done] [data-column=server]", "only server")
        page.has("#requests-table tr[data-end=done] [data-column=tokens_per_s]")
        page.lacks("#requests-table tr[data-end=running]")
        page.window.click("#requests-table tr[data-request]")
        line = json.loads(page.window.look("return document.getElementById('line-text').textContent"))
        assert (line["event"], line["model"], line["model_used"]) == ("request", "gpt-4o", CHAT)
        page.window.click("#line-close")
        page.lacks("dialog#line")


def test_a_request_that_failed_says_why(shows: Shows) -> None:
    with shows() as page:
        page.stage.call(page.fleet.ollama.fail_next_load, FailsToLoad("out of memory"))
        page.stage.do(page.fleet.ask("/api/chat"))
        page.has("#requests-table tr[data-request] [data-column=end]", "out of memory")


def test_requests_are_found_by_a_text_which_stays_in_the_address(shows: Shows) -> None:
    with shows() as page:
        page.stage.do(page.fleet.ask("/api/chat"))
        page.stage.do(page.fleet.ask("/api/embed", EMBEDDER))
        page.window.until("document.querySelectorAll('#requests-table tr[data-request]').length === 2")
        page.window.write("#requests-filter", EMBEDDER)
        page.window.until("document.querySelectorAll('#requests-table tr[data-request]').length === 1")
        page.window.until("location.search.includes('requests_filter=minilm')")
        query = page.window.look("return location.search")
        page.open(query)
        page.window.until("document.querySelectorAll('#requests-table tr[data-request]').length === 1")
        assert page.window.look("return document.getElementById('requests-filter').value") == EMBEDDER


def test_the_way_back_leads_to_the_filter_of_then(shows: Shows) -> None:
    with shows() as page:
        page.window.write("#requests-filter", "chat")
        page.window.look("document.querySelector(\"nav a[href='#servers']\").click()")
        page.window.write("#requests-filter", "embed")
        page.window.until("location.search.includes('embed')")
        page.window.look("history.back()")
        page.window.until("location.search.includes('chat')")
        page.window.until("document.getElementById('requests-filter').value === 'chat'")


@pytest.mark.parametrize(
    ("text", "found"),
    [("error", 0), ("null", 0), ("refused 400", 1), ('"b\\c', 1), ("200 done /api/chat", 1), ("one", 1)],
)
def test_a_filter_looks_in_what_a_line_says_and_not_in_its_keys(shows: Shows, text: str, found: int) -> None:
    rows = "document.querySelectorAll('#requests-table tr[data-request]').length"
    with shows() as page:
        page.stage.do(page.fleet.ask("/api/chat"))
        page.stage.do(page.fleet.ask("/api/chat", 'a"b\\c'))
        page.window.until(f"{rows} === 2")
        page.window.write("#requests-filter", text)
        page.window.until(f"{rows} === arguments[0]", found)


def test_a_line_is_written_as_in_the_log(shows: Shows) -> None:
    with shows() as page:
        for _ in range(2):  # nothing waits for a model that is loaded
            page.stage.do(page.fleet.ask("/api/chat"))
        page.window.until("document.querySelectorAll('#requests-table tr[data-end=done]').length === 2")
        state = page.window.look(
            "const asked = new XMLHttpRequest(); asked.open('GET', 'state', false); asked.send();"
            "return asked.responseText"
        )
        page.window.click("#requests-table tr[data-request]")
        line = page.has("#line-text", '"wait_s":0')
        assert line in state


def test_tables_are_sorted_by_their_heads_which_stays_in_the_address(shows: Shows) -> None:
    with shows("b", "a", "c") as page:
        rows = "#servers-table tr[data-server]"
        assert page.all(rows, "data-server") == ["b", "a", "c"]
        order = "document.querySelector('#servers-table th[data-column=id]').ariaSort"
        page.window.click("#servers-table th[data-column=id] button")
        page.window.until(f"{order} === 'ascending'")
        assert page.all(rows, "data-server") == ["a", "b", "c"]
        page.open("?servers=-id")
        page.window.until(f"{order} === 'descending'")
        assert page.all(rows, "data-server") == ["c", "b", "a"]


def test_a_pull_has_a_bar_for_each_server(shows: Shows) -> None:
    with shows("one", "two", settings={**GPU, **QUICK}) as page:
        client: Client = page.stage.do(held(page.fleet, NEW, after=3))
        target = "#work [data-work=job][data-model='llama3.2'] [data-target=two]"
        page.has(target, "pulling")
        page.window.until(f"document.querySelector(\"{target} progress\").hasAttribute('value')")
        page.stage.call(release, page.fleet)
        page.lacks("#work [data-work=job]")
        page.has("#models-table tr[data-model='llama3.2:latest'] td[data-server=two][data-state=installed]")
        page.stage.call(client.close)


def test_the_page_says_that_it_lost_the_proxy_and_goes_on(shows: Shows) -> None:
    with shows() as page:
        app = page.fleet.proxy.app
        listener = app._admin
        assert listener is not None
        page.window.tell("Network.emulateNetworkConditions", offline=True, latency=0, downloadThroughput=-1,
                         uploadThroughput=-1)  # fmt: skip
        page.stage.call(listener.clients.abort)
        page.window.until("document.documentElement.dataset.connection === 'lost'")
        assert len(page.has("#connection")) > 10
        page.stage.do(page.fleet.ask("/api/chat"))
        page.window.tell("Network.emulateNetworkConditions", offline=False, latency=0, downloadThroughput=-1,
                         uploadThroughput=-1)  # fmt: skip
        page.window.until("document.documentElement.dataset.connection === 'live'")
        page.lacks("#connection")
        page.has("#requests-table tr[data-end=done] [data-column=model]", CHAT)


def test_many_servers_and_models_are_shown(shows: Shows) -> None:
    """Above eight servers a model has a sign for each, and a list of them on demand."""
    with shows(*(f"s{number}" for number in range(12))) as page:
        assert len(page.all("#servers-table tr[data-server]", "data-server")) == 12
        label = page.all(f"{CHAT_ROW} [data-column=servers] svg[role=img]", "aria-label")[0]
        assert "installed on 12" in label
        page.window.click(f"{CHAT_ROW} [data-column=servers] summary")
        page.has(f"{CHAT_ROW} [data-detail] li[data-server=s7][data-state=installed]")
