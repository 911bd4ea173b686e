"""The heart of a simulated server: what a request for words or vectors costs and gives.

Owns models, runners and counts; knows nothing of HTTP or of dialects. A request comes as an `Ask` and
goes out as `Piece`s, the last of which carries the counts.
"""

import asyncio
import random
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any, Final

from gollamas import names
from gollamas.simulate import text
from gollamas.simulate.catalog import Catalog
from gollamas.simulate.clock import Clock
from gollamas.simulate.fields import think_fault
from gollamas.simulate.goformat import dump, quote
from gollamas.simulate.library import Library
from gollamas.simulate.model import Model
from gollamas.simulate.prompts import length_of
from gollamas.simulate.refusal import Refusal, check_source
from gollamas.simulate.sched import Runner, Scheduler
from gollamas.simulate.settings import Settings
from gollamas.simulate.transfers import Transfers

_OVERHEAD: Final = 0.0006  # seconds that the way through a real server takes at the least
_NO_EMBEDDINGS: Final = "This server does not support embeddings. Start it with `--embeddings`"
_TOO_LONG: Final = "the input length exceeds the context length"
_PAGE: Final = 256  # tokens: llama.cpp rounds a context up to a multiple of it
_OLD_OVERHEAD: Final = 0.022  # and before 0.30
_LEAVES_ROOM: Final = (0, 30)  # the first release that cuts a prompt to less than the context
_KEPT: Final = 4  # tokens at the start of a prompt that is cut
_TELLS_CACHED: Final = (0, 33, 3)  # the first release that tells how much of a prompt it knew


@dataclass(slots=True, kw_only=True)
class Ask:
    """A request for words, whatever its dialect."""

    name: str  # as the client wrote it
    verb: str  # generate or chat
    prompt: str  # all that the model reads; empty: load it and say nothing
    options: Mapping[str, Any] = field(default_factory=dict)
    keep_alive: float | None = None
    shift: bool | None = None  # whether what is too long moves on; None: nothing is said of it
    tools: list[Any] = field(default_factory=list)
    think: bool | str | None = None
    relaxes_think: bool = False  # Anthropic's way: thinking that the model cannot do is left out
    format: Any = None
    logprobs: int | None = None  # how many alternatives to each token; None: no log probabilities
    wants_context: bool = False
    truncates: bool = True  # a prompt that is too long is cut; else it is refused
    inserts: bool = False  # between the prompt and a suffix
    may_call: bool = True  # the last message is the user's, so that a tool may be called


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """The end of an answer. Spans are seconds; the counts are None where nothing was generated."""

    reason: str
    total: float = 0.0
    load: float = 0.0
    prompt_count: int | None = None  # all of the prompt, what was cached included
    cached: int | None = None  # None: this release does not tell
    prompt: float = 0.0  # for what was not cached
    count: int = 0
    eval: float = 0.0
    context: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """A token's worth of an answer."""

    content: str = ""
    thinking: str = ""
    tool_calls: tuple[Mapping[str, Any], ...] = ()
    logprobs: tuple[Mapping[str, Any], ...] = ()
    done: Done | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Vectors:
    """The answer to a request for vectors. Spans are seconds."""

    vectors: list[list[float]]
    total: float
    load: float
    count: int


