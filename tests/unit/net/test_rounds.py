"""A round decides when what was read is worked off: at once, or stage by stage with all else of its turn."""

import asyncio
from collections.abc import Callable

import pytest

from gollamas.net.rounds import Round


class Side:
    """A connection, to a server and of a client, that notes what a round has it do."""

    def __init__(self, name: str, log: list[str], round_: Round, *, is_whole: bool = True) -> None:
        self.name, self.log, self.round, self.is_whole = name, log, round_, is_whole

    def parse(self) -> bool:
        self.log.append(f"parse {self.name}")
        return self.is_whole

    def pass_on(self) -> bool:
        self.log.append(f"pass on {self.name}")
        return True

    def has_answer(self, *, may_wait: bool) -> None:
        if not self.round.defers_answer(self, may_wait) and self.parse() and self.pass_on():
            self.settle()

    def has_request(self, *, may_wait: bool) -> None:
        if not self.round.defers_request(self, may_wait) and self.parse():
            self.serve()

    def settle(self) -> None:
        self._in_two("end")

    def serve(self) -> None:
        self._in_two("serve")

    def _in_two(self, what: str) -> None:
        self.log.append(f"{what} {self.name}")
        if self.round.has_stages:
            self.round.then(self._then)
        else:
            self._then()

    def _then(self) -> None:
        self.log.append(f"then {self.name}")


def after_a_turn(open_: int, tell: Callable[[Round, list[str]], None]) -> tuple[list[str], list[str]]:
    """Tell a round of reads while so many requests are open: what it does at once, and what in the end."""
    log: list[str] = []

    async def turn() -> list[str]:
        round_ = Round()
        round_.few, round_.open = 4, open_
        tell(round_, log)
        at_once = list(log)
        await asyncio.sleep(0)
        return at_once

    return asyncio.run(turn()), log


@pytest.mark.parametrize(("open_", "may_wait"), [(4, True), (4, False), (5, False)])
def test_where_few_are_open_or_it_may_not_wait_a_read_is_worked_off_at_once(
    open_: int, may_wait: bool
) -> None:
    def tell(round_: Round, log: list[str]) -> None:
        Side("server", log, round_).has_answer(may_wait=may_wait)
        Side("client", log, round_).has_request(may_wait=may_wait)
        Side("part", log, round_, is_whole=False).has_request(may_wait=may_wait)

    at_once, in_the_end = after_a_turn(open_, tell)
    assert at_once == in_the_end
    assert at_once == [
        *("parse server", "pass on server", "end server", "then server"),
        *("parse client", "serve client", "then client"),
        "parse part",
    ]


def test_where_many_are_open_each_stage_is_done_for_all_before_the_next() -> None:
    def tell(round_: Round, log: list[str]) -> None:
        for name in ("a", "b"):
            Side(f"client {name}", log, round_).has_request(may_wait=True)
            Side(f"server {name}", log, round_).has_answer(may_wait=True)
        Side("part", log, round_, is_whole=False).has_answer(may_wait=True)

    at_once, in_the_end = after_a_turn(5, tell)
    assert at_once == []
    assert in_the_end == [
        *("parse server a", "parse server b", "parse part", "pass on server a", "pass on server b"),
        *("end server a", "end server b", "then server a", "then server b"),
        *("parse client a", "parse client b", "serve client a", "serve client b"),
        *("then client a", "then client b"),
    ]


def test_a_long_step_that_fails_leaves_the_others_their_turns() -> None:
    taken: list[str] = []
    told: list[BaseException] = []

    async def run() -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: told.append(context["exception"]))
        round_ = Round()

        def fails() -> None:
            taken.append("fails")
            round_.one_a_turn(lambda: taken.append("later"))
            raise ValueError

        def turn() -> None:
            taken.append("turn")
            if len(taken) < 8:
                loop.call_soon(turn)

        for step in (fails, lambda: taken.append("next"), fails):
            round_.one_a_turn(step)
        loop.call_soon(turn)
        while taken.count("later") < 2:  # noqa: ASYNC110 - no event tells
            await asyncio.sleep(0)

    asyncio.run(run())
    assert [step for step in taken if step != "turn"] == ["fails", "next", "fails", "later", "later"]
    assert taken[:4] == ["fails", "turn", "next", "turn"]
    assert [type(error) for error in told] == [ValueError, ValueError]
