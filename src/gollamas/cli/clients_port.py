"""The address that clients use, for the verbs that ask it as a client of Ollama's would.

Owns where it is asked for, how a verb runs, and what is said where something is refused or nobody is there.
"""

import os
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from http import HTTPStatus
from http.client import HTTPResponse
from typing import Final, NamedTuple

import msgspec

from gollamas.cli.answers import NobodyThere, NothingTold, OtherThere, error_in, no_gollamas
from gollamas.cli.asking import (
    BrokenOff,
    Endpoint,
    NotHttp,
    NoTls,
    PageReply,
    Question,
    Unanswered,
    answering,
    endpoint_at,
    lines_of,
    whole,
)
from gollamas.cli.client_paths import VERSION
from gollamas.cli.say import USAGE, complain, complain_of, warn
from gollamas.cli.tables import TABLES
from gollamas.cli.wanted import Named
from gollamas.config.address import ServerUrl
from gollamas.config.faults import Faults
from gollamas.config.host import ProxyHost
from gollamas.config.load import Loaded, load_values
from gollamas.config.model import Address
from gollamas.observe.safe import cut, escaped

_FIELD: Final = "X-Gollamas-Server"
_WHERE: Final = "--host or GOLLAMAS_HOST says where gollamas is"
_NO_PAGE: Final = "no such page here"
_OURS: Final = "X-Request-Id"  # every answer of the proxy has it, and none of Ollama's
_NOT_MANAGED: Final = "`manage` is `off`"
_UNREACHABLE: Final = "no server can be reached"
_REDIRECTS: Final = frozenset((301, 302, 303, 307, 308))
_UNREACHED: Final = frozenset((502, 503, 504))
_WARNING: Final = '199 gollamas "'


class Refused(Exception):
    """The proxy answers that something can't be done; the text says why, and what to do."""


class Port(NamedTuple):
    """Where clients connect."""

    place: Endpoint
    url: str  # without user info


def with_proxy(verb: str, argv: Sequence[str], run: Callable[[Loaded], int]) -> int:
    """Run a verb; 1 where it can't be done or nobody answers, 2 for a faulty command line."""
    try:
        return run(load_values(argv, os.environ, table=TABLES[verb]))
    except Faults as faults:
        complain_of(faults)
        return USAGE
    except (NobodyThere, OtherThere) as why:
        complain(f"gollamas: {why}; {_WHERE}")
    except NothingTold as why:
        complain(f"gollamas: {why}")
    return 1


def admin_of(loaded: Loaded) -> Address | None:
    """Give the admin address of the same proxy; None where it is off.

    Also where the proxy is on another machine and nobody has said where its admin port is.
    """
    config = loaded.config
    if "host" in loaded.own and config.admin_is_default:
        place = port_of(loaded).place
        if not Address(host=place.host, port=place.port).is_loopback:
            return None
    return config.admin


def each(wanted: Iterable[Named], do: Callable[[Named], None]) -> int:
    """Do it for one model after another; 1 where one was refused."""
    code = 0
    for one in wanted:
        try:
            do(one)
        except Refused as why:
            complain(f"gollamas: {one}: {why}")
            code = 1
    return code


def port_of(loaded: Loaded) -> Port:
    """Find the address: as it was told, or where the proxy listens."""
    host: ServerUrl | None = loaded.own.get("host")
    if host is None:
        place = endpoint_at(loaded.config.listen)
        return Port(place, f"http://{loaded.config.listen.for_clients}")
    place = Endpoint(host.host, host.port, host.scheme == "https", host.prefix, host.authorization)
    return Port(place, ProxyHost().show(host))


def question(
    path: str, named: Named, members: Mapping[str, object], *, timeout: float | None, method: str = "POST"
) -> Question:
    """Ask for something that is done to a model, on the server that it is wanted on."""
    fields = {"Content-Type": b"application/json"}
    if named.server:
        fields[_FIELD] = named.server.encode()
    return Question(path, method, fields, timeout, msgspec.json.encode(members))


def reply_of(port: Port, asked: Question) -> PageReply:
    """Ask, and give what was answered with 200; raises Refused or NothingTold."""
    with _answered(port, asked) as answer:
        return whole(answer)