class Engine:
    """Models, runners and what goes on; the counters are for tests to read."""

    def __init__(self, settings: Settings, clock: Clock) -> None:
        self.settings = settings
        self.clock = clock
        self.library = Library(settings.models, clock.now())
        self.catalog = Catalog()
        self.transfers = Transfers(self.changed)
        self.sched = Scheduler(settings, clock, self.changed)
        self._overhead = _OVERHEAD if settings.release >= (0, 30) else _OLD_OVERHEAD
        self.running = 0  # requests that hold a slot
        self.waiting = 0  # requests that wait for a slot
        self.finished = 0  # requests whose generation came to its end
        self.aborted = 0  # requests whose client left, while loading, waiting or generating
        self._watchers: list[tuple[Callable[[], bool], asyncio.Future[None]]] = []

    async def until(self, holds: Callable[[], bool]) -> None:
        """Return as soon as the condition holds; it is looked at after each change of a counter."""
        if holds():
            return
        watcher = asyncio.get_running_loop().create_future()
        self._watchers.append((holds, watcher))
        await watcher

    def changed(self) -> None:
        """Wake those whose condition holds now."""
        for entry in [entry for entry in self._watchers if entry[1].done() or entry[0]()]:
            self._watchers.remove(entry)
            if not entry[1].done():
                entry[1].set_result(None)

    def find(self, name: str, *, is_embed: bool = False) -> Model:
        """Give the model of this name. Raises Refusal: 400 for no name, 404 for an unknown one."""
        check_source(name)
        if name and names.parse(name) is None:
            raise Refusal(400, "invalid model name")
        model = self.library.find(name)
        if model is None and is_embed and name:
            raise Refusal(404, f'model "{name}" not found, try pulling it first')
        if model is None:
            raise Refusal(404, f"model '{name}' not found")
        return model

    def check(self, ask: Ask, model: Model) -> None:
        """Raise Refusal (400) for what the model is not able to do."""
        able = model.weights.capabilities
        if isinstance(ask.think, str) and (fault := think_fault(ask.think)):
            raise Refusal(400, fault)
        if model.weights.is_embedding:
            raise Refusal(400, f'"{ask.name}" does not support {ask.verb}')
        if ask.think and "thinking" not in able and not ask.relaxes_think:
            raise Refusal(400, f'"{ask.name}" does not support thinking')
        if ask.inserts and "insert" not in able:
            raise Refusal(400, f"{model.name.full} does not support insert")
        if ask.tools and "tools" not in able:
            raise Refusal(400, f"{model.name.full} does not support tools")

    async def complete(self, ask: Ask) -> AsyncGenerator[Piece, None]:
        """Load where needed, wait for a slot, then speak; ends with a piece that is done.

        Raises Refusal before the first piece. Closing the iterator ends the generation.
        """
        model = self.find(ask.name)
        if not ask.prompt and ask.keep_alive == 0:
            self.sched.unload(model)
            yield Piece(done=Done(reason="unload"))
            return
        self.check(ask, model)
        began = self.clock.now()
        done = Done(reason="load")
        with self._counted():
            async with self.sched.lease(model, ask.options, ask.keep_alive, ask.shift) as runner:
                loaded = self.clock.now()
                if ask.prompt:
                    _check_format(ask.format)
                    spoken = self._speak(ask, runner, began, loaded)
                    async with self._slot(runner), aclosing(spoken):
                        async for piece in spoken:
                            if piece.done is None:
                                yield piece
                            else:
                                done = piece.done
        yield Piece(done=done)  # after the slot was given back, as the runner does

    async def _speak(
        self, ask: Ask, runner: Runner, began: float, loaded: float
    ) -> AsyncGenerator[Piece, None]:
        started = self.clock.now()
        prompt_count = length_of(ask.prompt)
        if not ask.truncates:
            _check_length(prompt_count, runner.launch.context, self.settings.release)
        prompt_count = _cut(prompt_count, runner.launch.context, ask.options, self.settings.release)
        cached = min(runner.prompts.cached(ask.prompt), prompt_count - 1)
        await self._work(started, prompt_count - cached, self.settings.prompt_tokens_per_second)
        runner.prompts.keep(ask.prompt)
        read = self.clock.now()
        said, reason = _script(ask, runner.model)
        for index, piece in enumerate(said, start=1):
            await self._work(read, index, self.settings.tokens_per_second)
            yield piece
        runner.prompts.keep(ask.prompt, "".join(piece.content for piece in said))
        ended = self.clock.now()
        source = text.chance("context", ask.prompt)
        amount = prompt_count + len(said) if ask.wants_context else 0
        yield Piece(
            done=Done(
                reason=reason,
                total=ended - began + self._overhead,
                load=loaded - began + self._overhead,
                prompt_count=prompt_count,
                cached=cached if self.settings.release >= _TELLS_CACHED else None,
                prompt=read - started,
                count=len(said),
                eval=ended - read,
                context=tuple(source.randrange(32_000) for _ in range(amount)),
            )
        )

    async def embed(
        self,
        model: Model,
        inputs: list[str],
        options: Mapping[str, Any],
        keep_alive: float | None,
        *,
        truncates: bool = True,
    ) -> Vectors:
        """Make a vector for each input; with no input at all the model is loaded, no more.

        Raises Refusal, among others 400 for what is too long and is not to be truncated.
        """
        began = self.clock.now()
        with self._counted():
            async with self.sched.lease(model, options, keep_alive) as runner:
                loaded = self.clock.now()
                if inputs and not model.weights.is_embedding and self.settings.release >= (0, 30):
                    raise Refusal(501, _NO_EMBEDDINGS)
                counts = [1 + text.count_tokens(item) for item in inputs]
                if not truncates and any(count > runner.launch.context for count in counts):
                    raise Refusal(400, _TOO_LONG)
                count = sum(min(count, runner.launch.context) for count in counts)
                async with self._slot(runner):
                    await self._work(loaded, count, self.settings.prompt_tokens_per_second)
        return Vectors(
            vectors=[text.vector(item, model.weights.embedding_length) for item in inputs],
            total=self.clock.now() - began + self._overhead,
            load=loaded - began + self._overhead,
            count=count,
        )

    async def _work(self, since: float, tokens: int, per_second: float) -> None:
        # Against a schedule, so that the time the loop takes does not add up.
        end = since + tokens / per_second if per_second > 0 else 0.0
        await self.clock.sleep(end - self.clock.now())

    def _counted(self) -> "_Counted":
        return _Counted(self)

    @asynccontextmanager
    async def _slot(self, runner: Runner) -> AsyncIterator[None]:
        self.waiting += 1
        self.changed()
        try:
            await runner.slots.acquire()
        finally:
            self.waiting -= 1
        self.running += 1
        self.changed()
        try:
            yield
        finally:
            self.running -= 1
            runner.slots.release()
            self.changed()


