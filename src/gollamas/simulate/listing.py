"""What a simulated server says of itself: version, models, what is loaded, one model in full.

Owns the shapes of tags, ps, show and OpenAI's lists.
"""

from typing import Any, Final

from gollamas import names
from gollamas.simulate import answers, fields
from gollamas.simulate.engine import Engine
from gollamas.simulate.goformat import shortest, timestamp
from gollamas.simulate.model import Model, digest_of
from gollamas.simulate.refusal import Refusal, check_source
from gollamas.wire.message import Answer, Head

_KEY_WIDTH: Final = 30
_READS_ALL: Final = (0, 34)  # the first release that describes every model by its file of weights alone


def root(_: Engine) -> Answer:
    """`GET /`."""
    return answers.whole(200, b"Ollama is running", b"text/plain; charset=utf-8")


def version(engine: Engine) -> Answer:
    """`GET /api/version`."""
    return answers.native({"version": engine.settings.version})


def status(_: Engine) -> Answer:
    """`GET /api/status`."""
    return answers.native({"cloud": {"disabled": True, "source": "env"}})


def tags(engine: Engine) -> Answer:
    """`GET /api/tags`: the newest first."""
    twice = {names.key_of(name) for name in engine.settings.listed_twice}
    entries = []
    for model in engine.library.all():
        entry = _tag(engine, model)
        entries += _of_runners(entry) if model.name.key in twice else [entry]
    return answers.native({"models": entries})


def _of_runners(entry: dict[str, Any]) -> list[dict[str, Any]]:
    """Make an entry for each runner of one name: other weights, another digest."""
    other = {
        "size": entry["size"] * 2,
        "digest": digest_of("mlx", entry["digest"]),
        "details": {**entry["details"], "format": "safetensors"},
    }
    return [{**entry, "runner": "llamacpp"}, {**entry, **other, "runner": "mlx"}]


def _tag(engine: Engine, model: Model) -> dict[str, Any]:
    name = model.name.shortest
    release = engine.settings.release
    is_new = release >= (0, 30)
    details = model.details(parent=model.parent if is_new else "")
    # The releases in between looked into files of weights for chats only.
    is_read = is_new if not model.weights.is_embedding else release >= _READS_ALL
    if is_read:
        details["context_length"] = model.weights.trained_context
        details["embedding_length"] = model.weights.embedding_length
    value = {
        "name": name,
        "model": name,
        "modified_at": timestamp(model.modified_at),
        "size": model.size,
        "digest": model.digest,
        "details": details,
    }
    capabilities = list(model.weights.capabilities) if is_read else ["completion"]
    return value | ({"capabilities": capabilities} if is_new else {})


def ps(engine: Engine) -> Answer:
    """`GET /api/ps`: the latest expiry first; a model that is being loaded is not there."""
    entries = []
    for runner in engine.sched.running():
        name = runner.model.name.shortest
        context = runner.launch.context
        size = runner.model.size + context * runner.model.weights.embedding_length * 4
        entries.append(
            {
                "name": name,
                "model": name,
                "size": size,
                "digest": runner.model.digest,
                "details": runner.model.details(),
                "expires_at": timestamp(runner.expires_at),
                "size_vram": 0 if runner.launch.num_gpu == 0 else min(size, engine.settings.vram_bytes),
                "context_length": context,
            }
        )
    return answers.native({"models": entries})


