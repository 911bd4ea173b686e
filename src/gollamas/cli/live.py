"""What `check --live` sees: each server's version and models, asked at the same time.

Asks as the proxy would (URL, prefix, headers, TLS), waits five seconds at most in all, prints no secret.
"""

import http.client
import json
import ssl
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from gollamas.config.model import Config, Server
from gollamas.names import is_cloud, key_of

TIMEOUT: Final = 5.0
MISSING: Final = "MISSING on"
_LONGEST: Final = 16 * 1024 * 1024


class _NoOllama(Exception):
    """The server answered, but not as Ollama does."""


@dataclass(slots=True)
class Seen:
    """What one server said; there is a `problem` until it has said everything."""

    problem: str | None
    version: str = ""
    models: frozenset[str] = frozenset()  # keys of names


@dataclass(frozen=True, slots=True)
class Report:
    """Lines to print, and whether every server and every configured model is there."""

    lines: list[str] = field(default_factory=list)
    is_complete: bool = True


def look(config: Config, timeout: float = TIMEOUT) -> Report:
    """Ask every server of a configuration; ends after `timeout` seconds whatever they do."""
    seen = {name: Seen(_silence(timeout)) for name in config.servers}
    threads = [
        threading.Thread(target=_ask, args=(server, seen[name], timeout), name=name, daemon=True)
        for name, server in config.servers.items()
    ]
    deadline = time.monotonic() + timeout
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
    return report(config, seen)


def report(config: Config, seen: Mapping[str, Seen]) -> Report:
    """Say what was seen, a line per server and one per model."""
    lines: list[str] = []
    is_complete = True
    for name, server in config.servers.items():
        if problem := seen[name].problem:
            lines.append(f"server {name} ({server.url}): FAILS: {problem}")
            is_complete = False
        else:
            number = len(seen[name].models)
            lines.append(
                f"server {name} ({server.url}): Ollama {seen[name].version}, "
                f"{number} {'model' if number == 1 else 'models'}"
            )
    for model in config.models.values():
        states = {name: _state(model.name, model.key, seen[name]) for name in model.servers}
        is_complete = is_complete and MISSING not in states.values()
        lines.append(f"model {model.name}: {', '.join(f'{state} {name}' for name, state in states.items())}")
    return Report(lines, is_complete)


def _state(name: str, key: str, seen: Seen) -> str:
    if seen.problem:
        return "not known of"
    if key in seen.models:
        return "on"
    return "perhaps (cloud models are not listed) on" if is_cloud(name) else MISSING


def _ask(server: Server, seen: Seen, timeout: float) -> None:
    """Fill in what a server says; the problem goes last, so that half an answer never looks whole."""
    try:
        seen.version = _version(_get(server, "/api/version", timeout))
        seen.models = _models(_get(server, "/api/tags", timeout))
        seen.problem = None
    except ssl.SSLCertVerificationError as error:
        seen.problem = f"its certificate is not trusted: {error.verify_message} (see `tls:` in the file)"
    except TimeoutError:
        seen.problem = _silence(timeout)
    except (OSError, http.client.HTTPException, _NoOllama) as error:
        seen.problem = getattr(error, "strerror", None) or str(error) or type(error).__name__


def _silence(timeout: float) -> str:
    return f"no answer within {timeout:g} s"


def _version(answer: dict[str, object]) -> str:
    version = answer.get("version")
    if isinstance(version, str) and version.isprintable():
        return version
    raise _NoOllama("/api/version names no version")


def _models(answer: dict[str, object]) -> frozenset[str]:
    models = answer.get("models")
    if not isinstance(models, list | None):
        raise _NoOllama("/api/tags lists no models")
    names = (model.get("name") for model in models or () if isinstance(model, dict))
    return frozenset(key for name in names if isinstance(name, str) and (key := key_of(name)))


def _get(server: Server, path: str, timeout: float) -> dict[str, object]:
    connection = _connection(server, timeout)
    try:
        connection.putrequest("GET", server.prefix + path, skip_accept_encoding=True)
        for name, value in server.fields:
            connection.putheader(name.decode(), value)
        connection.endheaders()
        answer = connection.getresponse()
        body = answer.read(_LONGEST)
    finally:
        connection.close()
    if answer.status != 200:
        raise _NoOllama(f"status {answer.status} for {path}")
    return _object(body, path)


def _object(body: bytes, path: str) -> dict[str, object]:
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        raise _NoOllama(f"what {path} answers is no JSON") from None
    if not isinstance(value, dict):
        raise _NoOllama(f"what {path} answers is no JSON object")
    return value


def _connection(server: Server, timeout: float) -> http.client.HTTPConnection:
    if server.scheme == "http":
        return http.client.HTTPConnection(server.host, server.port, timeout=timeout)
    context = ssl.create_default_context(cafile=server.ca_file)
    if not server.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return http.client.HTTPSConnection(server.host, server.port, timeout=timeout, context=context)
