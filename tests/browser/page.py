"""The page in a browser: what tests look for on it, by the names that it has for that.

Knows the attributes of the page's elements, and nothing of how it is drawn.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

from tests.browser.driver import Browser
from tests.browser.stage import Stage
from tests.sockets.jobs import OPEN
from tests.sockets.simulated import fleet
from tests.sockets.test_by_hand import ADMIN

GPU: Final[Mapping[str, Any]] = {"vram_bytes": 24_000_000_000}
IS_LIVE: Final = "document.documentElement.dataset.connection === 'live'"


class Page:
    """The page of a fleet, in a window."""

    def __init__(self, window: Browser, stage: Stage) -> None:
        self.window = window
        self.stage = stage
        self.fleet = stage.fleet

    def open(self, query: str = "") -> None:
        """Open it, and wait until it shows what is."""
        self.window.open(self.stage.url + query)
        self.window.until(IS_LIVE)
        self.window.until("document.querySelector('#servers-table tr[data-server]')")

    def has(self, selector: str, text: str = "") -> str:
        """Wait until an element is shown that has this text; gives all of its text."""
        found: str = self.window.until(
            "[...document.querySelectorAll(arguments[0])].filter((one) => one.checkVisibility())"
            ".map((one) => one.innerText || one.value || ' ').find((said) => said.includes(arguments[1]))",
            selector,
            text,
        )
        return found

    def lacks(self, selector: str) -> None:
        """Wait until no such element is shown."""
        self.window.until(
            "![...document.querySelectorAll(arguments[0])].some((one) => one.checkVisibility())", selector
        )

    def all(self, selector: str, attribute: str) -> list[str]:
        """Give an attribute of all such elements, in the order of the page."""
        found: list[str] = self.window.look(
            "const found = [...document.querySelectorAll(arguments[0])];"
            "return found.map((one) => one.getAttribute(arguments[1]))",
            selector,
            attribute,
        )
        return found

    def want(self, hand: str, model: str, server: str = "") -> None:
        """Open the dialog, and have something done."""
        self.window.click("#hand-open")
        self.window.write("#hand-model", model)
        self.window.look("document.getElementById('hand-server').value = arguments[0]", server)
        self.window.click(f"#hand button[data-hand={hand}]")


class Shows:
    """Shows the pages of fleets in one window."""

    def __init__(self, window: Browser) -> None:
        self.window = window

    @contextmanager
    def __call__(self, *names: str, settings: Mapping[str, Any] = GPU, **options: Any) -> Iterator[Page]:
        """Run servers with GPUs and a proxy where everything is served, and open its page."""
        told = {"admin": ADMIN, "probe_interval": 0.1, **OPEN, **options}
        with Stage(fleet(*names, settings=settings, **told)) as stage:
            page = Page(self.window, stage)
            page.open()
            yield page
