"""Compiles what every request passes through to C, by mypyc; pyproject.toml says all else.

GOLLAMAS_PURE=1 compiles nothing, GOLLAMAS_PURE=0 fails where it can't. Otherwise, without a C compiler or
Python's headers, the same modules run as the Python that they are, slower.
"""

import os
import re
import shutil
import sys
import tempfile
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext
from setuptools.errors import CCompilerError

# By layer. What is left out is not asked for every request, or is a base of classes that stay Python.
COMPILED = {
    "api": ("gate", "inference", "outbound", "routes", "splice"),
    "events": ("ended",),
    "fleet": (
        "admit",
        "attempts",
        "choose",
        "instance",
        "instances",
        "keep",
        "overflow",
        "planning",
        "policy",
        "routing",
        "runner_options",
        "server_view",
        "variants",
        "view",
    ),
    "net": ("answering", "downstream", "pool", "rounds", "states", "upstream"),
    "observe": ("accesslog", "gathered", "metrics", "observers", "safe", "textlines"),
    "proxy": ("effects", "exchange", "relay", "sending", "service", "turn"),
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
_RUN_ONCE = Path("build/run_once.h")


class _AllOrNothing(build_ext):
    """Half of the modules would not start: they need one another."""

    def build_extensions(self) -> None:
        self.parallel = True  # the small files beside the large one
        if sys.platform == "linux":
            for extension in self.extensions:
                self._tune(extension)
        super().build_extensions()

    def _tune(self, extension: Extension) -> None:
        # Calls without a detour: a request touches more code than caches hold, and this is a fifth less.
        # Looking for misleading indentation takes GCC a quarter of the whole time.
        compiling = ["-fno-plt", "-fvisibility=hidden", "-Wno-misleading-indentation"]
        # All modules are one file of C, the others only lead to it; GCC optimises it on all cores.
        if extension.name.endswith("__mypyc"):
            compiling += ["-include", str(_RUN_ONCE)]
            in_parts = [f"-flto={os.cpu_count() or 1}"]
            if self._takes(in_parts):
                compiling += in_parts
                extension.extra_link_args = [*extension.extra_link_args, "-O2", *in_parts]
        extension.extra_compile_args = [*extension.extra_compile_args, *compiling]

    def _takes(self, flags: list[str]) -> bool:
        """Whether compiler and linker know these flags: clang, for one, optimises on all cores otherwise."""
        with tempfile.TemporaryDirectory() as folder:
            source = Path(folder, "one.c")
            source.write_text("int one(void) { return 1; }\n")
            try:
                objects = self.compiler.compile([str(source)], folder, extra_postargs=flags)
                self.compiler.link_shared_object(objects, str(Path(folder, "one.so")), extra_postargs=flags)
            except CCompilerError:
                return False
        return True

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


def _declare_what_runs_once() -> None:
    """What a module does when it is imported is a tenth of the C, and its speed is nobody's concern."""
    declared = Path("build/__native_internal_gollamas.h").read_text()
    lines = [
        f'{function} __attribute__((cold, optimize("O0")));'
        for function in re.findall(r"char CPyDef_\w+_____top_level__\(void\)", declared)
    ]
    _RUN_ONCE.write_text("\n".join(["#if defined(__GNUC__) && !defined(__clang__)", *lines, "#endif", ""]))


def _extensions() -> list[Extension]:
    # pip asks for the metadata first, which would compile the modules to C once more.
    if _PURE == "1" or {"egg_info", "dist_info"} & set(sys.argv):
        return []
    from mypyc.build import mypycify  # noqa: PLC0415 - a build of Python alone needs no mypy

    modules = [f"src/gollamas/{layer}/{name}.py" for layer, names in COMPILED.items() for name in names]
    # Level 3 takes twice as long to compile and serves no quicker.
    extensions: list[Extension] = mypycify(
        [*_FLAGS, *modules], opt_level="2", debug_level="0", group_name="gollamas"
    )
    _declare_what_runs_once()
    return extensions


for old in Path("build").glob("lib*"):  # what an earlier build left would go into this one
    shutil.rmtree(old)
setup(ext_modules=_extensions(), cmdclass={"build_ext": _AllOrNothing})
