"""The routes that a configuration adds: which paths may be, from where they come, what is said of others."""

import pytest

from gollamas.api.routes import ROUTES, find, table
from gollamas.config.paths import SERVED
from gollamas.config.render import as_yaml
from gollamas.config.schema import schema
from tests.unit.config.loading import (
    FILE,
    config_of,
    config_of_yaml,
    faults_of,
    faults_of_yaml,
    loaded_of,
)

SERVER = "http://gpu-1:11434"
NEW = "/v1/new/thing"


def test_what_is_served_anyway_is_what_the_table_of_routes_has() -> None:
    """But for the one with a parameter, which is told apart by its beginning."""
    under_v1 = {route.path for route in ROUTES if route.path.startswith("/v1/")}
    assert under_v1 - {"/v1/models/:model"} == SERVED


def test_routes_of_all_places_are_there_together() -> None:
    """In the order of flags, variable, file; each once."""
    flags = ["--route", "/v1/a", "--route=/v1/b,/v1/a", "--routes", "/v1/c"]
    files = {FILE: f"servers: [{SERVER}]\nroutes: [/v1/e, /v1/a]\n"}
    config = config_of(*flags, "--config", FILE, files=files)
    assert config.routes == ("/v1/a", "/v1/b", "/v1/c", "/v1/e")
    config = config_of("--config", FILE, env={"GOLLAMAS_ROUTES": "/v1/d", "ROUTES": "/v1/x"}, files=files)
    assert config.routes == ("/v1/d", "/v1/e", "/v1/a")
    assert config_of(SERVER).routes == ()


@pytest.mark.parametrize(
    "text", [f"[{NEW}, /v1/b]", f"\n- {NEW}\n- /v1/b", f'"{NEW},/v1/b"', "['${A}', /v1/b]"]
)
def test_in_the_file_they_are_a_list_or_a_text(text: str) -> None:
    config = config_of_yaml(f"servers: [{SERVER}]\nroutes: {text}\n", env={"A": NEW})
    assert config.routes == (NEW, "/v1/b")
    for nothing in ("", "[]", '""'):
        assert config_of_yaml(f"servers: [{SERVER}]\nroutes: {nothing}\n").routes == ()


@pytest.mark.parametrize(
    "path", [NEW, "/v1/x", "/v1/audio/speech/v2", "/v1/models/a/b", "/v1/a_b-c.d~e@1+2", "/v1/...", "/v1/A"]
)
def test_a_path_that_is_not_known_is_taken_and_found(path: str) -> None:
    config = config_of(SERVER, "--route", path)
    assert config.routes == (path,)
    assert config.warnings == ()
    assert find(path.encode()) is None
    assert find(path.encode(), table(config.routes)) is not None


