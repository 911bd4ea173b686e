"""The page for people: by keyboard, narrow and wide, light and dark, without JavaScript, hostile names."""

import json
from datetime import datetime, timedelta, timezone

import pytest

from gollamas.simulate.faults import Fails, FailsToLoad
from tests.browser.driver import Browser
from tests.browser.page import GPU, Page, Shows
from tests.sockets.jobs import NEW, QUICK, delete, held, release
from tests.sockets.simulated import CHAT, EMBEDDER

HOSTILE = "<img src=x onerror=alert(1)>"
# Whether what has the focus shows it, and has had it before.
FOCUSED = """
    const one = document.activeElement, { outlineStyle, boxShadow } = getComputedStyle(one);
    if (one.hadFocus || one === document.body) return "again";
    one.hadFocus = outlineStyle !== "none" || boxShadow !== "none";
"""
UNREACHED = """
    return [...document.querySelectorAll("a[href], button, input, select, summary")]
        .filter((one) => one.checkVisibility() && !one.hadFocus).map((one) => one.outerHTML);
"""
# What WCAG 2.2 asks of text (1.4.3): the contrast with what lies behind it, by the formula of its definition.
CONTRASTS = """
    const canvas = document.createElement("canvas");
    canvas.width = canvas.height = 1;
    const context = canvas.getContext("2d", { willReadFrequently: true });
    const parse = (colour) => {
        context.clearRect(0, 0, 1, 1);
        context.fillStyle = colour;
        context.fillRect(0, 0, 1, 1);
        return [...context.getImageData(0, 0, 1, 1).data];
    };
    const over = (top, under) => under.map((value, at) => value + (top[at] - value) * (top[3] / 255));
    const behind = (node) => {
        const layers = [];
        for (let at = node; at; at = at.parentElement) layers.unshift(getComputedStyle(at).backgroundColor);
        return layers.map(parse).reduce((under, top) => over(top, under), parse("Canvas").slice(0, 3));
    };
    const linear = (part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4);
    const light = (colour) => colour.map((value) => linear(value / 255))
        .reduce((sum, value, at) => sum + value * [0.2126, 0.7152, 0.0722][at], 0);
    const found = [];
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    while (walker.nextNode()) {
        const [text, node] = [walker.currentNode.textContent.trim(), walker.currentNode.parentElement];
        if (!text || !node.checkVisibility() || node.closest(":disabled, option, noscript")) continue;
        const { color, fontSize, fontWeight } = getComputedStyle(node);
        const under = behind(node);
        const [one, two] = [light(over(parse(color), under)), light(under)];
        const ratio = (Math.max(one, two) + 0.05) / (Math.min(one, two) + 0.05);
        const isLarge = parseFloat(fontSize) >= (fontWeight >= 700 ? 18.66 : 24);
        if (ratio < (isLarge ? 3 : 4.5)) found.push(`${text}: ${ratio.toFixed(2)}`);
    }
    return [...new Set(found)];
"""


HIDDEN = """
    return [...document.querySelectorAll('button, a, input')].filter((one) => {
        one.focus();
        if (document.activeElement !== one || one.className === 'skip') return false;
        const { x, y, width, height } = one.getBoundingClientRect();
        const seen = document.elementFromPoint(x + width / 2, y + height / 2);
        return !(one === seen || one.contains(seen));
    }).map((one) => one.innerText)
"""
LINES = """
    const cell = document.querySelector(`#requests-table td[data-column=${arguments[0]}]`);
    (cell.querySelector('.state') ?? cell).lastChild.data = arguments[1];
    const words = document.createRange();
    words.selectNodeContents(cell);
    const boxes = [...words.getClientRects()];
    const right = cell.getBoundingClientRect().right - Math.max(...boxes.map((box) => box.right));
    return [new Set(boxes.map((box) => Math.round(box.bottom / 8))).size, right];
"""


def a_full_page(page: Page) -> None:
    """Have something in every part of it."""
    page.stage.do(page.fleet.ask("/api/chat"))
    page.stage.do(page.fleet.ask("/api/chat", "nothing"))
    page.stage.do(page.fleet.take_down("two"))
    page.stage.do(page.fleet.proxy.ask(delete(EMBEDDER)))
    page.has("#work [data-work=owed]")
    page.has("#wrong-list > li[data-kind=server_down]")
    page.has("#requests-table tr[data-request] [data-column=end]", "404")


