"""`gollamas version [--full]`."""

import platform
import sys
from collections.abc import Sequence
from importlib import import_module, metadata
from typing import Final

from gollamas import __version__
from gollamas.cli.say import USAGE, complain, say
from gollamas.config.faults import Unusable
from gollamas.config.values import Switch

_PACKAGES: Final = (
    "uvloop", "httptools", "msgspec", "ruamel.yaml", "prometheus-client", "aiohappyeyeballs", "rich",
    *(("zstandard",) if sys.version_info < (3, 14) else ()),
)  # fmt: skip


def run(argv: Sequence[str]) -> int:
    """Print the version; 2 for a flag that is none."""
    full = False
    for word in argv:
        name, _, value = word.partition("=")
        if name.lstrip("-") != "full" or not word.startswith("-"):
            complain(f"gollamas: version knows no `{word}`: write `gollamas version --full`")
            return USAGE
        try:
            full = Switch().parse(value or "true")
        except Unusable as why:
            complain(f"gollamas: --full: {why.what}. {why.instead}.")
            return USAGE
    say(f"gollamas {__version__}")
    if full:
        say(f"{platform.python_implementation()} {platform.python_version()} on {platform.platform()}")
        say(f"what a request passes through is {'compiled' if _is_compiled() else 'not compiled: slower'}")
        for package in _PACKAGES:
            say(f"{package} {_version_of(package)}")
    return 0


def _is_compiled() -> bool:
    found = import_module("gollamas.proxy.relay").__file__
    return found is not None and not found.endswith(".py")


def _version_of(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "is not installed"
