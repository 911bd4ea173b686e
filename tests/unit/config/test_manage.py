"""Who may change models, where they go, and what is warned of."""

import pytest

from gollamas.config.load import load_values
from gollamas.config.model import Config, Manage
from gollamas.config.render import as_yaml
from gollamas.config.words import MANAGE
from tests.unit.config.loading import (
    FILE,
    config_of,
    config_of_yaml,
    faults_of,
    faults_of_yaml,
    loaded_of,
    reader,
)

URL = "http://a:1"
MODEL = ("--proxy", f"m={URL}")
TWO = ("--connection", "gpu-1=http://h:1,gpu-2=http://u:p@h:2")


@pytest.mark.parametrize(
    ("argv", "manage", "origin"),
    [
        (MODEL, Manage.CONFIGURED, "default"),
        ((URL,), Manage.ALL, "default where expose is installed"),
        ((*MODEL, "--expose", "installed"), Manage.ALL, "default where expose is installed"),
        ((*MODEL, "--expose", "running"), Manage.CONFIGURED, "default"),
        ((URL, "--expose", "running"), Manage.CONFIGURED, "default"),
        ((URL, "--expose", "configured"), Manage.CONFIGURED, "default"),
        ((URL, "--manage", "configured"), Manage.CONFIGURED, "--manage"),
        ((URL, "--manage", "off"), Manage.OFF, "--manage"),
        ((*MODEL, "--manage", "all"), Manage.ALL, "--manage"),
    ],
)
def test_who_may_change_models_follows_from_what_is_exposed(
    argv: tuple[str, ...], manage: Manage, origin: str
) -> None:
    """Unless it was said; `check` shows what holds and why, and it means the same again."""
    loaded = loaded_of(*argv)
    assert loaded.config.manage is manage
    (line,) = (line for line in as_yaml(loaded).splitlines() if line.startswith("manage:"))
    assert line.split(maxsplit=2)[1].strip('"') == manage.value
    assert line.endswith(f"# {origin}")
    assert config_of("--config", FILE, files={FILE: as_yaml(loaded)}).manage is manage


def test_a_flag_beats_the_variable_and_that_the_file() -> None:
    """For each of the four."""
    said = {
        "manage": ("all", "configured", "off"),
        "manage_servers": ("gpu-1", "gpu-2", "[gpu-2, gpu-1]"),
        "registries": ("a.lan", "b.lan:5000", "[c.lan, HF.co]"),
        "manage_parallel": ("1", "2", "3"),
    }
    found = {
        "manage": (Manage.ALL, Manage.CONFIGURED, Manage.OFF),
        "manage_servers": (("gpu-1",), ("gpu-2",), ("gpu-2", "gpu-1")),
        "registries": (("a.lan",), ("b.lan:5000",), ("c.lan", "hf.co")),
        "manage_parallel": (1, 2, 3),
    }
    for key, (flag, variable, line) in said.items():
        argv = ["--" + key.replace("_", "-"), flag]
        env = {f"GOLLAMAS_{key.upper()}": variable}
        text = f"{key}: {line}\n"
        read = (
            config_of(*TWO, *argv, "--config", FILE, env=env, files={FILE: text}),
            config_of(*TWO, "--config", FILE, env=env, files={FILE: text}),
            config_of(*TWO, "--config", FILE, files={FILE: text}),
        )
        assert tuple(getattr(config, key) for config in read) == found[key]


@pytest.mark.parametrize("text", ["off", '"off"', "OFF", "'Off'", "${NO}"])
def test_off_is_a_word_in_the_file_too(text: str) -> None:
    """YAML 1.2 has no such boolean."""
    assert config_of_yaml(f"servers: [{URL}]\nmanage: {text}\n", env={"NO": "off"}).manage is Manage.OFF


@pytest.mark.parametrize(
    ("text", "word"),
    [
        *((text, "off") for text in ("false", "no", "False", "none", "0", "never", "of")),
        *((text, "configured") for text in ("true", "yes", "on", "default", "configure")),
        *((text, "all") for text in ("installed", "'*'", "any", "everything", "al")),
    ],
)
def test_another_word_says_which_one_to_write(text: str, word: str) -> None:
    """YAML's booleans among them."""
    (fault,) = faults_of_yaml(f"servers: [{URL}]\nmanage: {text}\n")
    assert fault == (
        f"{FILE}:2: `{text.strip(chr(39))}` is not known here."
        f" Write `{word}`, or another of: off, configured, all."
    )


def test_a_word_is_shown_as_it_is_read() -> None:
    for manage in Manage:
        assert MANAGE.parse(MANAGE.show(manage)) is manage
    assert MANAGE.schema()["anyOf"][0] == {"enum": ["off", "configured", "all"]}  # type: ignore[index]


