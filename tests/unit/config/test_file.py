"""The YAML file: its syntax, its shapes, its lines, and `${VAR}`."""

import pytest

from gollamas.config.model import EVERYWHERE
from tests.unit.config.loading import (
    FILE,
    aliases,
    config_of,
    config_of_yaml,
    faults_of,
    faults_of_yaml,
    routes,
)

DESIGN = """\
listen: 0.0.0.0:11434
level: info
expose: configured
list_aliases: true
servers:
  gpu-1: http://gpu-1:11434
  gpu-2: {url: "https://gpu-2.example:443", headers: {Authorization: "Bearer ${GPU2_TOKEN}"}}
models:
  llama3.2-vision: [gpu-1, gpu-2]
  deepseek-r1:14b:
    servers: [gpu-2]
    preload: true
    ping: 4m
    keep_alive: {force: -1}
    num_ctx: {default: 8192}
    per_server: {gpu-2: {num_ctx: {force: 4096}}}
aliases: {gpt-4o: llama3.2-vision}
keep_alive: {default: 10m}
num_ctx: {default: 4096}
preload: false
ping: off
"""


def test_a_file_says_all_that_can_be_said() -> None:
    """Servers, models, aliases and what holds for them, without a warning."""
    config = config_of_yaml(DESIGN, env={"GPU2_TOKEN": "hunter2"})
    assert routes(config) == {
        "llama3.2-vision": ["http://gpu-1:11434", "https://gpu-2.example"],
        "deepseek-r1:14b": ["https://gpu-2.example"],
    }
    assert aliases(config) == {"gpt-4o": "llama3.2-vision"}
    assert config.list_aliases
    assert config.servers["gpu-2"].fields == ((b"Authorization", b"Bearer hunter2"),)
    assert config.warnings == ()
    assert "hunter2" not in repr(config)
    model = "registry.ollama.ai/library/deepseek-r1:14b"
    assert config.keep_alive == {("", ""): 600.0}
    assert config.force_keep_alive == {(model, ""): -1.0}
    assert config.num_ctx == {("", ""): 4096, (model, ""): 8192}
    assert config.force_num_ctx == {(model, "gpu-2"): 4096}
    assert config.preload == {("", ""): None, (model, ""): EVERYWHERE}
    assert config.ping == {("", ""): None, (model, ""): 240.0}


@pytest.mark.parametrize(
    "text", ["", "# nothing\n", "---\n", "~", "null", "servers:\nmodels:\naliases:\nlevel:\n"]
)
def test_a_file_that_says_nothing_is_fine(text: str) -> None:
    """Empty documents and keys with nothing behind them."""
    assert config_of_yaml(text, "http://a:1").level == "info"


def test_a_file_that_is_not_there_is_a_fault_of_whoever_named_it() -> None:
    """The place is the flag or the variable."""
    (fault,) = faults_of("--config", "none.yaml")
    assert fault.startswith("--config: the file `none.yaml` can't be read: No such file or directory.")
    (fault,) = faults_of(env={"GOLLAMAS_CONFIG": "none.yaml"})
    assert fault.startswith("GOLLAMAS_CONFIG: ")


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("- a\n- b\n", 1),
        ("just text", 1),
        ("a: [\n", 2),
        ("listen: :1\n\tlevel: info\n", 2),
        ("listen: :1\n---\nlisten: :2\n", 2),
        ("a: *unknown\n", 1),
        ("servers: {g: {url: http://g, headers: {A: ${B}}}}\n", 1),
        ("listen: 'open\n", 2),
        ("listen: !secret x\nservers: {a: http://a}\n", 1),
        ("? [a, b]\n: 1\n", 1),
        ("a: &a [*a]\n", 1),
        ("servers: &a\n  x: *a\n", 2),
    ],
)
def test_what_is_no_configuration_is_a_fault_with_its_line(text: str, line: int) -> None:
    """Bad syntax, another shape, tags, loops: never a traceback."""
    places = [int(fault.partition(": ")[0].rpartition(":")[2]) for fault in faults_of_yaml(text)]
    assert min(places) <= line <= max(places)


def test_a_file_with_a_nul_is_a_fault_without_a_line() -> None:
    """The reader gives no line for it."""
    (fault,) = faults_of_yaml("a: \x00")
    assert fault.startswith(f"{FILE}: this is no YAML")


