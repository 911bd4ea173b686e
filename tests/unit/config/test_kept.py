"""preload, ping and ready: entries that are names, the file, and what is warned of."""

import pytest

from gollamas.config.faults import Faults
from gollamas.config.model import EVERYWHERE
from gollamas.config.render import as_yaml
from tests.unit.config.loading import FILE, config_of, config_of_yaml, faults_of, faults_of_yaml, loaded_of
from tests.unit.config.test_levels import ALL, BASE, BASE_YAML, BOTH, M1, M2, MODEL

OTHER = "registry.ollama.ai/library/other:latest"


@pytest.mark.parametrize(
    ("argv", "preload"),
    [
        (("--preload", "all"), {ALL: EVERYWHERE}),
        (("--preload=ALL",), {ALL: EVERYWHERE}),
        (("--preload", "m1"), {MODEL: EVERYWHERE}),
        (("--preload", "m1:latest"), {MODEL: EVERYWHERE}),
        (("--preload", "m1@g2"), {BOTH: EVERYWHERE}),
        (("--preload", "m1@gpu-2:11434"), {BOTH: EVERYWHERE}),
        (("--preload", "m1@http://gpu-2:11434/"), {BOTH: EVERYWHERE}),
        (("--preload", "m1@http://gpu-2:11434=off"), {BOTH: None}),
        (("--preload", "m1=2"), {MODEL: 2}),
        (("--preload", "m1 = true"), {MODEL: EVERYWHERE}),
        (("--preload", "all=1"), {ALL: 1}),
        (("--preload", "all=off"), {ALL: None}),
        (("--preload", "m1@g2=false"), {BOTH: None}),
        (("--preload", "m1,m2:8b@g1"), {MODEL: EVERYWHERE, (M2, "g1"): EVERYWHERE}),
        (("--preload", "m1", "--preload", "'m2:8b'"), {MODEL: EVERYWHERE, (M2, ""): EVERYWHERE}),
        (("--preload", "all,m1=off,m1@g2"), {ALL: EVERYWHERE, MODEL: None, BOTH: EVERYWHERE}),
        (("--preload", "all,all"), {ALL: EVERYWHERE}),
        (("--preload", "m1=2", "--preload", "m1=off"), {MODEL: None}),
    ],
)
def test_an_entry_of_preload_is_a_name_and_may_have_a_value(
    argv: tuple[str, ...], preload: dict[tuple[str, str], int | None]
) -> None:
    """As a flag, which may stand several times, and as a comma list in it or in the variable."""
    assert config_of(*BASE, *argv).preload == preload
    entries = ",".join(word.removeprefix("--preload").lstrip("=") for word in argv if word != "--preload")
    assert config_of(*BASE, env={"GOLLAMAS_PRELOAD": entries}).preload == preload


def test_a_model_called_all_has_its_tag() -> None:
    """And so has one that is called like a value."""
    base = ("--proxies", "all=http://h,off=http://h,2=http://h")
    config = config_of(*base, "--preload", "all:latest,off:latest,2:latest=off")
    names = {f"registry.ollama.ai/library/{name}:latest": name for name in ("all", "off", "2")}
    assert {(names[key], server): value for (key, server), value in config.preload.items()} == {
        ("all", ""): EVERYWHERE,
        ("off", ""): EVERYWHERE,
        ("2", ""): None,
    }
    assert config_of(*base, "--preload", "2@h:80").preload.keys() == {
        ("registry.ollama.ai/library/2:latest", "h:80")
    }
    # In the file a model is named by its key, where `all` is no other word.
    text = "models: {all: {servers: [http://h], preload: 1}}"
    assert config_of_yaml(text).preload == {("registry.ollama.ai/library/all:latest", ""): 1}


def test_the_file_says_preload_and_ping_with_a_model_and_on_a_server() -> None:
    """As true, false or a number; `off` is as good as false."""
    config = config_of_yaml(
        BASE_YAML.replace(
            "m1: [g1, g2]",
            "m1: {servers: [g1, g2], preload: 2, ping: 4m, per_server: {g2: {preload: false, ping: off}}}",
        )
        + "preload: off\nping: 300\n"
    )
    assert config.preload == {ALL: None, MODEL: 2, BOTH: None}
    assert config.ping == {ALL: 300.0, MODEL: 240.0, BOTH: None}


def test_a_nearer_place_speaks_for_one_level() -> None:
    """Of preload, too."""
    files = {FILE: "preload: true\nmodels: {m1: {preload: 2}}"}
    argv = (*BASE, "--config", FILE)
    env = {"GOLLAMAS_PRELOAD": "m1=1,m2:8b"}
    assert config_of(*argv, files=files).preload == {ALL: EVERYWHERE, MODEL: 2}
    assert config_of(*argv, env=env, files=files).preload == {
        ALL: EVERYWHERE,
        MODEL: 1,
        (M2, ""): EVERYWHERE,
    }
    config = config_of(*argv, "--preload", "all=off,m1=off", env=env, files=files)
    assert config.preload == {ALL: None, MODEL: None, (M2, ""): EVERYWHERE}


