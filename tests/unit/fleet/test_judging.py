"""What counts as Ollama's answer, and what is said of all else."""

from typing import NamedTuple

import pytest

from gollamas.config.model import Server
from gollamas.fleet.judging import PS, TAGS, NotOllama, listing_in, version_in

PLAIN = Server(id="a", scheme="http", host="gpu.lan", port=11434)
WITH_KEY = Server(
    id="a", scheme="http", host="gpu.lan", port=11434, fields=((b"authorization", b"Bearer hunter2"),)
)


class Said(NamedTuple):
    status: int
    body: bytes = b""
    location: str = ""


def problem(said: Said, server: Server = PLAIN) -> str:
    with pytest.raises(NotOllama) as caught:
        version_in(server, said)
    assert "hunter2" not in caught.value.text
    assert caught.value.text.isprintable()
    return caught.value.text


@pytest.mark.parametrize("version", ["0.24.0", "0.34.3", "0.0.0", "0.6.8-rc1", "main-abc"])
def test_a_version_is_taken_as_it_is_told(version: str) -> None:
    assert version_in(PLAIN, Said(200, b'{"version":"%b"}' % version.encode())) == version


def test_members_beside_the_version_say_nothing() -> None:
    assert version_in(PLAIN, Said(200, b' {"x":[1,{}],"version":"0.1","y":1e999} ')) == "0.1"


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "is no JSON:"),
        (b"<html>nginx</html>", "is no JSON:"),
        (b"[" * 100_000, "is no JSON object:"),
        (b"\xff", "is no JSON:"),
        (b'{"version":"0.1"', "is no JSON:"),
        (b'{"version":' + b"[" * 100_000, "is no JSON:"),
        (b'"0.6.8"', "is no JSON object:"),
        (b"[]", "is no JSON object:"),
        (b"null", "is no JSON object:"),
        (b"{}", "names no version:"),
        (b'{"Version":"0.1"}', "names no version:"),
        (b'{"version":5}', "names no version:"),
        (b'{"version":null}', "names no version:"),
        (b'{"version":""}', "names no version:"),
        (b'{"version":"0\\n"}', "names no version:"),
        (b'{"version":"%b"}' % (b"1" * 101), "names no version:"),
    ],
)
def test_a_200_of_something_else_is_no_ollama(body: bytes, words: str) -> None:
    assert words in problem(Said(200, body))


@pytest.mark.parametrize("status", [201, 204, 400, 405, 418, 429, 500, 502, 503])
def test_a_status_other_than_200_is_no_answer_and_is_told(status: int) -> None:
    assert problem(Said(status, b'{"version":"0.1"}')) == f"/api/version answered {status}"


@pytest.mark.parametrize(
    ("status", "may_pass"),
    [(200, False), (301, False), (401, False), (403, False), (404, False)]
    + [(status, True) for status in (400, 408, 429, 500, 502, 503, 504)],
)
def test_an_answer_of_the_moment_is_told_from_one_of_something_else(status: int, may_pass: bool) -> None:
    with pytest.raises(NotOllama) as caught:
        version_in(PLAIN, Said(status))
    assert caught.value.may_pass is may_pass


def test_a_404_says_that_nothing_is_there() -> None:
    assert (
        problem(Said(404, b"<html>"))
        == "/api/version answered 404: no Ollama is there, or it has another path"
    )


ASKS = "it asks for a password or key: set `headers:` for this server"
LETS_NOBODY_IN = "it does not let us in: if it wants a password or key, set `headers:` for this server"


@pytest.mark.parametrize(
    ("said", "words"),
    [(Said(401), ASKS), (Said(401, b"x"), ASKS), (Said(403, b"<html>"), LETS_NOBODY_IN)],
)
def test_a_door_that_wants_a_key_names_the_option_or_says_that_ours_is_not_taken(
    said: Said, words: str
) -> None:
    assert problem(said) == f"/api/version answered {said.status}: {words}"
    assert problem(said, WITH_KEY).endswith(": it does not accept our password or key")


def test_an_empty_403_may_be_ollamas_own_verdict_on_the_host() -> None:
    assert "gpu.lan as its name" in problem(Said(403))
    assert "OLLAMA_HOST=0.0.0.0" in problem(Said(403))


@pytest.mark.parametrize(
    ("location", "shown"),
    [
        ("https://gpu.lan/api/version", "https://gpu.lan/api/version"),
        ("/login", "/login"),
        ("https://sso.lan/login?state=hunter2&x", "https://sso.lan/login?…"),
        ("https://u:hunter2@gpu.lan/", "https://gpu.lan/"),
        ("//u:hunter2@gpu.lan/", "//gpu.lan/"),
        ("/a\x1b[31m\n", "/a�[31m�"),
        ("/" + "a" * 1000, "/" + "a" * 198 + "…"),
    ],
)
@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_redirect_is_told_with_its_location_but_no_secret(status: int, location: str, shown: str) -> None:
    words = f"/api/version answered {status}: it redirects to {shown}: write the URL that needs no redirect"
    assert problem(Said(status, b"", location)) == words


def test_a_redirect_to_nowhere_is_told_too() -> None:
    assert problem(Said(304)) == "/api/version answered 304"


@pytest.mark.parametrize(
    "body",
    [
        b"Client sent an HTTP request to an HTTPS server.\n",
        b"<html><body><center>The plain HTTP request was sent to HTTPS port</center></body></html>",
        b"<p>You're speaking plain HTTP to an SSL-enabled server port.<br />",
    ],
)
def test_plain_http_to_a_port_of_tls_is_said_so(body: bytes) -> None:
    assert problem(Said(400, body)) == "/api/version answered 400: it speaks TLS: write https:// in its URL"


def test_a_listing_is_read_or_refused_by_the_same_rules() -> None:
    said = Said(200, b'{"models":[{"name":"m","modified_at":"2026-11-24T07:05:01Z"},{"no":1}]}')
    assert [entry.name for entry in listing_in(PLAIN, TAGS, said)] == ["m"]
    assert list(listing_in(PLAIN, PS, Said(200, b'{"models":null}'))) == []
    for path in (TAGS, PS):
        for bad in (Said(200, b'{"models":1}'), Said(200, b"<html>"), Said(200, b"{}")):
            with pytest.raises(NotOllama, match=f"{path} lists no models"):
                listing_in(PLAIN, path, bad)
        with pytest.raises(NotOllama, match=f"{path} answered 401: it asks for"):
            listing_in(PLAIN, path, Said(401))
