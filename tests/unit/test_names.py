"""Model names as Ollama reads them."""

import pytest

from gollamas.names import Name, is_cloud, is_host, key_of, names_both_sources, parse, parse_bare

LLAMA = "registry.ollama.ai/library/llama3:latest"


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("x", Name("registry.ollama.ai", "library", "x", "latest")),
        ("x:8b", Name("registry.ollama.ai", "library", "x", "8b")),
        ("N/x", Name("registry.ollama.ai", "N", "x", "latest")),
        ("h/n/x:T", Name("h", "n", "x", "T")),
        ("h.example:5000/n/x", Name("h.example:5000", "n", "x", "latest")),
        ("localhost:5000/n/x:t", Name("localhost:5000", "n", "x", "t")),
        ("https://h/n/x:t", Name("h", "n", "x", "t")),
        ("http:///n/x", Name("registry.ollama.ai", "n", "x", "latest")),
        (
            "hf.co/bartowski/Llama-3.2-1B-GGUF:Q4_K_M",
            Name("hf.co", "bartowski", "Llama-3.2-1B-GGUF", "Q4_K_M"),
        ),
        (" x:8b \n", Name("registry.ollama.ai", "library", "x", "8b")),
        ("x:local", Name("registry.ollama.ai", "library", "x", "latest")),
        ("x:8b:LOCAL", Name("registry.ollama.ai", "library", "x", "8b")),
        ("x:cloud", Name("registry.ollama.ai", "library", "x", "cloud")),
        ("x:8b-cloud", Name("registry.ollama.ai", "library", "x", "8b-cloud")),
        ("_x.-9:_t.-", Name("registry.ollama.ai", "library", "_x.-9", "_t.-")),
        ("1", Name("registry.ollama.ai", "library", "1", "latest")),
    ],
)
def test_a_name_is_split_from_the_right(text: str, name: Name) -> None:
    assert parse(text) == name


@pytest.mark.parametrize(
    "text",
    [
        "", " ", ":", "/", "x:", ":t", "/x", "n//x", "/n/x", "h//x", "a/b/c/d", "n/x/", "x y", "a b/../c",
        ".x", "-x", "x:.t", "x:-t", "n.s/x", "n:s/x", "x@sha256:abc", "é", "x:é", "x\n:t", "x\x00",
        "x\u202e", "x<y", "h h/n/x", ".h/n/x", "../x", "x/..", "http://", "x::t", ":local", "n/:t", "\u017f",
        "\u0661", "http://x", "http://n/x", "h/://n/x", "http://h//x", "x:local:local", "x:cloud:local",
    ],
)  # fmt: skip
def test_ollama_calls_these_invalid(text: str) -> None:
    assert parse(text) is None
    assert key_of(text) is None


@pytest.mark.parametrize(
    ("text", "is_valid"),
    [
        ("x" * 80, True), ("x" * 81, False), ("x:" + "t" * 80, True), ("x:" + "t" * 81, False),
        ("n" * 80 + "/x", True), ("n" * 81 + "/x", False), ("h" * 350 + "/n/x", True),
        ("h" * 351 + "/n/x", False),
    ],
)  # fmt: skip
def test_parts_have_the_lengths_of_ollama(text: str, is_valid: bool) -> None:
    assert (parse(text) is not None) is is_valid


@pytest.mark.parametrize(
    "text",
    [
        "llama3", "llama3:latest", "LLaMA3:Latest", "library/llama3",
        "registry.ollama.ai/library/llama3:latest", "Registry.Ollama.AI/Library/llama3",
        "https://registry.ollama.ai/library/llama3", "llama3:local", "llama3:latest:local", " llama3 ",
    ],
)  # fmt: skip
def test_these_are_one_model(text: str) -> None:
    assert key_of(text) == LLAMA


@pytest.mark.parametrize(
    "text",
    [
        "llama3:8b", "llama3.2", "me/llama3", "ollama.com/library/llama3", "localhost/library/llama3",
        "llama3:cloud", "llama3:latest-cloud", "registry.ollama.ai:443/library/llama3",
    ],
)  # fmt: skip
def test_these_are_other_models(text: str) -> None:
    assert key_of(text) not in (None, LLAMA)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("h/n/x:t", Name("h", "n", "x", "t")),
        ("x:local", Name("registry.ollama.ai", "library", "x", "local")),
        (" x ", None),
        ("x:t:local", None),
    ],
)
def test_create_copy_and_push_read_names_barely(text: str, name: Name | None) -> None:
    """White space is not dropped, and `:local` is a tag."""
    assert parse_bare(text) == name


def test_two_hubs_of_one_company_are_two_hosts() -> None:
    assert key_of("hf.co/n/x") != key_of("huggingface.co/n/x")


@pytest.mark.parametrize(
    ("text", "shortest", "full"),
    [
        ("llama3", "llama3:latest", "registry.ollama.ai/library/llama3:latest"),
        ("LLaMA3:8B", "LLaMA3:8B", "registry.ollama.ai/library/LLaMA3:8B"),
        ("Library/x", "x:latest", "registry.ollama.ai/Library/x:latest"),
        ("me/x:t", "me/x:t", "registry.ollama.ai/me/x:t"),
        ("Registry.ollama.ai/me/x", "me/x:latest", "Registry.ollama.ai/me/x:latest"),
        ("h:5000/library/x", "h:5000/library/x:latest", "h:5000/library/x:latest"),
        ("h/n/x:t", "h/n/x:t", "h/n/x:t"),
    ],
)
def test_the_shortest_form_leaves_out_what_is_the_default(text: str, shortest: str, full: str) -> None:
    name = parse(text)
    assert name is not None
    assert (name.shortest, name.full) == (shortest, full)


@pytest.mark.parametrize("text", ["x:cloud", "x:CLOUD ", "x:8b-cloud", "me/x:cloud", "gpt-oss:120b-cloud"])
def test_these_names_mean_the_cloud(text: str) -> None:
    assert is_cloud(text)


@pytest.mark.parametrize(
    "text", ["x", "cloud", "x-cloud", "x:cloudy", "cloud:8b", "x:cloud:local", "x:local", "me/x-cloud"]
)
def test_these_names_do_not_mean_the_cloud(text: str) -> None:
    assert not is_cloud(text)


def test_the_port_of_a_host_makes_no_cloud_tag() -> None:
    assert not is_cloud("localhost:5000/library/x-cloud")


@pytest.mark.parametrize(
    "text", ["x:cloud:local", "x:8b-cloud:LOCAL", " x:local:cloud ", "x:CLOUD:local", "x:local:LOCAL"]
)
def test_a_name_can_not_say_twice_where_to_look(text: str) -> None:
    assert names_both_sources(text)
    assert key_of(text) is None


@pytest.mark.parametrize(
    "text", ["x", "x:local", "x:cloud", "x:8b-cloud", "x:8b:local", "local:cloud", "cloud:local"]
)
def test_a_name_with_one_source_or_none_is_clear(text: str) -> None:
    assert not names_both_sources(text)
    assert key_of(text) is not None


@pytest.mark.parametrize(
    ("text", "is_valid"),
    [
        *((text, True) for text in ("hf.co", "Localhost:5000", "_a-b.c", "a" * 350)),
        *((text, False) for text in ("", "a" * 351, "-a", ".a", ":5000", "[::1]", "a/b", "a b", "caf\u00e9")),
    ],
)
def test_a_host_is_one_that_a_name_may_have(text: str, *, is_valid: bool) -> None:
    assert is_host(text) is is_valid
    assert (parse(f"{text}/n/m") == Name(text, "n", "m", "latest")) is is_valid
