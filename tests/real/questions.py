"""What the tests with real servers ask: every endpoint, streamed and whole, and what goes wrong.

Owns the bodies. `MODEL` and `EMBEDDER` stand for names that are filled in.
"""

import json
from dataclasses import dataclass
from typing import Any, Final

CHAT: Final = "MODEL"
EMBED: Final = "EMBEDDER"
HELLO: Final = [{"role": "user", "content": "Say hello."}]
SHORT: Final = {"num_predict": 4, "temperature": 0, "seed": 1}
_FEW: Final = {"max_tokens": 4, "temperature": 0, "seed": 1}
_ALL: Final = {"include_usage": True}


@dataclass(frozen=True, slots=True)
class Question:
    """One request, by the name that it has in a test's report."""

    name: str
    path: str
    value: Any
    method: str = "POST"

    def body(self, chat: str, embed: str) -> bytes:
        """Write its body with these models."""
        if self.value is None:
            return b""
        if isinstance(self.value, bytes):
            return self.value
        text = json.dumps(self.value).replace(f'"{CHAT}"', json.dumps(chat))
        return text.replace(f'"{EMBED}"', json.dumps(embed)).encode()


def _both(name: str, path: str, value: dict[str, Any]) -> list[Question]:
    return [
        Question(f"{name}-whole", path, {**value, "stream": False}),
        Question(f"{name}-stream", path, {**value, "stream": True}),
    ]


ANSWERED: Final = (
    *_both("generate", "/api/generate", {"model": CHAT, "prompt": "Hello", "options": SHORT}),
    Question("generate-default", "/api/generate", {"model": CHAT, "prompt": "Hello", "options": SHORT}),
    Question("generate-load", "/api/generate", {"model": CHAT}),
    Question("generate-raw", "/api/generate",
             {"model": CHAT, "prompt": "1 2 3", "raw": True, "options": SHORT}),
    Question("generate-system", "/api/generate",
             {"model": CHAT, "prompt": "Hi", "system": "Be short.", "stream": False, "options": SHORT}),
    *_both("generate-json", "/api/generate",
           {"model": CHAT, "prompt": "Hello", "format": "json", "options": {**SHORT, "num_predict": 16}}),
    *_both("generate-logprobs", "/api/generate",
           {"model": CHAT, "prompt": "Hello", "logprobs": True, "top_logprobs": 2, "options": SHORT}),
    *_both("chat", "/api/chat", {"model": CHAT, "messages": HELLO, "options": SHORT}),
    Question("generate-template", "/api/generate",
             {"model": CHAT, "prompt": "Hi", "template": "{{ .Prompt }}", "stream": False, "options": SHORT}),
    Question("generate-context", "/api/generate",
             {"model": CHAT, "prompt": "Hi", "context": [1, 2, 3], "stream": False, "options": SHORT}),
    Question("generate-keep-alive", "/api/generate",
             {"model": CHAT, "prompt": "Hi", "keep_alive": "2m", "stream": False, "options": SHORT}),
    *_both("generate-schema", "/api/generate", {"model": CHAT, "prompt": "Hi", "options": SHORT,
           "format": {"type": "object", "properties": {"a": {"type": "integer"}}}}),
    *_both("chat-logprobs", "/api/chat",
           {"model": CHAT, "messages": HELLO, "logprobs": True, "options": SHORT}),
    Question("chat-default", "/api/chat", {"model": CHAT, "messages": HELLO, "options": SHORT}),
    Question("chat-load", "/api/chat", {"model": CHAT, "messages": []}),
    Question("chat-images-null", "/api/chat", {"model": CHAT, "stream": False, "options": SHORT,
             "messages": [{"role": "user", "content": "Hi", "images": None}]}),
    Question("embed", "/api/embed", {"model": EMBED, "input": "Hello"}),
    Question("embed-two", "/api/embed", {"model": EMBED, "input": ["one", "two"], "truncate": True}),
    Question("embed-dimensions", "/api/embed", {"model": EMBED, "input": "Hello", "dimensions": 8}),
    Question("embed-load", "/api/embed", {"model": EMBED}),
    Question("embeddings", "/api/embeddings", {"model": EMBED, "prompt": "Hello"}),
    Question("embeddings-empty", "/api/embeddings", {"model": EMBED}),
    Question("show", "/api/show", {"model": CHAT}),
    Question("show-name", "/api/show", {"name": CHAT}),
    Question("show-embedder", "/api/show", {"model": EMBED}),
    *_both("v1-chat", "/v1/chat/completions", {"model": CHAT, "messages": HELLO, **_FEW}),
    Question("v1-chat-usage", "/v1/chat/completions",
             {"model": CHAT, "messages": HELLO, "stream": True, "stream_options": _ALL, **_FEW}),
    Question("v1-chat-logprobs", "/v1/chat/completions",
             {"model": CHAT, "messages": HELLO, "logprobs": True, "top_logprobs": 1, **_FEW}),
    Question("v1-chat-parts", "/v1/chat/completions", {"model": CHAT, **_FEW, "messages": [
             {"role": "user", "content": [{"type": "text", "text": "Hello"}]}]}),
    *_both("v1-completions", "/v1/completions", {"model": CHAT, "prompt": "Hello", **_FEW}),
    Question("v1-completions-usage", "/v1/completions",
             {"model": CHAT, "prompt": "Hello", "stream": True, "stream_options": _ALL, **_FEW}),
    Question("v1-embeddings", "/v1/embeddings", {"model": EMBED, "input": ["one", "two"]}),
    Question("v1-embeddings-base64", "/v1/embeddings",
             {"model": EMBED, "input": "one", "encoding_format": "base64"}),
    *_both("v1-responses", "/v1/responses",
           {"model": CHAT, "input": "Hello", "max_output_tokens": 4, "temperature": 0}),
    *_both("v1-messages", "/v1/messages",
           {"model": CHAT, "messages": HELLO, "max_tokens": 4, "temperature": 0}),
    Question("v1-messages-system", "/v1/messages",
             {"model": CHAT, "messages": HELLO, "system": "Be short.", "max_tokens": 4}),
)  # fmt: skip

