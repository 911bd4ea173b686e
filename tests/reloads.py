"""Requests one after another to a model that was not loaded, and which of them load it, by release.

Owns the scripts that the simulated server and real ones are held to. Contexts are those of a chat model
that was trained for 8192 tokens and of an embedding model that was trained for 512, and the machine has no
GPU.
"""

from dataclasses import dataclass
from typing import Any, Final

CHAT: Final = "chat"
EMBED: Final = "embed"
_ENGINE: Final = (0, 30)  # the first release with llama.cpp's own server


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """The members of each request beside model and prompt; `L` stands for one that loads, `-` for another."""

    name: str
    steps: tuple[dict[str, Any], ...]
    new: str
    old: str  # before 0.30
    kind: str = CHAT

    def expected(self, version: str) -> str:
        """Give what this release does."""
        release = tuple(int(part) for part in version.split("."))
        return self.new if release >= _ENGINE else self.old

    def request(self, model: str, step: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        """Give path and body of a step; the answer says how long its load took."""
        options = step.get("options", {})
        if self.kind == EMBED:
            return "/api/embed", {"model": model, "input": "a", **step, "options": options}
        few = {"num_predict": 1, **options}
        return "/api/generate", {"model": model, "prompt": "Hi", "stream": False, **step, "options": few}


def _options(name: str, key: str, *values: Any, new: str, old: str, kind: str = CHAT) -> Script:
    """Write a script about one option; `...` leaves it out."""
    steps = tuple({"options": {} if value is ... else {key: value}} for value in values)
    return Script(name=name, steps=steps, new=new, old=old, kind=kind)


SCRIPTS: Final = (
    _options("context", "num_ctx", 1024, ..., 4096, 1024, new="LL-L", old="LL-L"),
    # As asked before 0.30, though each is shown as 8192; as it is shown from then on.
    _options("context-above-trained", "num_ctx", 16384, 8192, 20000, 20000, new="L---", old="LLL-"),
    # An embedding model's batch follows the context that was asked for, up to 2048.
    _options("context-embedding", "num_ctx", 4096, 2048, 512, ..., 4096, 512, 512,
             new="L-LL-L-", old="LLLL-L-", kind=EMBED),
    _options("context-least", "num_ctx", 4, 3, 4.9, 8.2, 8, new="LLLL-", old="L--L-", kind=EMBED),
    # Nothing at all is the least context, but the largest batch.
    _options("context-none", "num_ctx", 4, 0, -1, new="LL-", old="L--", kind=EMBED),
    _options("context-fraction", "num_ctx", 2048.5, 2048, 2048.99, new="L--", old="L--"),
    _options("context-null", "num_ctx", ..., None, new="L-", old="L-"),
    Script(name="spelling", steps=({}, {"options": {"NUM_CTX": 1024}}, {"options": {"num_Ctx": "x"}}),
           new="L--", old="L--"),
    _options("batch", "num_batch", ..., 512, 256, ..., new="L-LL", old="L-LL"),
    # From 0.30 on a long context has a larger batch where nobody asks for one.
    Script(name="batch-chosen", new="L-L-", old="LLL-", steps=(
           {"options": {"num_ctx": 8192}}, {"options": {"num_ctx": 8192, "num_batch": 1024}},
           {"options": {"num_ctx": 8192, "num_batch": 512}}, {"options": {"num_ctx": 8192}})),
    # Null is a value that is named, so that no batch is chosen; the same holds for a draft below.
    _options("batch-null", "num_batch", ..., None, new="LL", old="L-", kind=EMBED),
    _options("layers", "num_gpu", ..., 0, ..., -1, 0, new="LL---", old="LL---"),
    _options("main-gpu", "main_gpu", ..., 0, 0, ..., new="LL-L", old="L---"),
    _options("mmap", "use_mmap", ..., False, ..., True, True, ..., new="L--L-L", old="LLLL-L"),
    _options("mmap-asked", "use_mmap", False, ..., new="LL", old="LL"),
    _options("threads", "num_thread", ..., 0, 1, ..., new="L-LL", old="L-LL"),
    _options("draft", "draft_num_predict", ..., 0, 4, None, ..., new="L-L-L", old="L----"),
    Script(name="shift", new="L-L-L", old="L----", steps=(
           {}, {"shift": True}, {"shift": False}, {"shift": False}, {"shift": None})),
    Script(name="others", new="L----", old="L----", steps=(
           {}, {"options": {"temperature": 0.1}}, {"options": {"seed": 7, "top_k": 3}},
           {"options": {"num_keep": 2}}, {"think": False})),
)  # fmt: skip
