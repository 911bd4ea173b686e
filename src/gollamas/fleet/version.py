"""Versions of Ollama, compared as versions.

Owns which of several is the lowest; knows nothing of servers.
"""

import re
from collections.abc import Iterable
from typing import Final

# What `git describe` leaves: 0.33.0, v0.33.0-rc2, 0.6.8-5-g1a2b3c4 (five commits after 0.6.8).
_VERSION: Final = re.compile(
    r"v?(\d{1,9})\.(\d{1,9})(?:\.(\d{1,9}))?"
    r"(?:-?((?:rc|alpha|beta|pre|dev)[0-9A-Za-z.]{0,40}))?"
    r"(?:-(\d{1,9})-g[0-9a-f]{4,40})?(?:-dirty)?(?:\+[0-9A-Za-z.\-]{1,80})?",
    re.ASCII | re.IGNORECASE,
)
_RUNS: Final = re.compile(r"(\d{1,9})|([^\d.]+)")

_Part = tuple[int, int, str]
Key = tuple[int, int, int, int, tuple[_Part, ...], int]


def key(text: str) -> Key | None:
    """Return what two versions are compared by; None for what is no version.

    A release comes after its candidates, and `rc10` after `rc2`.
    """
    found = _VERSION.fullmatch(text.strip())
    if found is None:
        return None
    major, minor, patch, candidate, commits = found.groups()
    runs = tuple((1, int(digits), "") if digits else (0, 0, word) for digits, word in _parts(candidate))
    return int(major), int(minor), int(patch or 0), 0 if runs else 1, runs, int(commits or 0)


def _parts(candidate: str | None) -> list[tuple[str, str]]:
    return _RUNS.findall((candidate or "").lower())


def lowest(versions: Iterable[str]) -> str | None:
    """Return the lowest of these versions as it was written; None when there is none.

    A source build calls itself 0.0.0, which says nothing: it counts only where no other does. What is no
    version at all counts only where nothing else was said.
    """
    said = [text for text in versions if text]
    known = [(number, text) for text in said if (number := key(text)) is not None]
    named = [pair for pair in known if any(pair[0][:3])]
    pick = min(named or known, default=None)
    return pick[1] if pick else min(said, default=None)
