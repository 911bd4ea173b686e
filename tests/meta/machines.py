"""The reader's two machines, for the tests of what pages start: simulated servers stand for them.

Knows their addresses and models, and how to write a page's command for the servers that stand there.
"""

import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Final

from tests.meta.documents import ROOT, blocks_of, commands_of
from tests.meta.running import started

_SIMULATED: Final = re.compile(r"a simulated Ollama .* at http://(\S+)")
PATH: Final = f"{sys.prefix}/bin:/usr/local/bin:/usr/bin:/bin"
ENV: Final = {
    "PATH": PATH,
    "HOME": str(ROOT),
    "GOLLAMAS_LISTEN": "127.0.0.1:0",
    "GOLLAMAS_ADMIN": "off",
}
PC_1: Final = "192.168.1.10:11434"
PC_2: Final = "192.168.1.11:11434"
MODELS: Final = {PC_1: ["llama3.2", "qwen2.5-coder"], PC_2: ["llama3.2", "deepseek-r1:14b"]}


def lines(language: str, start: str) -> list[str]:
    """Find README's commands of one language that begin like this."""
    commands = [
        line for block in blocks_of("README.md") if block.language == language for line in commands_of(block)
    ]
    found = [line for line in commands if line.startswith(start)]
    assert found
    return found


@contextmanager
def machines(models: Mapping[str, Sequence[str]] = MODELS, more: str = "") -> Iterator[dict[str, str]]:
    """Start a simulated server for each of the reader's machines; give its address by theirs."""
    command = f"exec gollamas simulate --listen 127.0.0.1:0 --load-seconds 0 --tokens-per-second 0 {more}"
    with ExitStack() as stack:
        programs = {
            address: stack.enter_context(started(" ".join([command, *words]), ENV))
            for address, names in models.items()
            for words in [[f"--model {name}" for name in names]]
        }
        yield {address: program.until(_SIMULATED)[1] for address, program in programs.items()}


def at_home(command: str, addresses: Mapping[str, str]) -> str:
    """Write the simulated servers in place of the reader's machines."""
    for theirs, ours in addresses.items():
        command = command.replace(theirs, ours)
    return command.replace("localhost:11433", next(iter(addresses.values())))
