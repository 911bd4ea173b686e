"""What `check` prints: the configuration as YAML that means the same again, without secrets."""

from dataclasses import replace

import pytest

from gollamas.config.model import Config
from gollamas.config.render import as_yaml
from tests.unit.config.loading import FILE, config_of, loaded_of

CASES = [
    ["http://a:1", "b:2/x", "http://[::1]:3"],
    [
        "--proxy",
        "3.10=http://a,off=http://b,x:1=http://a:30",
        "--alias",
        "null=x:1",
        "--list-aliases",
        "-a=:0",
    ],
    ["--connection", "1:30=http://a,#=https://b,true=http://c:1", "--proxy", "m=1:30,n=#,o=true"],
    ["--admin=off", "--level=trace", "--grace=1.5s", "--max-body=1", "--idle-timeout=1m1s", "http://a"],
    ["--origins=https://a,app://*", "--expose=running", "--log-format=json", "--connection=${a=http://a"],
]


def again(argv: list[str]) -> tuple[Config, Config]:
    """Give a configuration, and what its YAML means."""
    loaded = loaded_of(*argv)
    return loaded.config, config_of("--config", FILE, files={FILE: as_yaml(loaded)})


@pytest.mark.parametrize("argv", CASES)
def test_the_yaml_means_the_same_again(argv: list[str]) -> None:
    """Whatever the names look like; warnings and what is a default aside."""
    config, read = again(argv)
    assert replace(read, admin_is_default=config.admin_is_default, warnings=config.warnings) == config


def test_each_part_has_its_origin() -> None:
    """Values, servers, models with all of their places, aliases."""
    files = {FILE: "grace: 5s\nmodels: {m: http://g}\n"}
    text = as_yaml(
        loaded_of(
            *("--proxy=m=http://a", "--config", FILE),
            env={"GOLLAMAS_ALIASES": "x=m", "LEVEL": "warn"},
            files=files,
        )
    )
    lines = {line.partition(" #")[0].rstrip(): line.partition("# ")[2] for line in text.splitlines()}
    assert lines["listen: localhost:11434"] == "default"
    assert lines["max_fields: 200"] == "default"
    assert lines["grace: 5s"] == f"{FILE}:1"
    assert lines["level: warn"] == "LEVEL"
    assert lines["  a:80: http://a"] == "--proxy"
    assert lines["  m: [a:80, g:80]"] == f"--proxy, {FILE}:2"
    assert lines["  x: m"] == "GOLLAMAS_ALIASES"


def test_secrets_are_hidden_and_the_rest_of_a_server_is_shown() -> None:
    """Headers and user info, in values and in origins; the result still loads."""
    text = (
        "servers:\n"
        "  a: {url: 'https://u:hunter2@a:8443/x', headers: {X-Key: hunter3}, tls: {ca: ca.pem}}\n"
        "  b: {url: 'https://b', tls: {verify: false}}\n"
    )
    files = {FILE: text, "ca.pem": "-----BEGIN CERTIFICATE-----"}
    shown = as_yaml(loaded_of("--config", FILE, "http://v:hunter4@c", files=files))
    assert "hunter" not in shown
    assert 'headers: {Authorization: "***", X-Key: "***"}' in shown
    assert "url: https://a:8443/x" in shown
    read = config_of("--config", FILE, files={**files, FILE: shown})
    assert read.servers["a"].ca_file == "ca.pem"
    assert not read.servers["b"].verify
    assert [name for name, _ in read.servers["a"].fields] == [b"Authorization", b"X-Key"]


def test_expose_says_why_it_is_not_its_default() -> None:
    """Plain servers show what is installed."""
    assert "expose: installed                        # default where no model is configured" in as_yaml(
        loaded_of("http://a")
    )
