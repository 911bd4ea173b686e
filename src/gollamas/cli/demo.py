"""`gollamas demo`: three simulated Ollama servers, the proxy in front of them, and commands to paste."""

import os
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from gollamas import names
from gollamas.cli import occupied
from gollamas.cli.say import USAGE, complain, complain_of_each, say
from gollamas.cli.simulate import reached, run_until_stopped, until_stopped
from gollamas.cli.tables import TABLES
from gollamas.config.faults import Faults
from gollamas.config.lists import unquoted
from gollamas.config.model import Address, Alias, Config, Expose, Manage, Model, Server
from gollamas.config.own import read_own

if TYPE_CHECKING:
    from gollamas.app import App

_GRACE: Final = 1.0  # seconds that streams get when the demo ends
_DEFAULT: Final = Address(host="localhost", port=11434)
_ADMIN: Final = Address(host="127.0.0.1", port=11435)
_SERVERS: Final[Mapping[str, tuple[str, ...]]] = {
    "pc-1": ("all-minilm", "llama3.2"),
    "pc-2": ("qwen3:8b", "llama3.2"),
    "pc-3": ("llama3.2-vision", "deepseek-r1:14b"),
}
_NAME_SERVERS: Final = ("GOLLAMAS_CONFIG", "GOLLAMAS_CONNECTIONS", "GOLLAMAS_PROXIES")
_PYTHON: Final = (
    "from openai import OpenAI; "
    'client = OpenAI(base_url="{url}/v1", api_key="unused"); '
    'print(client.chat.completions.create(model="gpt-4o", '
    'messages=[{{"role": "user", "content": "Hello"}}]).choices[0].message.content)'
)
_COMMANDS: Final = """
Paste into another terminal:

  curl {url}/api/tags
  curl {url}/api/chat -d '{{"model": "llama3.2", "messages": [{{"role": "user", "content": "Hello"}}]}}'
  curl {url}/v1/chat/completions -H 'Content-Type: application/json' \\
    -d '{{"model": "gpt-4o", "messages": [{{"role": "user", "content": "Hello"}}]}}'

Where Ollama's own command is installed, or OpenAI's Python package (pip install openai):

  OLLAMA_HOST={host} ollama run deepseek-r1:14b 'Hello'
  python3 -c '{python}'
"""


def run(argv: Sequence[str]) -> int:
    """Run until Ctrl-C: 0; 1 where the address is taken, 2 for a faulty command line."""
    try:
        said = read_own(argv, os.environ, TABLES["demo"])
    except Faults as faults:
        complain_of_each("demo", faults)
        return USAGE
    return run_until_stopped(lambda: _demo(_config(**said)))


def _config(level: str, **said: Address | None) -> Config:
    """Make a configuration without servers; an address that nobody asked for is one that is free."""
    listen = said.get("listen")
    if listen is None:
        listen = occupied.next_free(_DEFAULT, but=(_ADMIN.port,))
        if listen != _DEFAULT:
            who = occupied.who_is_at(_DEFAULT)
            why = f"{who} answers at {_DEFAULT}" if who else f"{_DEFAULT} is taken"
            complain(f"gollamas demo: {why}, so this listens on {listen}")
    is_default = "admin" not in said
    admin = occupied.next_free(_ADMIN, but=(listen.port,)) if is_default else said["admin"]
    return Config(listen=listen, admin=admin, admin_is_default=is_default, level=level, grace=_GRACE)


async def _demo(config: Config) -> int:
    from gollamas.simulate.server import SimulatedOllama  # noqa: PLC0415 - as above
    from gollamas.simulate.serving import serving  # noqa: PLC0415 - as above
    from gollamas.simulate.settings import Settings  # noqa: PLC0415 - as above
    from gollamas.system.listening import NotListening  # noqa: PLC0415 - a faulty command line needs no server

    stop = until_stopped("gollamas demo")
    _hint_at_serve(os.environ)
    async with AsyncExitStack() as stack:
        addresses = {}
        for name, models in _SERVERS.items():
            settings = Settings(models=models, load_seconds=1.5, tokens_per_second=25.0, remembered=0)
            served = await stack.enter_async_context(serving(SimulatedOllama(settings)))
            addresses[name] = served.address
        app = _app(in_front_of(addresses, config))
        try:
            await app.start()
        except NotListening as why:
            complain(f"gollamas demo: {occupied.why_taken(why, config)}")
            return 1
        _explain(app, addresses)
        await stop
        await app.stop()
    return 0


def _hint_at_serve(environ: Mapping[str, str]) -> None:
    if found := [name for name in _NAME_SERVERS if unquoted(environ.get(name, ""))]:
        words = f"{', '.join(found)} {'names' if len(found) == 1 else 'name'} servers of yours"
        complain(f"gollamas demo: {words}: `gollamas serve` is for them, this uses simulated ones")


def in_front_of(addresses: Mapping[str, Address], config: Config) -> Config:
    """Give the configuration with these servers: all that they have is served, and one alias."""
    servers = {
        name: Server(id=name, scheme="http", host=address.host, port=address.port)
        for name, address in addresses.items()
    }
    key = names.key_of("llama3.2")
    alias_key = names.key_of("gpt-4o")
    assert key is not None  # noqa: S101 - both are good names
    assert alias_key is not None  # noqa: S101 - as above
    holders = tuple(name for name, models in _SERVERS.items() if "llama3.2" in models)
    return replace(
        config,
        expose=Expose.INSTALLED,
        manage=Manage.ALL,
        list_aliases=True,
        servers=servers,
        models={key: Model(name="llama3.2", key=key, servers=holders)},
        aliases={alias_key: Alias(name="gpt-4o", key=alias_key, model="llama3.2", model_key=key)},
    )


def _app(config: Config) -> "App":
    from gollamas.admin.logwriter import LogWriter  # noqa: PLC0415 - a faulty command line needs no server
    from gollamas.app import App  # noqa: PLC0415 - as above
    from gollamas.observe.accesslog import AccessLog  # noqa: PLC0415 - as above
    from gollamas.observe.kinds import level_of  # noqa: PLC0415 - as above

    colour = sys.stderr.isatty() and "NO_COLOR" not in os.environ
    writer = LogWriter(sys.stderr.fileno())
    log = AccessLog(writer, time.time, level=level_of(config.level), is_json=False, colour=colour)
    return App(config, log=log)


def _explain(app: "App", addresses: Mapping[str, Address]) -> None:
    url = reached(app.address)
    say("\nThree simulated Ollama servers (no model runs in them, the words are made up):\n")
    for name, models in _SERVERS.items():
        say(f"  {name}  http://{addresses[name]}  {', '.join(models)}")
    say(f"\nand gollamas in front of them at {url}, where gpt-4o is another name for llama3.2.")
    host = url.removeprefix("http://")
    say(_COMMANDS.format(url=url, host=host, python=_PYTHON.format(url=url)).rstrip("\n"))
    if app.admin_address is not None:
        say(f"\nWhat all of that came to:\n\n  curl {reached(app.admin_address)}/metrics")
    say("\nCtrl-C ends all of it.\n")
