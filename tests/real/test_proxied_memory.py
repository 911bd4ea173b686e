"""What is replaced or deleted through the program leaves the memory of all real servers, and nothing else.

Ollama keeps a loaded model whose name is gone or leads to other weights, with a keep_alive of -1 for ever.
"""

import json
from typing import Final

import pytest

from tests.real.fleet import request_bytes
from tests.real.front import CURRENT, PULLED, Front, copies_in_log, delete, digests, is_kept, lines
from tests.real.test_managed import COPY, copy, pull
from tests.recorded import parse_reply

HOWS: Final = ("native", "v1", "variant")


@pytest.mark.parametrize("how", HOWS)
def test_a_model_that_is_kept_for_ever_leaves_the_memory_when_it_is_deleted(keeping: Front, how: str) -> None:
    copy(keeping.proxy, keeping.fleet.chat, COPY)
    keeping.keep_for_ever(COPY, how)
    assert delete(keeping.proxy, COPY).status == 200
    keeping.check_memory_is_empty()


@pytest.mark.parametrize("how", HOWS)
def test_a_model_that_is_kept_for_ever_leaves_the_memory_when_another_is_copied_over_it(
    keeping: Front, how: str
) -> None:
    copy(keeping.proxy, keeping.fleet.chat, COPY)
    keeping.keep_for_ever(COPY, how)
    copy(keeping.proxy, keeping.fleet.embed, COPY)
    keeping.check_memory_is_empty()
    for server in keeping.servers.values():
        assert digests(server)[COPY] == digests(server)[keeping.fleet.embed]
    assert delete(keeping.proxy, COPY).status == 200


@pytest.mark.parametrize("version", [1, 2], ids=["other weights", "other parameters"])
@pytest.mark.parametrize("how", HOWS)
def test_a_model_that_is_kept_for_ever_leaves_the_memory_when_a_pull_changes_it(
    keeping: Front, how: str, version: int
) -> None:
    """By a hidden name, which is gone then, or by the variant that is loaded."""
    name, shown = keeping.name, f"{keeping.name}:latest"
    before = {server.url: set(digests(server)) for server in keeping.servers.values()}
    pull(keeping.proxy, name)
    keeping.keep_for_ever(name, how)
    with_variants = {server.url: set(digests(server)) for server in keeping.servers.values()}
    copies = copies_in_log()
    published = keeping.registry.publish(PULLED, keeping.layers[version])
    assert pull(keeping.proxy, name)[-1] == "success"
    keeping.check_memory_is_empty()
    for server in keeping.servers.values():
        found = digests(server)
        assert found[shown] == published
        assert set(found) == (before[server.url] | {shown} if how == "native" else with_variants[server.url])
    if copies is not None:
        assert copies_in_log() == copies + (how == "native")
    assert delete(keeping.proxy, name).status == 200
    assert {server.url: set(digests(server)) for server in keeping.servers.values()} == before


def test_a_model_that_a_pull_does_not_change_stays_loaded(keeping: Front) -> None:
    name = keeping.name
    pull(keeping.proxy, name)
    keeping.keep_for_ever(name, "native")
    assert pull(keeping.proxy, name) == CURRENT
    for server in keeping.servers.values():
        assert is_kept(server)
        assert not any(model.endswith(":old") for model in digests(server))
    assert delete(keeping.proxy, name).status == 200
    keeping.check_memory_is_empty()


@pytest.mark.parametrize("how", ["delete", "copy", "pull"])
def test_a_model_over_the_same_weights_stays_loaded_when_another_name_goes(front: Front, how: str) -> None:
    """Nobody has loaded that one."""
    chat = front.fleet.chat
    name = front.name if how == "pull" else COPY
    if how == "pull":
        pull(front.proxy, name)
    else:
        copy(front.proxy, chat, name)
    front.keep_for_ever(chat, "native")
    if how == "pull":
        front.registry.publish(PULLED, front.layers[1])
        pull(front.proxy, name)
    elif how == "copy":
        copy(front.proxy, front.fleet.embed, name)
    assert delete(front.proxy, name).status == 200
    assert all(server.loaded() == {chat} for server in front.servers.values())


def test_a_chat_goes_on_to_its_end_when_its_model_is_deleted(front: Front) -> None:
    copy(front.proxy, front.fleet.chat, COPY)
    count = [{"role": "user", "content": "Count from 1 to 1000."}]
    body = {"model": COPY, "messages": count, "keep_alive": -1, "options": {"num_predict": 60, "seed": 1}}
    with front.proxy.connect() as sock:
        sock.sendall(request_bytes("POST", "/api/chat", json.dumps(body).encode()))
        raw = b""
        while raw.count(b'"done":false') < 3:
            raw += sock.recv(4096)
        assert delete(front.proxy, COPY).status == 200
        assert b'"done":true' not in raw
        raw += b"".join(iter(lambda: sock.recv(65536), b""))
    last = lines(parse_reply(raw, is_head=False))[-1]
    assert (last["done"], last["eval_count"] > 3) == (True, True)
    assert COPY not in digests(front.proxy)
    assert not any(COPY in digests(server) for server in front.servers.values())
    front.check_memory_is_empty()
