"""Compiles what every request passes through to C, by mypyc; pyproject.toml says all else.

GOLLAMAS_PURE=1 compiles nothing, GOLLAMAS_PURE=0 fails where it can't. Otherwise, without a C compiler or
Python's headers, the same modules run as the Python that they are, slower.
"""

import os
import shutil
import sys
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

# By layer. What is left out is not asked for every request, or is a base of classes that stay Python.
COMPILED = {
    "api": ("gate", "inference", "outbound", "routes"),
    "events": ("ended",),
    "fleet": ("admit", "attempts", "choose", "routing", "view"),
    "net": ("downstream", "pool", "rounds", "states", "upstream"),
    "observe": ("accesslog", "gathered", "metrics", "observers", "safe", "textlines"),
    "proxy": ("exchange", "relay", "service", "turn"),
    "wire": (
        "body",
        "fields",
        "framing",
        "head",
        "message",
        "outgoing",
        "request",
        "response",
        "scan",
        "tail",
    ),
}
# Types are checked by `make check`. Packages that happen to be installed must not change what is made: an
# isolated build, as pip makes it, has none of those that are needed at run time.
_FLAGS = ("--config-file=", "--ignore-missing-imports", "--no-site-packages")
_PURE = os.environ.get("GOLLAMAS_PURE")


class _AllOrNothing(build_ext):
    """Half of the modules would not start: they need one another."""

    def run(self) -> None:
        try:
            super().run()
        except Exception as why:  # whatever a compiler fails by
            if _PURE == "0":
                raise
            self.warn(f"not compiled, so it will be slower: {why}")
            for name in [self.get_ext_fullpath(extension.name) for extension in self.extensions]:
                Path(name).unlink(missing_ok=True)
            self.extensions = []


def _extensions() -> list[Extension]:
    if _PURE == "1":
        return []
    from mypyc.build import mypycify  # noqa: PLC0415 - a build of Python alone needs no mypy

    modules = [f"src/gollamas/{layer}/{name}.py" for layer, names in COMPILED.items() for name in names]
    # Level 3 takes twice as long to compile and serves no quicker.
    extensions: list[Extension] = mypycify(
        [*_FLAGS, *modules], opt_level="2", debug_level="0", group_name="gollamas"
    )
    if sys.platform == "linux":
        # Calls without a detour: a request touches more code than caches hold, and this is a fifth less.
        for extension in extensions:
            extension.extra_compile_args += ["-fno-plt", "-fvisibility=hidden"]
    return extensions


for old in Path("build").glob("lib*"):  # what an earlier build left would go into this one
    shutil.rmtree(old)
setup(ext_modules=_extensions(), cmdclass={"build_ext": _AllOrNothing})
