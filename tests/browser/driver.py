"""A real browser, by the WebDriver protocol of its driver: https://www.w3.org/TR/webdriver2/.

Owns the start and the end of both programs, and the few commands that are needed: a library for all of them
would bring a dozen packages along. Nothing waits by sleeping: the browser looks until something holds.
"""

import base64
import json
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path
from typing import Any, Final

_BROWSERS: Final = ("chromium", "chromium-browser", "google-chrome")
_PATIENCE: Final = 10.0  # seconds that something may take to hold
_FLAGS: Final = (
    "--headless=new",
    "--no-sandbox",  # which root may not have
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--window-size=1920,1200",
    "--disable-background-networking",
    "--disable-component-update",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
    "--no-proxy-server",
)
_TRIES: Final = 5
_STARTED: Final = re.compile(r"started successfully on port (\d+)")
_ELEMENT: Final = "element-6066-11e4-a52e-4f735466cecf"  # the protocol's key of a reference to one
KEYS: Final = {"Tab": "\ue004", "Enter": "\ue007", "Escape": "\ue00c", "Shift": "\ue008", "Space": " "}


def why_none() -> str | None:
    """Say why there is no browser here; None where there is one."""
    if shutil.which("chromedriver") is None:
        return "no chromedriver: Debian's package is chromium-driver"
    if not any(map(shutil.which, _BROWSERS)):
        return "no chromium: Debian's package has the same name"
    return None


class Failed(AssertionError):
    """The browser could not do what it was asked."""


class Browser:
    """One window. `port` is the driver's."""

    def __init__(self, port: int, program: str, folder: str) -> None:
        self._connection = HTTPConnection("127.0.0.1", port)
        options = {"binary": program, "args": [*_FLAGS, f"--user-data-dir={folder}"]}
        wanted = {
            "goog:chromeOptions": options,
            "goog:loggingPrefs": {"browser": "ALL", "performance": "ALL"},
        }
        self._session = ""
        found = self._ask("POST", "/session", {"capabilities": {"alwaysMatch": wanted}})
        self._session = f"/session/{found['sessionId']}"
        self._ask("POST", "/timeouts", {"script": None})

    def _ask(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        data = None if body is None else json.dumps(body)
        self._connection.request(method, self._session + path, data)
        found = json.loads(self._connection.getresponse().read())["value"]
        if isinstance(found, dict) and "error" in found:
            raise Failed(f"{found['error']}: {found['message'].splitlines()[0]}")
        return found

    def quit(self) -> None:
        """Close the browser."""
        self._ask("DELETE", "")
        self._connection.close()

    # -- what a person does --------------------------------------------------------------------------

    def open(self, url: str) -> None:
        """Open a page, and wait until it has loaded."""
        self._ask("POST", "/url", {"url": url})

    def click(self, selector: str) -> None:
        """Click on an element, which must be there to be clicked on."""
        at_once = "{ block: 'center', behavior: 'instant' }"
        self.look(f"document.querySelector(arguments[0])?.scrollIntoView({at_once})", selector)
        self._ask("POST", f"/element/{self._find(selector)}/click", {})

    def write(self, selector: str, text: str) -> None:
        """Write into a field, in place of what is there."""
        element = self._find(selector)
        self._ask("POST", f"/element/{element}/clear", {})
        self._ask("POST", f"/element/{element}/value", {"text": text})

    def press(self, *keys: str) -> None:
        """Press keys one after another, wherever the focus is; `Shift+Tab` both at the same time."""
        moves = []
        for key in keys:
            codes = [KEYS.get(part, part) for part in key.split("+")]
            moves += [{"type": "keyDown", "value": code} for code in codes]
            moves += [{"type": "keyUp", "value": code} for code in reversed(codes)]
        self._ask("POST", "/actions", {"actions": [{"type": "key", "id": "keyboard", "actions": moves}]})

    def _find(self, selector: str) -> str:
        found: str = self._ask("POST", "/element", {"using": "css selector", "value": selector})[_ELEMENT]
        return found

    # -- what is seen --------------------------------------------------------------------------------

    def look(self, script: str, *words: Any) -> Any:
        """Give what a script returns; its `arguments` are the words."""
        return self._ask("POST", "/execute/sync", {"script": script, "args": words})

    def until(self, expression: str, *words: Any, patience: float = _PATIENCE) -> Any:
        """Wait until an expression is true in the page; gives its value. `words` are its `arguments`."""
        script = f"""
            const done = arguments[arguments.length - 1], began = performance.now();
            const look = () => {{
                let found;
                try {{ found = {expression}; }} catch (error) {{ found = false; }}
                if (found || performance.now() - began > {patience * 1000}) done(found || null);
                else setTimeout(look, 10);
            }};
            look();"""
        found = self._ask("POST", "/execute/async", {"script": script, "args": words})
        if found is None:
            raise Failed(f"not so within {patience:g} s: {expression} {words}")
        return found

    def text(self, selector: str) -> str:
        """Give the text of an element as it is shown."""
        found: str = self._ask("GET", f"/element/{self._find(selector)}/text")
        return found

    def picture(self) -> bytes:
        """Give a picture of the window, as WebP."""
        taken = self.tell("Page.captureScreenshot", format="webp", quality=80)
        return base64.b64decode(taken["data"])

    def log(self, kind: str) -> list[dict[str, Any]]:
        """Give what came into a log since it was read last: `browser` is the console."""
        found: list[dict[str, Any]] = self._ask("POST", "/se/log", {"type": kind})
        return found

    def urls(self) -> list[str]:
        """Give what was asked for since this was called last."""
        events = [json.loads(entry["message"])["message"] for entry in self.log("performance")]
        return [
            event["params"]["request"]["url"]
            for event in events
            if event["method"] == "Network.requestWillBeSent"
        ]

    # -- what it pretends ----------------------------------------------------------------------------

    def tell(self, command: str, **words: Any) -> Any:
        """Give a command of the DevTools protocol."""
        return self._ask("POST", "/goog/cdp/execute", {"cmd": command, "params": words})

    def resize(self, width: int, height: int = 1000) -> None:
        """Have a window of this size inside, which may be narrower than one can be."""
        self.tell(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=False,
        )

    def prefer(self, **features: str) -> None:
        """Have a system that wants something of pages, like `color_scheme="dark"`; nothing: the default."""
        wanted = [
            {"name": f"prefers-{name.replace('_', '-')}", "value": value} for name, value in features.items()
        ]
        self.tell("Emulation.setEmulatedMedia", features=wanted)


@contextmanager
def browser() -> Iterator[Browser]:
    """Run a browser and its driver."""
    program = next(found for name in _BROWSERS if (found := shutil.which(name)))
    driver, port = _driver()
    try:
        with tempfile.TemporaryDirectory() as folder:
            opened = Browser(port, program, str(Path(folder, "profile")))
            try:
                yield opened
            finally:
                opened.quit()
    finally:
        driver.terminate()
        driver.communicate()


def _driver() -> tuple["subprocess.Popen[str]", int]:
    """Start the driver, and give its port; it ends at once where it has that on one of two addresses only."""
    for _ in range(_TRIES):
        driver = subprocess.Popen(
            ["chromedriver", "--port=0"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        assert driver.stdout is not None
        for line in driver.stdout:
            if match := _STARTED.search(line):
                return driver, int(match[1])
        driver.communicate()
    raise Failed(f"chromedriver has ended {_TRIES} times, the last with {driver.returncode}")