@pytest.mark.parametrize(
    ("flag", "entry", "fault"),
    [
        ("preload", "true", "`true` stands where a model's name belongs. Write `all`, or `true:latest`"),
        ("preload", "yes", "Write `all`, or `yes:latest` for a model"),
        ("preload", "*", "`*` stands where a model's name belongs. Write `all`."),
        ("preload", "off", "Write `all=false`, or `off:latest` for a model"),
        ("preload", "2", "Write `all=2`, or `2:latest` for a model"),
        ("preload", "m2", "no model `m2` is configured. Write `m2:8b`, or"),
        ("preload", "al", "`al` is an alias. Write its model, `m1`."),
        ("preload", "g1", "no model `g1` is configured. Write `@g1` behind a model's name, or"),
        ("preload", "m1@g3", "no server is called `g3`. Write one of: g1, g2."),
        ("preload", "m2:8b@g2", "`m2:8b` does not run on the server `g2`."),
        ("preload", "gollamas/m1", "`gollamas/m1` can't be named"),
        ("preload", "m!1", "`m!1` is no model's name. Write a name as Ollama has it"),
        ("preload", "m!1@g1", "stands where a model's name belongs. Write `all`, `MODEL` or `MODEL@SERVER`."),
        (
            "preload",
            "m1=g2",
            "`g2` is not a number of instances (in the entry `m1`). Write `m1@g2` for the serv",
        ),
        (
            "preload",
            "m1=1.5",
            "`1.5` is not a number of instances (in the entry `m1`). Write `true`, `false` or",
        ),
        ("preload", "m1=0", "`0` is not a number of instances (in the entry `m1`). Write `false`."),
        (
            "preload",
            "m1@g2=2",
            "a server has one instance of a model (in the entry `m1@g2`). Write `true` or",
        ),
        ("preload", "@g1", "the entry `@g1` lacks a model, and `preload` is not said of a server alone."),
        ("preload", "all@g1", "the entry `all@g1` lacks a model, and `preload` is not said of a server"),
        ("preload", "=2", "lacks a model"),
        ("preload", "m1@", "the entry `m1@` lacks a name. Write `all`, `MODEL` or `MODEL@SERVER`."),
        ("preload", "m1=", "the entry `m1` has nothing after its `=`."),
        ("preload", "m1 m2:8b", "Put commas between the entries"),
        ("preload", "http://u:hunter2@gpu-1", "belongs. Write `MODEL@http://***@gpu-1`."),
        ("preload", "http://gpu-1:1=2", "belongs. Write `MODEL@http://gpu-1:1`."),
        ("preload", "m1@http://u:hunter2=x@gpu-1", "no server is called `http://***@gpu-1`."),
        ("preload", "x=u:hunter2@gpu-1", "stands where a model's name belongs"),
        ("preload", "", "the entry is empty. Write `--preload all|MODEL[@SERVER][=NUMBER],...`."),
        ("sync", "true", "`true` stands where a model's name belongs. Write `all`, or `true:latest`"),
        ("sync", "off", "Write `all=false`, or `off:latest` for a model"),
        ("sync", "2", "no model `2` is configured."),
        ("sync", "m1=g2", "`g2` is neither true nor false (in the entry `m1`). Write `m1@g2` for the server"),
        ("sync", "m1=2", "`2` is neither true nor false (in the entry `m1`). Write `true` or `false`."),
        ("sync", "m1=yes", "`yes` is neither true nor false (in the entry `m1`). Write `true`."),
        ("sync", "@g1", "the entry `@g1` lacks a model, and `sync` is not said of a server alone."),
        ("sync", "al", "`al` is an alias. Write its model, `m1`."),
        ("sync", "m2:8b@g2", "`m2:8b` does not run on the server `g2`."),
        ("ping", "0", "`0` is not a time between two looks. Write `off`."),
        ("ping", "4 m", "`4 m` is no duration. Write `4m`."),
        ("ping", "4m,8m", "the list has more than one value for all models: 4m, 8m."),
        ("ping", "m1=500ms", "`500ms` is out of range (in the entry `m1`). Write a duration from 1s to 24h"),
        (
            "ping",
            "@g1=4m",
            "is not said of a server alone. Write `DURATION`, `MODEL=DURATION` or `MODEL@SERVER=DURATION`.",
        ),
        ("ping", "http://u:hunter2@gpu-1=4m", "Write `MODEL@http://***@gpu-1=4m` for the server."),
        ("ping", "m1", "`m1` is no duration. Write a duration from 1s to 24h, like `4m`, or `off`."),
        ("ping", "", "the entry is empty. Write `--ping [MODEL[@SERVER]=]DURATION,...`."),
    ],
)
def test_an_entry_that_means_nothing_is_a_fault(flag: str, entry: str, fault: str) -> None:
    """Which says what to write, quotes no password, and is the only one."""
    (found,) = faults_of(*BASE, f"--{flag}={entry}")
    assert found.startswith(f"--{flag}: ")
    assert fault in found
    assert "hunter" not in found


