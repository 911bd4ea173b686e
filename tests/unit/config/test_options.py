"""Every option, through each of its flags, variables and its key: made from the declarations."""

import dataclasses
import re

import pytest

from gollamas.config.flags import VERBS
from gollamas.config.load import load_values
from gollamas.config.model import Config
from gollamas.config.options import (
    CONFIG,
    ENTRIES,
    OPTIONS,
    POLICIES,
    VALUES,
    EntriesOption,
    ValueOption,
)
from tests.unit.config.loading import FILE, aliases, config_of, faults_of, loaded_of, reader, routes

# A text that is not the default, for each option with one value; a new option needs a line here.
SAMPLES = {
    "listen": "0.0.0.0:8080",
    "admin": "off",
    "admin_token": "hunter2",
    "level": "debug",
    "log_format": "json",
    "expose": "running",
    "manage": "off",
    "manage_servers": "gpu-1:11434",
    "registries": "registry.lan:5000,hf.co",
    "manage_parallel": "2",
    "ready": "preloaded",
    "list_aliases": "true",
    "origins": "https://chat.example,app://*",
    "server_header": "false",
    "replay_inference": "false",
    "max_head": "1MiB",
    "max_fields": "1000",
    "max_body": "1MiB",
    "max_upload": "1GiB",
    "connect_timeout": "1s",
    "load_timeout": "7m",
    "first_byte_timeout": "1m30s",
    "idle_timeout": "250ms",
    "header_timeout": "2",
    "body_timeout": "2.5s",
    "write_timeout": "3s",
    "client_idle_timeout": "4s",
    "max_connections": "500",
    "probe_interval": "1s",
    "grace": "0",
}
SERVER, OTHER = "http://gpu-1:11434", "http://gpu-2:11434"
# What is given, where the default is written as nothing, to beat another value.
BEATS = {"manage_servers": "gpu-2:11434"}
VALUE_FLAGS = [(option, flag) for option in VALUES for flag in option.flags]
VALUE_VARIABLES = [(option, variable) for option in VALUES for variable in option.variables]
ENTRY = {"servers": f"gpu-9={SERVER}", "models": f"m9={SERVER}", "aliases": "a9=m1", "routes": "/v1/r9"}


def sample(option: ValueOption) -> object:
    """Give the value that the option's sample means."""
    return option.kind.parse(SAMPLES[option.key])


def test_every_value_has_a_sample_and_a_field() -> None:
    """The samples, the declarations and the fields of Config name the same options."""
    by_hand = {"warnings", "admin_is_default"}
    lists = {option.key for option in (*ENTRIES, *POLICIES)}
    assert SAMPLES.keys() == {option.key for option in VALUES}
    assert {field.name for field in dataclasses.fields(Config)} == {*SAMPLES, *lists, *by_hand}


@pytest.mark.parametrize("option", VALUES, ids=lambda option: option.key)
def test_a_sample_is_not_the_default(option: ValueOption) -> None:
    """A test with the sample could fail."""
    assert sample(option) != option.default


@pytest.mark.parametrize(("option", "flag"), VALUE_FLAGS, ids=lambda part: getattr(part, "key", part))
@pytest.mark.parametrize("dashes", ["as declared", "one dash"])
def test_a_flag_sets_its_option(option: ValueOption, flag: str, dashes: str) -> None:
    """Each flag works with `=`, each but a switch with a blank, and with one dash as with two."""
    flag = flag if dashes == "as declared" else "-" + flag.lstrip("-")
    forms = [[f"{flag}={SAMPLES[option.key]}"]]
    if not option.is_switch:
        forms.append([flag, SAMPLES[option.key]])
    for form in forms:
        assert getattr(config_of(*form, SERVER), option.key) == sample(option)


@pytest.mark.parametrize(("option", "name"), VALUE_VARIABLES, ids=lambda part: getattr(part, "key", part))
def test_a_variable_sets_its_option(option: ValueOption, name: str) -> None:
    """Each variable works, its origin is its name, and a flag beats it."""
    loaded = loaded_of(SERVER, env={name: SAMPLES[option.key]})
    assert getattr(loaded.config, option.key) == sample(option)
    assert loaded.origins[option.key, ""] == name
    # There is nothing to wait for; whoever reaches every address may change what all servers have.
    assert loaded.config.warnings == () or option.key in {"ready", "listen"}
    shown = option.kind.show(option.default)
    for flag in option.flags:
        beaten = config_of(f"{flag}={shown}", SERVER, env={name: SAMPLES[option.key]})
        assert getattr(beaten, option.key) == option.default


@pytest.mark.parametrize("option", VALUES, ids=lambda option: option.key)
def test_a_key_of_the_file_sets_its_option(option: ValueOption) -> None:
    """Each key works, its origin is its line, and a variable beats it."""
    files = {FILE: f"# one line\n{option.key}: {SAMPLES[option.key]}\n"}
    loaded = loaded_of("--config", FILE, SERVER, files=files)
    assert getattr(loaded.config, option.key) == sample(option)
    assert loaded.origins[option.key, ""] == f"{FILE}:2"
    beaten = config_of(
        "--config",
        FILE,
        SERVER,
        OTHER,
        env={option.variables[0]: option.kind.show(option.default) or BEATS.get(option.key, "*")},
        files=files,
    )
    assert getattr(beaten, option.key) != sample(option)