def show(engine: Engine, body: bytes, head: Head) -> Answer:
    """`POST /api/show`; one client gets the name that it asked for as the model's own."""
    members = fields.read("ShowRequest", body)
    asked = members.get("model") or members.get("name", "")
    model = _known(engine, asked)
    value: dict[str, Any] = {}
    if model.license:
        value["license"] = "\n".join(model.license)
    value["modelfile"] = _modelfile(engine, model)
    if model.parameters:
        value["parameters"] = _parameters(model)
    value["template"] = model.template
    system = members.get("system") or model.system
    if system:
        value["system"] = system
    value["details"] = model.details(parent=model.parent)
    if model.messages:
        value["messages"] = [dict(message) for message in model.messages]
    reads_all = engine.settings.release >= _READS_ALL
    value["model_info"] = _with_lists(_info(model)) if reads_all else _info(model)
    if (head.get(b"user-agent") or b"").startswith(b"GitHubCopilotChat/"):
        value["model_info"]["general.basename"] = asked
    if not reads_all or members.get("verbose"):
        value["tensors"] = _tensors(model)
    value["capabilities"] = list(model.weights.capabilities)
    value["modified_at"] = timestamp(model.modified_at)
    return answers.native(value)


def _known(engine: Engine, text: str) -> Model:
    if not text:
        raise Refusal(400, "model is required")
    check_source(text)
    name = names.parse(text)
    if name is None:
        raise Refusal(400, "invalid model name")
    model = engine.library.named(name)
    if model is None:
        shown = name.shortest if engine.settings.release >= (0, 30) else text
        raise Refusal(404, f"model '{shown}' not found")
    return model


def _values(model: Model) -> list[tuple[str, Any]]:
    pairs = []
    for key, value in sorted(model.parameters.items()):
        pairs += [(key, item) for item in value] if isinstance(value, list) else [(key, value)]
    return pairs


def _shown(value: Any) -> str:
    """Give what `%v` prints: every number is a float64 there, so that 1048576 is `1.048576e+06`."""
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "<nil>"}[value]
    return shortest(float(value)) if isinstance(value, int | float) else str(value)


def _quoted(text: str) -> str:
    """Quote as a Modelfile has it: only what would else be read otherwise."""
    if "\n" not in text and text == text.strip(" "):
        return text
    return f'"""{text}"""' if '"' in text else f'"{text}"'


def _parameters(model: Model) -> str:
    lines = []
    for key, value in _values(model):
        quoted = f'"{value}"' if isinstance(value, str) else _shown(value)
        lines.append(f"{key:<{_KEY_WIDTH}} {quoted}")
    return "\n".join(lines)


def _modelfile(engine: Engine, model: Model) -> str:
    name = model.name.shortest
    lines = [
        '# Modelfile generated by "ollama show"',
        "# To build a new Modelfile based on this, replace FROM with:",
        f"# FROM {name}",
        "",
        f"FROM {engine.settings.home}/blobs/sha256-{model.weights.digest}",
        f"TEMPLATE {_quoted(model.template)}",
    ]
    if model.system:
        lines.append(f"SYSTEM {_quoted(model.system)}")
    lines += [f"PARAMETER {key} {_quoted(_shown(value))}" for key, value in _values(model)]
    lines += [f"LICENSE {_quoted(text)}" for text in model.license]
    lines += [
        f"MESSAGE {message.get('role', '')} {_quoted(message.get('content', ''))}"
        for message in model.messages
    ]
    return "\n".join(lines) + "\n"


def _info(model: Model) -> dict[str, Any]:
    """Give the metadata of a file of weights, by name, as Ollama sorts them."""
    weights = model.weights
    family = weights.family
    found: dict[str, Any] = {
        "general.architecture": family,
        "general.file_type": 1 if weights.quantization == "F16" else 3,
        "general.parameter_count": weights.parameters,
        "general.quantization_version": 2,
        f"{family}.attention.head_count": 9,
        f"{family}.block_count": weights.blocks,
        f"{family}.context_length": weights.trained_context,
        f"{family}.embedding_length": weights.embedding_length,
    }
    if weights.is_embedding:
        found |= {f"{family}.{key}": value for key, value in _EMBEDDING_INFO.items()}
        found[f"{family}.feed_forward_length"] = weights.embedding_length * 4
        found |= {f"tokenizer.ggml.{key}": value for key, value in _EMBEDDING_TOKENIZER.items()}
    else:
        found["general.basename"] = weights.basename
        found["general.size_label"] = weights.parameter_size
        found |= {f"general.{key}": value for key, value in _GENERAL.items()}
        found |= {f"{family}.{key}": value for key, value in _INFO.items()}
        found[f"{family}.feed_forward_length"] = weights.embedding_length * 8 // 3
        found |= {f"tokenizer.ggml.{key}": value for key, value in _TOKENIZER.items()}
    return dict(sorted(found.items()))


