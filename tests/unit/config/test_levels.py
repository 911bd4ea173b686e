"""What is said at several levels: the notation, precedence, the file, and names that are none."""

from dataclasses import replace
from typing import Any

import pytest

from gollamas.config.load import load_values
from gollamas.config.model import EVERYWHERE, LOADED, Config
from gollamas.config.options import POLICIES, LevelsOption
from gollamas.config.render import as_yaml
from tests.unit.config.loading import FILE, config_of, config_of_yaml, loaded_of, reader

M1 = "registry.ollama.ai/library/m1:latest"
M2 = "registry.ollama.ai/library/m2:8b"
# Two servers, a model on both of them, one on the first alone, and an alias.
BASE = (
    *("--connection", "g1=http://gpu-1:11434", "--connection", "g2=http://gpu-2:11434"),
    *("--proxy", "m1=g1", "--proxy", "m1=g2", "--proxy", "m2:8b=g1", "--alias", "al=m1"),
)
BASE_YAML = """\
servers: {g1: "http://gpu-1:11434", g2: "http://gpu-2:11434"}
models: {m1: [g1, g2], "m2:8b": g1}
aliases: {al: m1}
"""
ALL, G2, MODEL, BOTH = ("", ""), ("", "g2"), (M1, ""), (M1, "g2")
FILES = {
    ALL: "{line}\n",
    G2: "servers: {{g2: {{url: 'http://gpu-2:11434', {line}}}}}\n",
    MODEL: "models: {{m1: {{servers: [g1, g2], {line}}}}}\n",
    BOTH: "models: {{m1: {{servers: [g1, g2], per_server: {{g2: {{{line}}}}}}}}}\n",
}
ENTRY = {ALL: "", G2: "@g2=", MODEL: "m1=", BOTH: "m1@g2="}
SAMPLES: dict[str, list[tuple[str, Any]]] = {
    "keep_alive": [("10m", 600.0), ("off", None)],
    "force_keep_alive": [("10m", 600.0), ("off", None)],
    "num_ctx": [("8192", 8192), ("off", None)],
    "force_num_ctx": [("8192", 8192), ("off", None)],
    "limit_num_ctx": [("8192", 8192), ("off", None)],
    "on_limit": [("clamp", "clamp"), ("error", "error")],
    "on_overflow": [("error", "error"), ("pass", "pass")],
    "preload": [("true", EVERYWHERE), ("off", None), ("false", None)],
    "ping": [("4m", 240.0), ("off", None)],
    "sync": [("true", True), ("off", False)],
}
WITH = [
    pytest.param(option, level, text, value, id=f"{option.key}-{ENTRY[level]}{text}")
    for option in POLICIES
    for level in FILES
    if option.is_of_servers or level != G2
    for text, value in SAMPLES[option.key]
]
NUMBERS = [option for option in POLICIES if option.is_of_servers and SAMPLES[option.key][1][1] is None]


def said(option: LevelsOption, config: Config) -> Any:
    """Give what a configuration has for an option; it says nothing for any other."""
    for other in POLICIES:
        assert other is option or getattr(config, other.key) == {}
    return getattr(config, option.key)


@pytest.mark.parametrize(("option", "level", "text", "value"), WITH)
def test_flag_variable_and_file_say_the_same(
    option: LevelsOption, level: tuple[str, str], text: str, value: Any
) -> None:
    """Each option at each level, with a value and with `off`; and each has its origin."""
    flag, variable = option.flags[0], option.variables[0]
    entry = f"{'all=' if option.implied and level == ALL else ENTRY[level]}{text}"
    lines = [f"{option.policy}: {{{option.part}: {text}}}"] if option.part else []
    lines += [f"{option.policy}: {text}"] if option.is_short else []
    name = "@".join(level)
    by_flag = (loaded_of(*BASE, flag, entry), loaded_of(*BASE, f"{flag}={entry}"))
    by_variable = loaded_of(*BASE, env={variable: f"'{entry}'"})
    files = [FILES[level].format(line=line) for line in lines]
    by_file = [loaded_of(*BASE, "--config", FILE, files={FILE: text}) for text in files]
    for place, loaded in (
        *((flag, loaded) for loaded in by_flag),
        (variable, by_variable),
        *((f"{FILE}:1", loaded) for loaded in by_file),
    ):
        assert said(option, loaded.config) == {level: value}
        assert loaded.origins[option.key, name] == place
        assert loaded.config.warnings == ()


