"""Models and aliases: which names are one, where each leads, what can't be."""

import pytest

from tests.unit.config.loading import aliases, config_of, config_of_yaml, faults_of, faults_of_yaml, routes

A = "http://a:1"
B = "http://b:1"
SPELLINGS = (
    "llama3.2:latest",
    "library/llama3.2",
    "LLAMA3.2",
    "registry.ollama.ai/library/Llama3.2",
    "llama3.2:local",
)


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_spellings_of_one_name_are_one_model(spelling: str) -> None:
    """With the first spelling; the same server once, other servers in their order."""
    config = config_of(
        "--proxy", f"llama3.2={A}", "--proxy", f"{spelling}={A}/", "--proxy", f"{spelling}={B}"
    )
    assert routes(config) == {"llama3.2": [A, B]}
    assert list(config.models) == ["registry.ollama.ai/library/llama3.2:latest"]


def test_another_tag_is_another_model() -> None:
    """And so are `:cloud`, another namespace and another host."""
    names = ["m", "m:8b", "m:cloud", "me/m", "hf.co/me/m:Q4_K_M"]
    assert list(routes(config_of(*(f"--proxy={name}={A}" for name in names)))) == names


@pytest.mark.parametrize(
    "name", ["a b", "x@sha256:abc", "a:", "/a", "a/b/c/d", ".a", "-a", "a" * 81, "\u00fc"]
)
def test_a_name_that_ollama_refuses_is_explained(name: str) -> None:
    """As a model, as an alias and as an alias's model."""
    rule = "[HOST/][NAMESPACE/]MODEL[:TAG]"
    assert rule in faults_of(f"--proxy={name}={A}")[0]
    assert rule in faults_of(f"--alias={name}=m", "--proxy", f"m={A}")[0]
    assert rule in faults_of(f"--alias=x={name}", "--proxy", f"m={A}")[0]


def test_aliases_follow_chains_and_spellings() -> None:
    """To the model as it is configured; `:latest` and case make no difference."""
    config = config_of(f"--proxy=llama3.2={A}", "--alias=a=B:latest,b=library/c,c=LLAMA3.2")
    assert aliases(config) == {"a": "llama3.2", "b": "llama3.2", "c": "llama3.2"}
    assert {alias.model_key for alias in config.aliases.values()} == set(config.models)


@pytest.mark.parametrize(
    ("entries", "loops"),
    [
        ("a=a", ["a -> a"]),
        ("a=b,b=a", ["a -> b -> a"]),
        ("a=b,b=c,c=a", ["a -> b -> c -> a"]),
        ("x=b,a=b,b=a", ["a -> b -> a"]),
        ("x=y,y=b,b=c,c=b", ["b -> c -> b"]),
        ("a=A:latest", ["a -> a"]),
        ("a=b,c=d,b=a,d=c", ["a -> b -> a", "c -> d -> c"]),
    ],
)
def test_a_loop_of_aliases_is_told_once(entries: str, loops: list[str]) -> None:
    """At the alias in it that was written first, with the way round; not at those that lead into it."""
    assert faults_of(f"--proxy=m={A}", f"--alias={entries}") == [
        f"--alias: the alias leads back to itself: {loop}. Let it end at a model." for loop in loops
    ]


@pytest.mark.parametrize("name", ["x@sha256:abc", "qwen3:8b@sha256:123", "llama3.2@gpu-1", "qwen3:8b@q4_K_M"])
def test_a_model_s_name_with_an_at_sign_is_shown_whole(name: str) -> None:
    """It is no user info, wherever a model's name belongs."""
    assert faults_of(f"--proxy={name}={A}")[0].startswith(f"--proxy: `{name}` is no model's name.")
    for fault in (
        *faults_of(f"--alias={name}=m", f"--proxy=m={A}"),
        *faults_of(f"--alias=x={name}", f"--proxy=m={A}"),
        *faults_of_yaml(f"models: {{'{name}': }}"),
        *faults_of_yaml(f"models: {{'{name}': [[x]]}}"),
        *faults_of_yaml(f"models: {{'{name}': '{A}', '{name}': '{A}'}}"),
        *faults_of_yaml(f"aliases: {{'{name}': [m]}}"),
    ):
        assert f"`{name}" in fault
        assert "***" not in fault


