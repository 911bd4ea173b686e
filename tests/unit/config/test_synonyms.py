"""Suggestions: what other programs call an option leads to its name here, as a flag, a variable and a key."""

import pytest

from gollamas.config.options import OPTIONS
from gollamas.config.synonyms import meant_by
from tests.unit.config.loading import FILE, config_of, faults_of

URL = "http://gpu-1:11434"


@pytest.mark.parametrize(
    ("flag", "meant"),
    [
        ("-c", "--config"),
        ("-f", "--config"),
        ("--config-file", "--config"),
        ("--port", "--listen"),
        ("-p", "--listen"),
        ("--host", "--listen"),
        ("--bind", "--listen"),
        ("--verbose", "--level debug"),
        ("-verbose", "--level debug"),
        ("--debug", "--level debug"),
        ("--quiet", "--level error"),
        ("--log-level", "--level"),
        ("--json", "--log-format json"),
        ("--server", "--connection"),
        ("--servers", "--connections"),
        ("--backend", "--connection"),
        ("--upstreams", "--connections"),
        ("--model", "--proxy"),
        ("--models", "--proxies"),
        ("--metrics", "--admin"),
        ("--admin-port", "--admin"),
        ("--cors", "--origins"),
        ("--allowed-origins", "--origins"),
        ("--timeout", "--first-byte-timeout"),
        ("--all", "--expose installed"),
        ("--keepalive", "--keep-alive"),
        ("--context-length", "--num-ctx"),
        ("--force_num_ctx", "--force-num-ctx"),
        ("--max_body", "--max-body"),
        ("--no-list-aliases", "--list-aliases=false"),
        ("--no-list-alias", "--list-aliases=false"),
        ("--nolist-aliases", "--list-aliases=false"),
        ("--disable-server-header", "--server-header=false"),
        ("--no-replay-inference=false", "--replay-inference=true"),
        ("--enable-list-aliases", "--list-aliases=true"),
        ("--no-admin", "--admin off"),
        ("--no-metrics", "--admin off"),
        ("--enable-admin", "--admin"),
        ("--verbose=false", "--level"),
    ],
)
def test_a_flag_of_another_program_names_ours(flag: str, meant: str) -> None:
    """Before the nearest spelling, which would be another option."""
    (fault,) = faults_of(URL, flag)
    assert fault == f"{flag.partition('=')[0]}: there is no such flag. Write `{meant}`."


@pytest.mark.parametrize("flag", ["--port=8080", "-p=8080", "--listen-port=8080"])
def test_a_port_gets_a_host(flag: str) -> None:
    """What follows is an address that would be taken."""
    (fault,) = faults_of(URL, flag)
    assert fault.endswith("Write `--listen`, like `--listen localhost:8080`.")
    assert faults_of(URL, *flag.split("=")) == [fault]


@pytest.mark.parametrize("flag", ["--tls", "--xfiles", "--color"])
def test_a_flag_that_is_like_none_suggests_none(flag: str) -> None:
    """A word with a few letters in common is no suggestion."""
    assert faults_of(URL, flag) == [
        f"{flag}: there is no such flag. See `gollamas serve --help` for all flags."
    ]


@pytest.mark.parametrize("flag", ["--no-xyz", "--disable-grace", "--no-color"])
def test_a_flag_that_turns_off_what_is_no_switch_suggests_none(flag: str) -> None:
    """The nearest one would do the contrary."""
    assert faults_of(URL, flag) == [
        f"{flag}: there is no such flag. See `gollamas serve --help` for all flags."
    ]


