"""A page of the admin port, for the verbs that ask for one; shown as tables, as text or as it came.

Owns where it is asked for, what is said where there is none, and the form in which it is printed. Finds the
admin address as `health` does. Where the output is no terminal it is plain text, and the library that draws
tables is not even imported.
"""

import os
import sys
from collections.abc import Callable, Sequence
from typing import NamedTuple

from gollamas.cli.answers import NobodyThere, NothingTold, error_in, no_gollamas
from gollamas.cli.asking import BrokenOff, NotHttp, PageReply, Question, Unanswered, ask, endpoint_at
from gollamas.cli.plain import PageRead, as_text
from gollamas.cli.say import USAGE, complain, complain_of, say, say_bytes
from gollamas.cli.tables import TABLES
from gollamas.config.faults import Faults
from gollamas.config.load import Loaded, load_values
from gollamas.config.model import Address, Config


class PageAsked(NamedTuple):
    """A page and its reader, which raises ValueError or RecursionError for what is none of ours."""

    question: Question
    read: Callable[[bytes], PageRead]


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
    else:
        say_page(page)
    return page.code


def say_page(page: PageRead) -> None:
    """Print a page for people: drawn on a terminal, as text elsewhere."""
    if sys.stdout.isatty():
        from gollamas.cli.terminal import drawn  # noqa: PLC0415 - only a terminal needs it

        say(drawn(page, sys.stdout))
    else:
        say(as_text(page))


def _ask(verb: str, admin: Address | None, asked: PageAsked) -> tuple[bytes, PageRead]:
    """Ask for a page: its bytes, and what they say; raises NothingTold."""
    url, reply = reply_of(verb, admin, asked.question)
    if reply.status != 200:
        raise no_gollamas(url, f"or an older one: status {reply.status}")
    try:
        return reply.body, asked.read(reply.body)
    except (ValueError, RecursionError) as why:  # msgspec's own are ValueErrors
        raise no_gollamas(url, "its answer is not what gollamas sends") from why


def reply_of(verb: str, admin: Address | None, question: Question) -> tuple[str, PageReply]:
    """Ask the admin port: the URL that was asked, and the answer; raises NothingTold, for a refusal, too."""
    if admin is None:
        raise NothingTold(f"administration is off here (--admin off): {verb} asks the admin port")
    url = f"http://{admin}{question.path}"
    try:
        reply = ask(endpoint_at(admin), question)
    except BrokenOff as why:
        raise NothingTold(f"what {url} answered broke off: try again") from why
    except NotHttp as why:
        raise no_gollamas(url, "it speaks no HTTP") from why
    except Unanswered as why:
        raise NobodyThere(f"nobody answers at {url}: {why}") from why
    if reply.status == 403 and (error := error_in(reply.body)):
        raise NothingTold(f"{url} is refused: {error}")
    return url, reply


def bearer(config: Config) -> dict[str, bytes]:
    """Give the fields with the admin token, for a question that changes something."""
    return {"Authorization": f"Bearer {config.admin_token}".encode()} if config.admin_token else {}
