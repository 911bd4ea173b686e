"""Takes the picture of the page that README shows: `make picture`.

Waits for a moment of the busy demo in which there is most to be seen: a server is away, and a pull goes on.
"""

import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Final

from tests.browser.driver import browser, why_none

_WIDTH, _HEIGHT = 1280, 1640
_LEAST: Final = 150.0  # seconds of traffic, for the lines of the last ten minutes
_PATIENCE: Final = 600.0
_MOST_BYTES: Final = 200 * 1024
_WORDS: Final = ("demo", "--busy", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--level", "error")
_SEEN: Final = """
    performance.now() > arguments[0]
        && document.querySelector("#wrong-list > li[data-kind=server_down]")
        && document.querySelector("#work [data-work=job] progress[value]")
        && document.querySelector("#requests-table tr[data-end=running]")
"""


def main(path: Path) -> int:
    """Write the picture; 1 where there is no browser, or where it would be too large."""
    if (why := why_none()) is not None:
        sys.stderr.write(f"{why}\n")
        return 1
    words = [sys.executable, "-m", "gollamas", *_WORDS]
    demo = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)  # noqa: S603 - our own program
    try:
        taken = _taken(_address(demo))
    finally:
        demo.send_signal(signal.SIGINT)
        demo.communicate()
    if len(taken) > _MOST_BYTES:
        sys.stderr.write(f"{path} would have {len(taken)} bytes, more than {_MOST_BYTES}\n")
        return 1
    path.write_bytes(taken)
    return 0


def _address(demo: "subprocess.Popen[str]") -> str:
    """Read where the page is."""
    said = ""
    for line in demo.stdout or ():
        said += line
        if found := re.search(r"in a browser:\s+(http://\S+)", said):
            return found[1]
    raise SystemExit(f"the demo has ended: {said}")


def _taken(address: str) -> bytes:
    with browser() as window:
        window.resize(_WIDTH, _HEIGHT)
        window.tell("Emulation.setScrollbarsHidden", hidden=True)
        window.prefer(color_scheme="light")
        window.open(address)
        window.until(_SEEN, _LEAST * 1000, patience=_PATIENCE)
        return window.picture()


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
