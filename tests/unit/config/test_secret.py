"""The admin token: from a variable or the file, never from a flag, and never shown."""

import pytest

from gollamas.cli.tables import TABLES
from gollamas.config.faults import Faults
from gollamas.config.load import load_values
from gollamas.config.options import VALUES
from gollamas.config.own import read_own
from gollamas.config.render import as_yaml
from gollamas.config.secret import Secret
from tests.unit.config.loading import (
    FILE,
    config_of,
    config_of_yaml,
    faults_of,
    faults_of_yaml,
    loaded_of,
    reader,
)

URL = "http://gpu-1:11434"
VARIABLE = "GOLLAMAS_ADMIN_TOKEN"


def test_it_is_read_from_the_variable_and_from_the_file() -> None:
    """The variable first; blanks and quotes around it do not matter; an empty variable says nothing."""
    assert config_of(URL).admin_token is None
    assert config_of(URL, env={VARIABLE: " 'hunter2' "}).admin_token == "hunter2"
    text = f'admin_token: " ${{TOKEN}} "\nservers: ["{URL}"]\n'
    assert config_of_yaml(text, env={"TOKEN": "hunter3"}).admin_token == "hunter3"
    assert config_of_yaml(text, env={"TOKEN": "hunter3", VARIABLE: "hunter2"}).admin_token == "hunter2"
    assert config_of_yaml(text, env={"TOKEN": "hunter3", VARIABLE: ""}).admin_token == "hunter3"
    assert config_of_yaml("admin_token: 1234\n", URL).admin_token == "1234"


def test_a_verb_that_asks_the_running_proxy_has_it_too() -> None:
    """Without any server."""
    config = load_values([], {VARIABLE: "hunter2"}, reader(None)).config
    assert config.admin_token == "hunter2"


def test_it_has_no_flag() -> None:
    """Neither in the declaration nor in any verb."""
    (option,) = (option for option in VALUES if option.key == "admin_token")
    assert (option.flags, option.variables) == ((), (VARIABLE,))
    for table in TABLES.values():
        assert not table.find("--admin-token")


@pytest.mark.parametrize(
    "argv",
    [
        ["--admin-token", "hunter2"],
        ["--admin-token=hunter2"],
        ["-admin-token", "-hunter2"],
        ["--admin_token", "--hunter2"],
        ["--token", "hunter2"],
        ["--admin-tokn", "-hunter2"],
        ["--admin-token"],
    ],
)
def test_a_flag_for_it_is_told_the_variable(argv: list[str]) -> None:
    """Whatever stands behind it is its value and is not quoted."""
    (fault,) = faults_of(URL, *argv)
    assert fault == (
        "--admin-token: a secret is no flag: all users of this machine can read its command lines."
        f" Set the variable {VARIABLE}, or write `admin_token` into the file."
    )


def test_a_verb_without_the_configuration_does_not_quote_it_either() -> None:
    """There it is a flag as unknown as any other."""
    with pytest.raises(Faults) as caught:
        read_own(["--admin-token", "-hunter2"], {}, TABLES["simulate"])
    assert str(caught.value).startswith("--admin-token: there is no such flag.")
    assert "hunter2" not in str(caught.value)


def test_nothing_shows_it() -> None:
    """Neither `check` nor the configuration's repr; what `check` prints can be loaded."""
    loaded = loaded_of(URL, env={VARIABLE: "hunter2"})
    shown = as_yaml(loaded)
    (line,) = (line for line in shown.splitlines() if line.startswith("admin_token"))
    assert line.split() == ["admin_token:", '"***"', "#", VARIABLE]
    assert "hunter2" not in shown + repr(loaded.config)
    assert config_of("--config", FILE, files={FILE: shown}).admin_token == "***"
    nothing = as_yaml(loaded_of(URL))
    assert "admin_token: null " in nothing
    assert config_of("--config", FILE, files={FILE: nothing}).admin_token is None


@pytest.mark.parametrize("text", ['""', '" "', '"${EMPTY}"'])
def test_an_empty_one_is_a_fault(text: str) -> None:
    """It would protect nothing; a key with nothing behind it says nothing, as everywhere."""
    (fault,) = faults_of_yaml(f"admin_token: {text}\n", URL, env={"EMPTY": ""})
    assert fault == f"{FILE}:1: the secret is empty. Write one, or leave the option out."
    assert config_of_yaml("admin_token:\n", URL).admin_token is None


@pytest.mark.parametrize("letter", ["\n", "\r", "\t", "\x00", "\x7f", "\u00e9", "\u20ac"])
def test_what_can_t_stand_in_a_header_field_is_a_fault_that_does_not_quote_it(letter: str) -> None:
    """From the variable, from the file, and from the file where the variable goes before it."""
    secret = f"hunter2{letter}hunter2"
    text = 'admin_token: "${TOKEN}"\n'
    for faults in (
        faults_of(URL, env={VARIABLE: secret}),
        faults_of_yaml(text, URL, env={"TOKEN": secret}),
        faults_of_yaml(text, URL, env={"TOKEN": secret, VARIABLE: "fine"}),
    ):
        (fault,) = faults
        assert "characters that can't stand in a header field" in fault
        assert "hunter" not in fault


def test_a_wrong_shape_is_not_quoted() -> None:
    """A list in place of a text; a key that is mistyped."""
    for text in ("admin_token: [hunter2]\n", "admin_tokens: hunter2\n", "admin: {token: hunter2}\n"):
        assert "hunter2" not in "".join(faults_of_yaml(text, URL))
    assert "Write `admin_token`" in faults_of_yaml("token: hunter2\n", URL)[0]
    (warning,) = config_of(URL, env={"GOLLAMAS_ADMIN_TOKE": "hunter2"}).warnings
    assert warning.endswith(f"did you mean {VARIABLE}?")


def test_the_schema_describes_a_text() -> None:
    """A token of digits is a text, too."""
    assert Secret().schema() == {"type": ["string", "number"]}
