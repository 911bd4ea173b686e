"""`gollamas demo`: three simulated Ollama servers, the proxy in front of them, and commands to paste.

With `--busy` clients keep them at work, and one of them goes away at times.
"""

import asyncio
import os
import sys
import time
from collections.abc import Coroutine, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from gollamas import names
from gollamas.cli import occupied
from gollamas.cli.say import USAGE, complain, complain_of_each, say
from gollamas.cli.simulate import reached, run_until_stopped, until_stopped
from gollamas.cli.tables import TABLES
from gollamas.config.faults import Faults
from gollamas.config.lists import unquoted
from gollamas.config.model import EVERYWHERE, Address, Alias, Config, Expose, Manage, Model, Server
from gollamas.config.own import read_own

if TYPE_CHECKING:
    from gollamas.app import App
    from gollamas.simulate.settings import Settings

_GRACE: Final = 1.0  # seconds that streams get when the demo ends
_DEFAULT: Final = Address(host="localhost", port=11434)
_ADMIN: Final = Address(host="127.0.0.1", port=11435)
_OF_ALIAS: Final = "llama3.2"
_CONFIGURED: Final = (_OF_ALIAS, "qwen3:8b", "deepseek-r1:14b", "llama3.2-vision", "all-minilm")
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
    is_busy = said.pop("busy", False)
    # A line for each request would push what is printed off the screen.
    said.setdefault("level", "warn" if is_busy else "info")
    return run_until_stopped(lambda: _demo(_config(**said), is_busy=is_busy))


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


async def _demo(config: Config, *, is_busy: bool) -> int:
    from gollamas.simulate.scene import BUSY, IDLE, scene  # noqa: PLC0415 - as above
    from gollamas.system.listening import NotListening  # noqa: PLC0415 - a faulty command line needs no server

    stop = until_stopped("gollamas demo")
    _hint_at_serve(os.environ)
    servers = BUSY if is_busy else IDLE
    async with scene(servers) as running:
        app = _app(in_front_of(running.addresses, servers, config, is_busy=is_busy))
        try:
            await app.start()
        except NotListening as why:
            complain(f"gollamas demo: {occupied.why_taken(why, config)}")
            return 1
        _explain(app, running.addresses, servers)
        if is_busy:
            await _until(stop, running.keep_busy(app.address.for_clients))
        else:
            await stop
        await app.stop()
    return 0


async def _until(stop: asyncio.Future[None], work: Coroutine[Any, Any, None]) -> None:
    """Do this until it is to stop; raises what the work ends by."""
    at_work = asyncio.ensure_future(work)
    await asyncio.wait([stop, at_work], return_when=asyncio.FIRST_COMPLETED)
    at_work.cancel()
    with suppress(asyncio.CancelledError):
        await at_work


def _hint_at_serve(environ: Mapping[str, str]) -> None:
    if found := [name for name in _NAME_SERVERS if unquoted(environ.get(name, ""))]:
        words = f"{', '.join(found)} {'names' if len(found) == 1 else 'name'} servers of yours"
        complain(f"gollamas demo: {words}: `gollamas serve` is for them, this uses simulated ones")


def in_front_of(
    addresses: Mapping[str, Address], settings: "Mapping[str, Settings]", config: Config, *, is_busy: bool
) -> Config:
    """Give the configuration with these servers: all that they have is served, and one alias.

    Where they are busy more of it is configured, so that there is more to be seen.
    """
    servers = {
        name: Server(id=name, scheme="http", host=address.host, port=address.port)
        for name, address in addresses.items()
    }
    holders = {
        model: tuple(name for name, told in settings.items() if model in told.models)
        for model in (_CONFIGURED if is_busy else (_OF_ALIAS,))
    }
    models = {_key(name): Model(name=name, key=_key(name), servers=on) for name, on in holders.items()}
    alias = Alias(name="gpt-4o", key=_key("gpt-4o"), model=_OF_ALIAS, model_key=_key(_OF_ALIAS))
    return replace(
        config,
        expose=Expose.INSTALLED,
        manage=Manage.ALL,
        list_aliases=True,
        servers=servers,
        models=models,
        aliases={alias.key: alias},
        preload={(_key("all-minilm"), ""): EVERYWHERE} if is_busy else {},
        keep_alive={(_key("deepseek-r1:14b"), ""): 20.0} if is_busy else {},
        num_ctx={(_key("qwen3:8b"), ""): 8192} if is_busy else {},
    )


def _key(name: str) -> str:
    key = names.key_of(name)
    assert key is not None  # noqa: S101 - all are good names
    return key


def _app(config: Config) -> "App":
    from gollamas.admin.logwriter import LogWriter  # noqa: PLC0415 - a faulty command line needs no server
    from gollamas.app import App  # noqa: PLC0415 - as above
    from gollamas.observe.accesslog import AccessLog  # noqa: PLC0415 - as above
    from gollamas.observe.kinds import level_of  # noqa: PLC0415 - as above

    colour = sys.stderr.isatty() and "NO_COLOR" not in os.environ
    writer = LogWriter(sys.stderr.fileno())
    log = AccessLog(writer, time.time, level=level_of(config.level), is_json=False, colour=colour)
    return App(config, log=log)


def _explain(app: "App", addresses: Mapping[str, Address], servers: "Mapping[str, Settings]") -> None:
    url = reached(app.address)
    say("\nThree simulated Ollama servers (no model runs in them, the words are made up):\n")
    for name, told in servers.items():
        say(f"  {name}  http://{addresses[name]}  {', '.join(told.models)}")
    say(f"\nand gollamas in front of them at {url}, where gpt-4o is another name for llama3.2.")
    host = url.removeprefix("http://")
    say(_COMMANDS.format(url=url, host=host, python=_PYTHON.format(url=url)).rstrip("\n"))
    if app.admin_address is not None:
        admin = reached(app.admin_address)
        say(f"\nThe whole of it in a browser:\n\n  {admin}/\n\nWhat it came to:\n\n  curl {admin}/metrics")
    say("\nCtrl-C ends all of it.\n")