@pytest.mark.parametrize("option", NUMBERS, ids=lambda option: option.key)
def test_the_nearest_place_speaks_for_one_level_and_all_others_add_up(option: LevelsOption) -> None:
    """The last flag, else the variable, else the file; a list is as good as several flags."""
    flag, variable = option.flags[0], option.variables[0]
    line = f"{option.policy}: {{{option.part}: 100}}"
    text = f"{line}\n{FILES[G2].format(line=line)}{FILES[MODEL].format(line=line)}"
    argv = (*BASE, "--config", FILE)
    env = {variable: "@g2=200,m1=200,m2:8b=200"}

    def levels(*flags: str, env: dict[str, str]) -> Any:
        return said(option, config_of(*argv, *flags, env=env, files={FILE: text}))

    assert levels(env={}) == {ALL: 100, G2: 100, MODEL: 100}
    assert levels(env=env) == {ALL: 100, G2: 200, MODEL: 200, (M2, ""): 200}
    expected = {ALL: 100, G2: 200, MODEL: 500, (M2, ""): 200, BOTH: 600}
    assert levels(flag, "m1=400", flag, "m1=300,M1:latest=500", flag, "m1@g2=600", env=env) == expected
    assert levels(f"{flag}=m1=off", env=env) == {ALL: 100, G2: 200, MODEL: None, (M2, ""): 200}
    assert levels(env={variable: ""}) == {ALL: 100, G2: 100, MODEL: 100}


def test_a_negative_value_may_be_the_next_word() -> None:
    """It looks like a flag, and is none."""
    config = config_of("--force-keep-alive", "-1", "http://h", "-keep-alive", "-1m")
    assert (config.force_keep_alive, config.keep_alive) == ({ALL: -1.0}, {ALL: -1.0})


def test_default_and_force_are_kept_apart() -> None:
    """And keep_alive from num_ctx: one model may have all four."""
    config = config_of_yaml(
        BASE_YAML.replace("m1: [g1, g2]", "m1: {servers: [g1, g2], num_ctx: {default: loaded, force: 4096}}")
        + "keep_alive: {default: 5m, force: -1}\nnum_ctx:\n  default:\n  force: 512\n"
    )
    assert config.keep_alive == {ALL: 300.0}
    assert config.force_keep_alive == {ALL: -1.0}
    assert config.num_ctx == {MODEL: LOADED}
    assert config.force_num_ctx == {ALL: 512, MODEL: 4096}


@pytest.mark.parametrize(
    "text",
    [
        "keep_alive:\n",
        "keep_alive: {}\n",
        "keep_alive: {default: , force: }\n",
        "servers: {g1: {url: 'http://gpu-1:11434', num_ctx: }}\n",
        "models: {m1: {servers: g1, keep_alive: , per_server: }}\n",
        "models: {m1: {servers: g1, per_server: {g2: , g1: {num_ctx: }}}}\n",
    ],
)
def test_a_key_with_nothing_behind_it_says_nothing(text: str) -> None:
    """At every level."""
    config = config_of(*BASE, "--config", FILE, files={FILE: text})
    assert all(getattr(config, option.key) == {} for option in POLICIES)


