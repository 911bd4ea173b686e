"""`gollamas simulate`: run one simulated Ollama server until it is stopped."""

import argparse
import asyncio
import math
import os
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Final, NoReturn

from gollamas.cli.say import USAGE, complain, say
from gollamas.cli.signals import hear
from gollamas.config.faults import Unusable, nearest
from gollamas.config.model import Address
from gollamas.config.synonyms import meant_by
from gollamas.config.values import Listen
from gollamas.simulate.settings import VERSIONS

_LOOPBACK: Final = ("localhost", "::1")


def run(argv: Sequence[str]) -> int:
    """Serve until a signal ends it: 0; 1 where the address can't be used, 2 for a faulty command line."""
    parser = _parser()
    try:
        given = parser.parse_args(list(argv))
    except SystemExit as end:
        return int(end.code or 0)
    return run_until_stopped(lambda: _serve(given))


def run_until_stopped(work: Callable[[], Coroutine[Any, Any, int]]) -> int:
    """Run this in a loop and give its exit code; Ctrl-C before it listens to signals itself is 0, too."""
    try:
        from gollamas.app import loop_factory  # noqa: PLC0415 - the help needs no server

        with asyncio.Runner(loop_factory=loop_factory()) as runner:
            return runner.run(work())
    except KeyboardInterrupt:
        return 0


def _parser() -> "Parser":
    parser = Parser(
        prog="gollamas simulate",
        description="Run one simulated Ollama server. No model runs in it: the words are made up, times, "
        "loads, slots and errors are those of a real one.",
    )
    parser.add_argument(
        "--listen",
        *("--address", "--addr", "-a"),
        type=listen_address,
        default="127.0.0.1:11500",
        metavar="ADDRESS",
        help="where it is reached (HOST:PORT, :PORT for every address; default 127.0.0.1:11500)",
    )
    parser.add_argument(
        "--version",
        default=VERSIONS[0],
        type=_version,
        metavar="VERSION",
        help="the Ollama that it acts like: "
        f"{', '.join(VERSIONS)} to the letter, others as their features go (default {VERSIONS[0]})",
    )
    parser.add_argument(
        "--model",
        action="append",
        type=_model,
        metavar="NAME",
        help="a model that is installed; again for another (default llama3.2, smollm2:135m, all-minilm)",
    )
    for flag, default, help_text in (
        ("--load-seconds", 1.0, "how long a load takes"),
        ("--tokens-per-second", 50.0, "how fast one answer comes; 0 is as fast as it goes"),
        ("--keep-alive", 300.0, "seconds that an idle model stays loaded; less than 0 is for ever"),
    ):
        shown = f"{help_text} (default {default:g})"
        kind = _any_number if flag == "--keep-alive" else _number
        parser.add_argument(flag, type=kind, default=default, metavar="NUMBER", help=shown)
    for flag, number, help_text in (
        ("--parallel", 1, "requests that a loaded model works on at a time"),
        ("--max-queue", 512, "requests that may wait behind a load"),
        ("--max-loaded", 3, "models that are loaded at a time"),
        ("--context-length", 4096, "tokens of context where nothing else is said"),
    ):
        shown = f"{help_text} (default {number})"
        parser.add_argument(flag, type=_count, default=number, metavar="NUMBER", help=shown)
    return parser


class Parser(argparse.ArgumentParser):
    """A command line that says what is wrong in one line, with the nearest flag."""

    def __init__(self, *, prog: str, description: str) -> None:
        super().__init__(prog=prog, description=description, allow_abbrev=False)

    def print_help(self, file: Any = None) -> None:  # noqa: ARG002 - argparse gives none
        """Print the help as every verb prints its result."""
        say(self.format_help().rstrip("\n"))

    def error(self, message: str) -> NoReturn:
        """Say what is wrong and end with the exit code of a faulty command line."""
        unknown = message.partition("unrecognized arguments: ")[2].split()
        near = self._meant(unknown[0].partition("=")[0]) if unknown else None
        hint = f"write `{near}`" if near else f"see `{self.prog} --help`"
        if unknown and "://" in unknown[0]:
            hint = "this makes servers of its own, `gollamas URL` is for yours"
        complain(f"{self.prog}: {message}: {hint}")
        raise SystemExit(USAGE)

    def _meant(self, word: str) -> str | None:
        meant = meant_by(word)
        if meant and meant.flag.partition(" ")[0] in self._option_string_actions:
            return meant.flag
        return nearest(word, self._option_string_actions)