@pytest.mark.parametrize("option", VALUES, ids=lambda option: option.key)
def test_a_bad_value_names_its_place_and_what_to_write(option: ValueOption) -> None:
    """A value that can't be read is a fault at the flag, at the variable and at the file's line."""
    bad = {"origins": "a,,b", "admin_token": "secret\u20ac"}.get(option.key, "nonsense value")
    variable = option.variables[0]
    for flag in option.flags:
        assert faults_of(f"{flag}={bad}", SERVER)[0].startswith(f"{flag}: ")
    assert faults_of(SERVER, env={variable: bad})[0].startswith(f"{variable}: ")
    files = {FILE: f"\n\n{option.key}: {bad}\n"}
    assert faults_of("--config", FILE, SERVER, files=files)[0].startswith(f"{FILE}:3: ")


@pytest.mark.parametrize("option", VALUES, ids=lambda option: option.key)
def test_the_default_is_written_as_it_is_read(option: ValueOption) -> None:
    """What the documentation shows as the default parses to the default."""
    text = option.default_text or option.kind.show(option.default)
    assert text == "null" or option.kind.parse(text) == option.default


def test_with_no_option_said_the_defaults_hold() -> None:
    """A configuration of one plain server is Config's defaults, aside from `expose` and what follows."""
    config = config_of(SERVER)
    for option in VALUES:
        if option.key not in {"expose", "manage"}:
            assert getattr(config, option.key) == option.default
    assert config.admin_is_default


@pytest.mark.parametrize("option", ENTRIES, ids=lambda option: option.key)
def test_entries_come_from_every_flag_and_variable(option: EntriesOption) -> None:
    """Singular and plural flags, each variable and a comma list in each of them give the same entry."""
    entry = ENTRY[option.key]
    base = ["--proxy", f"m1={SERVER}"]
    texts = [entry, f" {entry} , {entry}, "]
    forms: list[tuple[list[str], dict[str, str]]] = []
    for text in texts:
        forms += [([f"{flag}={text}"], {}) for flag in (*option.flags, *option.plural)]
        forms += [([flag, text], {}) for flag in (*option.flags, *option.plural)]
        forms += [([], {variable: text}) for variable in option.variables]
    for argv, env in forms:
        config = config_of(*base, *argv, env=env)
        names = {*config.servers, *routes(config), *aliases(config), *config.routes}
        assert entry.partition("=")[0] in names, (argv, env)


@pytest.mark.parametrize("option", ENTRIES, ids=lambda option: option.key)
def test_a_plural_flag_beats_its_variable_and_the_prefixed_variable_the_bare_one(
    option: EntriesOption,
) -> None:
    """Of plural flag, prefixed and bare variable only the first that is there speaks; singular flags add.

    Whatever the file says is there, too; not every option has a bare variable.
    """
    said = {name: ENTRY[option.key].replace("9", name) for name in ("S", "P", "V", "B")}
    base = ["--proxy", f"m1={SERVER}"]
    prefixed, *bare = option.variables
    env = {prefixed: said["V"], **dict.fromkeys(bare, said["B"])}

    def names(*argv: str, env: dict[str, str]) -> str:
        config = config_of(*base, *argv, env=env)
        found = {*config.servers, *routes(config), *aliases(config), *config.routes}
        return "".join(name for name in said if any(known.endswith(name) for known in found))

    single, plural = f"{option.flags[0]}={said['S']}", f"{option.plural[0]}={said['P']}"
    assert names(single, plural, env=env) == "SP"
    assert names(single, env=env) == "SV"
    if bare:
        assert names(env={bare[0]: said["B"]}) == "B"
    assert names(env={**env, prefixed: ""}) == ""
    assert names(f"{option.plural[0]}=", env=env) == ""


def test_the_file_is_named_by_flag_or_variable() -> None:
    """`--config` and GOLLAMAS_CONFIG read the same file, and the flag wins."""
    files = {"a.yaml": f"servers: {{a: '{SERVER}'}}", "b.yaml": f"servers: {{b: '{SERVER}'}}"}
    assert list(config_of("--config", "a.yaml", files=files).servers) == ["a"]
    assert list(config_of("--config=a.yaml", env={"GOLLAMAS_CONFIG": "b.yaml"}, files=files).servers) == ["a"]
    assert list(config_of(env={"GOLLAMAS_CONFIG": "b.yaml"}, files=files).servers) == ["b"]


def test_no_two_options_share_a_flag_variable_or_key() -> None:
    """Every name belongs to one option, and none to a key of the file that is none."""
    for names in (
        [flag for option in OPTIONS for flag in (*option.flags, *option.plural)],
        [variable for option in OPTIONS for variable in option.variables],
        [option.key for option in OPTIONS],
    ):
        assert len(names) == len(set(names))
    assert not {option.key for option in OPTIONS} & {"per_server", "limit"}


def test_no_variable_looks_like_one_of_kubernetes() -> None:
    """No option's variable begins like those injected beside a Service called gollamas."""
    for option in OPTIONS:
        assert not any(re.match(r"GOLLAMAS_(PORT|SERVICE_)", variable) for variable in option.variables)


def test_every_option_says_what_it_is_for() -> None:
    """Help, range and, except for entries and the file, a key are there for every option."""
    for option in OPTIONS:
        assert option.help
        assert option.variables
        assert all(flag.startswith("--") for flag in option.flags[:1])
        assert option.written
        assert option in ENTRIES or option.accepts
        assert (option in (*VALUES, *ENTRIES, *POLICIES)) != (option is CONFIG)
    assert {
        "serve",
        "check",
        "demo",
        "simulate",
        "health",
        "status",
        "models",
        "ps",
        "show",
        "pull",
        "cp",
        "rm",
        "variants",
        "load",
        "unload",
        "version",
        "help",
    } == VERBS.keys()


def test_values_alone_are_read_without_any_server() -> None:
    """What asks a running proxy needs no server, and bad servers do not stop it."""
    config = load_values(["--admin", ":9"], {"GOLLAMAS_PROXIES": "a=nonsense"}, reader(None)).config
    assert str(config.admin) == ":9"
    assert not config.servers
