"""Servers and destinations: which are one, what they are called, what is sent to them."""

import pytest

from gollamas.config.faults import Faults, Findings
from gollamas.config.given import Given, ServerEntry
from gollamas.config.load import load
from gollamas.config.servers import Servers
from tests.unit.config.loading import (
    FILE,
    config_of,
    config_of_yaml,
    faults_of,
    faults_of_yaml,
    reader,
    routes,
)

PEM = "-----BEGIN CERTIFICATE-----\n"


def names(*argv: str) -> list[str]:
    """Find the ids of a command line's servers."""
    return list(config_of(*argv).servers)


def test_a_slash_at_the_end_makes_no_other_server() -> None:
    """Nor do the case of a host, the scheme's own port and a missing scheme."""
    same = ("http://h:80/", "http://h:80", "http://H", "h:80", "http://h/")
    assert names(*same) == ["h:80"]
    assert names("--proxy", ",".join(f"m{number}={url}" for number, url in enumerate(same))) == ["h:80"]


def test_a_server_without_an_id_is_called_by_host_port_and_prefix() -> None:
    """A number follows where that is not enough."""
    urls = ("http://h/a", "http://h/b", "http://h:443", "https://h", "http://u:p@h/a", "http://v:p@h/a")
    assert names(*urls) == ["h:80/a", "h:80/b", "h:443", "h:443-2", "h:80/a-2", "h:80/a-3"]


def test_a_made_name_takes_no_id_of_a_connection() -> None:
    """Connections are named first, wherever they stand."""
    config = config_of("http://h:1", "--connection", "h:1=http://other:1")
    assert {name: server.url for name, server in config.servers.items()} == {
        "h:1": "http://other:1",
        "h:1-2": "http://h:1",
    }


def test_two_ids_on_one_url_are_two_servers() -> None:
    """The URL itself then means the first of them, with a warning."""
    config = config_of("--connection", "a=http://h,b=http://h", "--proxy", "x=b", "--proxy", "y=http://h/")
    assert list(config.servers) == ["a", "b"]
    assert [model.servers for model in config.models.values()] == [("b",), ("a",)]
    assert "the servers a and b have this URL; a is used" in config.warnings[0]


@pytest.mark.parametrize("destination", ["c", "http://h:1", "http://h:1/", "h:1", "HTTP://H:1"])
def test_a_destination_is_an_id_then_a_url_then_host_and_port(destination: str) -> None:
    """A URL that a connection has means that connection."""
    config = config_of("--connection", "c=http://h:1", "--proxy", f"m={destination}")
    assert [model.servers for model in config.models.values()] == [("c",)]
    assert list(config.servers) == ["c"]


def test_an_id_goes_before_an_address_of_that_text() -> None:
    """An id may look like HOST:PORT."""
    config = config_of("--connection", "h:1=http://other:2", "--proxy", "m=h:1")
    assert routes(config) == {"m": ["http://other:2"]}


def test_a_plain_url_that_a_connection_has_is_that_connection() -> None:
    """It makes no second server."""
    assert names("--connection", "c=http://h:1", "h:1") == ["c"]


@pytest.mark.parametrize(
    ("destination", "instead"), [("gpu1", "`gpu-1`"), ("other", "`http://other:11434`"), ("ftp://x", "http")]
)
def test_an_unknown_destination_says_what_to_write(destination: str, instead: str) -> None:
    """The nearest id, else a URL."""
    (fault,) = faults_of("--connection", "gpu-1=http://g", "--proxy", f"m={destination}")
    assert instead in fault


def test_a_faulty_connection_is_one_fault() -> None:
    """Destinations that name it are not complained of as well."""
    (fault,) = faults_of("--connection", "c=ftp://h", "--proxy", "m=c")
    assert fault.startswith("--connection: ")


def test_one_id_with_two_urls_is_a_fault_with_both_places() -> None:
    """The same URL again is none."""
    (fault,) = faults_of("--connection", "c=http://u:hunter2@a", env={"GOLLAMAS_CONNECTIONS": "c=http://b"})
    assert fault.startswith(
        "GOLLAMAS_CONNECTIONS: the server `c` is http://b here and http://a at --connection"
    )
    assert "hunter2" not in fault
    assert names("--connection", "c=http://a,c=http://A/") == ["c"]


def test_the_file_may_say_more_of_a_connection() -> None:
    """The same id with the same URL as on the command line, with headers: one server with headers."""
    text = "servers: {c: {url: http://a, headers: {X: 'y'}}}"
    for argv in (("--connection", "c=http://a"), ()):
        assert config_of_yaml(text, *argv).servers["c"].fields == ((b"X", b"y"),)


def test_two_sets_of_headers_for_one_id_are_a_fault() -> None:
    """Where the file has an id that is told apart from the first by its headers only."""
    entry = ServerEntry(id="c", url="http://a", place="one", headers=(("X", Given("y", "one")),))
    other = ServerEntry(id="c", url="http://a", place="two", headers=(("X", Given("z", "two")),))
    findings = Findings()
    Servers(reader(None), findings).add([entry, entry, other])
    assert [str(fault) for fault in findings.faults] == [
        "two: the server `c` has other headers or tls at one. Write them in one place."
    ]


