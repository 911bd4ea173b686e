"""Entries of flags and variables: plain URLs among the servers, faults that name one entry and no secret."""

import pytest

from gollamas.config.faults import Faults
from gollamas.config.load import load_with_origins
from gollamas.config.options import ENTRIES, OPTIONS, VALUES, EntriesOption, ValueOption
from gollamas.config.render import as_yaml
from tests.unit.config.loading import FILE, aliases, config_of, faults_of, loaded_of, reader, routes
from tests.unit.config.test_options import SAMPLES

SERVER = "http://gpu-1:11434"
QUOTED = ["'{}'", '"{}"', " '{}' ", "\"'{}'\"", "' {} '", "{}\n"]
SECRET = "hunter2"


@pytest.mark.parametrize("variable", ["GOLLAMAS_CONNECTIONS", "CONNECTIONS"])
@pytest.mark.parametrize(
    "text",
    ["http://a,http://b", "'http://a','http://b'", "http://a\nhttp://b\n", "a:80, b:80", "http://a,b:80"],
)
def test_a_list_of_servers_takes_plain_urls(variable: str, text: str) -> None:
    """As `servers:` in the file does: they get names of their own, and all that they have is shown."""
    config = config_of(env={variable: text})
    assert {name: server.url for name, server in config.servers.items()} == {
        "a:80": "http://a",
        "b:80": "http://b",
    }
    assert config.expose == "installed"


def test_plain_urls_and_ids_mix() -> None:
    """In flags, too; a `=` in a password is none of an id."""
    config = config_of("--connection", "http://u:p=q@a", "--connections", "c=http://b,http://h/x=y")
    assert {name: server.url for name, server in config.servers.items()} == {
        "c": "http://b",
        "a:80": "http://a",
        "h:80/x=y": "http://h/x=y",
    }


def test_an_id_behind_its_url_is_told_to_go_first() -> None:
    """Once, and without the password."""
    (fault,) = faults_of("--connection", "http://u:hunter2@h:1=c", "--proxy", "m=c")
    assert fault == "--connection: `http://***@h:1=c` has its id behind the URL. Write `c=http://***@h:1`."


@pytest.mark.parametrize("option", VALUES, ids=lambda option: option.key)
@pytest.mark.parametrize("quotes", QUOTED)
def test_quotes_around_a_variable_are_dropped(option: ValueOption, quotes: str) -> None:
    """Around every variable, the bare ones and OLLAMA_ORIGINS too, as Ollama does around its own."""
    for variable in option.variables:
        text = quotes.format(SAMPLES[option.key])
        found = getattr(config_of(SERVER, env={variable: text}), option.key)
        assert found == option.kind.parse(SAMPLES[option.key])


@pytest.mark.parametrize("option", ENTRIES, ids=lambda option: option.key)
@pytest.mark.parametrize("quotes", QUOTED)
def test_quotes_around_entries_are_dropped(option: EntriesOption, quotes: str) -> None:
    """Around the variable, around each entry, and around each side of its `=`."""
    name, target = {
        "servers": ("c9", SERVER), "models": ("m9", SERVER), "aliases": ("a9", "m1"), "routes": ("/v1/r9", "")
    }[option.key]  # fmt: skip
    whole, parts = (f"{name}={target}", f"'{name}'=\"{target}\"") if target else (name, f"'{name}'")
    for text in (quotes.format(whole), f"{quotes.format(whole)},", f"{parts}\n{whole}"):
        for variable in option.variables:
            config = config_of("--proxy", f"m1={SERVER}", env={variable: text})
            assert name in {*config.servers, *routes(config), *aliases(config), *config.routes}


def test_a_quoted_origin_is_one_that_matches() -> None:
    """Around the variable and around each origin."""
    for text in ("'http://a.lan'", '"http://a.lan"', "'http://a.lan',", "http://a.lan\n"):
        assert config_of(SERVER, env={"OLLAMA_ORIGINS": text}).origins == ("http://a.lan",)
    text = "'http://a.lan', \"http://b.lan\"\n'http://c.lan'\n"
    for env in ({"GOLLAMAS_ORIGINS": text}, {"OLLAMA_ORIGINS": text}):
        assert config_of(SERVER, env=env).origins == ("http://a.lan", "http://b.lan", "http://c.lan")


