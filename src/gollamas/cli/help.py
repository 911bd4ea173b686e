"""`gollamas help [VERB]`, and `--help` of the verbs that take the flags of `serve`."""

import importlib
from collections.abc import Sequence
from typing import Final

from gollamas.cli.say import USAGE, complain, say
from gollamas.config.faults import nearest
from gollamas.config.flags import VERB_ALIASES, VERB_SYNONYMS, VERBS
from gollamas.config.table import usage

_SHORT: Final = {
    "health": """Usage: gollamas health [--admin ADDRESS] [--config FILE]

Asks http://ADMIN/healthz of a running proxy, exits 0 when it is well and 1 when it is not. The address is
found as `serve` finds it: flag, GOLLAMAS_ADMIN, file, 127.0.0.1:11435. Where administration is off, the
address for clients is asked instead.
""",
    "status": """Usage: gollamas status [--json] [--admin ADDRESS] [--config FILE]

Shows what a running proxy says at http://ADMIN/state: its servers with their health and models, what is
loaded where, and the requests that are being answered. Tables on a terminal, plain text elsewhere; --json
prints the JSON as it came. ADMIN is found as by `health`. Exits 1 where no gollamas answers, or where
administration is off.
""",
    "version": """Usage: gollamas version [--full]

Prints the version; with --full also those of Python, the system and the packages below it.
""",
}
_OWN: Final = frozenset({"demo", "simulate"})


def run(argv: Sequence[str]) -> int:
    """Print the help of a verb, or of all; 2 for a verb that is none."""
    verb = VERB_ALIASES.get(argv[0], argv[0]) if argv else ""
    if verb in _OWN:
        code: int = importlib.import_module(f"gollamas.cli.{verb}").run(["--help"])
        return code
    if verb and verb not in VERBS:
        near = VERB_SYNONYMS.get(verb) or nearest(verb, VERBS)
        hint = f"write `gollamas help {near}`" if near else "see `gollamas help`"
        complain(f"gollamas: there is no verb `{verb}`: {hint}")
        return USAGE
    say((_SHORT.get(verb) or usage()).rstrip("\n"))
    return 0
