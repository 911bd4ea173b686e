"""The frozen result of all configuration; how it is read is `options` and `load`.

Everything after start reads these values and nothing else. Seconds are floats, sizes are bytes.
"""

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, TypeVar

V = TypeVar("V")
# What is said of a model on a server: by the model's key and the server's id, either empty where it holds for
# all of them. None lifts what was said farther off: it is `off`.
Levels = Mapping[tuple[str, str], V | None]
PRELOADED: Final = "preloaded"  # ready once each model to be loaded ahead was tried
EVERYWHERE: Final = -1  # a number of instances: one on each server of the model
LOADED: Final = 0  # a num_ctx: the one that the model is loaded with


def level_of(levels: Mapping[tuple[str, str], object], key: str, server: str) -> tuple[str, str] | None:
    """Name the nearest level that speaks of a model on a server; None where none does."""
    places = (key, server), (key, ""), ("", server), ("", "")
    return next((place for place in places if place in levels), None)


def value_at(levels: Levels[V], key: str, server: str) -> V | None:
    """Give what the nearest level says; None where none speaks, or where that one lifts a farther one."""
    level = level_of(levels, key, server)
    return None if level is None else levels[level]


class Expose(StrEnum):
    """Which models are listed and routed."""

    CONFIGURED = "configured"
    RUNNING = "running"  # these, and what servers have loaded
    INSTALLED = "installed"  # all that servers have


class Manage(StrEnum):
    """Whose models clients may change: pull, push, create, copy, delete."""

    OFF = "off"
    CONFIGURED = "configured"
    ALL = "all"  # also those that are not configured


# Where those who listen on every address are reached.
_LOOPBACKS: Final = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - asked, not bound


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """An Ollama that we call."""

    id: str
    scheme: str  # http or https
    host: str  # without brackets
    port: int
    prefix: str = ""  # path before /api, without a slash at its end
    fields: tuple[tuple[bytes, bytes], ...] = field(
        default=(), repr=False
    )  # added to each request; may be secret
    ca_file: str | None = None
    verify: bool = True

    @property
    def authority(self) -> str:
        """What goes into Host: the port only where it is not the scheme's own."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        is_default = self.port == (443 if self.scheme == "https" else 80)
        return host if is_default else f"{host}:{self.port}"

    @property
    def url(self) -> str:
        """The address for people, without user info."""
        return f"{self.scheme}://{self.authority}{self.prefix}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """A configured model and the servers that are to run it, in configuration order."""

    name: str  # as configured
    key: str  # names.key_of(name)
    servers: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Alias:
    """Another name for a model; chains of aliases are resolved."""

    name: str  # as configured
    key: str
    model: str  # the model's name as configured, or as the alias wrote it where it is not configured
    model_key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """Where to listen; an empty host means every address."""

    host: str
    port: int

    @property
    def for_clients(self) -> "Address":
        """Where a client on this machine connects."""
        host = _LOOPBACKS.get(self.host)
        return self if host is None else Address(host=host, port=self.port)

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can connect, as far as can be told without looking a name up."""
        name = self.host.lower().removesuffix(".")
        if name == "localhost" or name.endswith(".localhost"):  # RFC 6761, section 6.3
            return True
        try:
            return ipaddress.ip_address(name).is_loopback
        except ValueError:
            return False

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """All that the proxy was told. The defaults here are those of `options`; a test compares them."""

    listen: Address = Address(host="localhost", port=11434)
    admin: Address | None = Address(host="127.0.0.1", port=11435)
    admin_is_default: bool = True  # a default port that is taken is a warning, a configured one a fault
    admin_token: str | None = field(default=None, repr=False)  # what changes state there asks for it
    level: str = "info"
    log_format: str = "text"
    expose: Expose = Expose.CONFIGURED
    list_aliases: bool = False
    origins: tuple[str, ...] = ()  # added to Ollama's own defaults
    server_header: bool = True
    replay_inference: bool = True
    routes: tuple[str, ...] = ()  # paths under /v1 that are routed by their model beside Ollama's
    max_head: int = 64 * 1024
    max_fields: int = 200
    max_body: int = 64 * 1024 * 1024
    max_upload: int = 512 * 1024 * 1024
    connect_timeout: float = 3.0
    load_timeout: float = 600.0
    first_byte_timeout: float = 600.0
    idle_timeout: float = 300.0
    header_timeout: float = 10.0
    body_timeout: float = 30.0
    write_timeout: float = 60.0
    client_idle_timeout: float = 600.0  # longer than the pools of most clients keep a connection
    max_connections: int = 10_000
    probe_interval: float = 5.0
    grace: float = 30.0
    servers: Mapping[str, Server] = field(default_factory=dict)  # by id, in configuration order
    models: Mapping[str, Model] = field(default_factory=dict)  # by key
    aliases: Mapping[str, Alias] = field(default_factory=dict)  # by key
    keep_alive: Levels[float] = field(default_factory=dict)  # seconds, less than 0 for ever
    force_keep_alive: Levels[float] = field(default_factory=dict)
    num_ctx: Levels[int] = field(default_factory=dict)  # tokens, or LOADED
    force_num_ctx: Levels[int] = field(default_factory=dict)
    limit_num_ctx: Levels[int] = field(default_factory=dict)  # the most tokens that a request may ask for
    on_limit: Levels[str] = field(default_factory=dict)  # "error", or "clamp" to lower it
    on_overflow: Levels[str] = field(default_factory=dict)  # "pass", or "error" where a prompt would be cut
    preload: Levels[int] = field(default_factory=dict)  # instances that are kept, EVERYWHERE for one on each
    ping: Levels[float] = field(default_factory=dict)  # seconds between two looks at one
    sync: Levels[bool] = field(default_factory=dict)  # models that are pulled where they are missing
    ready: str = "listening"  # or "preloaded": when we are ready
    manage: Manage = Manage.CONFIGURED
    manage_servers: tuple[str, ...] = ()  # ids, for models that are not configured; none: all servers
    registries: tuple[str, ...] = ("registry.ollama.ai", "hf.co", "huggingface.co")  # HOST[:PORT], lower case
    manage_parallel: int = 4  # pulls and creates at a time, each on one server
    warnings: tuple[str, ...] = ()  # what `check` and the start say beside faults
