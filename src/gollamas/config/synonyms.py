"""What people call things in other programs, and what that is called here.

Looked at before the nearest spelling, which would name something else. Every word works as a flag, as a
variable and as a key of the file; what an option is called in one of these is known in the others, too.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Final

from gollamas.config.address import with_port
from gollamas.config.faults import Findings, nearest
from gollamas.config.options import CONFIG, ENTRIES, OPTIONS, Option

_FALSE: Final = ("0", "f", "false", "n", "no", "off")

# Option keys, each with the words for it; a plural is known with its singular.
_WORDS: Final[Mapping[str, str]] = {
    "config": "conf config_file config_path configuration file cfg c f",
    "listen": "port host bind bind_address listen_address listen_addr listen_port http http_port p b l",
    "servers": "server backend upstream endpoint url node ollama ollama_host ollama_url target",
    "models": "model",
    "aliases": "model_alias",
    "admin": "metrics metrics_address metrics_port metrics_listen admin_address admin_port admin_listen",
    "admin_token": "token auth_token bearer_token admin_password admin_secret admin_key",
    "keep_alive": "keepalive ollama_keep_alive keep_loaded default_keep_alive",
    "num_ctx": "ctx context ctx_size context_size context_length ollama_context_length n_ctx default_num_ctx",
    "limit_num_ctx": "limit num_ctx_limit limit_ctx max_num_ctx max_ctx max_context max_context_length",
    "preload": "preloads preload_model preload_models warm_up warmup",
    "ping": "ping_interval keep_warm heartbeat",
    "manage": "management manage_models allow_manage allow_pull allow_delete",
    "manage_servers": "manage_server managed_servers pull_servers",
    "registries": "registry registry_host allowed_registry allow_registry",
    "manage_parallel": "parallel_pull max_parallel_pull pull_parallel parallel_download",
    "sync": "syncs synchronize synchronise sync_model mirror replicate keep_pulled auto_pull",
    "ready": "ready_when readiness",
    "level": "log log_level loglevel logging verbosity",
    "log_format": "format log_output",
    "origins": "origin cors cors_origin allow_origin allowed_origin",
    "max_body": "max_body_size body_limit max_request_size client_max_body_size",
    "first_byte_timeout": "timeout request_timeout response_timeout read_timeout",
    "connect_timeout": "dial_timeout connection_timeout",
    "client_idle_timeout": "keepalive_timeout keep_alive_timeout",
    "probe_interval": "interval health_interval health_check_interval check_interval poll_interval",
    "grace": "grace_period shutdown_timeout drain_timeout graceful_timeout",
}
# Words that say a value, too.
_SETTINGS: Final[Mapping[tuple[str, str], str]] = {
    ("level", "debug"): "verbose debug vv",
    ("level", "trace"): "trace vvv",
    ("level", "error"): "quiet silent q",
    ("log_format", "json"): "json json_log log_json",
    ("expose", "installed"): "all expose_all",
}
_TURN_OFF: Final = ("no_", "no", "disable_", "without_")


@dataclass(frozen=True, slots=True)
class Meant:
    """The option that a word means, and the value where the word says it."""

    option: Option
    value: str = ""
    is_plural: bool = False
    example: str = ""  # made of the value that was given with the word

    @property
    def flag(self) -> str:
        """As a flag."""
        flags = self.option.plural if self.is_plural and self.option.plural else self.option.flags
        between = "=" if self.option.is_switch else " "
        return f"{flags[0]}{between}{self.value}" if self.value else flags[0]

    @property
    def variable(self) -> str:
        """As a variable."""
        name = self.option.variables[0]
        return f"{name}={self.value}" if self.value else name

    @property
    def key(self) -> str:
        """As a key of the file."""
        return f"{self.option.key}: {self.value}" if self.value else self.option.in_file

    def lose(self, findings: Findings) -> None:
        """Note which entries were not read where the word stood for their option."""
        for option in ENTRIES if self.option is CONFIG else (self.option,):
            findings.lose(option.key)


def _by_word() -> dict[str, Meant]:
    options = {option.key: option for option in OPTIONS}
    words = {word: Meant(options[key]) for key, known in _WORDS.items() for word in known.split()}
    words |= {
        word: Meant(options[key], value)
        for (key, value), known in _SETTINGS.items()
        for word in known.split()
    }
    for option in OPTIONS:
        words |= {flag.lstrip("-").replace("-", "_"): Meant(option) for flag in option.flags}
        plurals = (flag.lstrip("-") for flag in option.plural)
        words |= dict.fromkeys((option.key, *plurals), Meant(option, is_plural=True))
    return words


_MEANT: Final = _by_word()
_SWITCHES: Final = {option.key: option for option in OPTIONS if option.is_switch}


def meant_by(word: str, given: str = "") -> Meant | None:
    """Find what a word means that is no name in its place, and was given with this value."""
    folded = word.lstrip("-").replace("-", "_").lower()
    if len(folded) == 1 and not word.startswith("-"):
        return None
    meant = _MEANT.get(folded)
    if meant is None and (singular := _MEANT.get(folded.removesuffix("s"))):
        meant = replace(singular, is_plural=True)
    if meant is None:
        return _turned_on_or_off(folded, is_false=given.lower() in _FALSE)
    if given.lower() in _FALSE:
        return replace(meant, value="")
    if meant.option.key == "listen" and given:
        return replace(meant, example=f"localhost:{given}" if given.isdecimal() else with_port(given) or "")
    return meant


def nearest_to(word: str, others: Iterable[str] = ()) -> Meant | None:
    """Find the option that a mistyped word means, by the nearest of all the names that it has anywhere.

    None where nothing is near, or one of `others` is nearer.
    """
    near = nearest(word.replace("-", "_"), (*(known for known in _MEANT if len(known) > 3), *others))
    return _MEANT.get(near) if near else None


def turns_off(word: str) -> bool:
    """Whether a word begins like one that turns something off: the nearest name would mean the contrary."""
    return word.lstrip("-").replace("-", "_").lower().startswith(("no_", *_TURN_OFF[2:]))


def _turned_on_or_off(folded: str, *, is_false: bool) -> Meant | None:
    """Read `no_x` and `enable_x`: a switch has its value behind `=`, administration is an address or off."""
    for is_on, beginnings in ((False, _TURN_OFF), (True, ("enable_", "with_"))):
        for beginning in beginnings:
            if not folded.startswith(beginning):
                continue
            name = folded.removeprefix(beginning)
            meant = _MEANT.get(name)
            if meant and meant.option.key == "admin":
                return replace(meant, value="" if is_on else "off")
            if switch := nearest(name, _SWITCHES):
                return Meant(_SWITCHES[switch], "true" if is_on is not is_false else "false")
    return None