def test_what_is_suggested_for_a_value_alone_is_taken() -> None:
    """Each of the suggestions."""
    for entry in ("all", "all=false", "all=2"):
        assert config_of(*BASE, "--preload", entry).preload.keys() == {ALL}


@pytest.mark.parametrize(
    ("text", "faults"),
    [
        ("preload: all", ["1: `all` is not a number of instances. Write `true`."]),
        ("preload: [m1]", ["1: `preload` takes one value, and this is a list."]),
        ("preload: {default: true}", ["1: `preload` takes one value, and this is a mapping."]),
        ("ping: 0", ["1: `0` is not a time between two looks. Write `off`."]),
        ("models: {m1: {per_server: {g1: {preload: 2}}}}", ["1: `2` is neither true nor false"]),
        (
            "servers: {g1: {url: 'http://gpu-1:11434', preload: true}}",
            ["1: the key `preload` is unknown. Write `models: {MODEL: {per_server: {SERVER: {preload: true}"],
        ),
        (
            "servers: {g1: {url: 'http://gpu-1:11434', ping: 4m}}",
            ["1: the key `ping` is unknown. Write `models: {MODEL: {per_server: {SERVER: {ping: DURATION}"],
        ),
        ("models: {other: {preload: true}}", ["1: no model `other` is configured."]),
        (
            "models:\n  m1: {preload: 2}\n  M1: {preload: true}",
            [f"3: `preload` is true here and 2 at {FILE}:2, for the same."],
        ),
        ("ready: loaded", ["1: `loaded` is not known here. Write `preloaded`"]),
    ],
)
def test_what_a_file_gets_wrong_is_a_fault_with_its_line(text: str, faults: list[str]) -> None:
    """Shapes, places and values."""
    found = faults_of_yaml(text, *BASE)
    assert len(found) == len(faults), found
    for fault, expected in zip(found, faults, strict=True):
        assert fault.startswith(f"{FILE}:{expected}"), fault


@pytest.mark.parametrize("argv", [("--preload", "x:cloud"), ("--ping", "x:cloud=4m")])
def test_a_cloud_model_is_a_warning(argv: tuple[str, ...]) -> None:
    """Nothing of it is loaded here."""
    (warning,) = config_of("--proxy", "x:cloud=http://h", *argv).warnings
    assert warning == f"{argv[0]}: `x:cloud` runs in Ollama's cloud, so this does nothing for it"


@pytest.mark.parametrize(
    ("entries", "warning"),
    [
        ("m1=2", None),
        ("m1=3", "3 instances are to be preloaded, each on a server of its own, and `m1` has 2"),
        ("m1=2,m1@g2=off", "2 instances are to be preloaded, each on a server of its own, and `m1` has 1"),
        ("m1=2,m1@g2", None),
        ("all", None),
        ("all=1", None),
        ("all=2", "2 instances are to be preloaded, each on a server of its own, and `m2:8b` has 1"),
        ("all=3,m2:8b=1", "and `m1` has 2"),
        ("all=3", "and `m1` has 2, `m2:8b` has 1"),
        ("all=2,m2:8b", None),
        ("other=3", "and `other:latest` has 2"),
    ],
)
def test_more_instances_than_servers_is_a_warning(entries: str, warning: str | None) -> None:
    """Once for an entry; a model that is not configured may be on any server."""
    argv = ("--preload", entries, *(("--expose", "installed") if "other" in entries else ()))
    warnings = config_of(*BASE, *argv).warnings
    assert len(warnings) == (warning is not None)
    for said in warnings:
        assert said.startswith("--preload: ")
        assert said.endswith(str(warning))


def test_all_models_where_none_is_configured_is_a_warning() -> None:
    """All means those of the configuration."""
    (warning,) = config_of("http://h", "--preload", "all").warnings
    assert warning.startswith("--preload: all configured models are to be preloaded and none is configured;")
    assert config_of("http://h", "--preload", "all=off").warnings == ()
    (warning,) = config_of("--connection", "g1=http://h", "--preload", "g1").warnings
    assert warning.endswith("and a server is called so: write `@g1` behind a model's name for it")
    assert config_of("http://h", "--preload", "other").preload == {(OTHER, ""): EVERYWHERE}