@pytest.mark.parametrize(
    ("variable", "meant"),
    [
        ("GOLLAMAS_SERVERS", "GOLLAMAS_CONNECTIONS"),
        ("GOLLAMAS_SERVER", "GOLLAMAS_CONNECTIONS"),
        ("GOLLAMAS_CONNECTION", "GOLLAMAS_CONNECTIONS"),
        ("GOLLAMAS_MODELS", "GOLLAMAS_PROXIES"),
        ("GOLLAMAS_MODEL", "GOLLAMAS_PROXIES"),
        ("GOLLAMAS_PROXY", "GOLLAMAS_PROXIES"),
        ("GOLLAMAS_ALIAS", "GOLLAMAS_ALIASES"),
        ("GOLLAMAS_ADDRESS", "GOLLAMAS_LISTEN"),
        ("GOLLAMAS_ERROR_LEVEL", "GOLLAMAS_LEVEL"),
        ("GOLLAMAS_LOG_LEVEL", "GOLLAMAS_LEVEL"),
        ("GOLLAMAS_VERBOSE", "GOLLAMAS_LEVEL=debug"),
        ("GOLLAMAS_DEBUG", "GOLLAMAS_LEVEL=debug"),
        ("GOLLAMAS_NO_LIST_ALIASES", "GOLLAMAS_LIST_ALIASES=false"),
        ("GOLLAMAS_CONFIG_FILE", "GOLLAMAS_CONFIG"),
        ("GOLLAMAS_CORS", "GOLLAMAS_ORIGINS"),
        ("GOLLAMAS_METRICS", "GOLLAMAS_ADMIN"),
    ],
)
def test_a_variable_of_another_program_names_ours(variable: str, meant: str) -> None:
    """It is a warning, since a variable may be somebody else's."""
    (warning,) = config_of(URL, env={variable: "1"}).warnings
    assert warning.startswith(f"{variable}: this variable is unknown and ignored; did you mean {meant}?")


def test_the_place_of_the_proxy_for_the_verbs_is_no_address_to_listen_on() -> None:
    """Who starts the proxy hears so, unless it was said where it listens."""
    env = {"GOLLAMAS_HOST": "pc-1"}
    (warning,) = config_of(URL, env=env).warnings
    assert warning.startswith(
        "GOLLAMAS_HOST: this variable is for `gollamas pull` and its like, and ignored; "
        "did you mean GOLLAMAS_LISTEN? Write it like GOLLAMAS_LISTEN=pc-1:11434"
    )
    assert config_of(URL, env={**env, "GOLLAMAS_LISTEN": "localhost:11434"}).warnings == ()
    assert config_of("--listen", "localhost:11434", URL, env=env).warnings == ()


def test_a_port_in_a_variable_is_told_apart_from_one_of_kubernetes() -> None:
    """Of a Service called gollamas it is a URL, of a person a number."""
    (warning,) = config_of(URL, env={"GOLLAMAS_PORT": "8080"}).warnings
    assert warning.endswith("did you mean GOLLAMAS_LISTEN? Write it like GOLLAMAS_LISTEN=localhost:8080.")
    assert config_of(URL, env={"GOLLAMAS_PORT": "tcp://10.0.0.1:80"}).warnings == ()


@pytest.mark.parametrize(
    ("key", "meant"),
    [
        ("connections", "servers"),
        ("connection", "servers"),
        ("backends", "servers"),
        ("proxies", "models"),
        ("proxy", "models"),
        ("alias", "aliases"),
        ("port", "listen"),
        ("host", "listen"),
        ("address", "listen"),
        ("error_level", "level"),
        ("log-level", "level"),
        ("verbose", "level: debug"),
        ("debug", "level: debug"),
        ("no_list_aliases", "list_aliases: false"),
        ("list-aliases", "list_aliases"),
        ("metrics", "admin"),
        ("cors", "origins"),
    ],
)
def test_a_key_of_another_program_names_ours(key: str, meant: str) -> None:
    """At its line, once."""
    (fault,) = faults_of("--config", FILE, URL, files={FILE: f"level: info\n{key}: x\n"})
    assert fault == f"{FILE}:2: the key `{key}` is unknown. Write `{meant}`."


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("servers: {a: {address: 'http://a'}}", "url"),
        ("servers: {a: {url: 'http://a', token: x}}", "headers"),
        ("servers: {a: {url: 'https://a', insecure: true}}", "tls: {verify: false}"),
        ("servers: {a: {url: 'https://a', ca: x.pem}}", "tls: {ca: FILE}"),
        ("servers: {a: {url: 'https://a', tls: {insecure_skip_verify: true}}}", "verify: false"),
        ("models: {m: {connections: ['http://a']}}\naliases: {x: m}", "servers"),
    ],
)
def test_a_key_within_a_server_or_a_model_names_ours(text: str, meant: str) -> None:
    """What would be in it is not missed as well."""
    (fault,) = faults_of("--config", FILE, files={FILE: text})
    assert fault.endswith(f"is unknown. Write `{meant}`.")