def test_both_widths_and_both_colours(shows: Shows) -> None:
    """No sideways scrolling of the page itself, and no text that is hard to read."""
    with shows("one", "two") as page:
        a_full_page(page)
        page.want("load", CHAT, "one")
        page.has("#answers > li[data-state=done]")
        backgrounds = set()
        for colour in ("light", "dark"):
            page.window.prefer(color_scheme=colour)
            backgrounds.add(page.window.look("return getComputedStyle(document.body).backgroundColor"))
            for width in (360, 1920):
                page.window.resize(width)
                page.window.until("innerWidth === arguments[0]", width)
                wide, inside = page.window.look(
                    "const page = document.scrollingElement; return [page.scrollWidth, page.clientWidth]"
                )
                assert (width, wide) == (width, inside)
                assert page.window.look(CONTRASTS) == [], (colour, width)
        assert len(backgrounds) == 2


def test_tables_are_sorted_on_a_narrow_page(shows: Shows) -> None:
    """What gets the focus there is seen."""
    with shows("b", "a") as page:
        page.window.resize(360)
        page.window.click("#servers-table th[data-column=id] button")
        page.window.until("document.querySelector('#servers-table tr[data-server]').dataset.server === 'a'")
        page.window.look("document.querySelector('#requests-table th[data-column=end] button').focus()")
        assert page.window.look(FOCUSED) != "again"
        assert page.window.look(HIDDEN) == []


def test_addresses_and_ends_of_requests_have_a_line_each(shows: Shows) -> None:
    with shows() as page:
        page.stage.do(page.fleet.ask("/api/chat"))
        page.window.resize(1280)
        page.has("#requests-table tr[data-end=done]")
        for column, text in (("client", "192.168.100.123"), ("end", "200 server broke off")):
            lines, room = page.window.look(LINES, column, text)
            assert (column, lines, room >= 0) == (column, 1, True)


def test_long_names_stay_in_their_cells(shows: Shows) -> None:
    with shows("a-server-in-the-cellar-of-the-northern-building", aliases={"gpt-4o": CHAT}) as page:
        page.window.resize(1280)
        page.stage.do(page.fleet.ask("/v1/chat/completions", "gpt-4o"))
        page.has("#requests-table tr[data-end=done] [data-column=model]", "completions")
        outside = """
            const right = (one) => one.getBoundingClientRect().right;
            return [...document.querySelectorAll('.cards tbody :is(.name, .why)')]
                .filter((one) => right(one) > right(one.closest('td, th'))).map((one) => one.textContent)"""
        assert page.window.look(outside) == []


def test_the_head_of_the_matrix_stays_while_its_models_scroll(shows: Shows) -> None:
    with shows() as page:
        page.has("#models-table tr[data-model]")
        page.window.resize(1280, 120)
        tops = page.window.look("""
            const box = document.querySelector('.sideways');
            box.scrollIntoView();
            box.scrollTop = 1000;
            return [box.scrollTop, box.querySelector('thead th').getBoundingClientRect().top
                - box.getBoundingClientRect().top]""")
        assert tops[0] > 0
        assert 0 <= tops[1] <= 2


def test_bars_are_seen_in_the_colours_of_the_system(shows: Shows) -> None:
    with shows("one", settings={**GPU, **QUICK}) as page:
        page.window.tell(
            "Emulation.setEmulatedMedia", features=[{"name": "forced-colors", "value": "active"}]
        )
        client = page.stage.do(held(page.fleet, NEW, after=0))
        page.has("#work [data-work=job] progress:indeterminate")
        bar = "document.querySelector('#work [data-work=job] progress')"
        assert "gradient" in page.window.look(f"return getComputedStyle({bar}).backgroundImage")
        page.window.prefer()
        page.stage.call(release, page.fleet)
        page.stage.call(client.close)


def test_nothing_moves_where_that_is_asked_for(shows: Shows) -> None:
    with shows("one") as page:
        page.window.prefer(reduced_motion="reduce")
        page.open()
        page.want("load", CHAT)
        page.has("#answers > li[data-state=done]")
        assert page.window.look("return document.getAnimations().length") == 0
        moving = """return [...document.querySelectorAll('*')].filter((one) => {
            const style = getComputedStyle(one);
            const times = `${style.transitionDuration}, ${style.animationDuration}`.split(', ');
            return style.scrollBehavior === 'smooth' || times.some((time) => parseFloat(time) > 0.01);
        }).map((one) => one.tagName)"""
        assert page.window.look(moving) == []


def test_times_are_those_of_the_reader_s_zone(shows: Shows, window: Browser) -> None:
    window.tell("Emulation.setTimezoneOverride", timezoneId="Asia/Kolkata")
    try:
        with shows() as page:
            page.stage.do(page.fleet.ask("/api/chat"))
            page.has("#requests-table tr[data-end=done]")
            shown = page.has("#requests-table time", ":")
            (told,) = page.all("#requests-table time", "datetime")
    finally:
        window.tell("Emulation.setTimezoneOverride", timezoneId="")
    there = datetime.fromisoformat(told).astimezone(timezone(timedelta(hours=5, minutes=30)))
    assert shown.startswith((f"{there:%I:%M:%S}", f"{there:%H:%M:%S}"))


