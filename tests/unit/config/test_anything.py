"""Whatever somebody writes, the result is a configuration or faults, and what is shown loads again."""

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from gollamas.config.faults import Faults
from gollamas.config.load import Loaded, load_with_origins
from gollamas.config.options import OPTIONS
from gollamas.config.render import as_yaml
from gollamas.config.secret import HIDDEN
from tests.unit.config.loading import FILE, config_of, reader

FLAGS = [flag for option in OPTIONS for flag in (*option.flags, *option.plural)]
VARIABLES = [variable for option in OPTIONS for variable in option.variables]
PIECES = [
    "=",
    ",",
    ":",
    "/",
    "@",
    "-",
    "http://",
    "https://",
    "a",
    "B",
    "1",
    "11434",
    "[::1]",
    "off",
    "true",
    " ",
    "${",
    "}",
]
TEXTS = st.one_of(st.lists(st.sampled_from(PIECES), max_size=8).map("".join), st.text(max_size=8))
ENTRIES = st.sampled_from(["a=http://h", "b=c1", "c1=http://u:p@h:1/x", "b=a", "http://h", "h:1", "a:2=h:1"])
LEVELS = st.one_of(
    st.sampled_from(["4096", "off", "loaded", "-1", "a=5m", "a@h:80=10", "@h:80=1.5", "x=off", "b=0,a=9"]),
    st.sampled_from(
        ["4m", "clamp", "error", "a=error", "@h:80=pass", "all", "a", "a@h:80", "a=2,a@h:80=off"]
    ),
)
WORDS = st.one_of(st.sampled_from(FLAGS), st.sampled_from([f"{flag}=" for flag in FLAGS]), TEXTS, ENTRIES)
KEYS = ("url", "headers", "tls", "a", "g", "default", "force", "per_server", "limit")
YAML = st.recursive(
    st.one_of(TEXTS, ENTRIES, LEVELS).map(lambda text: text.replace("\n", " ")),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(lambda items: "[" + ", ".join(items) + "]"),
        st.dictionaries(
            st.sampled_from([*(option.key for option in OPTIONS), *KEYS]),
            inner,
            max_size=3,
        ).map(lambda members: "{" + ", ".join(f"{key}: {value}" for key, value in members.items()) + "}"),
    ),
    max_leaves=8,
)


def outcome(argv: list[str], env: dict[str, str], text: str) -> Loaded | Faults:
    """Load, and give the faults as a value."""
    try:
        return load_with_origins(argv, env, reader({FILE: text}))
    except Faults as faults:
        return faults


@settings(max_examples=300)
@given(
    argv=st.lists(
        st.one_of(WORDS, st.tuples(st.sampled_from(FLAGS), st.one_of(TEXTS, LEVELS)).map("=".join)),
        max_size=5,
    ),
    env=st.dictionaries(st.sampled_from(VARIABLES), st.one_of(TEXTS, ENTRIES, LEVELS), max_size=3),
    text=YAML,
)
def test_anything_is_a_configuration_or_faults(argv: list[str], env: dict[str, str], text: str) -> None:
    """No other exception, no fault of two lines; a configuration that is printed means the same again."""
    loaded = outcome(argv, {**env, "GOLLAMAS_CONFIG": FILE}, text)
    if isinstance(loaded, Faults):
        assert loaded.faults
        assert all(len(str(fault).splitlines()) == 1 for fault in loaded.faults)
        return
    shown = config_of("--config", FILE, files={FILE: as_yaml(loaded)})
    config = loaded.config
    hidden = {name: replace(server, fields=()) for name, server in config.servers.items()}
    assert {name: replace(server, fields=()) for name, server in shown.servers.items()} == hidden
    assert replace(
        shown, servers=config.servers, warnings=config.warnings, admin_is_default=config.admin_is_default
    ) == replace(config, models=shown.models, aliases=shown.aliases, admin_token=shown.admin_token)
    assert shown.admin_token == (None if config.admin_token is None else HIDDEN)
    assert list(shown.models.values()) == list(config.models.values())
    assert list(shown.aliases.values()) == list(config.aliases.values())
