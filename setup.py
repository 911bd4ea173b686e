"""Compiles what every request passes through to C, by mypyc; pyproject.toml says all else.

GOLLAMAS_PURE=1 compiles nothing. Without a C compiler or Python's headers setuptools warns and goes on: the
same modules run as the Python that they are, slower.
"""

import os

from setuptools import Extension, setup

# By layer. What is left out is not asked for every request, or is a base of classes that stay Python.
COMPILED = {
    "api": ("gate", "inference", "routes"),
    "fleet": ("admit", "choose", "routing", "view"),
    "net": ("downstream", "exchange", "pool", "proxy", "relay", "rounds", "turn", "upstream"),
    "observe": ("metrics",),
    "wire": ("body", "fields", "head", "message", "request", "response", "tail"),
}
_FLAGS = ("--config-file=", "--ignore-missing-imports")  # types are checked by `make check`


def _extensions() -> list[Extension]:
    if os.environ.get("GOLLAMAS_PURE") == "1":
        return []
    from mypyc.build import mypycify  # noqa: PLC0415 - a build of Python alone needs no mypy

    modules = [f"src/gollamas/{layer}/{name}.py" for layer, names in COMPILED.items() for name in names]
    # Level 3 takes twice as long to compile and serves no quicker.
    extensions: list[Extension] = mypycify(
        [*_FLAGS, *modules], opt_level="1", debug_level="0", group_name="gollamas"
    )
    for extension in extensions:
        extension.optional = True
    return extensions


setup(ext_modules=_extensions())
