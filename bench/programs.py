"""What is measured: the proxy, and HAProxy and nginx beside it, set so that they do the same work.

Owns their commands and configurations.
"""

import resource
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bench.processes import Failed, Process, found, tell

PROXY: Final = "proxy"
HAPROXY: Final = "haproxy"
NGINX: Final = "nginx"
DIRECT: Final = "direct"  # the stand-in server, with nobody in front of it
POLICY: Final = "--force-num-ctx 4096 --force-keep-alive -1"  # how our own proxy is told of one

# A piece goes out when it comes (http-no-delay, proxy_buffering off): else it is cheaper, and late.
# Connections to the server are kept by all three.
_HAPROXY: Final = """\
global
    nbthread 1
    maxconn {most}
defaults
    mode http
    option http-no-delay
    http-reuse always
    timeout connect 5s
    timeout client 120s
    timeout server 120s
frontend clients
    bind 127.0.0.1:{port} backlog 4096
    default_backend ollama
backend ollama
    server one 127.0.0.1:{upstream}
"""
_NGINX: Final = """\
daemon off;
master_process off;
error_log stderr error;
pid {folder}/nginx.pid;
events {{ worker_connections {connections}; }}
http {{
    access_log off;
    client_body_temp_path {folder}/nginx-body;
    proxy_temp_path {folder}/nginx-proxy;
    fastcgi_temp_path {folder}/nginx-fastcgi;
    uwsgi_temp_path {folder}/nginx-uwsgi;
    scgi_temp_path {folder}/nginx-scgi;
    keepalive_requests 1000000000;
    upstream ollama {{ server 127.0.0.1:{upstream}; keepalive 1024; keepalive_requests 1000000000; }}
    server {{
        listen 127.0.0.1:{port} backlog=4096;
        location / {{
            proxy_pass http://ollama;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_buffering off;
            proxy_request_buffering off;
            client_max_body_size 0;
            proxy_read_timeout 120s;
        }}
    }}
}}
"""


@dataclass(frozen=True, slots=True)
class Contestant:
    """A program that is measured, and where it listens."""

    name: str
    port: int
    process: Process


def open_files() -> int:
    """Raise the limit of open files as far as it goes; who is started inherits it."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    limit = 65_536 if hard == resource.RLIM_INFINITY else hard
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))
    return limit


def beside() -> dict[str, str]:
    """Find what can be measured beside the proxy, and say what is missing."""
    there = {name: program for name in (HAPROXY, NGINX) if (program := found(name))}
    if HAPROXY not in there:
        tell("HAProxy is not here, so there are no ratios: apt-get install haproxy")
    if NGINX not in there:
        tell("nginx is not here, and is left out: apt-get install nginx-light")
    return there


def command_of(name: str, program: str, ports: tuple[int, int], folder: Path) -> list[str]:
    """Write the configuration of HAProxy or nginx; give its command."""
    port, upstream = ports
    limit = min(open_files(), 65_536)
    values = {"port": port, "upstream": upstream, "folder": folder}
    file = folder / f"{name}.conf"
    if name == HAPROXY:
        # It takes two files a connection, and wants all that it is promised at its start.
        file.write_text(_HAPROXY.format(**values, most=(limit - 500) // 2))
        return [program, "-db", "-f", str(file)]
    file.write_text(_NGINX.format(**values, connections=limit - 100))
    return [program, "-e", "stderr", "-c", str(file)]


def filled_in(command: Sequence[str], values: Mapping[str, object]) -> list[str]:
    """Fill port, upstream and level into the words of the proxy's command."""
    filled = list(command)
    for name, value in values.items():
        filled = [word.replace(f"{{{name}}}", str(value)) for word in filled]
    if filled == list(command):
        raise Failed(f"the command does not say where {{port}} and {{upstream}} go: {shlex.join(command)}")
    return filled


def gollamas() -> list[str]:
    """Give the command of this repository's own proxy, as `make setup` installs it."""
    installed = Path(__file__).resolve().parents[1] / ".venv/bin/gollamas"
    if not installed.exists():
        raise Failed("gollamas is not installed here: make setup (or name a command behind --)")
    words = "--listen 127.0.0.1:{port} --proxy llama3.2=http://127.0.0.1:{upstream}"
    words += " --alias gpt-4o=llama3.2 --admin off --level {level}"
    return [str(installed), *words.split()]
