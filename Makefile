# The commands of this project. README's two are `make run` and `make test`.
.DELETE_ON_ERROR:
.NOTPARALLEL:
.DEFAULT_GOAL := help

# The quickest Python at hand that is new enough and can be compiled for; another one: make setup PYTHON=/path/to/python
PYTHON ?= $(shell scripts/quickest-python)
VENV := .venv
BIN := $(VENV)/bin
PURE := $(filter 1,$(GOLLAMAS_PURE))
INSTALLED := $(VENV)/.installed
TOOLS := $(VENV)/.tools
BUILT := $(VENV)/.built$(PURE:1=-pure)
# What is compiled (setup.py names the modules) has the types of all below it built in.
SOURCES := $(filter-out $(foreach layer,admin cli simulate,src/gollamas/$(layer)/%), \
	$(wildcard src/gollamas/*.py src/gollamas/*/*.py))
UV ?= uv
COMPILE = $(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-emit-find-links --custom-compile-command "make lock"
# The tests of what does no I/O. What they reach is measured as Python, for coverage sees nothing of C.
PURE_TESTS := $(filter-out $(addprefix tests/unit/,admin cli net simulate system),$(wildcard tests/unit/*[!_]))

.PHONY: help setup run test test-real lint cover check bench picture lock

help:  ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' Makefile

setup: $(BUILT) $(TOOLS)  ## create .venv, install what the locks name, compile

# What running needs, and the compiler of what a request passes through. Python compiles what it imports by itself.
$(INSTALLED): requirements.lock requirements-build.lock
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || { python="$(PYTHON)"; test -n "$$python" || { \
		echo "gollamas needs Python 3.11 or later: make setup PYTHON=/path/to/python" >&2; exit 1; }; \
		echo "$$python -m venv $(VENV)"; "$$python" -m venv --clear $(VENV); }
	$(BIN)/pip install --quiet --disable-pip-version-check --no-compile --require-hashes $(addprefix -r ,$^)
	@touch $@

# What tests and linters need beside it.
$(TOOLS): $(INSTALLED) requirements-dev.lock
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.lock
	@touch $@

$(BUILT): $(INSTALLED) pyproject.toml setup.py $(SOURCES)
	@find src \( -name '*.so' -o -name '*.pyd' \) -delete; rm -f $(VENV)/.built*
	@$(if $(PURE),,echo "compiling what a request passes through: half a minute (GOLLAMAS_PURE=1 leaves it out)")
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@$(if $(PURE),,find src -name '*.so' -o -name '*.pyd' | grep -q . || \
		echo "not compiled: that needs a C compiler and Python's headers; all works, but slower" >&2)
	@touch $@

run: $(BUILT)  ## three simulated Ollama servers and the proxy in front of them
	$(BIN)/gollamas demo

# Four workers for two cores: for half of its time one waits for a clock or a process.
test: setup  ## the test suite
	$(BIN)/pytest -m "not real" -n 4

test-real: setup  ## the tests that need a real Ollama, named by GOLLAMAS_TEST_OLLAMA
	@test -n "$(GOLLAMAS_TEST_OLLAMA)" || { \
		echo "name a server: make test-real GOLLAMAS_TEST_OLLAMA=http://localhost:11434" >&2; exit 2; }
	GOLLAMAS_TEST_OLLAMA="$(GOLLAMAS_TEST_OLLAMA)" $(BIN)/pytest -m real

lint: setup  ## ruff, its formatter, mypy --strict and the layers
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/python tests/meta/layers.py

# One and the same examples each time, so that nothing is reached by luck. Of two forms that differ by
# Python's version one is reached.
cover: setup  ## every branch of what does no I/O is reached by the unit tests
	@$(BIN)/coverage erase
	GOLLAMAS_PURE=1 $(BIN)/coverage run -m pytest --quiet --quiet -n 2 -m "not timed" --hypothesis-profile=ci \
		$(PURE_TESTS)
	@$(BIN)/coverage combine --quiet
	@! $(BIN)/python -c 'import sys; sys.exit(sys.version_info < (3, 14))' || \
		export OTHER_FORM="else:  # before Python 3.14"; $(BIN)/coverage report

check: lint cover test  ## all that must hold before a change lands

bench: $(BUILT)  ## processor time beside HAProxy's (docs/performance.md)
	$(BIN)/python bench/measure $(BENCH)

picture: setup  ## README's picture of the page, from a busy demo (needs chromium and its driver)
	$(BIN)/python -m scripts.picture docs/page.webp

lock:  ## write the locks anew from pyproject.toml (needs uv)
	$(COMPILE) -o requirements.lock pyproject.toml
	$(COMPILE) -o requirements-dev.lock -c requirements.lock --group dev pyproject.toml
	$(COMPILE) -o requirements-build.lock -c requirements-dev.lock --group build
	$(COMPILE) -o requirements-wheels.lock -c requirements-dev.lock --group wheels
