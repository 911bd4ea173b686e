"""Several elements in one text: commas or line ends between them, quotes around them or not.

Owns this notation for flags, variables and the file alike; knows not what an element means. No fault quotes
what may be part of a password.
"""

import re
from itertools import pairwise
from typing import Final

from gollamas.config.address import shown
from gollamas.config.faults import Unusable

_BETWEEN: Final = re.compile(r"\s*[,\r\n]\s*")
# A blank between two elements (around `=` it does no harm), and a `;` that is not within user info.
_BLANK: Final = re.compile(r"[^=]*[^\s=:#\-]\s+[^\s=][^=]*|.*(?:=|://).*[^\s=]\s+[^\s=].*(?:=|://).*")
_SEMICOLON: Final = re.compile(r".*;(?!//)(?:[^@]*|\s*(?:[^;=@\s]+=)?[A-Za-z]+://.*)")
_HAS_MORE: Final = re.compile(r"@|[^:/]/")  # user info or a path, which may hold either
# A user, then what is no port, a comma, and an `@` before any slash: the comma is in the password.
_COMMA_IN_PASSWORD: Final = re.compile(r"://[^/@,\s]*:(?!\d{1,5}\s*,)[^/@,]*,[^/]*@")


def unquoted(text: str) -> str:
    """Drop the blanks and quotes around a text, as Ollama does around its variables (envconfig.Var)."""
    return text.strip().strip("\"'").strip()


def split_list(text: str) -> list[str]:
    """Give the elements of a list, an empty last one passed over; raises Unusable for another empty one.

    Also for what looks like two elements with something else than a comma between them.
    """
    if _COMMA_IN_PASSWORD.search(text):
        raise Unusable("user info has a comma in it, which separates entries", "Write it as `%2C`")
    elements = [unquoted(element) for element in _BETWEEN.split(unquoted(text))]
    if not elements[-1]:
        elements.pop()
    for before, element in pairwise(["", *elements]):
        if not element:
            where = f"after `{called(before)}`" if before else "at its beginning"
            raise Unusable(f"the list has an empty entry {where}", "Leave out one of the commas")
        _look_between(element)
    return elements


def called(element: str) -> str:
    """Name an element for people: what stands before its `=`, else itself without what may be secret."""
    name, equals, _ = element.partition("=")
    return name.strip() if equals and "://" not in name else shown(element)


def is_url(element: str) -> bool:
    """Whether a scheme stands before any `=`."""
    return "://" in element.partition("=")[0]


def _look_between(element: str) -> None:
    for mark, pattern, code in (("`;`", _SEMICOLON, "%3B"), ("blank", _BLANK, "%20")):
        if pattern.fullmatch(element):
            first = called(re.split(r"[;\s]", element, maxsplit=1)[0])
            within = f"; within a URL write a {mark} as `{code}`" if _HAS_MORE.search(element) else ""
            raise Unusable(
                f"the entry that begins with `{first}` has a {mark} in it",
                f"Put commas between the entries{within}",
            )