def test_quotes_with_nothing_in_them_say_nothing_and_hide_the_bare_variable() -> None:
    """As an empty variable does."""
    env = {"GOLLAMAS_LEVEL": "''", "LEVEL": "debug", "GOLLAMAS_PROXIES": '""', "PROXIES": "m=http://a"}
    config = config_of(SERVER, env=env)
    assert (config.level, config.models) == ("info", {})


def test_the_file_may_be_named_in_quotes() -> None:
    """GOLLAMAS_CONFIG is a variable like the others."""
    files = {"a b.yaml": f"servers: ['{SERVER}']"}
    assert config_of(env={"GOLLAMAS_CONFIG": "'a b.yaml'"}, files=files).servers


def test_a_block_of_lines_is_a_list() -> None:
    """YAML's `|`, in a manifest's variable and in the file's own texts."""
    env = {
        "GOLLAMAS_CONNECTIONS": "gpu-1=http://gpu-1\ngpu-2=http://gpu-2\n",
        "GOLLAMAS_PROXIES": "\n  m=gpu-1,\n  n=gpu-2,\n",
        "GOLLAMAS_ALIASES": "x=m\r\ny=n\r\n",
    }
    config = config_of(env=env)
    assert routes(config) == {"m": ["http://gpu-1"], "n": ["http://gpu-2"]}
    assert aliases(config) == {"x": "m", "y": "n"}
    text = "servers: {a: 'http://a', b: 'http://b'}\nmodels:\n  m: |\n    a\n    b\norigins: |\n  app://x\n  app://y\n"
    config = config_of("--config", FILE, files={FILE: text})
    assert routes(config) == {"m": ["http://a", "http://b"]}
    assert config.origins == ("app://x", "app://y")


@pytest.mark.parametrize(
    ("text", "what", "instead"),
    [
        ("m=gpu-1 gpu-2", "`gpu-1 gpu-2`, the server of `m`, is more than one", "`m=gpu-1,m=gpu-2`"),
        ("m=gpu-1 n=gpu-2", "begins with `m` has a blank in it", "Put commas between the entries"),
        ("m=gpu-1;n=gpu-2", "begins with `m` has a `;` in it", "Put commas between the entries"),
        ("m=http://a gpu-2", "(in the entry `m`)", "with commas between several"),
    ],
)
def test_what_should_be_a_comma_is_told(text: str, what: str, instead: str) -> None:
    """Once, with the entry."""
    (fault,) = faults_of("--connection", "gpu-1=http://a,gpu-2=http://b", env={"PROXIES": text})
    assert fault.startswith("PROXIES: ")
    assert what in fault
    assert instead in fault


def test_several_servers_in_one_text_of_the_file_are_told_to_be_a_list() -> None:
    """A comma may be part of a URL there, so it separates nothing."""
    text = "servers: {a: 'http://a', b: 'http://b'}\nmodels: {m: 'a, b'}"
    (fault,) = faults_of("--config", FILE, files={FILE: text})
    assert "`m: [a, b]`" in fault
    (fault,) = faults_of("--config", FILE, files={FILE: "servers: ['http://a,http://b']"})
    assert "more than one URL" in fault


