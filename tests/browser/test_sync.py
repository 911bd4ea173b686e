"""What the page shows of models that are to be on their servers and are not yet."""

from gollamas.simulate.faults import FillsDisk, HangsPulling
from tests.browser.page import GPU, Page, Shows
from tests.sockets.jobs import NEW, QUICK, delete, held, lines, pull, release
from tests.sockets.test_sync import begin

TAGGED = f"{NEW}:latest"
AWAY = "#work [data-work=sync]"
SYNCED = {"settings": {**GPU, **QUICK}}


def cell(server: str, state: str) -> str:
    return f"#models-table tr[data-model='{TAGGED}'] td[data-server={server}][data-state={state}]"


def sync(page: Page) -> None:
    page.stage.call(begin, page.fleet, NEW)


def test_a_pull_that_failed_says_why_and_when_it_is_tried_again(shows: Shows) -> None:
    with shows("one", "two", **SYNCED) as page:
        page.stage.call(page.fleet.ollamas["two"].fail_next_pull, FillsDisk(3))
        sync(page)
        told = page.has(f"{AWAY}[data-server=two]", "failed 1 time")
        assert ("next try in" in told, "no space left on device" in told) == (True, True)
        page.has(cell("two", "failed"), "pull failed")
        page.has("#wrong-list > li[data-kind=sync_failing][data-server=two]", "could not be pulled")
        answer = page.stage.do(page.fleet.proxy.ask(pull(NEW, b"X-Gollamas-Server: two")))
        assert b"success" in answer.body
        page.lacks(AWAY)
        page.lacks("#wrong-list > li")
        page.has(cell("two", "installed"))


def test_what_is_being_pulled_is_told_once_with_its_bar_and_who_wants_it(shows: Shows) -> None:
    with shows("one", **SYNCED) as page:
        page.stage.call(page.fleet.ollama.fail_next_pull, HangsPulling(3))
        sync(page)
        page.has("#work [data-work=job] [data-target=one]", "pulling")
        assert "sync" in page.has("#work [data-work=job]")
        assert len(page.all("#work-list > li", "data-work")) == 1
        page.stage.call(release, page.fleet)
        page.lacks("#work-list > li")


def test_who_asked_for_a_pull_is_told_and_which_servers_are_done(shows: Shows) -> None:
    with shows("one", "two", **SYNCED) as page:
        client = page.stage.do(held(page.fleet, NEW, on=["two"]))
        assert "asked for by a client" in page.has("#work [data-work=job]")
        page.has("#work [data-target=one]", "done")
        page.has(cell("one", "installed"))
        page.has(cell("two", "pulling"))
        page.stage.call(release, page.fleet)
        page.stage.call(client.close)


def test_what_a_client_has_deleted_is_missing_and_no_work(shows: Shows) -> None:
    with shows("one", "two", **SYNCED) as page:
        lines(page.stage.do(page.fleet.proxy.ask(pull(NEW))))
        sync(page)
        page.stage.do(page.fleet.proxy.ask(delete(NEW, b"X-Gollamas-Server: two")))
        page.window.until(f'!document.querySelector("{cell("two", "installed")}")')
        found = page.fleet.proxy.app._duties.keeper.lacking
        assert [one.status.value for one in page.stage.call(found)] == ["deleted"]
        page.lacks("#work-list > li")
        page.lacks(cell("two", "unknown"))