def test_a_mistake_in_syntax_is_told_how_to_mend_it() -> None:
    """A `${VAR}` without quotes in braces, and a tab."""
    assert "Put quotes" in faults_of_yaml("servers: {g: {url: ${URL}}}")[0]
    assert "tab" in faults_of_yaml("listen: :1\n\tlevel: info\n")[0]


def test_a_byte_order_mark_is_passed_over() -> None:
    """Windows editors write one."""
    assert str(config_of_yaml("\ufefflisten: :1\r\nservers: {a: 'http://a'}\r\n").listen) == ":1"


def test_the_same_key_twice_is_a_fault_with_both_lines() -> None:
    """At any depth."""
    (fault,) = faults_of_yaml("listen: :1\nlevel: info\nlisten: :2\nservers: {a: http://a}\n")
    assert fault.startswith(f"{FILE}:3: the key `listen` stands here and at {FILE}:1")
    (fault,) = faults_of_yaml("servers:\n  a: http://a\n  a: http://b\n")
    assert fault.startswith(f"{FILE}:3: ")


def test_an_unknown_key_names_the_nearest_or_all() -> None:
    """At the top, in a server, in a model, in tls."""
    text = (
        "modles: 1\nxyzzy: 1\nservers: {a: {ulr: x, url: 'https://a', tls: {verfy: no}}}\n"
        "models: {m: {server: a}}\n"
    )
    faults = faults_of_yaml(text)
    assert "Write `models`." in faults[0]
    assert "The keys here are: servers, models" in faults[1]
    assert "Write `url`." in faults[3] or "Write `url`." in faults[2]
    assert any("Write `verify`." in fault for fault in faults)
    assert any("Write `servers`." in fault for fault in faults)


def test_names_stay_as_they_are_written() -> None:
    """`3.10` is no number, `off` no boolean, `1:30` no time, as keys and as values."""
    config = config_of_yaml(
        "servers: {1: http://a}\nmodels:\n  3.10: 1\n  off: [1]\n  1_0:30: 1\naliases: {0x10: 3.10}"
    )
    assert list(routes(config)) == ["3.10", "off", "1_0:30"]
    assert aliases(config) == {"0x10": "3.10"}
    assert list(config.servers) == ["1"]


def test_off_turns_administration_off() -> None:
    """As a word, quoted, and where an old document makes it a boolean."""
    for text in ("admin: off", "admin: 'off'", "admin: false", "%YAML 1.1\n---\nadmin: off"):
        assert config_of_yaml(f"{text}\nservers: {{a: http://a}}").admin is None


def test_numbers_are_seconds_and_bytes() -> None:
    """Durations and sizes need no quotes and no unit."""
    config = config_of_yaml("servers: {a: http://a}\ngrace: 5\nidle_timeout: 2.5\nmax_body: 1024\n")
    assert (config.grace, config.idle_timeout, config.max_body) == (5.0, 2.5, 1024)


@pytest.mark.parametrize(
    "servers",
    [
        "{a: 'http://a:1'}",
        "{a: {url: 'http://a:1'}}",
        "{a: &x {url: 'http://a:1'}}",
        "{a: {<<: {url: 'http://a:1'}}}",
    ],
)
def test_a_server_is_a_url_or_a_mapping(servers: str) -> None:
    """Anchors and merge keys work as in any YAML 1.1 file."""
    assert config_of_yaml(f"servers: {servers}").servers["a"].url == "http://a:1"


def test_a_merge_adds_what_is_not_there() -> None:
    """A server can take over the headers of another; its own keys win; text can't be merged."""
    text = "servers:\n  a: &a {url: 'http://a', headers: {X: '1'}}\n  b: {<<: [*a], url: 'http://b'}\n"
    servers = config_of_yaml(text).servers
    assert servers["b"].url == "http://b"
    assert servers["b"].fields == servers["a"].fields
    assert "`<<` takes mappings only" in faults_of_yaml("servers: {a: {<<: x, url: 'http://a'}}")[0]


