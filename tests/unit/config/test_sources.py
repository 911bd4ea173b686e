"""The command line and the environment: Go's flag forms, words that are servers, variables that are none."""

from pathlib import Path

import pytest

from gollamas.config.faults import Findings
from gollamas.config.flags import Table, first_word, is_one_of, read_flags
from gollamas.config.load import read_text
from gollamas.config.options import OPTIONS
from gollamas.config.sources import Sources, gather
from tests.unit.config.loading import aliases, config_of, faults_of, routes

URL = "http://gpu-1:11434"


@pytest.mark.parametrize("word", ["true", "TRUE", "True", "1", "t", "T"])
def test_a_switch_takes_a_value_behind_its_equals_sign(word: str) -> None:
    """`--list-aliases`, and every form of Go's booleans."""
    assert config_of("--list-aliases", URL).list_aliases
    assert config_of(f"--list-aliases={word}", URL).list_aliases
    assert not config_of("--list-aliases=F", URL).list_aliases


def test_a_word_after_a_switch_is_not_its_value() -> None:
    """A server may follow a switch; a boolean that does is a fault that shows the right form."""
    config = config_of("--list-aliases", URL)
    assert list(config.servers) == ["gpu-1:11434"]
    (fault,) = faults_of("--list-aliases", "false", "--proxy", f"a={URL}")
    assert "--list-aliases=false" in fault


@pytest.mark.parametrize(
    "argv", [["--list-aliases="], ["--listen="], ["--listen", ""], ["--level", ""], ["--config="]]
)
def test_an_empty_value_of_a_flag_is_a_fault(argv: list[str]) -> None:
    """Most likely a shell variable that is not set."""
    assert faults_of(*argv, URL)


@pytest.mark.parametrize("argv", [["--listen"], ["--proxy", "--level", "info"], ["-a", "--list-aliases"]])
def test_a_flag_without_its_value_is_a_fault(argv: list[str]) -> None:
    """At the end of the line, and before another flag, which keeps its own meaning."""
    (fault,) = faults_of(URL, *argv)
    assert "a value is missing" in fault
    assert f"Write `{argv[0]}=" in fault


def test_of_a_flag_that_is_there_twice_the_last_wins() -> None:
    """By whichever of its names."""
    config = config_of("--listen", ":1", "-a=:2", "--addr", ":3", URL)
    assert str(config.listen) == ":3"


def test_a_singular_flag_splits_at_commas() -> None:
    """`--proxy a=u,b=u` is two entries, blanks are dropped."""
    config = config_of(
        "--proxy", f"a={URL}, b={URL},", "--alias", "x=a,y=b", "--connection", f"c={URL},d={URL}"
    )
    assert list(routes(config)) == ["a", "b"]
    assert aliases(config) == {"x": "a", "y": "b"}
    assert list(config.servers) == ["c", "d"]


def test_plural_flags_add_up() -> None:
    """A plural flag that is there twice says both lists."""
    assert list(routes(config_of("--proxies", f"a={URL}", "--proxies", f"b={URL}"))) == ["a", "b"]


@pytest.mark.parametrize(
    ("entry", "what"),
    [
        ("", "the entry is empty"),
        ("llama3.2", "has no `=`"),
        (f"={URL}", "nothing before its `=`"),
        ("llama3.2=", "nothing after its `=`"),
        (f"a={URL},,b={URL}", "empty entry"),
        (f"{URL}=llama3.2", "stands where the model's name belongs"),
    ],
)
def test_a_broken_entry_says_what_it_lacks(entry: str, what: str) -> None:
    """Each in words, with the form to write."""
    assert any(what in fault for fault in faults_of("--proxy", entry, "--proxy", f"ok={URL}"))


def test_two_servers_for_one_model_are_two_entries() -> None:
    """`m=a,b` names its own mistake: the second part needs the model again."""
    (fault,) = faults_of("--connection", f"a={URL},b={URL}", "--proxy", "m=a,b")
    assert "`m=b`" in fault


def test_an_unknown_flag_names_the_nearest() -> None:
    """And what follows it is not a second fault."""
    (fault,) = faults_of("--proxi", f"a={URL}", URL)
    assert fault == "--proxi: there is no such flag. Write `--proxy`."
    (fault,) = faults_of("--xyzzy=1", URL)
    assert "gollamas serve --help" in fault