_UNKNOWN: Final = "no-such-model"
REFUSED: Final = (
    Question("generate-unknown", "/api/generate", {"model": _UNKNOWN, "prompt": "Hi"}),
    Question("generate-unknown-tag", "/api/generate", {"model": f"{_UNKNOWN}:7b", "prompt": "Hi"}),
    Question("chat-unknown", "/api/chat", {"model": _UNKNOWN, "messages": HELLO}),
    Question("embed-unknown", "/api/embed", {"model": _UNKNOWN, "input": "Hi"}),
    Question("embeddings-unknown", "/api/embeddings", {"model": _UNKNOWN, "prompt": "Hi"}),
    Question("v1-chat-unknown", "/v1/chat/completions", {"model": _UNKNOWN, "messages": HELLO}),
    Question("v1-chat-unknown-stream", "/v1/chat/completions",
             {"model": _UNKNOWN, "messages": HELLO, "stream": True}),
    Question("v1-completions-unknown", "/v1/completions", {"model": _UNKNOWN, "prompt": "Hi"}),
    Question("v1-embeddings-unknown", "/v1/embeddings", {"model": _UNKNOWN, "input": "Hi"}),
    Question("v1-responses-unknown", "/v1/responses", {"model": _UNKNOWN, "input": "Hi"}),
    Question("v1-messages-unknown", "/v1/messages",
             {"model": _UNKNOWN, "messages": HELLO, "max_tokens": 4}),
    Question("generate-no-model", "/api/generate", {"prompt": "Hi"}),
    Question("chat-no-model", "/api/chat", {"messages": HELLO}),
    Question("show-no-model", "/api/show", {}),
    Question("v1-chat-no-model", "/v1/chat/completions", {"messages": HELLO}),
    Question("v1-messages-no-model", "/v1/messages", {"messages": HELLO, "max_tokens": 4}),
    Question("generate-bad-name", "/api/generate", {"model": "a b", "prompt": "Hi"}),
    Question("generate-bad-json", "/api/generate", b'{"model": "MODEL", '),
    Question("generate-no-body", "/api/generate", None),
    Question("chat-no-body", "/api/chat", None),
    Question("v1-chat-no-body", "/v1/chat/completions", None),
    Question("v1-chat-no-messages", "/v1/chat/completions", {"model": CHAT, "messages": []}),
    Question("v1-chat-bad-role", "/v1/chat/completions", {"model": CHAT, "messages": [{"role": "user"}]}),
    Question("v1-messages-no-limit", "/v1/messages", {"model": CHAT, "messages": HELLO}),
    Question("v1-embeddings-no-input", "/v1/embeddings", {"model": EMBED}),
    Question("v1-embeddings-bad-format", "/v1/embeddings",
             {"model": EMBED, "input": "a", "encoding_format": "octal"}),
    Question("chat-embedder", "/api/chat", {"model": EMBED, "messages": HELLO}),
    Question("generate-embedder", "/api/generate", {"model": EMBED, "prompt": "Hi"}),
    Question("v1-chat-embedder", "/v1/chat/completions", {"model": EMBED, "messages": HELLO}),
    Question("v1-messages-embedder", "/v1/messages", {"model": EMBED, "messages": HELLO, "max_tokens": 4}),
    Question("generate-bad-format", "/api/generate", {"model": CHAT, "prompt": "Hi", "format": "xml"}),
    Question("generate-bad-format-whole", "/api/generate",
             {"model": CHAT, "prompt": "Hi", "format": [1], "stream": False}),
    *_both("v1-chat-bad-format", "/v1/chat/completions", {"model": CHAT, "messages": HELLO, **_FEW,
           "response_format": {"type": "json_schema", "json_schema": {"schema": "x"}}}),
    Question("chat-bad-message", "/api/chat", {"model": CHAT, "messages": [7]}),
    Question("chat-bad-content", "/api/chat", {"model": CHAT, "messages": [{"role": "user", "content": 7}]}),
    Question("chat-bad-image", "/api/chat",
             {"model": CHAT, "messages": [{"role": "user", "content": "Hi", "images": ["bA=x"]}]}),
    Question("v1-chat-bad-message", "/v1/chat/completions", {"model": CHAT, "messages": [7]}),
    Question("v1-chat-number", "/v1/chat/completions",
             {"model": CHAT, "messages": [{"role": "user", "content": 7}]}),
    Question("v1-chat-bad-part", "/v1/chat/completions",
             {"model": CHAT, "messages": [{"role": "user", "content": [{"type": "video"}]}]}),
    Question("v1-chat-image-url", "/v1/chat/completions", {"model": CHAT, "messages": [
             {"role": "user", "content": [{"type": "image_url", "image_url": "http://a.example/b.png"}]}]}),
    Question("v1-chat-bad-image", "/v1/chat/completions", {"model": CHAT, "messages": [
             {"role": "user", "content": [{"type": "image_url", "image_url": "data:image/png;base64,*"}]}]}),
    Question("v1-chat-bad-effort", "/v1/chat/completions",
             {"model": CHAT, "messages": HELLO, "reasoning_effort": "some"}),
    Question("v1-chat-thinking", "/v1/chat/completions",
             {"model": CHAT, "messages": HELLO, "reasoning_effort": "high"}),
    Question("v1-responses-bad-input", "/v1/responses", {"model": CHAT, "input": 7}),
    Question("v1-responses-bad-item", "/v1/responses", {"model": CHAT, "input": [{"type": "video"}]}),
    Question("v1-messages-no-messages", "/v1/messages", {"model": CHAT, "messages": [], "max_tokens": 4}),
    Question("v1-messages-bad-message", "/v1/messages", {"model": CHAT, "messages": [7], "max_tokens": 4}),
    Question("v1-messages-bad-content", "/v1/messages",
             {"model": CHAT, "messages": [{"role": "user", "content": 7}], "max_tokens": 4}),
    Question("v1-messages-bad-role", "/v1/messages",
             {"model": CHAT, "messages": [{"role": "wizard", "content": "Hi"}], "max_tokens": 4}),
    Question("v1-completions-list", "/v1/completions", {"model": CHAT, "prompt": ["Hi"]}),
    Question("v1-embeddings-tokens", "/v1/embeddings", {"model": EMBED, "input": [1, 2, 3]}),
    Question("embed-tokens", "/api/embed", {"model": EMBED, "input": [[1, 2]]}),
    Question("generate-thinking", "/api/generate", {"model": CHAT, "prompt": "Hi", "think": True}),
    Question("chat-bad-stream", "/api/chat", {"model": CHAT, "messages": HELLO, "stream": "yes"}),
    Question("generate-suffix", "/api/generate",
             {"model": CHAT, "prompt": "Hi", "suffix": "Bye", "stream": False, "options": SHORT}),
    Question("generate-bad-option", "/api/generate",
             {"model": CHAT, "prompt": "Hi", "options": {"num_ctx": "many"}}),
    Question("generate-bad-keep-alive", "/api/generate",
             {"model": CHAT, "prompt": "Hi", "keep_alive": "300"}),
    Question("generate-bad-think", "/api/generate", {"model": CHAT, "prompt": "Hi", "think": "much"}),
    Question("chat-top-logprobs", "/api/chat",
             {"model": CHAT, "messages": HELLO, "logprobs": True, "top_logprobs": 99}),
    Question("embed-bad-input", "/api/embed", {"model": EMBED, "input": 7}),
    Question("embed-too-long", "/api/embed",
             {"model": EMBED, "input": "word " * 2000, "truncate": False}),
    *_both("generate-too-long", "/api/generate", {"model": CHAT, "prompt": "word " * 300,
           "truncate": False, "options": {**SHORT, "num_ctx": 128}}),
    *_both("chat-too-long", "/api/chat", {"model": CHAT, "truncate": False,
           "messages": [{"role": "user", "content": "word " * 300}], "options": {**SHORT, "num_ctx": 128}}),
    Question("generate-bad-image", "/api/generate", {"model": CHAT, "prompt": "Hi", "images": ["*"]}),
    Question("wrong-method", "/api/generate", None, "GET"),
    Question("wrong-method-tags", "/api/tags", None, "POST"),
    Question("unknown-path", "/api/nothing", None, "GET"),
    Question("unknown-v1-path", "/v1/nothing", None, "GET"),
    # With a tag: without one, releases before 0.30 show the name as asked, later ones with `:latest`.
    Question("v1-model-unknown", f"/v1/models/{_UNKNOWN}:7b", None, "GET"),
    Question("show-unknown", "/api/show", {"model": f"{_UNKNOWN}:7b"}),
    Question("doubled-slash", "//api/tags", None, "GET"),
    Question("last-slash", "/api/tags/", None, "GET"),
)  # fmt: skip
