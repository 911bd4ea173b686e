"""The cases: what is asked, how the stand-in server answers, and which figure comes out.

Knows nothing of programs and processes.
"""

import json
from dataclasses import dataclass
from enum import Enum
from typing import Final

MODEL: Final = "llama3.2"
ALIAS: Final = "gpt-4o"
UNLIKE: Final = 64  # requests that are sent in turn, so that nobody gains by remembering the last one

_QUESTION: Final = "How far away is the horizon from the top of a lighthouse, and does the weather matter?"
_MESSAGES: Final = [
    {"role": "system", "content": "Answer in one short paragraph, without any formula."},
    {"role": "user", "content": _QUESTION},
]
# As the Python client of Ollama sends them: a proxy reads what people have.
_FIELDS: Final = (
    "Accept: application/json",
    "Accept-Encoding: gzip, deflate, zstd",
    "Connection: keep-alive",
    "User-Agent: ollama-python/0.6.1 (x86_64 linux) Python/3.12.3",
    "Content-Type: application/json",
)


_BLOB: Final = f"/api/blobs/sha256:{'0' * 64}"


class Figure(Enum):
    """What a case measures; its value is the unit."""

    REQUEST = "us of processor time a request"
    PIECE = "us of processor time a piece"
    LATENCY = "us from request to answer, median"
    MIB = "us of processor time a MiB"
    DELAY = "us from sending to arrival, median"
    MEMORY = "KiB a stream"


@dataclass(frozen=True, slots=True)
class Case:
    """One case; `pieces` come `gap_us` apart in a streamed answer, 0 are an answer that is whole."""

    name: str
    says: str
    figure: Figure
    path: str
    connections: int
    pieces: int = 0
    gap_us: int = 0
    asks_for: str = MODEL
    is_logged: bool = False  # the proxy writes its access log
    has_policy: bool = False  # the proxy enforces num_ctx and keep_alive
    blob_mib: int = 0  # the length of the blob that each request brings

    def requests(self, port: int) -> list[bytes]:
        """Make the requests that are sent in turn; they differ in text and length."""
        return [self._request(port, number) for number in range(UNLIKE)]

    def _request(self, port: int, number: int) -> bytes:
        question = f"{_QUESTION} {number} {'m' * number}"
        if self.blob_mib:
            return self._upload(port)
        said: dict[str, object] = {"model": self.asks_for}
        if self.path.endswith("/embed"):
            said |= {"input": question, "options": {"temperature": 0.2}}
        elif self.path.endswith("/generate"):
            said |= {"prompt": question}
        else:
            said["messages"] = [_MESSAGES[0], _MESSAGES[1] | {"content": question}]
            said["stream"] = self.pieces > 0
        body = json.dumps(said)
        head = [f"POST {self.path} HTTP/1.1", f"Host: 127.0.0.1:{port}", *_FIELDS]
        return "\r\n".join([*head, f"Content-Length: {len(body)}", "", body]).encode()

    def _upload(self, port: int) -> bytes:
        """Make the head of a request whose body is made by whoever sends it."""
        length = f"Content-Length: {self.blob_mib << 20}"
        return "\r\n".join([f"POST {self.path} HTTP/1.1", f"Host: 127.0.0.1:{port}", length, "", ""]).encode()


def all_cases(streams: int) -> dict[str, Case]:
    """Give the cases by their names, in the order in which they run."""
    embed, chat, completion = "/api/embed", "/api/chat", "/v1/chat/completions"
    request, piece, latency = Figure.REQUEST, Figure.PIECE, Figure.LATENCY
    paced = (piece, chat, 500, 100, 20_000)
    cases = (
        Case("embed", "small embeddings, 32 at once", request, embed, 32),
        Case("wide", "the same, 256 at once", request, embed, 256),
        Case("log", "as embed, with the access log at info", request, embed, 32, is_logged=True),
        Case("paced", "500 streams of 50 pieces a second", *paced),
        Case("burst", "pieces as fast as they come", piece, chat, 32, 200),
        Case("sse", "the same in OpenAI's dialect", piece, completion, 32, 200),
        Case("alias", "as burst, the name changed back in each", piece, chat, 32, 200, asks_for=ALIAS),
        Case("latency", "one request at a time", latency, embed, 1),
        Case(
            "policy-request",
            "whole chats, num_ctx and keep_alive enforced",
            request,
            chat,
            32,
            has_policy=True,
        ),
        Case("policy-embed", "as embed, with the same policy", request, embed, 32, has_policy=True),
        Case("policy-latency", "as latency, with the same policy", latency, embed, 1, has_policy=True),
        Case("policy-paced", "as paced, with the same policy", *paced, has_policy=True),
        Case(
            "policy-sse",
            "as sse, of a variant, the name changed back",
            piece,
            completion,
            32,
            200,
            has_policy=True,
        ),
        Case("upload", "blobs of 256 MiB, one after another", Figure.MIB, _BLOB, 1, blob_mib=256),
        Case("delay", "pieces of eight quiet streams", Figure.DELAY, "/api/generate", 8, 50, 20_000),
        Case("idle", f"{streams:,} streams of a piece a second", Figure.MEMORY, chat, streams, 30, 1_000_000),
    )
    return {case.name: case for case in cases}
