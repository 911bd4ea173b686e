"""The prompts that a runner has read and still knows, so that one that begins alike is read faster.

Owns the length of a prompt in tokens and how many of them are known, as llama.cpp's server has it: an
earlier prompt may lie several prompts back, what was answered to it is known as well, and the last token
is always read anew.
"""

from bisect import bisect_left
from typing import Final

from gollamas.simulate.text import count_tokens

# The template puts tokens before the first role and behind the last message.
_BEFORE: Final = 2
_BEHIND: Final = 6
_KEPT: Final = 16  # prompts; a real server has a limit of bytes


def length_of(prompt: str) -> int:
    """Give a prompt's tokens, those of the template included."""
    return _BEFORE + count_tokens(prompt) + _BEHIND


class Prompts:
    """What one runner knows; a reload begins with nothing."""

    def __init__(self) -> None:
        # The prompt to the prompt with its answer, the latest last. A blank behind each last word keeps
        # `Hi` from being the beginning of `High`.
        self._known: dict[str, str] = {}

    def cached(self, prompt: str) -> int:
        """Give how many tokens of this prompt need not be read."""
        asked = _plain(prompt)
        if asked in self._known:
            return length_of(prompt) - 1
        # Whatever was read before began with the same tokens of the template.
        return max(
            (_BEFORE + count_tokens(_shared(asked, known)) for known in self._known.values()), default=0
        )

    def keep(self, prompt: str, answer: str = "") -> None:
        """Remember a prompt that was read, with what was said so far."""
        asked = _plain(prompt)
        self._known.pop(asked, None)
        self._known[asked] = asked + _plain(f"assistant {answer}") if answer else asked
        if len(self._known) > _KEPT:
            del self._known[next(iter(self._known))]


def _plain(text: str) -> str:
    return " ".join(text.split()) + " "


def _shared(one: str, other: str) -> str:
    """Give the words with which both begin."""
    lengths = range(1, min(len(one), len(other)) + 1)
    alike = bisect_left(lengths, True, key=lambda length: one[:length] != other[:length])
    return one[:alike].rpartition(" ")[0]