def test_a_flag_of_another_verb_names_it() -> None:
    """`--live` belongs to `check`."""
    (fault,) = faults_of("--live", URL)
    assert "`gollamas check --live`" in fault


@pytest.mark.parametrize(
    ("word", "instead"),
    [
        ("srve", "`gollamas serve`"),
        ("chekc", "`gollamas check`"),
        ("gpu-1", "`http://gpu-1:11434`"),
        (f"llama3.2={URL}", f"`--proxy llama3.2={URL}`"),
        ("", "`http://gpu-1:11434`"),
        ("---x", "gollamas serve --help"),
    ],
)
def test_a_word_that_is_no_server_is_a_fault(word: str, instead: str) -> None:
    """A mistyped verb, a host without a port, an entry without its flag: each is told what to write."""
    assert instead in faults_of(word, URL)[0]


def test_a_verb_behind_other_words_is_told_to_go_first() -> None:
    """It is not taken for a server."""
    (fault,) = faults_of(URL, "check")
    assert "Write the verb first" in fault


def test_plain_urls_are_servers_that_show_all_they_have() -> None:
    """`gollamas URL URL` exposes what is installed; with `--` they may also stand behind the flags."""
    config = config_of("http://a:11434", "b:11434", "--", "http://c")
    assert list(config.servers) == ["a:11434", "b:11434", "c:80"]
    assert config.expose == "installed"


def test_a_model_brings_back_the_default_of_expose() -> None:
    """With a model configured, plain servers beside it get no request, which is a warning."""
    config = config_of("--proxy", f"a={URL}", "http://b:1")
    assert config.expose == "configured"
    assert [warning for warning in config.warnings if "`b:1` is to run no model" in warning]


def test_expose_that_was_said_is_kept() -> None:
    """Without any model `configured` is kept with a warning, the others without."""
    config = config_of("--expose", "configured", URL)
    assert config.expose == "configured"
    assert "every request ends as 404" in config.warnings[0]
    assert config_of("--expose", "running", URL).warnings == ()


def test_no_server_at_all_names_the_demo() -> None:
    """Nothing said is one fault."""
    (fault,) = faults_of()
    assert "gollamas demo" in fault
    assert "gollamas demo" in faults_of("--alias", "a=b", "--level", "warn")[0]


def test_all_faults_come_at_once() -> None:
    """Flags, variables and the file are all read to their end, and one mistake is one fault."""
    faults = faults_of(
        *("--listen", "80", "--bad", "x", "--proxy", "a", "--config", "f"),
        env={"GOLLAMAS_LEVEL": "loud", "GOLLAMAS_CONNECTIONS": "c=ftp://x"},
        files={"f": "grace: long\nnonsense: 1\nmodels: {m: c}\n"},
    )
    places = [fault.partition(": ")[0] for fault in faults]
    assert sorted(places) == sorted(
        ["--bad", "--proxy", "f:2", "--listen", "GOLLAMAS_LEVEL", "f:1", "GOLLAMAS_CONNECTIONS"]
    )


def test_an_empty_variable_says_nothing() -> None:
    """As in a container that leaves it blank; it hides the bare one all the same, as in Go."""
    config = config_of(URL, env={"GOLLAMAS_LEVEL": "", "LEVEL": "trace", "GOLLAMAS_PROXIES": " "})
    assert config.level == "info"
    assert config.models == {}


def test_a_bad_bare_variable_is_named() -> None:
    """LEVEL may belong to another program: the fault says which name it has."""
    (fault,) = faults_of(URL, env={"LEVEL": "42"})
    assert fault.startswith("LEVEL: ")


def test_an_overruled_variable_is_not_looked_at() -> None:
    """A flag makes another program's LEVEL harmless."""
    assert config_of(URL, "--level", "warn", env={"LEVEL": "42"}).level == "warn"


@pytest.mark.parametrize("level", ["panic", "fatal", "error", "ERROR"])
def test_levels_of_logrus_below_error_mean_error(level: str) -> None:
    """There is nothing less talkative than `error`."""
    assert config_of(URL, "--error-level", level).level == "error"
    assert config_of(URL, "--level", "warning").level == "warn"


