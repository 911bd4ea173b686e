"""`gollamas health`: whether a running proxy is well, for Docker's HEALTHCHECK and for people.

Finds the admin address as `serve` does and looks at nothing else of the configuration.
"""

import http.client
import os
from collections.abc import Sequence
from typing import Final

from gollamas.cli.say import USAGE, complain, complain_of, say
from gollamas.config.faults import Faults
from gollamas.config.load import load_values
from gollamas.config.model import Address

_TIMEOUT: Final = 5.0


def run(argv: Sequence[str]) -> int:
    """Print one line; 0 when the proxy is well, 1 when it is not, 2 when the address is faulty."""
    try:
        config = load_values(argv, os.environ)
    except Faults as faults:
        complain_of(faults)
        return USAGE
    if config.admin is None:
        problem, asked = ask(config.listen, "/"), f"http://{config.listen}/ (administration is off)"
    else:
        problem, asked = ask(config.admin, "/healthz"), f"http://{config.admin}/healthz"
    if problem:
        complain(f"not well: {asked}: {problem}")
        return 1
    say(f"well: {asked}")
    return 0


def ask(address: Address, path: str) -> str | None:
    """Ask a running proxy; None when it says 200, else what is wrong. Five seconds at most per step."""
    connection = http.client.HTTPConnection(address.for_clients.host, address.port, timeout=_TIMEOUT)
    try:
        connection.request("GET", path)
        status = connection.getresponse().status
    except (OSError, http.client.HTTPException) as error:
        return getattr(error, "strerror", None) or str(error) or type(error).__name__
    finally:
        connection.close()
    return None if status == 200 else f"status {status}"