@pytest.mark.parametrize(
    ("name", "level"),
    [
        ("M1", MODEL),
        ("library/m1:latest", MODEL),
        ("m2:8b", (M2, "")),
        ("m1@g2", BOTH),
        ("m1 @ g2", BOTH),
        ('"m1"', MODEL),
        ("@http://gpu-2:11434", G2),
        ("@http://gpu-2:11434/", G2),
        ("@gpu-2:11434", G2),
        ("m1@HTTP://GPU-2:11434", BOTH),
    ],
)
def test_names_are_compared_as_everywhere(name: str, level: tuple[str, str]) -> None:
    """A model by its key, a server by its id or its URL, in flags and in the file."""
    assert config_of(*BASE, "--num-ctx", f"{name}=8192").num_ctx == {level: 8192}


def test_a_server_without_an_id_is_known_by_its_own_name_and_by_its_url() -> None:
    """In the file, too, and with user info that is written or not."""
    base = ("http://u:p%40=@gpu-1:11434", "--proxy", "m1=http://gpu-2")
    for name in ("gpu-1:11434", "http://gpu-1:11434", "http://u:p%40=@gpu-1:11434"):
        assert config_of(*base, "--keep-alive", f"@{name}=1").keep_alive == {("", "gpu-1:11434"): 1.0}
    text = "models: {m1: {per_server: {'http://gpu-2': {keep_alive: 1}}}}"
    config = config_of(*base, "--config", FILE, files={FILE: text})
    assert config.keep_alive == {(M1, "gpu-2:80"): 1.0}


def test_of_two_servers_with_one_url_the_first_is_meant() -> None:
    """With a warning, as for a model."""
    config = config_of("--connections", "a=http://h,b=http://h", "--keep-alive", "@http://h=1,m@http://h=2")
    assert {server for _, server in config.keep_alive} == {"a"}
    (warning,) = (text for text in config.warnings if text.startswith("--keep-alive: "))
    assert "the servers a and b have this URL; a is used" in warning


@pytest.mark.parametrize("word", ["running", "installed"])
def test_under_a_wider_expose_any_model_may_be_named(word: str) -> None:
    """Whether any is configured or not; on any server, where it is not."""
    base = (*BASE, "--expose", word)
    config = config_of(*base, "--num-ctx", "other=1024,other@g2=2048,m1=4096")
    other = "registry.ollama.ai/library/other:latest"
    assert config.num_ctx == {(other, ""): 1024, (other, "g2"): 2048, MODEL: 4096}
    text = "servers: {g1: 'http://gpu-1:11434'}\nmodels: {other: {num_ctx: 1024}}\n"
    config = config_of_yaml(text)
    assert (config.expose.value, config.models, config.num_ctx) == ("installed", {}, {(other, ""): 1024})


def test_a_model_s_policy_may_stand_apart_from_its_servers() -> None:
    """The file says how it runs, a flag where."""
    text = "models:\n  m1: {num_ctx: 8192}\n"
    config = config_of("--proxy", "m1=http://h", "--config", FILE, files={FILE: text})
    assert config.num_ctx == {MODEL: 8192}
    assert config.expose.value == "configured"


def test_a_name_that_does_nothing_or_may_be_meant_otherwise_is_a_warning() -> None:
    """A cloud name, which runs elsewhere; a server's id where a model's name belongs."""
    (warning,) = config_of("http://h", "--num-ctx", "x:cloud=8192,x:cloud@h:80=4096").warnings
    assert warning == "--num-ctx: `x:cloud` runs in Ollama's cloud, so this does nothing for it"
    (warning,) = config_of("--connection", "g1=http://h", "--num-ctx", "g1=8192").warnings
    assert warning.endswith("and a server is called so: write `@g1` for it")


def test_values_of_a_verb_that_asks_the_proxy_need_no_servers() -> None:
    """Nor policies that can be read."""
    env = {"GOLLAMAS_NUM_CTX": "m1=8k,@g9=4", "GOLLAMAS_ADMIN": ":9"}
    config = load_values(["--keep-alive", "x"], env, reader(None)).config
    assert (str(config.admin), config.num_ctx, config.keep_alive) == (":9", {}, {})