def test_an_anchor_may_be_set_anew() -> None:
    """An alias means the anchor's last place before it; nothing is said about the first one."""
    servers = config_of_yaml("servers: {a: &x http://a:1, b: &x http://b:1, c: {url: *x}}").servers
    assert servers["c"].url == "http://b:1"


def test_plain_urls_may_be_a_list() -> None:
    """As on the command line: servers without ids, and all that they have."""
    config = config_of_yaml("servers: [http://a:1, 'b:2']")
    assert list(config.servers) == ["a:1", "b:2"]
    assert config.expose == "installed"


def test_a_model_has_one_server_several_or_a_mapping() -> None:
    """Ids and URLs, in a list or alone."""
    config = config_of_yaml("servers: {g: http://g}\nmodels: {a: g, b: [g, 'http://h'], c: {servers: g}}")
    assert routes(config) == {"a": ["http://g"], "b": ["http://g", "http://h"], "c": ["http://g"]}


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("servers: http://a", "`servers` is a text, not a mapping"),
        ("models: [a, b]", "`models` is a list, not a mapping"),
        ("models: a", "`models` is a text, not a mapping"),
        ("aliases: [a]", "`aliases` is a list, not a mapping"),
        ("aliases: {a: [b]}", "the alias `a` does not name one model"),
        ("aliases: {a: }", "the alias `a` does not name one model"),
        ("servers: {a: }", "the server `a` has no URL"),
        ("servers: {a: [http://a]}", "the server `a` has no URL"),
        ("servers: {a: {headers: {X: y}}}", "the server `a` has no URL"),
        ("servers: {a: {url: }}", "the server `a` has no URL"),
        ("servers: {a: {url: [x]}}", "`url` takes one value, and this is a list"),
        ("servers: [{url: http://a}]", "`servers` takes one value, and this is a mapping"),
        ("servers: {a: {url: 'http://a', headers: [x]}}", "`headers` is a list"),
        ("servers: {a: {url: 'http://a', headers: {X: [y]}}}", "the header `X` has no text"),
        ("servers: {a: {url: 'http://a', headers: {X: }}}", "the header `X` has no text"),
        ("servers: {a: {url: 'https://a', tls: no}}", "`tls` is a text"),
        ("models: {a: }", "the model `a` has no server"),
        ("models: {a: []}", "the model `a` has no server"),
        ("models: {a: {}}", "the model `a` has no server"),
        ("models: {a: {servers: }}", "the model `a` has no server"),
        ("models: {a: {servers: {g: 1}}}", "the servers of `a` are a mapping"),
        ("models: {a: [[http://g]]}", "`a` takes one value, and this is a list"),
        ("listen: [a]", "`listen` takes one value, and this is a list"),
        ("level: {a: b}", "`level` takes one value, and this is a mapping"),
        ("origins: [[a]]", "`origins` takes one value, and this is a list"),
    ],
)
def test_a_wrong_shape_says_which_is_right(text: str, what: str) -> None:
    """A list for a mapping, nothing where something is needed."""
    faults = faults_of_yaml(text, "http://x:1")
    assert any(what in fault and f"{FILE}:1: " in fault for fault in faults), faults


def test_nothing_may_stand_for_headers_and_tls() -> None:
    """A key with nothing behind it says nothing."""
    server = config_of_yaml("servers:\n  a:\n    url: https://a\n    headers:\n    tls:\n").servers["a"]
    assert (server.fields, server.verify) == ((), True)


def test_origins_are_a_list_or_one() -> None:
    """A list in the file, a comma list as everywhere."""
    for text in ("[https://a, 'app://*']", "https://a,app://*"):
        assert config_of_yaml(f"servers: [http://a]\norigins: {text}").origins == ("https://a", "app://*")
    assert config_of_yaml("servers: [http://a]\norigins: []").origins == ()


def test_a_variable_is_filled_in_after_parsing() -> None:
    """What it holds is text: no YAML, no further variable; several may stand in one value."""
    env = {"A": "x: [y", "B": "${A}", "HOST": "gpu", "PORT": "11434"}
    text = 'servers:\n  a: {url: "http://${HOST}:${PORT}", headers: {X: "${A}${B}", Y: "$${A} $A $ {A}"}}\n'
    server = config_of_yaml(text, env=env).servers["a"]
    assert server.url == "http://gpu:11434"
    assert server.fields == ((b"X", b"x: [y${A}"), (b"Y", b"${A} $A $ {A}"))