def _with_lists(info: dict[str, Any]) -> dict[str, Any]:
    """Show short lists, and long ones as empty; earlier releases say null for either."""
    return {key: _SHORT.get(key, []) if value is None else value for key, value in info.items()}


_SHORT: Final[dict[str, Any]] = {"general.languages": ["en"]}
_GENERAL: Final[dict[str, Any]] = {
    "finetune": "simulated",
    "languages": None,
    "license": "apache-2.0",
    "organization": "gollamas",
    "type": "model",
}
_INFO: Final[dict[str, Any]] = {
    "attention.head_count_kv": 3,
    "attention.layer_norm_rms_epsilon": 0.00001,
    "rope.dimension_count": 64,
    "rope.freq_base": 100000,
    "vocab_size": 49152,
}
_TOKENIZER: Final[dict[str, Any]] = {
    "add_bos_token": False,
    "add_space_prefix": False,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "merges": None,
    "model": "gpt2",
    "padding_token_id": 2,
    "pre": "simulated",
    "token_type": None,
    "tokens": None,
    "unknown_token_id": 0,
}
_EMBEDDING_INFO: Final[dict[str, Any]] = {
    "attention.causal": False,
    "attention.layer_norm_epsilon": 1e-12,
    "normalize_embeddings": True,
    "pooling_type": 1,
}
_EMBEDDING_TOKENIZER: Final[dict[str, Any]] = {
    "add_cls_token": False,
    "add_mask_token": False,
    "add_padding_token": False,
    "add_seperator_token": False,  # as it is spelt there
    "add_unknown_token": False,
    "cls_token_id": 101,
    "mask_token_id": 103,
    "model": "bert",
    "padding_token_id": 0,
    "pre": "default",
    "scores": None,
    "seperator_token_id": 102,
    "token_type": None,
    "token_type_count": 2,
    "tokens": None,
    "unknown_token_id": 100,
}


def _tensors(model: Model) -> list[dict[str, Any]]:
    wide, quantization = model.weights.embedding_length, model.weights.quantization
    shapes = [("output_norm.weight", "F32", [wide]), ("token_embd.weight", "Q8_0", [wide, 49152])]
    for block in range(model.weights.blocks):
        shapes += [
            (f"blk.{block}.attn_{part}.weight", quantization, [wide, wide])
            for part in ("k", "output", "q", "v")
        ]
        shapes += [
            (f"blk.{block}.ffn_{part}.weight", quantization, [wide, 4 * wide])
            for part in ("down", "gate", "up")
        ]
        shapes += [(f"blk.{block}.{part}_norm.weight", "F32", [wide]) for part in ("attn", "ffn")]
    return [{"name": name, "type": kind, "shape": shape} for name, kind, shape in shapes]


def v1_models(engine: Engine) -> Answer:
    """`GET /v1/models`; `data` is null when there is none, as Ollama has it."""
    data = [_v1(model, model.name.shortest) for model in engine.library.all()]
    return answers.openai({"object": "list", "data": data or None})


def v1_model(engine: Engine, text: str) -> Answer:
    """`GET /v1/models/:model`; the name comes back as it was asked for."""
    return answers.openai(_v1(_known(engine, text), text))


def _v1(model: Model, shown: str) -> dict[str, Any]:
    return {
        "id": shown,
        "object": "model",
        "created": int(model.modified_at),
        "owned_by": model.name.namespace,
    }
