"""A page of the admin port, for the verbs that ask for one; shown as tables, as text or as it came.

Owns where it is asked for, what is said where there is none, and the form in which it is printed. Finds the
admin address as `health` does. Where the output is no terminal it is plain text, and the library that draws
tables is not even imported.
"""

import os
import sys
from collections.abc import Callable, Sequence
from typing import NamedTuple

import msgspec

from gollamas.cli.asking import NotHttp, PageReply, Question, Unanswered, ask
from gollamas.cli.say import USAGE, complain, complain_of, say, say_bytes
from gollamas.cli.state import StateTable, as_text
from gollamas.cli.tables import TABLES
from gollamas.config.faults import Faults
from gollamas.config.load import Loaded, load_values
from gollamas.config.model import Address, Config
from gollamas.observe.safe import cut, escaped


class NothingTold(Exception):
    """There is nothing to print; the text says why, in one line."""


class NobodyThere(NothingTold):
    """Nothing answers at the address."""


class PageRead(NamedTuple):
    """What people read of a page, and what the verb exits with."""

    heading: str
    tables: list[StateTable]
    code: int = 0


class PageAsked(NamedTuple):
    """A page and its reader, which raises ValueError or RecursionError for what is none of ours."""

    question: Question
    read: Callable[[bytes], PageRead]


class _ErrorPage(msgspec.Struct):
    """What the admin port answers where it refuses something."""

    error: str


def show(verb: str, argv: Sequence[str], asked: Callable[[Loaded], PageAsked]) -> int:
    """Print a page; exits 1 where no gollamas answers or administration is off, 2 for a faulty address."""
    try:
        loaded = load_values(argv, os.environ, table=TABLES[verb])
    except Faults as faults:
        complain_of(faults)
        return USAGE
    try:
        body, page = _ask(verb, loaded.config.admin, asked(loaded))
    except NothingTold as why:
        complain(f"gollamas: {why}")
        return 1
    if loaded.own.get("json"):
        say_bytes(body)
    elif sys.stdout.isatty():
        from gollamas.cli.terminal import drawn  # noqa: PLC0415 - only a terminal needs it

        say(drawn(page.heading, page.tables, sys.stdout))
    else:
        say(as_text(page.heading, page.tables))
    return page.code


def _ask(verb: str, admin: Address | None, asked: PageAsked) -> tuple[bytes, PageRead]:
    """Ask for a page: its bytes, and what they say; raises NothingTold."""
    url, reply = reply_of(verb, admin, asked.question)
    if reply.status != 200:
        raise no_gollamas(url, f"or an older one: status {reply.status}")
    try:
        return reply.body, asked.read(reply.body)
    except (ValueError, RecursionError) as why:  # msgspec's own are ValueErrors
        raise no_gollamas(url, "it says nothing that one would") from why


def reply_of(verb: str, admin: Address | None, question: Question) -> tuple[str, PageReply]:
    """Ask the admin port: the URL that was asked, and the answer; raises NothingTold, for a refusal, too."""
    if admin is None:
        raise NothingTold(f"administration is off here (--admin off): {verb} asks the admin port")
    url = f"http://{admin}{question.path}"
    try:
        reply = ask(admin, question)
    except NotHttp as why:
        raise no_gollamas(url, "it speaks no HTTP") from why
    except Unanswered as why:
        raise NobodyThere(f"nobody answers at {url}: {why}") from why
    if reply.status == 403 and (error := error_in(reply.body)):
        raise NothingTold(f"{url} is refused: {error}")
    return url, reply


def no_gollamas(url: str, why: str) -> NothingTold:
    """Say that what answers is none of ours."""
    mark = "," if why.startswith("or ") else ":"
    return NothingTold(f"what answers at {url} is no gollamas{mark} {why}")


def bearer(config: Config) -> dict[str, bytes]:
    """Give the fields with the admin token, for a question that changes something."""
    return {"Authorization": f"Bearer {config.admin_token}".encode()} if config.admin_token else {}


def error_in(body: bytes) -> str:
    """Give the sentence of a refusal; empty where it is none of ours."""
    try:
        return cut(escaped(msgspec.json.decode(body, type=_ErrorPage).error))
    except (ValueError, RecursionError):
        return ""
