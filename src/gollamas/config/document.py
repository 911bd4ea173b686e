"""A YAML 1.2 document as text with line numbers: keys once, `${VAR}` filled in.

Owns the syntax of the file, not its meaning. Scalars stay as they were written, so `3.10` is no number and
`off` no boolean; what they mean is decided by the option that takes them.
"""

import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, ReusedAnchorWarning, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode

from gollamas.config.address import names_in
from gollamas.config.faults import Findings

_VARIABLE: Final = re.compile(r"\$(?:\$\{|\{([^{}]*)(\}?))")
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
_TAG: Final = "tag:yaml.org,2002:"
_PLAIN_TAGS: Final = frozenset(
    _TAG + name for name in ("str", "int", "float", "bool", "null", "timestamp", "merge", "value")
)
_DEEPEST: Final = 20


@dataclass(frozen=True, slots=True)
class Scalar:
    """A text; `is_null` where nothing was written, or `null`."""

    text: str
    place: str
    is_null: bool = False
    is_lost: bool = False  # a variable in it could not be filled in, which is a fault already


@dataclass(frozen=True, slots=True)
class Items:
    """A list."""

    nodes: tuple["Value", ...]
    place: str


@dataclass(frozen=True, slots=True)
class Members:
    """A mapping; every key is a text, with the place of the key."""

    nodes: Mapping[str, tuple[str, "Value"]]
    place: str


Value = Scalar | Items | Members


def read_document(text: str, file: str, environ: Mapping[str, str], findings: Findings) -> Value | None:
    """Give the document's value, None where there is none. Faults go to `findings`."""
    yaml = YAML(typ="safe", pure=True)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ReusedAnchorWarning)  # it may be set anew (YAML 1.2.2, 7.1)
            root = yaml.compose(text.removeprefix("\ufeff"))
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f"{file}:{mark.line + 1}" if mark else file
        problem = " ".join(part for part in (error.context, error.problem) if part)
        findings.fault(place, f"this is no YAML: {problem}", _mend(text, mark.line if mark else 0))
        return None
    except (YAMLError, RecursionError) as error:
        findings.fault(file, f"this is no YAML: {str(error).splitlines()[0]}", "Mend the syntax")
        return None
    if root is None:
        return None
    reader = _Reader(file, environ, findings)
    value = reader.value(root, 0)
    reader.report_unset()
    return value


def _mend(text: str, line: int) -> str:
    lines = text.splitlines()
    if line < len(lines) and "${" in lines[line]:
        return 'Put quotes around a value with `${NAME}`, like `"${TOKEN}"`'
    if line < len(lines) and "\t" in lines[line]:
        return "Write blanks where the line has a tab"
    return "Mend the syntax: one document, blanks for indentation, quotes around text with marks in it"


class _Reader:
    """Turns composed nodes into values."""

    def __init__(self, file: str, environ: Mapping[str, str], findings: Findings) -> None:
        self._file = file
        self._environ = environ
        self._findings = findings
        self._unset: dict[str, list[str]] = {}  # by name, the places of each variable that is not set

    def report_unset(self) -> None:
        """Say of each variable that is not set where it is asked for."""
        for name, (place, *more) in self._unset.items():
            also = f" (also used at {', '.join(more)})" if more else ""
            self._findings.fault(
                place,
                f"the variable {name} is not set{also}",
                f"Set {name}, or write the value itself",
                tuple(more),
            )

    def value(self, node: Node, depth: int) -> Value:
        place = self._place(node)
        if depth > _DEEPEST:
            self._findings.fault(
                place, "the document is nested too deeply", "Remove the `*` that leads back to itself"
            )
            return Scalar("", place, is_null=True)
        if isinstance(node, MappingNode):
            return Members(self._members(node, depth), place)
        if isinstance(node, ScalarNode):
            return self._scalar(node, place)
        return Items(tuple(self.value(item, depth + 1) for item in node.value), place)

    def _scalar(self, node: ScalarNode, place: str) -> Scalar:
        tag = str(node.tag)
        if tag not in _PLAIN_TAGS:
            self._findings.fault(place, f"the tag `{tag}` has no meaning here", "Leave it out")
        is_null = tag == _TAG + "null" and node.style is None
        text = "" if is_null else self._filled_in(node)
        return Scalar(text or "", place, is_null, is_lost=text is None)

    def _members(self, node: MappingNode, depth: int) -> dict[str, tuple[str, Value]]:
        """Own keys first; what `<<` brings in comes after and replaces none of them."""
        members: dict[str, tuple[str, Value]] = {}
        merged: list[Members] = []
        for key, value in node.value:
            place = self._place(key)
            if not isinstance(key, ScalarNode):
                self._findings.fault(place, "a key is a list or a mapping", "Write a text before the colon")
            elif key.tag == _TAG + "merge" and key.value == "<<":
                merged += self._merged(self.value(value, depth + 1))
            elif key.value in members:
                first = members[key.value][0]
                self._findings.fault(
                    place,
                    f"the key `{key.value}` stands here and at {first}",
                    "Keep one of the two, or join them",
                    (*names_in(key.value), first),
                )
            else:
                members[key.value] = (place, self.value(value, depth + 1))
        for other in merged:
            for name, member in other.nodes.items():
                members.setdefault(name, member)
        return members

    def _merged(self, value: Value) -> list[Members]:
        nodes = value.nodes if isinstance(value, Items) else (value,)
        found = [node for node in nodes if isinstance(node, Members)]
        if len(found) != len(nodes):
            self._findings.fault(value.place, "`<<` takes mappings only", "Write `<<: *NAME` of a mapping")
        return found

    def _filled_in(self, node: ScalarNode) -> str | None:
        """Give the text with each `${VAR}` replaced; `$${` stands for `${` itself. None with a fault."""
        place = self._place(node)
        is_whole = True

        def replaced(match: re.Match[str]) -> str:
            nonlocal is_whole
            name, end = match.group(1), match.group(2)
            if name is None:
                return "${"
            if end and name in self._environ and _NAME.fullmatch(name):
                return self._environ[name]
            is_whole = False
            if not end or not _NAME.fullmatch(name):
                self._findings.fault(
                    place,
                    f"`{match.group()}` names no variable",
                    "Write `${NAME}`, or `$${` for the two characters",
                )
            elif place not in self._unset.setdefault(name, []):
                self._unset[name].append(place)
            return ""

        text = _VARIABLE.sub(replaced, str(node.value))
        return text if is_whole else None

    def _place(self, node: Node) -> str:
        return f"{self._file}:{node.start_mark.line + 1}"
