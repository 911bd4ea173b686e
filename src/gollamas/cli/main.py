"""The command line's first step: which verb is meant, and who runs it.

Knows the verbs' names and nothing of what they do; imports a verb only when it is called, so that `--help` is
quick.
"""

import importlib
import sys
from collections.abc import Sequence
from typing import Final

from gollamas.cli.say import NotSaid, complain
from gollamas.cli.streams import open_missing
from gollamas.cli.tables import TABLES
from gollamas.config.flags import HELP_FLAGS, VERB_ALIASES, VERBS, VERSION_FLAGS, first_word, is_one_of

# The flags of `serve` before these words change nothing of what they print.
_ALONE: Final = frozenset({"version", "help"})


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command line (default: this process's) and give its exit code."""
    open_missing()
    if reconfigure := getattr(sys.stdout, "reconfigure", None):
        reconfigure(errors="backslashreplace")  # a console may lack a letter of a model's name
    words = list(sys.argv[1:] if argv is None else argv)
    verb, rest = split_verb(words)
    try:
        code: int = importlib.import_module(f"gollamas.cli.{verb}").run(rest)
    except NotSaid as why:
        if not why.nobody_reads:
            complain(f"gollamas: standard output can't be written: {why}")
        return 1
    except KeyboardInterrupt:
        return 130
    return code


def split_verb(words: Sequence[str]) -> tuple[str, list[str]]:
    """Find the verb and what is left for it: the first word that belongs to no flag, else `serve`."""
    index = first_word(words)
    named = words[index] if index is not None else ""
    verb = VERB_ALIASES.get(named, named)
    is_named = index is not None and verb in VERBS
    if index is None or not is_named:
        verb, rest = "serve", list(words)
    else:
        rest = [*(() if verb in _ALONE else words[:index]), *words[index + 1 :]]
    flags = words[: words.index("--")] if "--" in words else words
    if any(is_one_of(flag, HELP_FLAGS) for flag in flags):
        return "help", [verb] if is_named else []
    versions = [flag for flag in flags if is_one_of(flag, VERSION_FLAGS)]
    if any(not TABLES[verb].knows(flag) for flag in versions):  # `simulate` has a --version of its own
        return "version", []
    return verb, rest
