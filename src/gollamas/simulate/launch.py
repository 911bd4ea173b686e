"""The options with which weights are loaded, as each release reads and compares them.

Owns the types of options (Ollama's `api/types.go`) and whether a loaded model serves what a request asks
for (`needsReload` of its `server/sched.go`); loading is `sched`'s.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from gollamas.simulate.model import Model
from gollamas.simulate.refusal import Refusal
from gollamas.simulate.settings import Settings

_LLAMA_SERVER: Final = (0, 30)  # the first release that runs llama.cpp's own server
_MIN_CONTEXT: Final = 4
_MIN_VISION_CONTEXT: Final = 2048
_BATCH: Final = 512
_MAX_BATCH: Final = 2048
_DRAFT: Final = 4
_LOWEST: Final = -(2**63)  # what Go makes of a number that is none of its integers, on amd64
_RUNNER_OPTIONS: Final = (
    "num_ctx",
    "num_batch",
    "num_gpu",
    "main_gpu",
    "use_mmap",
    "num_thread",
    "draft_num_predict",
)
_TYPES: Final[dict[str, str]] = {
    "num_keep": "integer",
    "seed": "integer",
    "num_predict": "integer",
    "top_k": "integer",
    "repeat_last_n": "integer",
    "num_ctx": "integer",
    "num_batch": "integer",
    "num_gpu": "integer",
    "main_gpu": "integer",
    "num_thread": "integer",
    "draft_num_predict": "integer",
    "top_p": "float32",
    "min_p": "float32",
    "typical_p": "float32",
    "temperature": "float32",
    "repeat_penalty": "float32",
    "presence_penalty": "float32",
    "frequency_penalty": "float32",
    "use_mmap": "boolean",
    "stop": "array",
}


def check_options(options: Mapping[str, Any], release: tuple[int, ...]) -> None:
    """Raise Refusal (500) in Ollama's words where an option has the wrong type; unknown ones pass."""
    for key, value in options.items():
        wanted = _TYPES.get(key)
        if wanted is None or value is None or (key == "draft_num_predict" and release < _LLAMA_SERVER):
            continue
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        fits = {
            "integer": is_number,
            "float32": is_number,
            "boolean": isinstance(value, bool),
            "array": isinstance(value, list),
        }[wanted]
        if not fits:
            raise Refusal(500, f'option "{key}" must be of type {wanted}')
        if wanted == "array" and not all(isinstance(item, str) for item in value):
            raise Refusal(500, f'option "{key}" must be of an array of strings')


def runner_options(options: Mapping[str, Any], shift: bool | None) -> dict[str, Any]:
    """Give what of a request says how the model is to be loaded, as it was sent."""
    found = {key: options[key] for key in _RUNNER_OPTIONS if options.get(key) is not None}
    return found if shift is None else {**found, "shift": shift}


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """What a request asks of a runner, or what a runner was started with."""

    context: int  # that it has and `/api/ps` shows
    num_ctx: int  # that is compared
    num_batch: int
    num_gpu: int
    main_gpu: int | None
    use_mmap: bool | None
    num_thread: int
    draft_num_predict: int = 0
    shift: bool = True
    chooses_batch: bool = False  # nobody asked for one, so that Ollama chooses
    chooses_mmap: bool = False

    @classmethod
    def of(cls, model: Model, options: Mapping[str, Any], shift: bool | None, settings: Settings) -> "Launch":
        """Give what this model needs with these options; those of the request win over its own."""
        named = {**model.parameters, **options}
        given = {**_present(model.parameters), **_present(options)}
        asked = _whole(given.get("num_ctx", settings.context_length))
        least = _MIN_VISION_CONTEXT if "vision" in model.weights.capabilities else _MIN_CONTEXT
        num_ctx = max(least, asked)
        plain = cls(
            context=min(num_ctx, model.weights.trained_context),
            num_ctx=num_ctx,
            num_batch=_whole(given.get("num_batch", _BATCH)),
            num_gpu=_whole(given.get("num_gpu", -1)),
            main_gpu=_whole(given["main_gpu"]) if "main_gpu" in given else None,
            use_mmap=given.get("use_mmap"),
            num_thread=_whole(given.get("num_thread", 0)),
        )
        if settings.release < _LLAMA_SERVER:
            return replace(plain, main_gpu=plain.main_gpu or 0)
        chooses_batch = "num_batch" not in named  # null counts as named, here and for the draft
        if chooses_batch and model.weights.is_embedding:
            plain = replace(plain, num_batch=min(_MAX_BATCH, asked) if asked > 0 else _MAX_BATCH)
        is_drafted = "draft_num_predict" in named
        return replace(
            plain,
            num_ctx=plain.context,
            draft_num_predict=_whole(given.get("draft_num_predict", _DRAFT)) if is_drafted else 0,
            shift=shift is not False,
            chooses_batch=chooses_batch and not model.weights.is_embedding,
            chooses_mmap=plain.use_mmap is None,
        )

    def started(self, parallel: int, *, has_gpu: bool) -> "Launch":
        """Give the same with what Ollama chose."""
        is_on_cpu = self.num_gpu == 0 or not has_gpu
        return replace(
            self,
            num_batch=_chosen_batch(self.context * parallel) if self.chooses_batch else self.num_batch,
            use_mmap=False if self.chooses_mmap and is_on_cpu else self.use_mmap,
        )

    def serves(self, asked: "Launch") -> bool:
        """Whether a runner that was started so is one for those who ask for that."""
        same_batch = self.chooses_batch and asked.chooses_batch
        same_mmap = self.chooses_mmap and asked.use_mmap is None
        return self == replace(
            asked,
            num_batch=self.num_batch if same_batch else asked.num_batch,
            use_mmap=self.use_mmap if same_mmap else asked.use_mmap,
            num_gpu=self.num_gpu if asked.num_gpu < 0 else asked.num_gpu,
            chooses_batch=self.chooses_batch,
            chooses_mmap=self.chooses_mmap,
        )


def _present(options: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in options.items() if value is not None}


def _whole(value: float) -> int:
    return int(value) if _LOWEST <= value < -_LOWEST else _LOWEST


def _chosen_batch(context: int) -> int:
    """Give what is chosen where memory is no matter."""
    if context > 32_768:
        return _MAX_BATCH
    return 1024 if context > 4096 else _BATCH