@pytest.mark.parametrize("path", ["/v1", "/x/api/"])
def test_a_path_of_ollama_s_own_is_a_warning(path: str) -> None:
    """Clients want it, servers do not; a connection and a plain URL are told the same."""
    for argv in ([f"http://a{path}"], ["--connection", f"c=http://a{path}"]):
        assert "leave it out" in config_of(*argv).warnings[0]
    assert config_of("http://a/v1x").warnings == ()


def test_a_plain_url_that_is_none_is_a_fault() -> None:
    """At the place of the argument."""
    (fault,) = faults_of("ftp://a")
    assert fault.startswith("argument `ftp://a`: `ftp://a` is neither http nor https.")


@pytest.mark.parametrize("name", ["a b", "\u00fc", "a\tb"])
def test_an_id_is_printable_ascii(name: str) -> None:
    """It goes into a header and into labels."""
    (fault,) = faults_of("--connection", f"{name}=http://a")
    assert "can't be a server's id" in fault


def test_user_info_becomes_a_field_of_the_server() -> None:
    """It is in no address that people see."""
    server = config_of("http://user:hunter2@h:1/x").servers["h:1/x"]
    assert server.fields == ((b"Authorization", b"Basic dXNlcjpodW50ZXIy"),)
    assert server.url == "http://h:1/x"
    assert "hunter2" not in repr(server)


def headers(text: str) -> str:
    """Write a file with these headers."""
    return f"servers:\n  a:\n    url: https://u:p@a\n    headers: {text}\n"


def test_headers_are_added_in_their_order() -> None:
    """After the authorization of the URL, blanks around values dropped, text beyond ASCII as UTF-8."""
    fields = config_of_yaml(headers("{X-A: ' b ', x-c: '\u00fc', E: ''}")).servers["a"].fields
    assert fields == ((b"Authorization", b"Basic dTpw"), (b"X-A", b"b"), (b"x-c", b"\xc3\xbc"), (b"E", b""))


@pytest.mark.parametrize(
    "text",
    [
        "{Host: a}",
        "{content-length: 1}",
        "{Transfer-Encoding: chunked}",
        "{Connection: close}",
        "{TE: x}",
        "{'a b': c}",
        "{'': c}",
        "{'\u00fc': c}",
        "{'a:': c}",
        '{A: "b\\r\\nC: d"}',
        '{A: "b\\nd"}',
        '{A: "b\\0"}',
        "{A: b, a: c}",
        "{authorization: c}",
    ],
)
def test_what_is_no_header_is_a_fault(text: str) -> None:
    """Names that are no token, fields of the hop, line ends, the same name twice (user info counts)."""
    (fault,) = faults_of_yaml(headers(text))
    assert fault.startswith(f"{FILE}:4: ")


def test_no_fault_shows_a_header_s_value() -> None:
    """It may be a token."""
    (fault,) = faults_of_yaml(headers('{Authorization2: "hunter2\\n"}'))
    assert "hunter2" not in fault


def tls(text: str, url: str = "https://a") -> str:
    """Write a file with this tls."""
    return f"servers:\n  a:\n    url: {url}\n    tls: {text}\n"


def test_tls_is_verified_unless_said_otherwise() -> None:
    """`verify: false` and no other thing turns it off."""
    assert config_of_yaml(tls("{}")).servers["a"].verify
    assert config_of_yaml(tls("{verify: true}")).servers["a"].verify
    assert not config_of_yaml(tls("{verify: false}")).servers["a"].verify


def test_a_ca_file_is_looked_for_beside_the_file() -> None:
    """A relative path is relative to the file that names it; an absolute one stays."""
    files = {
        "etc/g.yaml": tls("{ca: ca.pem}"),
        "etc/ca.pem": PEM,
        "/x/ca.pem": PEM,
        "h.yaml": tls("{ca: /x/ca.pem}"),
    }
    assert config_of("--config", "etc/g.yaml", files=files).servers["a"].ca_file == "etc/ca.pem"
    assert config_of("--config", "h.yaml", files=files).servers["a"].ca_file == "/x/ca.pem"


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("{ca: none.pem}", "can't be read"),
        ("{ca: text.pem}", "holds no certificate"),
        ("{ca: ca.pem, verify: false}", "trusts everything"),
        ("{verify: maybe}", "neither true nor false"),
    ],
)
def test_tls_that_can_not_work_is_a_fault(text: str, what: str) -> None:
    """Files that are no certificates, contradictions, words that are no booleans."""
    files = {FILE: tls(text), "text.pem": "hello", "ca.pem": PEM}
    (fault,) = faults_of("--config", FILE, files=files)
    assert what in fault


def test_tls_without_https_is_a_fault() -> None:
    """It would silently protect nothing."""
    for text in ("{verify: false}", "{ca: ca.pem}"):
        assert "the URL is http" in faults_of_yaml(tls(text, "http://a"))[0]


def test_a_binary_ca_file_is_a_fault() -> None:
    """DER is not read; the text says PEM."""

    def read(path: str) -> str:
        if path == "der":
            b"\xff".decode()
        return reader({FILE: tls("{ca: der}")})(path)

    with pytest.raises(Faults, match="no PEM"):
        load(["--config", FILE], {}, read)
    with pytest.raises(Faults, match="not UTF-8"):
        load(["--config", "der"], {}, read)