def _cut(count: int, context: int, options: Mapping[str, Any], release: tuple[int, ...]) -> int:
    """Give what is left of a prompt: from 0.30 on its start and half of the rest, for an answer's sake."""
    if count <= context:
        return count
    said = options.get("num_keep")
    kept = min(int(said), context) if isinstance(said, int | float) and said >= 0 else _KEPT
    return context if release < _LEAVES_ROOM else context - max((context - kept) // 2, 1)


def _check_length(prompt_count: int, num_ctx: int, release: tuple[int, ...]) -> None:
    """Raise Refusal (400) for a prompt that is too long, from 0.34 on in the words of llama.cpp's server."""
    if release < (0, 34):
        if prompt_count > num_ctx:
            raise Refusal(400, _TOO_LONG, by_runner=True)
        return
    size = -(-num_ctx // _PAGE) * _PAGE
    if prompt_count > size:
        asked = f"request ({prompt_count} tokens) exceeds the available context size ({size} tokens)"
        error = {
            "code": 400,
            "message": f"{asked}, try increasing it",
            "type": "exceed_context_size_error",
            "n_prompt_tokens": prompt_count,
            "n_ctx": size,
        }
        raise Refusal(400, dump({"error": error}).decode(), by_runner=True)


def _check_format(value: Any) -> None:
    if value in (None, "", "json") or isinstance(value, Mapping):
        return
    what = f'invalid format: {quote(dump(value).decode())}; expected "json" or a valid JSON Schema object'
    raise Refusal(500, what, by_runner=True)


class _Counted:
    """Counts how a request ended: to its end, given up by its client, or with an error."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: object) -> None:
        if kind is None:
            self._engine.finished += 1
        elif issubclass(kind, GeneratorExit | asyncio.CancelledError):
            self._engine.aborted += 1
        self._engine.changed()


def _script(ask: Ask, model: Model) -> tuple[list[Piece], str]:
    """All that will be said, and why it ends."""
    source = text.chance(ask.prompt, ask.options.get("seed"), model.weights.digest)
    able = model.weights.capabilities
    said: list[Piece] = []
    if "thinking" in able and ask.think is not False:
        said += [Piece(thinking=word) for word in ("Somebody", " asks,", " so", " I", " answer.")]
    if ask.tools and ask.may_call and (call := _call(ask.tools[0], source)):
        said.append(Piece(tool_calls=(call,)))
    elif ask.format:
        said += [Piece(content=part) for part in text.split(dump(text.instance(ask.format, source)).decode())]
    else:
        said += [Piece(content=word) for word in text.tokens(source)]
    reason = "stop"
    limit = ask.options.get("num_predict")
    if isinstance(limit, int | float) and 0 < limit < len(said):
        said, reason = said[: int(limit)], "length"
    said, reason = _stopped(said, ask.options.get("stop"), reason)
    if ask.logprobs is not None:
        said = [_with_logprobs(piece, ask.logprobs, source) for piece in said]
    return said, reason


def _with_logprobs(piece: Piece, alternatives: int, source: random.Random) -> Piece:
    token = piece.content or piece.thinking
    found = (text.logprob(token, alternatives, source),) if token else ()
    return replace(piece, logprobs=found)


def _stopped(said: list[Piece], stops: Any, reason: str) -> tuple[list[Piece], str]:
    wanted = [stop for stop in stops if stop] if isinstance(stops, list) else []
    whole = "".join(piece.content for piece in said)
    ends = [at for stop in wanted if (at := whole.find(stop)) >= 0]
    if not ends:
        return said, reason
    left, kept = min(ends), []
    for piece in said:
        if piece.content and left <= 0:
            break
        kept.append(Piece(content=piece.content[:left]) if piece.content else piece)
        left -= len(piece.content)
    return kept, "stop"


def _call(tool: Any, source: Any) -> Mapping[str, Any] | None:
    function = tool.get("function") if isinstance(tool, dict) else None
    if not isinstance(function, dict) or not isinstance(function.get("name"), str):
        return None
    given = text.instance(function.get("parameters") or {"type": "object"}, source)
    arguments = given if isinstance(given, dict) else {}
    call_id = "call_" + "".join(source.choice("abcdefghijklmnopqrstuvwxyz0123456789") for _ in range(8))
    return {"id": call_id, "function": {"index": 0, "name": function["name"], "arguments": arguments}}
