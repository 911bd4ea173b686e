"""The options as people read them: a Markdown table for the documentation, lines for the help.

Owns the wording around an option; all facts come from its declaration.
"""

import textwrap
from collections.abc import Iterable, Sequence
from typing import Final

from gollamas.config.flags import HELP_FLAGS, VERB_ALIASES, VERBS, VERSION_FLAGS
from gollamas.config.options import CONFIG, OPTIONS, FlagOption, Option
from gollamas.config.words import LOGRUS_LEVELS

BEGIN: Final = "<!-- options -->"
END: Final = "<!-- /options -->"
_WIDTH: Final = 100
_FEW: Final = ("listen", "servers", "models", "aliases", "config", "level")


def markdown_table() -> str:
    """Write one row per option, without the markers."""
    rows = ["| Flag | Variable | In the file | Default | What it is |", "|---|---|---|---|---|"]
    for option in OPTIONS:
        flags = [_flag(flag, option) for flag in option.flags]
        flags += (f"`{flag} {_escaped(option.written)},...`" for flag in option.plural)
        key = "" if option is CONFIG else f"`{option.in_file}`"
        default = f"`{option.default_text}`" if option.default_text else ""
        variables = ", ".join(f"`{variable}`" for variable in option.variables)
        rows.append(
            f"| {', '.join(flags)} | {variables} | {key} | {default} | {_escaped(describe(option))} |"
        )
    return "\n".join(rows) + "\n"


def with_table(text: str) -> str:
    """Replace what stands between the markers; raises ValueError where one is missing."""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"the text lacks {BEGIN} or {END}")
    return f"{before}{BEGIN}\n{markdown_table()}{END}{after}"


def overview() -> str:
    """Write what `gollamas --help` prints: what nearly everybody needs."""
    also = {verb: alias for alias, verb in VERB_ALIASES.items()}
    verbs = [
        (verb, text + (f" (also `{also[verb]}`)" if verb in also else "")) for verb, text in VERBS.items()
    ]
    flags = [
        (_names(option, option.flags[:1], ()), _short(option)) for option in OPTIONS if option.key in _FEW
    ]
    flags += [
        (", ".join(HELP_FLAGS), "print this; behind a verb, its help"),
        (", ".join(VERSION_FLAGS), "print the version"),
    ]
    lines = [
        "gollamas: one address in front of many Ollama servers",
        "",
        "  gollamas http://gpu-1:11434 http://gpu-2:11434      all that the two have",
        "  gollamas --proxy llama3.2=http://gpu-1:11434 --proxy gemma3=http://gpu-2:11434",
        "  gollamas --connection gpu-1=http://gpu-1:11434 --proxy llama3.2=gpu-1 --alias gpt-4o=llama3.2",
        "",
        "Usage: gollamas [VERB] [FLAGS] [URL...]",
        "",
        *_columns(verbs),
        "",
        "The flags that most people need; `gollamas serve --help` has all of them:",
        "",
        *_columns(flags),
    ]
    return "\n".join(lines) + "\n"


def flags_help(options: Iterable[Option]) -> str:
    """Write what a verb's help says of its flags; nothing where it has none."""
    return "".join(f"{line}\n" for option in options for line in _help_of(option))


def describe(option: Option) -> str:
    """Say what an option is for, and what it accepts."""
    is_plain = option is CONFIG or (isinstance(option, FlagOption) and option.is_switch)
    accepts = "" if is_plain else option.accepts
    synonyms = f"; also {', '.join(LOGRUS_LEVELS)}" if option.key == "level" else ""
    return f"{option.help} ({accepts}{synonyms})" if accepts else option.help


def _help_of(option: Option) -> list[str]:
    names = _names(option, option.flags, option.plural)
    facts = [", ".join(option.variables)] if option.variables else []
    if not option.flags:
        names = facts.pop()
    if option.default_text:
        facts.append(f"default {option.default_text}")
    text = describe(option) + (f" [{'; '.join(facts)}]" if facts else "")
    indent = " " * 6
    return [
        f"  {names}",
        *textwrap.wrap(text, _WIDTH, initial_indent=indent, subsequent_indent=indent),
    ]


def _names(option: Option, flags: Sequence[str], plural: Sequence[str]) -> str:
    value = f"[={option.written}]" if option.is_switch else f" {option.written}"
    return ", ".join(flags) + value + "".join(f", {flag}{value},..." for flag in plural)


def _short(option: Option) -> str:
    return option.help + (f" (default {option.default_text})" if option.default_text else "")


def _columns(rows: Sequence[tuple[str, str]]) -> list[str]:
    width = max(len(left) for left, _ in rows)
    return [f"  {left:<{width}}  {right}" for left, right in rows]


def _flag(flag: str, option: Option) -> str:
    return f"`{flag}`" if option.is_switch else f"`{flag} {_escaped(option.written)}`"


def _escaped(text: str) -> str:
    return text.replace("|", r"\|")