@pytest.mark.parametrize(
    ("argv", "is_warned"),
    [
        (BASE, True),
        ((*BASE, "--preload", "all"), False),
        ((*BASE, "--preload", "m1"), False),
        ((*BASE, "--preload", "m1=1"), False),
        ((*BASE, "--preload", "m1@g2"), False),
        ((*BASE, "--preload", "all=off"), True),
        ((*BASE, "--preload", "m1=off,m2:8b@g1=off"), True),
        ((*BASE, "--preload", "all,m1=off,m2:8b=off"), True),
        ((*BASE, "--preload", "all,m1=off"), False),
        ((*BASE, "--ping", "4m"), True),
        (("http://h", "--preload", "other"), False),
        (("http://h", "--preload", "other=off"), True),
        (("http://h", "--preload", "other@h:80"), False),
    ],
)
def test_ready_after_no_preload_is_a_warning(argv: tuple[str, ...], is_warned: bool) -> None:
    """Nothing is waited for; whoever does not ask for it is told nothing."""
    said = config_of(*argv, "--ready", "preloaded").warnings
    text = "--ready: no model is preloaded, so there is nothing to wait for; see `--preload`"
    assert said == ((text,) if is_warned else ())
    assert config_of(*argv).warnings == ()
    assert config_of(*argv).ready == "listening"


@pytest.mark.parametrize(
    "argv",
    [
        (*BASE, "--ready=preloaded", "--preload=m9"),
        (*BASE, "--ready=preloaded", "--preload=m1=x"),
        ("--proxy", "m1", "--preload", "all", "http://h"),
        (*BASE, "--connection", "g3=ftp://x", "--proxy", "m1=g3", "--preload", "m1=3"),
    ],
)
def test_nothing_is_warned_of_that_follows_from_a_fault(argv: tuple[str, ...]) -> None:
    """What is missing may be what could not be read."""
    with pytest.raises(Faults) as caught:
        config_of(*argv)
    assert len(caught.value.faults) == 1
    assert caught.value.warnings == ()


def test_check_shows_where_each_comes_from() -> None:
    """On one line, with a model and on a server."""
    argv = (*BASE, "--preload", "all=2,m1@g2=off", "--ping", "m1=4m")
    lines = as_yaml(loaded_of(*argv, env={"GOLLAMAS_READY": "preloaded"})).splitlines()
    shown = {line.partition(" #")[0].rstrip(): line.partition("# ")[2] for line in lines}
    assert shown["preload: 2"] == "--preload"
    assert shown["        preload: false"] == "--preload"
    assert shown["    ping: 4m"] == "--ping"
    assert shown["ready: preloaded"] == "GOLLAMAS_READY"
    assert M1 not in shown


@pytest.mark.parametrize(
    ("flag", "meant"),
    [("--preloads", "--preload"), ("--warm-up", "--preload"), ("--keep-warm", "--ping")],
)
def test_other_words_for_it_name_ours(flag: str, meant: str) -> None:
    (fault,) = faults_of("http://h", flag)
    assert fault.endswith(f"Write `{meant}`.")


def test_command_lines_of_the_go_program_take_both_flags() -> None:
    """With `=` or a blank, beside several models on one server."""
    url = "http://server-01:11434"
    argv = (f"--proxy=tinyllama={url}", "--proxy", f"llama3.2-vision={url}", "--preload=tinyllama")
    config = config_of(*argv, "--preload", "llama3.2-vision", "--ping=4m", "-ping", "tinyllama=1m")
    assert set(config.preload.values()) == {EVERYWHERE}
    assert len(config.preload) == 2
    assert set(config.ping.values()) == {240.0, 60.0}


def test_sync_is_said_of_models_as_preload_is() -> None:
    config = config_of(*BASE, "--sync", "all,m1=off,m1@g2", env={"GOLLAMAS_SYNC": "m2:8b=false"})
    assert config.sync == {ALL: True, MODEL: False, BOTH: True, (M2, ""): False}
    text = BASE_YAML.replace(
        "m1: [g1, g2]", "m1: {servers: [g1, g2], sync: true, per_server: {g2: {sync: off}}}"
    )
    config = config_of_yaml(f"{text}sync: false\n")
    assert config.sync == {ALL: False, MODEL: True, BOTH: False}


def test_sync_of_all_models_where_none_is_configured_is_warned_of() -> None:
    (warning,) = config_of("http://gpu-1", "--sync", "all").warnings
    assert warning == (
        "--sync: all configured models are to be pulled where they are missing and none is configured; "
        "name them, as in `--sync llama3.2`"
    )