def done_of(port: Port, asked: Question) -> PageReply:
    """Have something done of which nothing is told but that it is; raises as `reply_of`."""
    reply = reply_of(port, asked)
    if reply.body.strip():  # any other server may answer so, too
        raise no_gollamas(port.url + asked.path, "its answer is not what gollamas sends")
    return reply


def lines_from(port: Port, asked: Question) -> Generator[bytes]:
    """Ask, and give the lines of the answer as they come; raises as `reply_of`, BrokenOff in its midst."""
    has_begun = False
    try:
        with _answered(port, asked) as answer:
            for line in lines_of(answer):
                has_begun = True
                yield line
    except NothingTold as why:
        if has_begun:
            cut_off = isinstance(why.__cause__, BrokenOff)
            raise BrokenOff("the answer broke off" + ("" if cut_off else f" ({why.__cause__})")) from why
        raise


def warn_of(named: Named, reply: PageReply) -> None:
    """Print what was not done everywhere."""
    for text in reply.warnings:
        if text.startswith(_WARNING):
            said = text.removeprefix(_WARNING).removesuffix('"').replace('\\"', '"').replace("\\\\", "\\")
            warn([f"{named}: {escaped(said)}"])


@contextmanager
def _answered(port: Port, asked: Question) -> Iterator[HTTPResponse]:
    """Ask, of one server only where the proxy answers: an Ollama would take the request for its own."""
    url = port.url + asked.path
    try:
        if _FIELD in asked.fields:
            _expect_gollamas(port)
        with answering(port.place, asked) as answer:
            if answer.status != HTTPStatus.OK:
                raise _refusal(url, asked, whole(answer))
            yield answer
    except BrokenOff as why:
        raise NothingTold(f"what {url} answered broke off: try again") from why
    except NotHttp as why:
        raise no_gollamas(url, "it speaks no HTTP") from why
    except NoTls as why:
        raise NobodyThere(f"no TLS connection to {url}: {why}") from why
    except Unanswered as why:
        raise NobodyThere(f"nobody answers at {url}: {why}") from why


def _expect_gollamas(port: Port) -> None:
    with answering(port.place, Question(VERSION)) as answer:
        whole(answer)
        # Other refusals tell of themselves, and a model that is changed needs no version.
        if answer.status == HTTPStatus.OK and _OURS not in answer.headers:
            raise no_gollamas(port.url, "it is one Ollama, which knows of no servers")


def _refusal(url: str, asked: Question, reply: PageReply) -> Exception:
    """Say why something can't be done, and what to do where the proxy's own words do not."""
    error = error_in(reply.body).removesuffix(f" ({_FIELD})")
    if not error:
        return _other_refusal(url, asked, reply)
    if error.startswith(_NO_PAGE):
        return OtherThere(f"what answers at {url} is an admin port")
    if asked.method == "GET":  # of no model
        return NothingTold(f"{url} is refused: {error}")
    return Refused(f"{error}{_advice(reply.status, error)}")


def _advice(status: int, error: str) -> str:
    """Say what to do where the proxy does not."""
    if status == HTTPStatus.NOT_FOUND:
        return ": `gollamas models` shows what there is"
    if status == HTTPStatus.BAD_REQUEST and " server '" in error:
        return ": `gollamas status` shows the servers"
    if _UNREACHABLE in error:
        return "; `gollamas status` shows the servers"
    if error.endswith(_NOT_MANAGED):
        return "; set `manage: configured` or `manage: all` to allow it"
    return ""


def _other_refusal(url: str, asked: Question, reply: PageReply) -> Exception:
    """Say what to do about an answer that is not gollamas's own, but may be of what stands before it."""
    status = reply.status
    if status == HTTPStatus.UNAUTHORIZED:
        return NothingTold(
            f"{url} asks for a name and a password: write them into GOLLAMAS_HOST, as in http://NAME:PASSWORD@HOST"
        )
    if status == HTTPStatus.FORBIDDEN:
        return NothingTold(f"{url} refuses to be asked by this name (status 403): use its IP address")
    place, _, path = reply.location.rpartition(asked.path)
    if status in _REDIRECTS and "://" in place and not path:
        return NothingTold(f"{url} redirects to {cut(escaped(place))}: write that into GOLLAMAS_HOST")
    if status in _UNREACHED:
        reason = f"status {status}, as of a proxy that can't reach gollamas"
        return NothingTold(f"{url} answers with {reason}: is gollamas running?")
    return no_gollamas(url, f"status {status}")
