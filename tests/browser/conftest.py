"""One browser for all tests of a process, and what must hold after each of them.

The page may ask no host but the one that it came from, and do nothing that its policy forbids.
"""

from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest

from tests.browser.driver import Browser, browser, why_none
from tests.browser.page import Shows


@pytest.fixture(scope="session")
def one_browser() -> Iterator[Browser]:
    """Run a browser, where there is one."""
    if (why := why_none()) is not None:
        pytest.skip(why)
    with browser() as running:
        yield running


@pytest.fixture
def window(one_browser: Browser) -> Iterator[Browser]:
    """Give its window, wide and light."""
    one_browser.resize(1280)
    one_browser.prefer(color_scheme="light")
    one_browser.log("browser")
    one_browser.urls()
    yield one_browser
    said = [entry for entry in one_browser.log("browser") if entry["source"] != "network"]
    asked = [urlsplit(url) for url in one_browser.urls()]
    one_browser.open("about:blank")  # else the page is drawn to the end of all tests
    assert said == []
    assert {one.hostname for one in asked if one.scheme not in ("data", "about", "blob")} <= {"127.0.0.1"}
    assert {one.scheme for one in asked} <= {"http", "data", "about", "blob"}


@pytest.fixture
def shows(window: Browser, monkeypatch: pytest.MonkeyPatch) -> Shows:
    """Show the page of a fleet, whose changes come at once."""
    monkeypatch.setattr("gollamas.admin.events.EVERY_S", 0.02)
    monkeypatch.setattr("gollamas.observe.traffic.EVERY_S", 0.2)
    return Shows(window)
