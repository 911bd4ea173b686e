"""An empty request of ours: it loads a model, or tells one that is there how long to stay."""

from typing import NamedTuple

from gollamas.background.prober import Asker
from gollamas.config.model import Server
from gollamas.fleet.judging import ProbeReply
from gollamas.fleet.load_requests import EMBED, GENERATE, is_well, load_body
from gollamas.fleet.runner_options import RunnerOptions


class EmptyRequest(NamedTuple):
    """What it says: the server's name of a model, its runner options, how many seconds it is to stay.

    None of them is said where the server is to decide. `embeds` has it sent as a model takes it that only
    embeds.
    """

    name: str
    options: RunnerOptions
    keep_alive: float | None
    embeds: bool


async def ask_empty(
    ask: Asker,
    server: Server,
    empty: EmptyRequest,
    timeout: float,  # noqa: ASYNC109 - each question's own
) -> ProbeReply:
    """Send it, once more where it turns out that the model only embeds; raises ProxyError."""

    async def post(path: str) -> ProbeReply:
        body = load_body(path, empty.name, empty.options, empty.keep_alive)
        return await ask(server, "POST", path, body, timeout=timeout)

    reply = await post(EMBED if empty.embeds else GENERATE)
    if reply.status == 400 and not empty.embeds:
        other = await post(EMBED)
        return other if is_well(other) else reply
    return reply
