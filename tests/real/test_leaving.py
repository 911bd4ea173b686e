"""A client that leaves ends the work of a real server."""

import json
import time
from typing import Any

import pytest

from tests.real.fleet import RealFleet, request_bytes

LONG = {"num_predict": 200, "num_ctx": 2048, "temperature": 0, "seed": 1}


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
def test_leaving_ends_the_generation(fleet: RealFleet, stream: bool) -> None:
    """The model, which goes when its last request ends, goes long before the answer would have ended."""
    ask: dict[str, Any] = {
        "model": "an-alias",
        "prompt": "1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24",
        "raw": True,
        "options": LONG,
    }
    whole = fleet.proxy.json("POST", "/api/generate", {**ask, "stream": False})
    lasts = whole["eval_duration"] / 1e9
    assert whole["done_reason"] == "length", "the prompt is to be gone on with for as long as it is asked for"
    for server in fleet.servers.values():
        server.unload(fleet.chat)
    body = json.dumps({**ask, "stream": stream, "keep_alive": 0}).encode()
    with fleet.proxy.connect() as sock:
        sock.sendall(request_bytes("POST", "/api/generate", body))
        if stream:
            began = b""
            while b'"done":false' not in began:
                began += sock.recv(65536)
        else:
            while not any(fleet.chat in server.loaded() for server in fleet.servers.values()):
                pass  # each look is a request that takes a few milliseconds
    left = time.monotonic()
    for server in fleet.servers.values():
        server.until(lambda found: fleet.chat not in found)
    assert time.monotonic() - left < lasts / 2
    fleet.proxy.until(lambda found: fleet.chat not in found, 5.0)