@pytest.mark.parametrize(
    ("text", "what", "instead"),
    [
        ("/v1/chat/completions", "is served already", "Leave it out"),
        ("/v1/audio/speech", "is served already", "Leave it out"),
        ("/v1/models", "is served already", "Leave it out"),
        ("/v1/models/llama3.2", "is served already", "Leave it out"),
        ("/api/chat", "is not under `/v1/`, and no other path can be added", f"Write `{NEW}`"),
        ("/api/new", "is not under `/v1/`, and no other path can be added", f"Write `{NEW}`"),
        ("/v1", "is not under `/v1/`, and no other path can be added", f"Write `{NEW}`"),
        ("/V1/new", "is not under `/v1/`, and no other path can be added", f"Write `{NEW}`"),
        ("v1/new", "is not under `/v1/`, and no other path can be added", "Write `/v1/new`"),
        ("/", "ends in a slash", f"Write `{NEW}`"),
        ("/v1/", "ends in a slash", f"Write `{NEW}`"),
        ("/v1/new/", "ends in a slash", "Write `/v1/new`"),
        ("/v1/new?a=b", "has a query or a fragment", "Write `/v1/new`"),
        ("/v1/new?a", "has a query or a fragment", "Write `/v1/new`"),
        ("/v1/new#a", "has a query or a fragment", "Write `/v1/new`"),
        ("/v1/n%65w", "has a `%` in it, and a path is written unescaped", f"Write `{NEW}`"),
        ("/v1/%2e%2e/x", "has a `%` in it, and a path is written unescaped", f"Write `{NEW}`"),
        ("/v1//new", "has a doubled slash", "Write `/v1/new`"),
        ("//v1/new", "has a doubled slash", "Write `/v1/new`"),
        ("/v1/../api/pull", "has a step like `..` in it", f"Write `{NEW}`"),
        ("/v1/new/..", "has a step like `..` in it", f"Write `{NEW}`"),
        ("/v1/./new", "has a step like `..` in it", f"Write `{NEW}`"),
        ("/v1/:model", "has characters that no route has", f"Write `{NEW}`"),
        ("/v1/é", "has characters that no route has", f"Write `{NEW}`"),
        ("/v1/new*", "has characters that no route has", f"Write `{NEW}`"),
        ("/v1/a\\b", "has characters that no route has", f"Write `{NEW}`"),
        ("http://gpu-1:11434/v1/new", "is a URL and no path", "Write `/v1/new`"),
        ("llama3.2=gpu-1", "is an entry and no path; a model and its server are `--proxy", f"Write `{NEW}`"),
    ],
)
def test_another_path_is_a_fault_that_names_it(text: str, what: str, instead: str) -> None:
    """At the flag, at the variable, at the file's line; the good ones beside it do no harm."""
    for said in (
        faults_of(SERVER, "--route", f"/v1/a,{text}"),
        faults_of(SERVER, env={"GOLLAMAS_ROUTES": f"{text},/v1/a"}),
        faults_of_yaml(f"servers: [{SERVER}]\nroutes:\n- /v1/a\n- '{text}'\n"),
    ):
        assert len(said) == 1
        assert said[0].startswith(("--route: ", "GOLLAMAS_ROUTES: ", f"{FILE}:4: "))
        assert f"the route `{text}` {what}" in said[0]
        assert said[0].endswith(f"{instead}.")


def test_every_faulty_path_is_told_at_once_and_no_password_with_it() -> None:
    said = faults_of(SERVER, "--route=/x", "--route=/v1/a,,/v1/b", "--routes=http://u:hunter2@gpu-1/v1/new")
    assert [line.partition(": ")[0] for line in said] == ["--route", "--route", "--routes"]
    assert "hunter2" not in repr(said)
    assert "Write `/v1/new`" in said[2]


def test_routes_that_are_a_mapping_lead_to_models() -> None:
    """As one may write who knows this key of another program."""
    said = faults_of_yaml(f"servers: [{SERVER}]\nroutes:\n  llama3.2: gpu-1\n")
    assert len(said) == 1
    assert "`routes` is a mapping, not a list of paths" in said[0]
    assert "`models:`" in said[0]


def test_check_prints_them_with_their_places() -> None:
    files = {FILE: f"servers: [{SERVER}]\nroutes: [/v1/a, /v1/b]\n"}
    text = as_yaml(loaded_of("--route=/v1/b", "--config", FILE, files=files))
    lines = {line.partition(" #")[0].rstrip(): line.partition("# ")[2] for line in text.splitlines()}
    assert (lines["  - /v1/a"], lines["  - /v1/b"]) == (f"{FILE}:2", f"--route, {FILE}:2")
    assert config_of("--config", FILE, files={FILE: text}).routes == ("/v1/b", "/v1/a")
    without = as_yaml(loaded_of(SERVER))
    assert "\nroutes: []\n" in without
    assert config_of("--config", FILE, files={FILE: without}).routes == ()


def test_the_schema_knows_them() -> None:
    described = schema()["properties"]["routes"]
    assert described["anyOf"][0]["anyOf"][0]["type"] == "array"