def test_a_variable_fills_any_value() -> None:
    """Scalars of every kind, list items and destinations."""
    env = {"G": "5s", "URL": "http://a:1", "ON": "true", "M": "m"}
    text = (
        "grace: ${G}\nlist_aliases: ${ON}\nservers:\n- ${URL}\nmodels: {m: ['${URL}']}\naliases:\n  x: ${M}\n"
    )
    config = config_of_yaml(text, env=env)
    assert (config.grace, config.list_aliases, aliases(config)) == (5.0, True, {"x": "m"})
    assert routes(config) == {"m": ["http://a:1"]}


def test_keys_are_not_filled_in() -> None:
    """`${VAR}` in a key is the key's text."""
    assert "${X}" in faults_of_yaml("models:\n  ${X}: http://a\n", env={"X": "m"})[0]


@pytest.mark.parametrize("text", ["${UNSET}", "a${UNSET}b"])
def test_an_unset_variable_is_a_fault(text: str) -> None:
    """With its name and its line."""
    (fault,) = faults_of_yaml(f"servers:\n  a:\n    url: http://a\n    headers: {{X: '{text}'}}\n")
    assert fault.startswith(f"{FILE}:4: the variable UNSET is not set")


def test_an_unset_variable_is_told_once() -> None:
    """Wherever it stands and however often: what would be filled in is not missed as well."""
    text = (
        "listen: ${A}\nexpose: ${A}\norigins: ['${A}']\nservers:\n  g: {url: '${A}'}\n  h: ${A}\n"
        "  i: {url: 'https://i', headers: {X: 'a ${A}'}, tls: {ca: '${A}', verify: '${A}'}}\n"
        "models: {m: g, n: ['${A}', h], o: '${A}'}\naliases: {x: m, y: '${A}', z: y, w: o}\n"
    )
    (fault,) = faults_of_yaml(text)
    lines = ", ".join(f"{FILE}:{line}" for line in (2, 3, 5, 6, 7, 8, 9))
    assert fault == (
        f"{FILE}:1: the variable A is not set (also used at {lines}). Set A, or write the value itself."
    )
    for text in (
        "servers: ['${A}']",
        "servers: ${A}\nmodels: {m: c}",
        "models: {m: '${A}'}\naliases: {x: m}",
    ):
        assert len(faults_of_yaml(text)) == 1
    assert len(faults_of_yaml("servers: ['${A}', '${B}']")) == 2


def test_what_names_no_variable_is_told_once() -> None:
    """The value is not judged as well."""
    (fault,) = faults_of_yaml("servers: {a: 'http://${A:-b}'}\nmodels: {m: a}\nlisten: :1\n")
    assert "`${A:-b}` names no variable" in fault


def test_a_variable_that_is_set_to_nothing_is_set() -> None:
    """It fills in nothing."""
    assert config_of_yaml("servers: [http://a]\norigins: '${E}'", env={"E": ""}).origins == ()


@pytest.mark.parametrize("text", ["${}", "${A", "${A:-b}", "${1A}", "${A B}"])
def test_what_names_no_variable_is_a_fault(text: str) -> None:
    """The shell's other forms are not known here."""
    assert (
        "names no variable" in faults_of_yaml(f"servers: [http://a]\nlevel: '{text}'", env={"A": "info"})[0]
    )


def test_the_file_adds_to_flags_and_variables() -> None:
    """Servers, models and aliases of all sources are there, the flags' first."""
    config = config_of(
        *("--proxy", "a=http://a", "--config", FILE),
        env={"GOLLAMAS_PROXIES": "b=http://b"},
        files={FILE: "models: {c: http://c, a: http://c}"},
    )
    assert routes(config) == {"a": ["http://a", "http://c"], "b": ["http://b"], "c": ["http://c"]}


def test_an_overruled_value_of_the_file_is_still_checked() -> None:
    """Its mistake would bite as soon as the flag is gone."""
    (fault,) = faults_of_yaml("level: loud\nservers: [http://a]", "--level", "info")
    assert fault.startswith(f"{FILE}:1: ")
    assert config_of_yaml("level: warn\nservers: [http://a]", "--level", "info").level == "info"
