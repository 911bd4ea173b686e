"""Whether the count of a prompt's tokens shows that Ollama cut it.

Owns what Ollama leaves of a prompt that is longer than the context: as much as fits before 0.30, one token
less in the first releases of 0.30, and since then the start that a request keeps, and half of the rest
(llm/llama_server.go, contextShiftPromptLimit). A chat that was cut by whole messages has any count. Pure.
"""

from typing import Final

from gollamas.fleet import version
from gollamas.fleet.admit import Lease

_LEAVES_ROOM: Final = (0, 30)  # the first release that cuts a prompt to less than the context
_KEPT: Final = (4, 5)  # tokens at the start: the usual num_keep, for some models with one that begins a text
_LEAST_BYTES: Final = 3  # of a token, in a prompt that is long


def context_of(lease: Lease) -> int | None:
    """The context that an attempt was answered with: what the server shows, else what it was asked for."""
    instance, wanted = lease.instance, lease.wanted
    if instance is not None and instance.context is not None:
        return instance.context
    return None if wanted is None else wanted.num_ctx


def is_cut(tokens: int, context: int, body_bytes: int, release: str | None) -> bool:
    """Whether a prompt with so many tokens was longer. In: the size of its body, the version of its server.

    A prompt that has by itself as many tokens as are left of a long one is told by its body's size, mostly.
    """
    if tokens >= context:
        return True
    if tokens * 2 <= context:  # HOT: most prompts
        return False
    if tokens != context - 1 and all(tokens != context - (context - kept) // 2 for kept in _KEPT):
        return False
    number = version.key(release or "")
    return number is not None and number[:2] >= _LEAVES_ROOM and body_bytes > context * _LEAST_BYTES
