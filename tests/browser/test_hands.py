"""What can be done from the page, and how it asks and answers."""

import pytest

from gollamas.simulate.faults import FailsToLoad
from tests.browser.page import GPU, Page, Shows
from tests.sockets.jobs import NEW, QUICK, has, in_memory
from tests.sockets.simulated import CHAT, EMBEDDER

TOKEN = "s3cret"


def answered(page: Page, hand: str, state: str) -> str:
    """Wait for the answer of what was wanted last; gives its text."""
    return page.has(f"#answers > li[data-hand={hand}][data-state={state}]")


def test_a_load_and_an_unload_of_it(shows: Shows) -> None:
    """A load asks nothing, an unload asks back in one sentence, and each shows what servers answered."""
    with shows("one", "two") as page:
        page.want("load", CHAT, "two")
        answered(page, "load", "done")
        page.has("#answers [data-server=two][data-end=loaded]", "two")
        instance = "#servers-table tr[data-server=two] li[data-model='smol:latest']"
        page.has(instance)
        assert [len(one.loads) for one in page.fleet.ollamas.values()] == [0, 1]
        page.window.click(f"{instance} button[data-hand=unload]")
        asked = page.has("#ask-text")
        assert ("smol" in asked, "two" in asked) == (True, True)
        page.window.click("#ask-no")
        page.lacks("dialog#ask")
        page.window.click(f"{instance} button[data-hand=unload]")
        page.window.click("#ask-yes")
        answered(page, "unload", "done")
        page.lacks(instance)
        assert in_memory(page.fleet.ollamas["two"]) == []


def test_a_pull_and_a_delete_on_all_servers(shows: Shows) -> None:
    with shows("one", "two", settings={**GPU, **QUICK}) as page:
        page.want("pull", NEW)
        answered(page, "pull", "done")
        page.has("#models-table tr[data-model='llama3.2:latest'] td[data-server=two][data-state=installed]")
        assert [has(one, NEW) for one in page.fleet.ollamas.values()] == [True, True]
        page.window.click("#answers button[data-dismiss]")
        page.lacks("#answers > li")
        page.window.click("#models-table tr[data-model='llama3.2:latest'] [data-column=name] button")
        page.window.click("#hand button[data-hand=delete]")
        assert "llama3.2" in page.has("#ask-text")
        assert has(page.fleet.ollama, NEW)
        page.window.click("#ask-yes")
        answered(page, "delete", "done")
        page.lacks("#models-table tr[data-model='llama3.2:latest']")
        assert [has(one, NEW) for one in page.fleet.ollamas.values()] == [False, False]


def test_what_fails_is_said_in_the_server_s_words(shows: Shows) -> None:
    with shows("one", settings={**GPU, **QUICK}) as page:
        page.stage.call(page.fleet.ollama.fail_next_load, FailsToLoad("<b>out</b> of memory"))
        page.want("load", CHAT)
        assert "<b>out</b> of memory" in answered(page, "load", "failed")
        page.want("pull", "elsewhere.example/a/b")
        assert "registries" in answered(page, "pull", "failed")


def test_a_model_on_a_server_is_chosen_by_its_cell(shows: Shows) -> None:
    with shows("one", "two") as page:
        page.window.click(
            f"#models-table tr[data-model={EMBEDDER}] td[data-server=two] button[data-hand=open]"
        )
        chosen = page.window.look(
            "return ['hand-model', 'hand-server'].map((id) => document.getElementById(id).value)"
        )
        assert chosen == [EMBEDDER, "two"]
        page.window.press("Escape")
        page.lacks("dialog#hand")


@pytest.mark.parametrize("first", ["wrong", "\u201cquoted\u201d", TOKEN])
def test_the_token_is_asked_for_once_and_kept_for_the_tab(shows: Shows, first: str) -> None:
    with shows("one", admin_token=TOKEN) as page:
        page.want("load", CHAT)
        assert "token" in page.has("#token-why")
        assert in_memory(page.fleet.ollama) == []
        page.window.write("#token-input", first)
        page.window.click("#token-ok")
        if first != TOKEN:
            page.window.until("document.getElementById('token-why').innerText.includes('not')")
            page.window.write("#token-input", TOKEN)
            page.window.press("Enter")
        answered(page, "load", "done")
        assert len(in_memory(page.fleet.ollama)) == 1
        page.open()
        page.want("unload", CHAT)
        page.window.click("#ask-yes")
        answered(page, "unload", "done")
        page.lacks("dialog#token")
        assert page.window.look("return document.cookie + localStorage.length") == "0"
        assert TOKEN not in page.window.look("return document.documentElement.outerHTML + location")
        page.window.look("sessionStorage.clear()")


@pytest.mark.parametrize("hand", ["unload", "delete"])
def test_it_asks_back_in_one_sentence(shows: Shows, hand: str) -> None:
    with shows("one") as page:
        page.want(hand, CHAT)
        asked = page.has("#ask-text")
        assert asked.index("?") == len(asked) - 1
        page.window.click("#ask-no")


def test_the_newest_answer_is_the_first_and_the_focus_stays_with_them(shows: Shows) -> None:
    with shows("one") as page:
        for model in (CHAT, EMBEDDER):
            page.want("load", model)
            page.has("#answers > li[data-state=done]", model)
        page.has("#answers > li:first-child", EMBEDDER)
        for focused in ("data-dismiss", "id"):
            page.window.look("document.querySelector('#answers [data-dismiss]').focus()")
            page.window.press("Enter")
            assert page.window.look("return document.activeElement.hasAttribute(arguments[0])", focused)


def test_answers_fit_into_a_narrow_window(shows: Shows) -> None:
    with shows("one") as page:
        page.window.resize(360)
        page.want("load", CHAT)
        page.has("#answers > li[data-state=done]")
        assert page.window.look("return document.getElementById('answers').getBoundingClientRect().x") >= 0


def test_without_the_token_nothing_is_done(shows: Shows) -> None:
    with shows("one", admin_token=TOKEN) as page:
        assert page.stage.do(page.fleet.ask("/api/chat")).status == 200
        page.want("unload", CHAT)
        page.window.click("#ask-yes")
        page.window.click("#token-cancel")
        assert "token" in answered(page, "unload", "failed")
        assert len(in_memory(page.fleet.ollama)) == 1
