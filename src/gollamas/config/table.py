"""The options as people read them: a Markdown table for the documentation, lines for `--help`.

Owns the wording around an option; all facts come from its declaration.
"""

import textwrap
from typing import Final

from gollamas.config.flags import HELP_FLAGS, VERB_ALIASES, VERBS, VERSION_FLAGS
from gollamas.config.options import CONFIG, LOGRUS_LEVELS, OPTIONS, Option

BEGIN: Final = "<!-- options -->"
END: Final = "<!-- /options -->"
_WIDTH: Final = 100


def markdown_table() -> str:
    """Write one row per option, without the markers."""
    rows = ["| Flag | Variable | In the file | Default | What it is |", "|---|---|---|---|---|"]
    for option in OPTIONS:
        flags = [_flag(flag, option) for flag in option.flags]
        flags += (f"`{flag} {_escaped(option.written)},...`" for flag in option.plural)
        key = "" if option is CONFIG else f"`{option.key}`"
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


def usage() -> str:
    """Write what `gollamas --help` prints."""
    width = max(map(len, VERBS))
    also = {verb: alias for alias, verb in VERB_ALIASES.items()}
    verbs = [
        f"  {verb:<{width}}  {text}" + (f" (also `{also[verb]}`)" if verb in also else "")
        for verb, text in VERBS.items()
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
        *verbs,
        "",
        "Flags of serve and check (a flag beats a variable, a variable the file, the file the default):",
        "",
    ]
    for option in OPTIONS:
        lines += _help_of(option)
    lines += [
        "  --live                    (check) ask each server for its version and models, too",
        f"  {', '.join(HELP_FLAGS)}",
        f"  {', '.join(VERSION_FLAGS)}",
    ]
    return "\n".join(lines) + "\n"


def describe(option: Option) -> str:
    """Say what an option is for, and what it accepts."""
    accepts = option.accepts if option is not CONFIG else ""
    synonyms = f"; also {', '.join(LOGRUS_LEVELS)}" if option.key == "level" else ""
    return f"{option.help} ({accepts}{synonyms})" if accepts else option.help


def _help_of(option: Option) -> list[str]:
    value = f"[={option.written}]" if option.is_switch else f" {option.written}"
    names = ", ".join(option.flags) + value + "".join(f", {flag}{value},..." for flag in option.plural)
    facts = [", ".join(option.variables)]
    if option.default_text:
        facts.append(f"default {option.default_text}")
    text = f"{describe(option)} [{'; '.join(facts)}]"
    return [f"  {names}", *textwrap.wrap(text, _WIDTH, initial_indent=" " * 6, subsequent_indent=" " * 6)]


def _flag(flag: str, option: Option) -> str:
    return f"`{flag}`" if option.is_switch else f"`{flag} {_escaped(option.written)}`"


def _escaped(text: str) -> str:
    return text.replace("|", r"\|")