@pytest.mark.parametrize("name", ["x@sha256:abc", "qwen3:8b@sha256:123", "llama3.2@gpu-1"])
def test_a_name_without_its_server_is_shown_whole(name: str) -> None:
    """In a list of models, and as a word that is no server."""
    assert faults_of(f"--proxy={name}") == [f"--proxy: `{name}` has no `=`. Write MODEL=URL|ID."]
    assert faults_of(name)[0].startswith(f"argument `{name}`: this is neither a verb")


@pytest.mark.parametrize(
    "name", ["http://u:hunter2@h:1", "u:hunter2@h:1", "http:/u:hunter2@h", "http://u:hun=ter2@h"]
)
def test_a_server_in_the_place_of_a_name_is_told_once_without_its_password(name: str) -> None:
    """With the order that is right."""
    for flag in ("--proxy", "--alias"):
        (fault,) = faults_of(f"{flag}={name}=m", A)
        assert "stands where the" in fault
        assert "Write the name first: `m=" in fault
        assert "hunter2" not in fault
        assert "ter2" not in fault


@pytest.mark.parametrize("name", ["llama3.2", *SPELLINGS])
def test_an_alias_may_not_hide_a_model(name: str) -> None:
    """In no spelling, under no `expose`."""
    for expose in ("configured", "installed"):
        (fault,) = faults_of(f"--proxy=llama3.2={A},m={A}", f"--alias={name}=m", f"--expose={expose}")
        assert "hides the model `llama3.2`" in fault


def test_an_alias_needs_a_configured_model_where_only_those_are_exposed() -> None:
    """The nearest model is named; a chain's end is what counts."""
    (fault,) = faults_of(f"--proxy=llama3.2={A}", "--alias=x=llama3")
    assert "Write `llama3.2`, or expose the installed ones" in fault
    (fault,) = faults_of(f"--proxy=m={A}", "--alias=x=y,y=other")
    assert "no such model is configured" in fault


@pytest.mark.parametrize(
    "argv", [["--expose=running", f"--proxy=m={A}"], ["--expose=installed", f"--proxy=m={A}"], [A]]
)
def test_an_alias_may_lead_to_any_model_where_more_is_exposed(argv: list[str]) -> None:
    """The name stays as the alias wrote it."""
    config = config_of(*argv, "--alias", "x=y,y=Other:8b")
    assert aliases(config) == {"x": "Other:8b", "y": "Other:8b"}
    assert {alias.model_key for alias in config.aliases.values()} == {"registry.ollama.ai/library/other:8b"}


def test_one_alias_with_two_models_is_a_fault_with_both_places() -> None:
    """Two spellings of one model are none."""
    (fault,) = faults_of(f"--proxy=m={A},n={A}", "--alias=x=m", env={"ALIASES": "X:latest=n"})
    assert fault.startswith("ALIASES: the alias `X:latest` means `n` here and `m` at --alias.")
    assert aliases(config_of(f"--proxy=m={A}", "--alias=x=m,X=library/M:latest")) == {"x": "m"}


def test_an_alias_that_stands_before_its_name_s_url_is_explained() -> None:
    """A URL is no alias."""
    assert "stands where the alias's name belongs" in faults_of(f"--proxy=m={A}", f"--alias={A}=m")[0]


def test_a_model_with_a_faulty_server_is_one_fault() -> None:
    """Its alias is fine."""
    (fault,) = faults_of("--proxy=m=ftp://x", "--alias=x=m")
    assert fault.startswith("--proxy: `ftp://x`")


def test_the_ports_of_clients_and_administration_differ() -> None:
    """The same address twice is a fault where somebody wrote it, never where it's the default."""
    (fault,) = faults_of(A, "--listen=:80", "--admin=:80")
    assert fault.startswith("--admin: administration is to listen on :80, where clients connect (--listen).")
    assert config_of(A, "--listen=127.0.0.1:11435").admin_is_default
    assert config_of(A, "--listen=:0", "--admin=:0").admin is not None


def test_models_of_a_file_keep_their_order() -> None:
    """Ties are broken by configuration order, so it is kept everywhere."""
    text = f"servers: {{z: '{A}', a: '{B}'}}\nmodels: {{m2: [a, z], m1: z}}\n"
    config = config_of_yaml(text)
    assert list(config.servers) == ["z", "a"]
    assert routes(config) == {"m2": [B, A], "m1": [A]}