@pytest.mark.parametrize(
    ("argv", "text"),
    [
        (["--server", "c=http://a", "--proxy", "m=c", "--alias", "x=m"], ""),
        (["--conection", "c=http://a", "--proxy", "m=c"], ""),
        (["--model", "m=http://a", "--alias", "x=m", "--expose", "configured"], ""),
        (["-c", "g.yaml", "--proxy", "m=c", "--alias", "x=y"], ""),
        (["--config", "none.yaml", "--proxy", "m=c", "--alias", "x=y"], ""),
        (["--proxy", "m", "--alias", "x=m", "--alias", "y=x", URL], ""),
        (["--proxy", "a=http://h;b=http://h", "--alias", "x=b", URL], ""),
        (["--proxy", f"{URL}=m", "--alias", "x=m"], ""),
        (["--connection", "gpu-1", "--proxy", "m=gpu-1"], ""),
        ([], "connections: {c: 'http://a'}\nmodels: {m: c}\naliases: {x: m}\n"),
        ([], "conections: {c: 'http://a'}\nmodels: {m: c}\n"),
        ([URL], "expose: configured\nproxies: {m: 'http://a'}\naliases: {x: m}\n"),
        ([], "servers: {c: }\nmodels: {m: c}\naliases: {x: m}\n"),
        ([], "servers: {c: {url: [x]}}\nmodels: {m: c}\n"),
        ([], "servers: http://a\nmodels: {m: c}\n"),
        ([URL], "expose: configured\nmodels: {m: }\naliases: {x: m}\n"),
        ([URL], "expose: configured\nmodels: [m]\naliases: {x: m}\n"),
        ([URL], "aliases: {x: , y: x}\nmodels: {m: 'http://a'}\n"),
        (["--proxy", "m=c"], "servers: {c: 'http://a'\n"),
        (["--expose", "all", URL], ""),
        (["--expose", "all", "--proxy", "m=http://a", "--alias", "x=y"], ""),
        (["--listen", "x y", "--admin", "localhost:11434", URL], ""),
    ],
)
def test_a_fault_is_told_once(argv: list[str], text: str) -> None:
    """What refers to an entry that could not be read is no second fault, and no warning."""
    files = {FILE: text} if text else None
    assert len(faults_of(*argv, *(["--config", FILE] if text else []), files=files)) == 1


def test_what_is_wrong_beside_it_is_told_all_the_same() -> None:
    """Only what may follow from a fault is left out."""
    faults = faults_of("--proxy", "m", "--alias", "x=other", "--proxy", "n=gpu", "--connection", "c=ftp://x")
    assert len(faults) == 4


def test_the_exposure_that_is_meant_is_told_without_a_warning() -> None:
    """`all` is what other programs have for `installed`."""
    for word in ("all", "ALL", "*", "everything"):
        (fault,) = faults_of(URL, "--expose", word)
        assert "Write `installed`, or another of: configured, running, installed" in fault


@pytest.mark.parametrize("word", ["on", "ON", "true", "yes", "1", "enabled"])
def test_an_address_that_is_to_be_on_names_the_default(word: str) -> None:
    """As a flag, as a variable and in the file."""
    hint = "Write `127.0.0.1:11435`, the default, or another."
    assert faults_of(URL, "--admin", word) == [f"--admin: `{word}` is no address. {hint}"]
    assert faults_of(URL, env={"GOLLAMAS_ADMIN": word})[0].endswith(hint)
    assert faults_of("--config", FILE, URL, files={FILE: f"admin: {word}"})[0].endswith(hint)
    assert "Write `localhost:11434`" in faults_of(URL, "--listen", word)[0]


@pytest.mark.parametrize("word", ["no", "none", "disabled", "0"])
def test_an_address_that_is_to_be_off_names_off(word: str) -> None:
    """The one word for it."""
    assert faults_of(URL, "--admin", word) == [f"--admin: `{word}` is no address. Write `off`."]


@pytest.mark.parametrize(
    ("word", "verb"),
    [
        ("start", "serve"),
        ("run", "serve"),
        ("validate", "check"),
        ("test", "check"),
        ("ping", "health"),
        ("list", "models"),
        ("delete", "rm"),
    ],
)
def test_a_verb_of_another_program_names_ours(word: str, verb: str) -> None:
    """Before the nearest spelling."""
    assert f"Write `gollamas {verb}`." in faults_of(word)[0]


def test_no_word_is_a_name_of_another_option() -> None:
    """What is a name in one place leads to the option that has it; every other word to one that is there."""
    for option in OPTIONS:
        for name in (option.key, *option.flags, *option.plural):
            meant = meant_by(f"--{name.lstrip('-')}")
            assert meant
            assert (meant.option, meant.value) == (option, "")
    assert meant_by("a") is None  # a single letter is a flag only
    assert meant_by("xyzzy") is None
