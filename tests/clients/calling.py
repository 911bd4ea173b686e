"""Ollama's Python client, sync and async, called in one way: what came of a call, and of its progress."""

import asyncio
import ssl
from collections.abc import Callable
from contextlib import closing
from typing import Any, Final, NamedTuple

import ollama

# None of them speaks TLS; to read what the machine trusts takes longer than most calls.
_TRUSTED: Final = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


class Told(NamedTuple):
    """What a client got of a call: an answer, or the lines of one that streams, and what it raised."""

    answer: Any
    lines: list[ollama.ProgressResponse]
    error: ollama.ResponseError | None


def _sync(url: str, call: str, *args: Any, **members: Any) -> Told:
    answer: Any = None
    lines: list[ollama.ProgressResponse] = []
    with closing(ollama.Client(host=url, verify=_TRUSTED)) as client:
        try:
            answer = getattr(client, call)(*args, **members)
            lines.extend(answer if members.get("stream") else ())
        except ollama.ResponseError as error:
            return Told(answer, lines, error)
    return Told(answer, lines, None)


def _async(url: str, call: str, *args: Any, **members: Any) -> Told:
    async def called() -> Told:
        answer, lines = None, []
        client = ollama.AsyncClient(host=url, verify=_TRUSTED)
        try:
            answer = await getattr(client, call)(*args, **members)
            if members.get("stream"):
                async for line in answer:
                    lines.append(line)  # noqa: PERF401 - what came before an error counts
        except ollama.ResponseError as error:
            return Told(answer, lines, error)
        finally:
            await client._client.aclose()
        return Told(answer, lines, None)

    return asyncio.run(called())


class Client:
    """A client of either kind."""

    def __init__(self, url: str, call: Callable[..., Told]) -> None:
        self._url = url
        self._call = call

    def told(self, call: str, *args: Any, **members: Any) -> Told:
        """Call, and give what came of it, an error too."""
        return self._call(self._url, call, *args, **members)

    def well(self, call: str, *args: Any, **members: Any) -> Any:
        """Call, hold that it went well, and give the answer, or the lines of one that streams."""
        told = self.told(call, *args, **members)
        if told.error is not None:
            raise told.error
        return told.lines if members.get("stream") else told.answer

    def refused(self, call: str, *args: Any, **members: Any) -> tuple[int, str]:
        """Call, hold that it went wrong, and give the status and the words."""
        told = self.told(call, *args, **members)
        assert told.error is not None, told
        return told.error.status_code, told.error.error


KINDS: Final = {"sync": _sync, "async": _async}


def bars(lines: list[ollama.ProgressResponse]) -> dict[str, list[tuple[int, int]]]:
    """Give `completed` and `total` of each digest as they came, and hold that a bar only grows."""
    found: dict[str, list[tuple[int, int]]] = {}
    for line in lines:
        if line.digest:
            assert line.status == f"pulling {line.digest[7:19]}"
            found.setdefault(line.digest, []).append((line.completed or 0, line.total or 0))
    for told in found.values():
        completed = [done for done, _ in told]
        assert completed == sorted(completed)
        assert all(done <= total for done, total in told)
    return found


def words(lines: list[ollama.ProgressResponse]) -> list[str]:
    """Give what was said without a digest."""
    return [line.status or "" for line in lines if not line.digest]
