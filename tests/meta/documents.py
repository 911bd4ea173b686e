"""The files beside the code, read for the tests: blocks, Dockerfile instructions, YAML, what git holds.

Knows their form, not what they should say.
"""

import re
import subprocess
from pathlib import Path
from typing import Any, Final, NamedTuple

from ruamel.yaml import YAML

ROOT: Final = Path(__file__).parents[2]

_FENCE: Final = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_LINK: Final = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")


class Block(NamedTuple):
    """A fenced block: its language and its text."""

    language: str
    text: str


class Instruction(NamedTuple):
    """A Dockerfile's instruction: its word in capitals, the rest with continued lines joined."""

    word: str
    rest: str


def text_of(path: str) -> str:
    """Read a file of the repository."""
    return (ROOT / path).read_text(encoding="utf-8")


def blocks_of(path: str) -> list[Block]:
    """Find the fenced blocks of a Markdown file."""
    return blocks_in(text_of(path))


def blocks_in(text: str) -> list[Block]:
    """Find the fenced blocks of a part of one."""
    return [Block(*found) for found in _FENCE.findall(text)]


def commands_of(block: Block) -> list[str]:
    r"""Split a block into commands; a line that ends in `\` goes on. In `console` they begin with `$ `."""
    lines = [line.strip() for line in block.text.replace("\\\n", " ").splitlines()]
    if block.language == "console":
        return [line.removeprefix("$ ") for line in lines if line.startswith("$ ")]
    return [line for line in lines if line and not line.startswith("#")]


def links_of(path: str) -> list[str]:
    """Find the links of a Markdown file, blocks left out."""
    return _LINK.findall(_FENCE.sub("", text_of(path)))


def stages_of(path: str) -> list[list[Instruction]]:
    """Read a Dockerfile's stages, each a list of instructions that begins with FROM."""
    lines = [line for line in text_of(path).splitlines() if line.strip() and not line.startswith("#")]
    stages: list[list[Instruction]] = []
    for line in "\n".join(lines).replace("\\\n", " ").splitlines():
        word, _, rest = line.partition(" ")
        instruction = Instruction(word.upper(), " ".join(rest.split()))
        if instruction.word == "FROM":
            stages.append([])
        stages[-1].append(instruction)
    return stages


def image_env() -> dict[str, str]:
    """Read the variables that the image sets."""
    lines = [instruction.rest for instruction in stages_of("Dockerfile")[-1] if instruction.word == "ENV"]
    return dict(word.split("=", 1) for line in lines for word in line.split())


def yaml_of_text(text: str) -> Any:
    """Read YAML."""
    return YAML(typ="safe", pure=True).load(text)


def yaml_of(path: str) -> Any:
    """Read a YAML file of one document."""
    return yaml_of_text(text_of(path))


def yaml_documents_of(path: str) -> list[Any]:
    """Read a YAML file of several documents."""
    return list(YAML(typ="safe", pure=True).load_all(text_of(path)))


def tracked_files() -> list[str]:
    """List what git holds; nothing where this is no checkout (a source distribution)."""
    if not (ROOT / ".git").exists():
        return []
    listing = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, text=True)
    return [name for name in listing.stdout.split("\0") if name and (ROOT / name).exists()]
