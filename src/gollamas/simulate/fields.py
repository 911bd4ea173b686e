"""The members of each request that Ollama decodes, and their Go types.

Owns which members exist and what is said of a wrong type (Ollama's `api/types.go`, `openai/`,
`anthropic/`); what they mean is decided where they are used.
"""

from typing import Any, Final

from gollamas.simulate import gojson
from gollamas.simulate.goformat import base64_fault, parse_duration, quote
from gollamas.simulate.refusal import Refusal
from gollamas.simulate.settings import FOREVER

_STRING: Final = "string"
_BOOL: Final = "bool"
_INT: Final = "int"
_FLOAT: Final = "float64"
_MAP: Final = "map[string]interface {}"
_ANY: Final = ""  # any value, or a type that reads itself
_IMAGES: Final = "[]api.ImageData"
_MESSAGES: Final = "[]api.Message"
_PARAMS: Final = "[]anthropic.MessageParam"
_AROUND: Final = 'struct {{ *api.{}; Think json.RawMessage "json:\\"think\\"" }}'
_THINK_WORDS: Final = '"high", "medium", "low", "max", true, or false'
_GO_KINDS: Final = {"bool": _BOOL, "array": "[]interface {}", "object": _MAP}
# What JSON kind the elements of a list are, and the type that Go names when they are another.
_ELEMENTS: Final = {
    _IMAGES: ("string", "api.ImageData"),
    _MESSAGES: ("object", "api.Alias"),
    "[]openai.Message": ("object", "openai.Message"),
    _PARAMS: (
        "object",
        'struct { Role string "json:\\"role\\""; Content json.RawMessage "json:\\"content\\"" }',
    ),
}
_MESSAGE: Final = {"role": _STRING, "content": _STRING, "thinking": _STRING, "images": _IMAGES}
_NAMES: Final = {"model": _STRING, "name": _STRING}
_PROGRESS: Final = _NAMES | {"insecure": _BOOL, "username": _STRING, "password": _STRING, "stream": _BOOL}
_RUN: Final = {
    "model": _STRING,
    "stream": _BOOL,
    "format": _ANY,
    "keep_alive": _ANY,
    "options": _MAP,
    "think": _ANY,
    "truncate": _BOOL,
    "shift": _BOOL,
    "logprobs": _BOOL,
    "top_logprobs": _INT,
}
_OPENAI: Final = {
    "model": _STRING,
    "stream": _BOOL,
    "stream_options": "openai.StreamOptions",
    "max_tokens": _INT,
    "seed": _INT,
    "temperature": _FLOAT,
    "top_p": _FLOAT,
    "frequency_penalty": _FLOAT,
    "presence_penalty": _FLOAT,
    "stop": _ANY,
}

STRUCTS: Final[dict[str, dict[str, str]]] = {
    "GenerateRequest": _RUN
    | {
        "prompt": _STRING,
        "suffix": _STRING,
        "system": _STRING,
        "template": _STRING,
        "context": "[]int",
        "raw": _BOOL,
        "images": _IMAGES,
    },
    "ChatRequest": _RUN | {"messages": _MESSAGES, "tools": "api.Tools"},
    "EmbedRequest": {
        "model": _STRING,
        "input": _ANY,
        "keep_alive": _ANY,
        "truncate": _BOOL,
        "dimensions": _INT,
        "options": _MAP,
        "encoding_format": _STRING,
    },
    "EmbeddingRequest": {"model": _STRING, "prompt": _STRING, "keep_alive": _ANY, "options": _MAP},
    "ShowRequest": _NAMES | {"system": _STRING, "template": _STRING, "verbose": _BOOL, "options": _MAP},
    "PullRequest": _PROGRESS,
    "PushRequest": _PROGRESS,
    "DeleteRequest": _NAMES,
    "CopyRequest": {"source": _STRING, "destination": _STRING},
    "CreateRequest": _NAMES
    | {
        "from": _STRING,
        "stream": _BOOL,
        "quantize": _STRING,
        "quantization": _STRING,
        "draft_quantize": _STRING,
        "remote_host": _STRING,
        "files": "map[string]string",
        "draft_files": "map[string]string",
        "adapters": "map[string]string",
        "template": _STRING,
        "system": _STRING,
        "license": _ANY,
        "parameters": _MAP,
        "messages": _MESSAGES,
        "renderer": _STRING,
        "parser": _STRING,
        "requires": _STRING,
        "info": _MAP,
    },
    "ChatCompletionRequest": _OPENAI
    | {
        "messages": "[]openai.Message",
        "tools": "api.Tools",
        "response_format": "openai.ResponseFormat",
        "reasoning": "openai.Reasoning",
        "reasoning_effort": _STRING,
        "logprobs": _BOOL,
        "top_logprobs": _INT,
    },
    "CompletionRequest": _OPENAI | {"prompt": _STRING, "suffix": _STRING, "logprobs": _INT},
    "ResponsesRequest": {
        "model": _STRING,
        "input": _ANY,
        "instructions": _STRING,
        "stream": _BOOL,
        "max_output_tokens": _INT,
        "temperature": _FLOAT,
        "top_p": _FLOAT,
        "truncation": _STRING,
        "text": "openai.ResponsesText",
        "tools": "[]openai.ResponsesTool",
        "reasoning": "openai.ResponsesReasoning",
    },
    "MessagesRequest": {
        "model": _STRING,
        "max_tokens": _INT,
        "messages": _PARAMS,
        "system": _ANY,
        "stream": _BOOL,
        "temperature": _FLOAT,
        "top_p": _FLOAT,
        "top_k": _INT,
        "stop_sequences": "[]string",
        "tools": "[]anthropic.Tool",
        "thinking": "anthropic.ThinkingConfig",
        "output_config": "anthropic.OutputConfig",
    },
}