@pytest.mark.parametrize(
    ("name", "near"), [("GOLLAMAS_PROXY", "GOLLAMAS_PROXIES"), ("GOLLAMAS_LISTENS", "GOLLAMAS_LISTEN")]
)
def test_an_unknown_variable_is_a_warning(name: str, near: str) -> None:
    """With the nearest name."""
    (warning,) = config_of(URL, env={name: "x"}).warnings
    assert warning.startswith(f"{name}: ")
    assert f"did you mean {near}?" in warning


def test_a_strange_variable_has_no_nearest() -> None:
    """Then the warning makes no guess."""
    (warning,) = config_of(URL, env={"GOLLAMAS_": "x"}).warnings
    assert "did you mean" not in warning


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("GOLLAMAS_PORT", "tcp://10.0.0.1:80"),
        ("GOLLAMAS_PORT_80_TCP", "tcp://10.0.0.1:80"),
        ("GOLLAMAS_PORT_80_TCP_ADDR", "10.0.0.1"),
        ("GOLLAMAS_PORT_80_TCP_PROTO", "tcp"),
        ("GOLLAMAS_SERVICE_HOST", "10.0.0.1"),
        ("GOLLAMAS_SERVICE_PORT_HTTP", "80"),
        ("GOLLAMAS_ADMIN_SERVICE_HOST", "10.0.0.1"),
        ("GOLLAMAS_ADMIN_PORT", "tcp://10.0.0.1:80"),
        ("GOLLAMAS_ADMIN_PORT_80_UDP_PORT", "80"),
        ("GOLLAMAS_TEST_OLLAMA", "http://h"),
        ("GOLLAMAS_PURE", "1"),
        ("OTHER", "x"),
    ],
)
def test_a_variable_of_kubernetes_is_passed_over(name: str, value: str) -> None:
    """Those beside a Service called gollamas or gollamas-admin, and everything without our prefix."""
    assert config_of(URL, env={name: value}).warnings == ()


@pytest.mark.parametrize(("flag", "meant"), [("--hepl", "--help"), ("--versoin", "--version")])
def test_a_flag_of_the_command_line_itself_is_meant_too(flag: str, meant: str) -> None:
    """Nothing is lost with it: these set no option."""
    (fault,) = faults_of(URL, flag)
    assert fault == f"{flag}: there is no such flag. Write `{meant}`."


def test_a_file_is_read_as_utf_8(tmp_path: Path) -> None:
    """Whatever the locale says."""
    (tmp_path / "a").write_bytes("models: {größe: http://h}".encode())
    assert read_text(str(tmp_path / "a")) == "models: {größe: http://h}"
    (tmp_path / "b").write_bytes(b"\xff")
    with pytest.raises(UnicodeDecodeError):
        read_text(str(tmp_path / "b"))
    with pytest.raises(FileNotFoundError):
        read_text(str(tmp_path / "c"))


@pytest.mark.parametrize("word", ["--help", "-help", "-h", "--h"])
def test_a_flag_is_one_of_several_with_one_dash_or_two(word: str) -> None:
    assert is_one_of(word, ("--help", "-h"))
    assert not is_one_of(word, ("--version", "-v"))
    assert not is_one_of(word.lstrip("-"), ("--help", "-h"))


def test_the_first_word_is_found_behind_flags() -> None:
    """A flag's value is no word, a switch has none."""
    assert first_word(["--level", "check", "--list-aliases", "check"]) == 3
    assert first_word(["--level=warn", "version"]) == 1
    assert first_word(["--listen"]) is None
    assert first_word(["--", "check"]) is None
    assert first_word(["--unknown", "check"]) == 1


def test_a_single_dash_is_a_word() -> None:
    """It is no flag, and no server either."""
    assert read_flags(["-"], Findings()).words == ["-"]


def test_the_words_of_a_verb_that_names_a_model_are_no_servers() -> None:
    load = Table("load", OPTIONS, words="MODEL[@SERVER]")
    findings = Findings()
    said = gather(Sources(["m@gpu-1", "--connection", URL], {}, read_text, load), findings)
    assert (said.words, len(said.servers)) == (["m@gpu-1"], 1)
