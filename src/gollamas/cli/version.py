"""`gollamas version [--full]`."""

import os
import platform
import sys
from collections.abc import Sequence
from importlib import import_module, metadata
from typing import Final

from gollamas import __version__
from gollamas.cli.say import USAGE, complain_of_each, say
from gollamas.cli.tables import TABLES
from gollamas.config.faults import Faults
from gollamas.config.own import read_own

_PACKAGES: Final = (
    "uvloop", "httptools", "msgspec", "ruamel.yaml", "prometheus-client", "aiohappyeyeballs", "rich",
    *(("zstandard",) if sys.version_info < (3, 14) else ()),
)  # fmt: skip


def run(argv: Sequence[str]) -> int:
    """Print the version; 2 for a flag that is none."""
    try:
        said = read_own(argv, os.environ, TABLES["version"])
    except Faults as faults:
        complain_of_each("version", faults)
        return USAGE
    say(f"gollamas {__version__}")
    if said.get("full"):
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