def listen_address(text: str) -> Address:
    """Read an address to listen on; raises what argparse tells."""
    address = read_address(text, Listen())
    assert address is not None  # noqa: S101 - only an address that may be off is none
    return address


def read_address(text: str, kind: Listen) -> Address | None:
    """Read an address of this kind; raises what argparse tells."""
    try:
        return kind.parse(text)
    except Unusable as why:
        raise argparse.ArgumentTypeError(f"{why.what}. {why.instead}") from why


def _model(text: str) -> str:
    from gollamas import names  # noqa: PLC0415 - the help needs no names

    if names.parse(text) is None:
        raise argparse.ArgumentTypeError(f"`{text}` is no name of a model")
    return text


def _version(text: str) -> str:
    if not text.partition("-")[0].replace(".", "").isdecimal():
        raise argparse.ArgumentTypeError(f"`{text}` is no version. Write it like `{VERSIONS[0]}`")
    return text


def _any_number(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise argparse.ArgumentTypeError(f"`{text}` is no number")
    return number


def _number(text: str) -> float:
    number = _any_number(text)
    if number < 0:
        raise argparse.ArgumentTypeError(f"`{text}` is less than 0")
    return number


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"`{text}` is no number above 0")
    return int(text)


def is_loopback(address: Address) -> bool:
    """Whether only this machine can connect."""
    return address.host in _LOOPBACK or address.host.startswith("127.")


async def _serve(given: argparse.Namespace) -> int:
    from gollamas.simulate.server import SimulatedOllama  # noqa: PLC0415 - as above
    from gollamas.simulate.serving import serving  # noqa: PLC0415 - as above
    from gollamas.simulate.settings import FOREVER, Settings  # noqa: PLC0415 - as above
    from gollamas.system.listening import NotListening  # noqa: PLC0415 - the help needs no server

    stop = until_stopped("gollamas simulate")
    settings = Settings(
        version=given.version,
        models=tuple(given.model) if given.model else Settings().models,
        load_seconds=given.load_seconds,
        tokens_per_second=given.tokens_per_second,
        keep_alive=given.keep_alive if given.keep_alive >= 0 else FOREVER,
        num_parallel=given.parallel,
        max_queue=given.max_queue,
        max_loaded=given.max_loaded,
        context_length=given.context_length,
        is_loopback=is_loopback(given.listen),
        remembered=0,
    )
    try:
        async with serving(SimulatedOllama(settings), given.listen) as served:
            say(f"a simulated Ollama {settings.version} (no model runs) at {reached(served.address)}")
            say(f"models: {', '.join(settings.models)}")
            await stop
    except NotListening as why:
        complain(f"gollamas simulate: {why}: choose another address with --listen HOST:PORT")
        return 1
    return 0


def reached(address: Address) -> str:
    """Give the URL for a client on this machine."""
    every = address.host in ("", "0.0.0.0", "::")  # noqa: S104 - asked, not bound
    return f"http://{Address(host='localhost', port=address.port) if every else address}"


def until_stopped(program: str) -> asyncio.Future[None]:
    """Give what is done when a signal or the terminal's closing ends us; another one then ends us at once."""
    first: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def on_stop() -> None:
        if first.done():
            os._exit(1)
        first.set_result(None)

    hear(on_stop, lambda: complain(f"{program}: SIGHUP changes nothing"))
    return first