@pytest.mark.parametrize(
    ("text", "ids"),
    [
        ("gpu-2", ("gpu-2",)),
        (" gpu-2 , gpu-1, gpu-2,", ("gpu-2", "gpu-1")),
        ("http://h:1,gpu-1", ("gpu-1",)),
        ("h:2", ("gpu-2",)),
        ("", ()),
    ],
)
def test_managed_servers_are_named_by_id_or_url(text: str, ids: tuple[str, ...]) -> None:
    """Each once, in the order in which they were named; nothing is all of them."""
    assert config_of(*TWO, "--manage-servers", text).manage_servers == ids


def test_a_managed_server_that_is_not_there_is_a_fault() -> None:
    """With its place and the nearest one."""
    (fault,) = faults_of(*TWO, "--manage-servers", "gpu-1,gpu2")
    assert fault == "--manage-servers: no server is called `gpu2`. Write `gpu-2`."
    text = "manage_servers:\n- gpu-1\n- other-one\n"
    (fault,) = faults_of("--config", FILE, *TWO, files={FILE: text})
    assert fault == f"{FILE}:2: no server is called `other-one`. Write one of: gpu-1, gpu-2."
    (fault,) = faults_of(*TWO, "--manage-servers", "http://h:x")
    assert fault.startswith("--manage-servers: the URL's port is no number")


def test_a_managed_server_whose_entry_is_wrong_is_told_once() -> None:
    (fault,) = faults_of(*TWO, "--connection", "gpu-3=ftp://h", "--manage-servers", "gpu-3,gpu-1")
    assert fault.startswith("--connection: ")


def test_managed_servers_that_have_no_effect_are_a_warning() -> None:
    """Only what is not configured goes to them."""
    for word, changed in (("off", "no model"), ("configured", "configured models only")):
        (warning,) = config_of(*TWO, "--manage-servers", "gpu-1", "--manage", word).warnings
        assert warning == (
            "--manage-servers: this does nothing: it says where models go that are not configured, and"
            f" `manage` is `{word}` (--manage), so that clients may change {changed}"
        )
    assert config_of(*TWO, "--manage-servers", "gpu-1").warnings == ()


def test_registries_that_are_given_replace_the_default() -> None:
    """An empty list leaves the hosts of configured models alone."""
    assert config_of(URL).registries == ("registry.ollama.ai", "hf.co", "huggingface.co")
    assert config_of(URL, "--registries", "https://R.lan:5000").registries == ("r.lan:5000",)
    assert config_of(URL, "--registries=").registries == ()
    assert config_of_yaml(f"servers: [{URL}]\nregistries: []\n").registries == ()
    assert config_of(URL, env={"GOLLAMAS_REGISTRIES": ""}).registries == Config().registries
    (fault,) = faults_of_yaml(f"servers: [{URL}]\nregistries:\n- hf.co\n- hf.co/x\n")
    assert fault.startswith(f"{FILE}:3: `hf.co` has a path behind it")


@pytest.mark.parametrize("text", ["0", "1001", "-1", "1.5", "all"])
def test_pulls_in_parallel_are_a_number(text: str) -> None:
    (fault,) = faults_of(URL, f"--manage-parallel={text}")
    assert fault.endswith("Write a number from 1 to 1000.")


@pytest.mark.parametrize(
    ("listen", "shown"),
    [
        (":8080", ":8080"),
        ("*:8080", ":8080"),
        ("0.0.0.0:8080", "0.0.0.0:8080"),
        ("[::]:8080", "[::]:8080"),
        ("192.168.1.5:8080", "192.168.1.5:8080"),
        ("proxy.lan:8080", "proxy.lan:8080"),
        ("127.example:8080", "127.example:8080"),
    ],
)
@pytest.mark.parametrize(
    ("argv", "origin"),
    [((URL,), "default where expose is installed"), ((*MODEL, "--manage=all"), "--manage")],
)
def test_models_that_anybody_may_change_are_one_warning(
    listen: str, shown: str, argv: tuple[str, ...], origin: str
) -> None:
    """It says what that means and what narrows it."""
    (warning,) = config_of(*argv, "--listen", listen).warnings
    assert warning == (
        f"--listen: whoever reaches {shown} may pull, create, overwrite and delete any model on the servers,"
        f" since `manage` is `all` ({origin}); `manage: configured` narrows that to configured models,"
        " `manage: off` to none"
    )


@pytest.mark.parametrize(
    "listen", ["localhost:1", "LocalHost:1", "127.0.0.1:1", "127.1.2.3:1", "[::1]:1", "x.localhost:1"]
)
def test_on_loopback_nothing_is_warned_of(listen: str) -> None:
    """Only this machine can connect there."""
    assert config_of(URL, "--listen", listen, "--manage", "all").warnings == ()
    assert config_of(URL).warnings == ()


def test_a_narrower_setting_takes_the_warning_away() -> None:
    for word in ("off", "configured"):
        assert config_of(URL, "--listen=:1", "--manage", word).warnings == ()
    assert config_of(*MODEL, "--listen=:1").warnings == ()


def test_a_verb_without_servers_reads_past_what_names_one() -> None:
    config = load_values(["--manage-servers", "nowhere", "--manage", "all"], {}, reader(None)).config
    assert config.manage is Manage.ALL