@pytest.mark.parametrize(
    ("variable", "text", "entry"),
    [
        ("GOLLAMAS_PROXIES", "a=http://h,b=http://h:x,c=http://h", "`b`"),
        ("GOLLAMAS_PROXIES", "a=http://h,b=http://[::1,c=http://h", "`b`"),
        ("GOLLAMAS_PROXIES", f"a=http://h,b=http://u:{SECRET}@::1:1", "`b`"),
        ("GOLLAMAS_CONNECTIONS", f"a=http://h,b=http://u:{SECRET}@h:x", "`b`"),
        ("GOLLAMAS_CONNECTIONS", f"http://a,http://u:{SECRET}@b:x", "`http://***@b:x`"),
        ("GOLLAMAS_CONNECTIONS", "http://a,http://b:x", "`http://b:***`"),
        ("GOLLAMAS_CONNECTIONS", "http://a,gpu-2", "`gpu-2=http://gpu-2:11434`"),
        ("GOLLAMAS_CONNECTIONS", f"http://a,u:{SECRET}@b", "`***@b`"),
        ("GOLLAMAS_CONNECTIONS", "http://a,b=gpu-2", "`b`"),
        ("GOLLAMAS_CONNECTIONS", "http://a,b=", "`b=` has nothing after its `=`"),
        (
            "GOLLAMAS_CONNECTIONS",
            f"http://a,=http://u:{SECRET}@b",
            "`=http://***@b` has nothing before its `=`",
        ),
        ("GOLLAMAS_ALIASES", "x=m,y=a b", "`y`"),
        ("GOLLAMAS_ORIGINS", "http://a.lan,b.lan", "`b.lan`"),
        ("OLLAMA_ORIGINS", f"http://a.lan,http://u:{SECRET}@b.lan/x", "`http://***@b.lan/x`"),
    ],
)
def test_a_fault_of_one_entry_names_it_and_no_secret(variable: str, text: str, entry: str) -> None:
    """By its id, or by its text without user info."""
    (fault,) = faults_of(f"--proxy=m={SERVER}", env={variable: text})
    assert fault.startswith(f"{variable}: ")
    assert entry in fault
    assert SECRET not in fault


BROKEN = [
    f"http://user:{SECRET}@h:x",
    f"http://user:{SECRET}@h:1?q",
    f"ftp://user:{SECRET}@h",
    f"htp://user:{SECRET}@h",
    f"http://user:{SECRET}/x@h:1",
    f"http://user:{SECRET} x@h:1",
    f"http://user:x {SECRET}@h",
    f"http://us:er:{SECRET}@h/a//b",
    f"http:/user:{SECRET}@h",
    f"http//user:{SECRET}@h",
    f"http:user:{SECRET}@h",
    f"http://http://user:{SECRET}@h",
    f"http://user:a,{SECRET},b@h",
    f"http://user:a={SECRET}=b@h:x",
    f"http://user:a;{SECRET}@h:x",
    f"http://user:`{SECRET}`@h:x",
    f"http://user:'{SECRET}'@h:x",
    f"http://user:{SECRET}@h;http://user:{SECRET}@g",
    f"http://user:{SECRET}@h http://user:{SECRET}@g",
    f"http://user:{SECRET}@h,,http://user:{SECRET}@g",
    f"http://user:{SECRET}\n@h",
    f"user:{SECRET}@h:x",
    f"user:{SECRET}@h",
]


@pytest.mark.parametrize("text", BROKEN)
def test_no_fault_of_any_place_shows_a_password(text: str) -> None:
    """Wherever a URL with user info stands, right or wrong."""
    variables = [variable for option in OPTIONS for variable in option.variables if option.key != "config"]
    lines: list[list[str]] = [[text], *([flag, f"x={text}"] for flag in ("--connection", "--proxies"))]
    lines += [[flag, text] for flag in ("--connection", "--proxy", "--origins", "--listen", "--level")]
    lines += [[f"--{text}"], ["--proxy", f"http://{text}=m"]]
    sources: list[tuple[list[str], dict[str, str]]] = [(line, {}) for line in lines]
    sources += [([], {variable: f"x={text},y={text}"}) for variable in variables]
    sources += [([], {variable: text}) for variable in variables]
    for argv, env in sources:
        try:
            loaded = load_with_origins([SERVER, *argv], env, reader(None))
        except Faults as faults:
            shown = [*map(str, faults.faults), *faults.warnings]
        else:
            shown = [as_yaml(loaded), *loaded.config.warnings]
        if any(key in name for name in env for key in ("ALIASES", "PRELOAD")) and text.startswith("user:"):
            continue  # in the place of a model's name it is one
        assert SECRET not in "\n".join(shown), (argv, env)


def test_the_place_of_a_file_is_shown_with_its_at_sign() -> None:
    """In faults, in warnings and in what `check` prints: it is no user info."""
    path = "/home/me@corp/g.yaml"
    files = {path: f"servers: {{a: '{SERVER}/v1'}}\nlevel: debug\n"}
    loaded = loaded_of("--config", path, files=files)
    assert f"# {path}:2" in as_yaml(loaded)
    assert loaded.config.warnings[0].startswith(f"{path}:1: ")
    (fault,) = faults_of("--config", path, files={path: "level: loud"})
    assert fault.startswith(f"{path}:1: ")
