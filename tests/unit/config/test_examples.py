"""The command lines that people have from the Go program start ours unchanged."""

import shlex
from dataclasses import dataclass, field

import pytest

from tests.unit.config.loading import aliases, config_of, routes


@dataclass(frozen=True)
class Example:
    """A command line or an environment, and what it has to mean."""

    line: str
    routes: dict[str, list[str]]
    env: dict[str, str] = field(default_factory=dict)
    values: dict[str, object] = field(default_factory=dict)
    aliases: dict[str, str] = field(default_factory=dict)
    servers: tuple[str, ...] = ()


EXAMPLES = [
    Example(
        "--level=warn --listen 0.0.0.0:11434 --proxy=tinyllama=http://server-01:11434"
        " --proxy=llama3.2-vision=http://server-01:11434 --proxy=deepseek-r1:14b=http://server-02:11434",
        {
            "tinyllama": ["http://server-01:11434"],
            "llama3.2-vision": ["http://server-01:11434"],
            "deepseek-r1:14b": ["http://server-02:11434"],
        },
        values={"level": "warn", "listen": "0.0.0.0:11434"},
        servers=("server-01:11434", "server-02:11434"),
    ),
    Example(
        "--level=trace --address 0.0.0.0:11434 --proxy=llama3.2-vision=http://server-02:11434"
        " --proxy=deepseek-r1:14b=http://server-01:11434",
        {"llama3.2-vision": ["http://server-02:11434"], "deepseek-r1:14b": ["http://server-01:11434"]},
        values={"level": "trace", "listen": "0.0.0.0:11434"},
    ),
    Example(
        "--connection CID1=http://main-ai:11434 --connection CID2=http://mini-ai-01:11434"
        " --proxy deepseek-r1:70b=CID1 --proxy tinyllama=CID2",
        {"deepseek-r1:70b": ["http://main-ai:11434"], "tinyllama": ["http://mini-ai-01:11434"]},
        servers=("CID1", "CID2"),
    ),
    Example(
        "--connection c1=http://server:11434 --proxy llama=c1 --alias gpt-3.5-turbo=llama --list-aliases",
        {"llama": ["http://server:11434"]},
        values={"list_aliases": True},
        aliases={"gpt-3.5-turbo": "llama"},
    ),
    Example(
        "--connection C1=http://server1 --connection C2=http://server1 --proxy a=C1 --proxy b=C2",
        {"a": ["http://server1"], "b": ["http://server1"]},
        servers=("C1", "C2"),
    ),
    Example(
        "--proxies 'llama3.2-vision=http://server:11434,deepseek-r1:14b=http://server2:11434'"
        " --aliases 'gpt-3.5-turbo=llama3.2-vision,deepseek=deepseek-r1:14b'",
        {"llama3.2-vision": ["http://server:11434"], "deepseek-r1:14b": ["http://server2:11434"]},
        aliases={"gpt-3.5-turbo": "llama3.2-vision", "deepseek": "deepseek-r1:14b"},
    ),
    Example(
        "",
        {"llama3.2-vision": ["http://server:11434"], "deepseek-r1:14b": ["http://server2:11434"]},
        env={"GOLLAMAS_PROXIES": "llama3.2-vision=http://server:11434,deepseek-r1:14b=http://server2:11434"},
    ),
    Example(
        "",
        {"llama3.2": ["http://server:11434"]},
        env={
            "GOLLAMAS_CONNECTIONS": "c1=http://server:11434,c2=http://server2:11434",
            "GOLLAMAS_PROXIES": "llama3.2=c1",
        },
        servers=("c1", "c2"),
    ),
    Example(
        "",
        {
            "qwen2.5-coder:14b": ["http://ollama.ai.svc.cluster.local"],
            "gemma3:12b": ["http://f-01-ai.example.com:11434"],
            "llama3.2-vision": ["http://f-02-ai.example.com:11434"],
        },
        env={
            "GOLLAMAS_LISTEN": "0.0.0.0:11434",
            "GOLLAMAS_PROXIES": "qwen2.5-coder:14b=http://ollama.ai.svc.cluster.local,"
            "gemma3:12b=http://f-01-ai.example.com:11434,llama3.2-vision=http://f-02-ai.example.com:11434",
            "GOLLAMAS_ALIASES": "",
            "GOLLAMAS_LIST_ALIASES": "true",
            "GOLLAMAS_PORT": "tcp://10.0.0.1:80",
            "GOLLAMAS_PORT_80_TCP_ADDR": "10.0.0.1",
            "GOLLAMAS_SERVICE_HOST": "10.0.0.1",
        },
        values={"listen": "0.0.0.0:11434", "list_aliases": True, "warnings": ()},
        servers=("ollama.ai.svc.cluster.local:80", "f-01-ai.example.com:11434", "f-02-ai.example.com:11434"),
    ),
]


@pytest.mark.parametrize("example", EXAMPLES, ids=range(len(EXAMPLES)))
def test_an_example_of_the_go_program_means_what_it_meant(example: Example) -> None:
    """Every example loads, with the routes, aliases, values and servers that it names."""
    config = config_of(*shlex.split(example.line), env=example.env)
    assert routes(config) == example.routes
    assert aliases(config) == example.aliases
    assert example.servers in {(), tuple(config.servers)}
    for key, value in example.values.items():
        found = getattr(config, key)
        assert (str(found) if key == "listen" else found) == value


def test_an_url_without_a_port_means_the_port_of_its_scheme() -> None:
    """A destination without a port is 80 or 443, never 11434."""
    config = config_of("--proxy", "a=http://h,b=https://s")
    assert [server.port for server in config.servers.values()] == [80, 443]