def read(
    struct: str, body: bytes, *, empty: str = "missing request body", is_embedded: bool = False
) -> dict[str, Any]:
    """Give the members of a request by the names of its fields; absent and null ones are left out.

    `empty` is what is said of an empty body. `is_embedded` says that Ollama decodes into a nameless struct
    around this one, to read `think` after all else. Raises Refusal (400, before the handler proper) with
    Go's words.
    """
    try:
        value = gojson.decode(body)
    except gojson.NoBodyError:
        raise Refusal(400, empty, is_early=True) from None
    except gojson.GoSyntaxError as fault:
        raise Refusal(400, str(fault), is_early=True) from None
    if value is None:
        return {}
    if not isinstance(value, gojson.Pairs):
        package = {"ChatCompletionRequest": "openai", "CompletionRequest": "openai"}.get(struct, "api")
        go_type = _AROUND.format(struct) if is_embedded else f"{package}.{struct}"
        what = f"json: cannot unmarshal {gojson.kind(value)} into Go value of type {go_type}"
        raise Refusal(400, what, is_early=True)
    if is_embedded:  # Python's sort is stable: the last of several members still wins
        value = gojson.Pairs(sorted(value, key=lambda pair: gojson.fold(pair[0]) == "think"))
    try:
        return _members(struct, f".{struct}" if is_embedded else struct, value)
    except ValueError as fault:
        raise Refusal(400, str(fault), is_early=True) from None


def _members(struct: str, path: str, value: gojson.Pairs) -> dict[str, Any]:
    fields = STRUCTS[struct]
    found: dict[str, Any] = {}
    for key, item in value:
        name = gojson.fold(key)
        if name not in fields or item is None:
            continue
        _check(f"{path}.{name}", fields[name], item)
        if name == "keep_alive":
            found[name] = keep_alive(item)
        elif name == "think":
            found[name] = think(item, any_word=path.startswith("."))
        else:
            found[name] = gojson.plain(item)
    return found


def _check(path: str, go_type: str, item: Any) -> None:
    """Hold a member, and what is in it, to its type; raises ValueError with Go's words."""
    if not _fits(go_type, item):
        what = f"json: cannot unmarshal {_sent(go_type, item)} into Go struct field"
        raise ValueError(f"{what} {path} of type {go_type}")
    if go_type in _ELEMENTS:
        for element in item:
            if element is not None:
                _check_element(path, go_type, element)


def _check_element(path: str, go_type: str, element: Any) -> None:
    wanted, called = _ELEMENTS[go_type]
    if gojson.kind(element) != wanted:
        what = f"json: cannot unmarshal {gojson.kind(element)} into Go struct field"
        raise ValueError(f"{what} {path} of type {called}")
    if go_type == _IMAGES and (at := base64_fault(element)) is not None:
        raise ValueError(f"illegal base64 data at input byte {at}")
    if go_type == _PARAMS:
        content = gojson.plain(element).get("content")
        if content is not None and not isinstance(content, str | list):
            what = f"json: cannot unmarshal {gojson.kind(content)} into Go struct field"
            raise ValueError(f"{what} {path} of type []anthropic.ContentBlock")
    if go_type == _MESSAGES:
        for key, item in element:
            name = gojson.fold(key)
            if name in _MESSAGE and item is not None:
                _check(f"{path}.{name}", _MESSAGE[name], item)


def _sent(go_type: str, item: Any) -> str:
    is_fraction = go_type == _INT and isinstance(item, float)
    return f"number {item}" if is_fraction else gojson.kind(item)


def _fits(go_type: str, item: Any) -> bool:
    if go_type == _ANY:
        return True
    if go_type == _INT:
        return isinstance(item, int) and not isinstance(item, bool)
    wanted = {_STRING: "string", _BOOL: "bool", _FLOAT: "number"}.get(go_type)
    if wanted is None:
        wanted = "array" if go_type.startswith("[]") or go_type == "api.Tools" else "object"
    return gojson.kind(item) == wanted


def keep_alive(value: Any) -> float:
    """Seconds that a model stays loaded; FOREVER for anything negative.

    Raises ValueError with the text of `Duration.UnmarshalJSON`.
    """
    kind = gojson.kind(value)
    if kind not in ("string", "number"):
        raise ValueError(f"Unsupported type: '{_GO_KINDS[kind]}'")
    seconds = parse_duration(value) if kind == "string" else float(value)
    return FOREVER if seconds < 0 else min(seconds, FOREVER)


def think(value: Any, *, any_word: bool = False) -> bool | str:
    """Whether and how much to think; with `any_word` words are judged later, once the model is known.

    Raises ValueError with the text of `ThinkValue.UnmarshalJSON`.
    """
    if value is True or value is False:
        return bool(value)
    if gojson.kind(value) != "string":
        raise ValueError("think must be a boolean or string" + ("" if any_word else f" ({_THINK_WORDS})"))
    if not any_word and (fault := think_fault(value)):
        raise ValueError(fault)
    return str(value)


def think_fault(word: str) -> str | None:
    """Give what is said of a word that is none of those for how much to think."""
    is_known = word in ("high", "medium", "low", "max")
    return None if is_known else f"invalid think value: {quote(word)} (must be {_THINK_WORDS})"
