"""The options that a verb has for itself, read from its flags and variables.

Owns no option, and reads no file: the tables of the verbs are `cli.tables`.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from gollamas.config.address import shown
from gollamas.config.faults import Findings, Unusable, nearest
from gollamas.config.flags import Flags, Table, read_flags
from gollamas.config.given import Given
from gollamas.config.lists import is_url, unquoted
from gollamas.config.options import FlagOption, Option


def read_own(argv: Sequence[str], environ: Mapping[str, str], table: Table) -> dict[str, Any]:
    """Read the command line of a verb that has no configuration; raises Faults. See `own_values`."""
    findings = Findings()
    flags = read_flags(argv, findings, table)
    values = own_values(table.own, flags, environ, findings)
    for word in flags.words:
        place = f"argument `{shown(word)}`"
        if is_url(word):
            findings.fault(place, "this verb takes no server", "`gollamas URL` is for yours")
            continue
        near = nearest(f"--{word}", table.names)
        instead = f"Write `gollamas {table.verb} {near}`" if near else "Leave it out"
        findings.fault(place, "this verb takes no argument", instead)
    findings.raise_faults()
    return values


def own_values(
    options: Sequence[FlagOption], flags: Flags, environ: Mapping[str, str], findings: Findings
) -> dict[str, Any]:
    """Give the values by key. What nobody said has its default, and is left out where that is None."""
    values = {option.key: option.default for option in options if option.default is not None}
    for option in options:
        said = flags.single.get(option.key, []) if option.is_repeated else _nearest(option, flags, environ)
        read = []
        for given in said:
            try:
                read.append(option.kind.parse(given.text))
            except Unusable as why:
                findings.unusable(given.place, why)
        if read:
            values[option.key] = tuple(read) if option.is_repeated else read[0]
    return values


def value_of(option: Option, flags: Flags, environ: Mapping[str, str]) -> Given | None:
    """Give the last flag, else the first variable that is set; an empty variable says nothing."""
    if given := flags.single.get(option.key):
        return given[-1]
    variable = variable_of(option, environ)
    return variable if variable and variable.text else None


def variable_of(option: Option, environ: Mapping[str, str]) -> Given | None:
    """Give the first variable of an option that is set, without the quotes around it."""
    return next((Given(unquoted(environ[name]), name) for name in option.variables if name in environ), None)


def _nearest(option: Option, flags: Flags, environ: Mapping[str, str]) -> list[Given]:
    given = value_of(option, flags, environ)
    return [] if given is None else [given]
