"""Where the proxy is for a verb, written as `OLLAMA_HOST` is (Ollama's envconfig.Host)."""

import pytest

from gollamas.cli.tables import TABLES
from gollamas.config.faults import Unusable
from gollamas.config.host import ProxyHost

HOST = ProxyHost()


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("pc-1", "http://pc-1:11434"),
        ("pc-1:8080", "http://pc-1:8080"),
        (":8080", "http://127.0.0.1:8080"),
        ("0.0.0.0", "http://127.0.0.1:11434"),  # noqa: S104 - asked, not bound
        ("0.0.0.0:8080", "http://127.0.0.1:8080"),
        ("[::]:8080", "http://[::1]:8080"),
        ("::1", "http://[::1]:11434"),
        ("[::1]", "http://[::1]:11434"),
        ("[fe80::1]:8080", "http://[fe80::1]:8080"),
        ("  pc-1 ", "http://pc-1:11434"),
        ("pc-1/", "http://pc-1:11434"),
        ("pc-1/ollama", "http://pc-1:11434/ollama"),
        ("pc-1:8080/ollama/", "http://pc-1:8080/ollama"),
        ("http://pc-1", "http://pc-1:80"),
        ("http://pc-1:11434", "http://pc-1:11434"),
        ("http://:8080", "http://127.0.0.1:8080"),
        ("http://::1", "http://[::1]:80"),
        ("https://llm.example.com", "https://llm.example.com:443"),
        ("HTTPS://llm.example.com:8443/a/b", "https://llm.example.com:8443/a/b"),
    ],
)
def test_what_is_left_out_is_filled_in_as_ollama_does(text: str, url: str) -> None:
    assert HOST.show(HOST.parse(text)) == url
    assert HOST.parse(url) == HOST.parse(text)


def test_a_name_and_a_password_are_sent_and_never_shown() -> None:
    for text in ("http://me:s3cret@pc-1:8080", "me:s3cret@pc-1:8080"):
        parsed = HOST.parse(text)
        assert parsed.authorization.startswith(b"Basic ")
        assert HOST.show(parsed) == "http://pc-1:8080"


@pytest.mark.parametrize(
    ("text", "instead"),
    [
        ("11434", "Write `localhost:11434`"),
        ("http:/pc-1", "Write `http://pc-1`"),
        ("http//pc-1", "Write `http://pc-1`"),
        ("htp://pc-1", "Write `http://pc-1`"),
        ("pc-1:port", "Write a URL"),
        ("pc-1:70000", "Write a URL"),
        ("a b", "Write a URL"),
        ("pc-1?x", "Write it without"),
    ],
)
def test_what_is_no_place_says_what_to_write(text: str, instead: str) -> None:
    with pytest.raises(Unusable) as why:
        HOST.parse(text)
    assert why.value.instead.startswith(instead)


def test_each_verb_that_talks_to_the_proxy_takes_it() -> None:
    verbs = {verb for verb, table in TABLES.items() if table.find("--host")}
    assert verbs == {"models", "ps", "show", "pull", "cp", "rm"}
