"""What a running proxy may refuse, and what is said where it can't be asked."""

import msgspec

from gollamas.observe.safe import cut, escaped


class NothingTold(Exception):
    """There is nothing to print; the text says why, in one line."""


class NobodyThere(NothingTold):
    """Nothing answers at the address."""


class OtherThere(NothingTold):
    """What answers at the address is none of ours."""


class _ErrorPage(msgspec.Struct):
    """What is answered where something is refused."""

    error: str


def no_gollamas(url: str, why: str) -> OtherThere:
    """Say that what answers is none of ours."""
    mark = "," if why.startswith("or ") else ":"
    return OtherThere(f"what answers at {url} is not gollamas{mark} {why}")


def error_in(body: bytes) -> str:
    """Give the sentence of a refusal; empty where it is none of ours."""
    try:
        return cut(escaped(msgspec.json.decode(body, type=_ErrorPage).error))
    except (ValueError, RecursionError):
        return ""
