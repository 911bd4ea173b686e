"""What a client's connection is doing: a total table of its states and of what moves it on.

A client that reads slowly, or sends no more, is in any of these states: those are facts beside them.
"""

from typing import Final

# In the order of a request; the connection compares them.
IDLE: Final = 0  # no byte of a request has come
HEAD: Final = 1  # a part of a head has
BODY: Final = 2  # a head and a part of its body have
ANSWERING: Final = 3  # a whole request is being answered
BEHIND: Final = 4  # what came behind it is read once its answer is with the client
ENDING: Final = 5  # the last answer is out: the client may read it, what it sends is dropped
STALLED: Final = 6  # cut, since it did not take what it was sent
GONE: Final = 7

# What becomes of each state, in the order above, when …
# HOT: a type that leaves the length open has them compiled to a look at one entry.
_Row = tuple[int, ...]
# fmt: off
HEAD_BEGAN: Final[_Row] = (HEAD, HEAD, BODY, ANSWERING, BEHIND, ENDING, STALLED, GONE)
BODY_BEGAN: Final[_Row] = (BODY, BODY, BODY, ANSWERING, BEHIND, ENDING, STALLED, GONE)
WAS_WHOLE: Final[_Row] = (ANSWERING, ANSWERING, ANSWERING, ANSWERING, BEHIND, ENDING, STALLED, GONE)
WAS_ANSWERED: Final[_Row] = (IDLE, HEAD, BODY, IDLE, BEHIND, ENDING, STALLED, GONE)
HAS_MORE: Final[_Row] = (BEHIND, BEHIND, BEHIND, ANSWERING, BEHIND, ENDING, STALLED, GONE)
READS_ON: Final[_Row] = (IDLE, HEAD, BODY, ANSWERING, IDLE, ENDING, STALLED, GONE)
WAS_LAST: Final[_Row] = (ENDING, ENDING, ENDING, ENDING, ENDING, ENDING, STALLED, GONE)
WAS_CUT: Final[_Row] = (STALLED, STALLED, STALLED, STALLED, STALLED, STALLED, STALLED, GONE)
WAS_LOST: Final[_Row] = (GONE, GONE, GONE, GONE, GONE, GONE, STALLED, GONE)
# fmt: on
