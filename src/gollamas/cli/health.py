"""`gollamas health`: whether a running proxy is well, for Docker's HEALTHCHECK and for people.

Finds the admin address as `serve` does and looks at nothing else of the configuration.
"""

import os
from collections.abc import Sequence

from gollamas.cli.asking import Question, Unanswered, ask, endpoint_at
from gollamas.cli.say import USAGE, complain, complain_of, say
from gollamas.cli.tables import TABLES
from gollamas.config.faults import Faults
from gollamas.config.load import load_values
from gollamas.config.model import Address


def run(argv: Sequence[str]) -> int:
    """Print one line; 0 when the proxy is well, 1 when it is not, 2 when the address is faulty."""
    try:
        config = load_values(argv, os.environ, table=TABLES["health"]).config
    except Faults as faults:
        complain_of(faults)
        return USAGE
    if config.admin is None:
        problem, asked = _problem(config.listen, "/"), f"http://{config.listen}/ (administration is off)"
    else:
        problem, asked = _problem(config.admin, "/healthz"), f"http://{config.admin}/healthz"
    if problem:
        complain(f"not well: {asked}: {problem}")
        return 1
    say(f"well: {asked}")
    return 0


def _problem(address: Address, path: str) -> str | None:
    """Say what is wrong where a running proxy does not answer 200."""
    try:
        status = ask(endpoint_at(address), Question(path)).status
    except Unanswered as why:
        return str(why)
    return None if status == 200 else f"status {status}"