ROUND_TRIPS = [
    ("--keep-alive", "10m,@g1=300,m1=0,m1@g2=-1", "--force-keep-alive", "off,@g2=1.5s,m2:8b@g1=250ms"),
    ("--num-ctx", "8192,m1=loaded,@g2=off", "--force-num-ctx", "m1=4096,m1@g1=off,m1@g2=100000000"),
    ("--limit-num-ctx", "8192,m1=off,@g2=16384", "--on-limit", "clamp,m1=error,@g2=clamp,m1@g2=clamp"),
    ("--on-overflow", "error,m1=pass,@g2=error,m2:8b@g1=pass", "--ready", "preloaded"),
    ("--preload", "all,m1=2,m1@g2=off,m2:8b@g1", "--ping", "4m,m1=off,m1@g2=1.5s"),
    ("--preload", "all=2,m1=off", "--ping", "off"),
    ("--preload", "all:latest,off:latest,all:latest@g2,1.5", "--ping", "all=1s", "--expose", "installed"),
    (
        "--expose",
        "installed",
        "--num-ctx",
        "other=1024,hf.co/a/b:Q4@g2=2048,1.5=9",
        "--keep-alive",
        "other@g1=1",
    ),
]


@pytest.mark.parametrize("argv", ROUND_TRIPS, ids=range(len(ROUND_TRIPS)))
def test_what_check_prints_means_the_same_again(argv: tuple[str, ...]) -> None:
    """Each value at its level, for models that are configured and others."""
    loaded = loaded_of(*BASE, *argv)
    shown = as_yaml(loaded)
    read = config_of("--config", FILE, files={FILE: shown})
    assert replace(read, admin_is_default=True, warnings=()) == replace(loaded.config, warnings=())


def test_check_shows_where_each_policy_comes_from() -> None:
    """Below what it is said of."""
    text = "num_ctx: {force: 4096}\nmodels: {m1: {servers: [g1], per_server: {g1: {keep_alive: 5m}}}}\n"
    env = {
        "GOLLAMAS_NUM_CTX": "m1=8192",
        "GOLLAMAS_FORCE_KEEP_ALIVE": "@g1=-1",
        "GOLLAMAS_LIMIT_NUM_CTX": "9000",
    }
    argv = ("--connection", "g1=http://h", "--config", FILE, "--keep-alive", "10m")
    words = ("--on-overflow", "error", "--preload", "m1@g1")
    shown = as_yaml(loaded_of(*argv, *words, env=env, files={FILE: text}))
    lines = [(line.partition(" #")[0].rstrip(), line.partition("# ")[2]) for line in shown.splitlines()]
    assert lines[lines.index(("keep_alive:", "")) :] == [
        ("keep_alive:", ""),
        ("  default: 10m", "--keep-alive"),
        ("num_ctx:", ""),
        ("  force: 4096", f"{FILE}:1"),
        ("limit:", ""),
        ("  num_ctx: 9000", "GOLLAMAS_LIMIT_NUM_CTX"),
        ("on_limit: null", ""),
        ("on_overflow: error", "--on-overflow"),
        ("preload: null", ""),
        ("ping: null", ""),
        ("sync: null", ""),
        ("servers:", ""),
        ("  g1:", "--connection"),
        ("    url: http://h", ""),
        ("    keep_alive:", ""),
        ("      force: -1", "GOLLAMAS_FORCE_KEEP_ALIVE"),
        ("models:", ""),
        ("  m1:", f"{FILE}:2"),
        ("    servers: [g1]", ""),
        ("    num_ctx:", ""),
        ("      default: 8192", "GOLLAMAS_NUM_CTX"),
        ("    per_server:", ""),
        ("      g1:", ""),
        ("        keep_alive:", ""),
        ("          default: 5m", f"{FILE}:2"),
        ("        preload: true", "--preload"),
        ("aliases: {}", ""),
        ("routes: []", ""),
    ]
    nothing = ("keep_alive: {}", "num_ctx: {}", "limit: {}", "on_limit: null", "on_overflow: null")
    assert "\n".join((*nothing, "preload: null", "ping: null\n")) in as_yaml(loaded_of("http://h"))