def test_all_of_it_by_keyboard(shows: Shows) -> None:
    """Every control is reached by Tab and shows that it has the focus; a load needs nothing else."""
    with shows("one") as page:
        page.stage.do(page.fleet.ask("/api/chat"))
        page.has("#requests-table tr[data-end=done]")
        page.window.look("document.activeElement.blur()")
        for _ in range(100):
            page.window.press("Tab")
            if page.window.look(FOCUSED) == "again":
                break
        assert page.window.look(UNREACHED) == []
        page.window.look("document.getElementById('hand-open').focus()")
        page.window.press("Enter")
        page.has("dialog#hand")
        page.window.look("document.getElementById('hand-model').focus()")
        page.window.press(*EMBEDDER, "Tab")
        page.window.press("Tab", "Enter")
        page.has("#answers > li[data-hand=load][data-state=done]", EMBEDDER)
        page.window.look("document.querySelector('#requests-table button.open-line').focus()")
        page.window.press("Enter")
        page.has("dialog#line")
        page.window.press("Escape")
        page.lacks("dialog#line")
        assert page.window.look("return document.activeElement.className").startswith("open")


def test_names_and_texts_of_others_are_text(shows: Shows) -> None:
    """Of clients, in what they ask for; of servers, in what they list and in what fails."""
    with shows("one") as page:
        installed = [
            {"name": name, "model": name, "digest": HOSTILE, "size": 1, "modified_at": HOSTILE, "details": {}}
            for name in (HOSTILE, "smol:latest", "minilm:latest")
        ]
        loaded = [{**installed[0], "size_vram": 0, "expires_at": "2318-01-01T00:00:00Z", "context_length": 1}]
        for path, models in (("/api/tags", installed), ("/api/ps", loaded)):
            body = json.dumps({"models": models}).encode()
            page.stage.call(page.fleet.ollama.fail_next, Fails(200, body), path=path, times=-1)
        version = Fails(200, json.dumps({"version": HOSTILE}).encode())
        page.stage.call(page.fleet.ollama.fail_next, version, path="/api/version", times=-1)
        page.stage.call(page.fleet.ollama.fail_next_load, FailsToLoad(HOSTILE))
        page.stage.do(page.fleet.look())
        page.stage.do(page.fleet.ask("/api/chat", HOSTILE))
        page.stage.do(page.fleet.ask("/api/chat", "a\u202eb\nc"))
        page.stage.do(page.fleet.ask("/api/chat"))
        page.has("#servers-table [data-column=version]", HOSTILE)
        page.has("#models-table tr[data-model=smol] [data-column=digest]", "<img")
        page.has("#requests-table [data-column=model]", HOSTILE)
        page.has("#requests-table tr[data-request] [data-column=end]", "img src")
        page.want("load", HOSTILE)
        assert HOSTILE in page.has("#answers > li[data-state=failed]")
        page.window.click("#requests-table tr[data-request]")
        page.has("dialog#line", HOSTILE)
        page.window.click("#line-close")
        own = "[...document.images].filter((one) => !one.src.endsWith('/icon.svg')).length"
        assert page.window.look(f"return {own}") == 0
        assert page.window.look("return document.querySelectorAll('[onerror]').length") == 0


def test_without_javascript_it_says_where_the_same_is_told(shows: Shows, window: Browser) -> None:
    with shows("one") as page:
        window.tell("Emulation.setScriptExecutionDisabled", value=True)
        try:
            window.open(page.stage.url)
            said = window.text("noscript")
            assert ("/state" in said, "gollamas status" in said) == (True, True)
            assert "Connecting" not in window.text("body")
        finally:
            window.tell("Emulation.setScriptExecutionDisabled", value=False)


# Whether the heading of a section stands in the upper half of the window, and has stayed there for a while.
STAYS = """
    (() => {
        const { top } = document.querySelector(`${arguments[0]} h2`).getBoundingClientRect();
        window.stays = top >= 0 && top < innerHeight / 2 ? window.stays + 1 : 0;
        return window.stays > 20;
    })()
"""


@pytest.mark.parametrize("width", [360, 1920])
def test_links_lead_to_their_sections_on_a_long_page(shows: Shows, width: int) -> None:
    """Also where the page is opened by one, before it has anything to show."""
    with shows(*(f"s{number}" for number in range(12))) as page:
        for _ in range(100):
            page.stage.do(page.fleet.ask("/api/embed", EMBEDDER))
        page.window.resize(width, 700)
        page.window.open("about:blank")
        page.open("#requests")
        page.window.look("window.stays = 0")
        page.window.until(STAYS, "#requests")
        for section in ("#wrong", "#models", "#requests", "#servers", "#requests", "#models"):
            script = "window.stays = 0; document.querySelector(`nav a[href='${arguments[0]}']`).click()"
            page.window.look(script, section)
            page.window.until(STAYS, section)
