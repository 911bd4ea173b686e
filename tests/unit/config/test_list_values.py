"""How lists of origins, of servers and of registries are read and shown."""

import pytest

from gollamas import names
from gollamas.config.faults import Unusable
from gollamas.config.list_values import ORIGINS, REGISTRIES, SERVER_IDS, ListOf
from tests.unit.config.loading import faults_of

SECRET = "hunter2"


@pytest.mark.parametrize(
    "text", ["https://chat.example", "http://192.168.*", "app://*", "*", "http://h:*", "localhost:*"]
)
def test_an_origin_is_what_ollama_takes(text: str) -> None:
    """A scheme and a host, or one `*`."""
    assert ORIGINS.parse(text) == (text,)


@pytest.mark.parametrize(
    "text",
    [
        *("chat.example", "http://*.a.*", "https://a/b", "https://", "://a", "a b", "x,,y"),
        *(
            "https://caf\u00e9.example",
            "http:/a",
            "http//a",
            "http://u:p@a",
            "http://a;http://b",
            "http://a http://b",
        ),
    ],
)
def test_what_is_no_origin_is_refused(text: str) -> None:
    """What would make Ollama refuse to start is a fault here too."""
    with pytest.raises(Unusable):
        ORIGINS.parse(text)


@pytest.mark.parametrize(
    ("text", "hosts"),
    [
        ("registry.ollama.ai", ("registry.ollama.ai",)),
        ("HF.co, huggingface.CO", ("hf.co", "huggingface.co")),
        ("https://hf.co", ("hf.co",)),
        ("http://Registry.LAN:5000,\nlocalhost:5001", ("registry.lan:5000", "localhost:5001")),
        ("oci://registry", ("registry",)),
        ("_r-1.lan:65535", ("_r-1.lan:65535",)),
        ("hf.co,HF.CO,https://hf.co", ("hf.co",)),
        ("", ()),
    ],
)
def test_a_registry_is_a_host_with_or_without_a_port(text: str, hosts: tuple[str, ...]) -> None:
    """In any case of its letters, behind a scheme or none, and each of them once."""
    assert REGISTRIES.parse(text) == hosts
    assert REGISTRIES.parse(REGISTRIES.show(hosts)) == hosts
    for host in hosts:
        name = names.parse(f"{host.upper()}/n/m")
        assert name is not None
        assert name.key.startswith(f"{host}/")


@pytest.mark.parametrize(
    ("text", "what", "instead"),
    [
        ("hf.co/", "`hf.co` has a path behind it", "Write `hf.co`"),
        ("https://hf.co:443/org/model", "`hf.co:443` has a path behind it", "Write `hf.co:443`"),
        ("hf.co:port", "the port of `hf.co` is no number from 1 to 65535", "Write `hf.co:5000`"),
        ("hf.co:", "the port of `hf.co`", "Write `hf.co:5000`"),
        ("hf.co:0", "the port of `hf.co`", "Write `hf.co:5000`"),
        ("hf.co:65536", "the port of `hf.co`", "Write `hf.co:5000`"),
        ("fe80::1", "the port of `fe80`", "Write `fe80:5000`"),
        ("[::1]:5000", "an IPv6 address in brackets", "Write the host by its name"),
        ("*", "`*` can't be the host of a model's name", "like `registry.ollama.ai`"),
        ("*.hf.co", "`*.hf.co` can't be the host", "Write HOST or HOST:PORT"),
        ("-hf.co", "`-hf.co` can't be the host", "Write HOST or HOST:PORT"),
        ("caf\u00e9.example", "can't be the host", "Write HOST or HOST:PORT"),
        ("a" * 351, "can't be the host", "Write HOST or HOST:PORT"),
        ("https://", "an entry names no host", "Write HOST or HOST:PORT"),
        (":5000", "an entry names no host", "Write HOST or HOST:PORT"),
        ("http:/hf.co", "`http:/hf.co` is no host", "Write `hf.co`"),
        ("https//hf.co", "`https//hf.co` is no host", "Write `hf.co`"),
        ("hf.co huggingface.co", "has a blank in it", "Put commas between the entries"),
        ("hf.co,,huggingface.co", "empty entry", "Leave out one of the commas"),
        (f"https://u:{SECRET}@hf.co/x", "`https://***@hf.co/x` has user info", "Write `hf.co`"),
        (f"u:{SECRET}@", "has user info", "Write `registry.ollama.ai`"),
    ],
)
def test_what_can_be_no_registry_says_what_to_write(text: str, what: str, instead: str) -> None:
    """Without what may be a password."""
    with pytest.raises(Unusable) as caught:
        REGISTRIES.parse(text)
    assert what in caught.value.what
    assert instead in caught.value.instead
    assert SECRET not in f"{caught.value.what}{caught.value.instead}"


@pytest.mark.parametrize("flag", ["--registries", "--manage-servers"])
@pytest.mark.parametrize(
    "text",
    [
        f"http://u:{SECRET}@h:x",
        f"u:{SECRET}@h",
        f"http://u:{SECRET}",
        f"http://u:{SECRET}/x@h",
        f"http:/u:{SECRET}@h",
        f"http://u:a,{SECRET}@h",
        f"http://u:{SECRET}@h http://h",
    ],
)
def test_no_fault_of_a_list_shows_a_password(flag: str, text: str) -> None:
    """Of a registry or a server that somebody wrote with one."""
    assert SECRET not in "".join(faults_of("http://a", flag, text))


@pytest.mark.parametrize("kind", [ORIGINS, SERVER_IDS, REGISTRIES])
def test_every_list_describes_itself(kind: ListOf) -> None:
    """A word for help, what an element is, and a schema of a list or one element."""
    assert kind.placeholder.endswith(",...")
    assert kind.accepts
    assert kind.schema() == {
        "anyOf": [
            {"type": "array", "items": {"type": [*kind.types]}},
            {"type": [*kind.types, "null"]},
        ]
    }
