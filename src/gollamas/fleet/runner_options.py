"""What Ollama compares before it reloads a model: a few of a request's options, as they were asked for.

Owns which of them count, and how Ollama reads them (api/types.go, FromMap; server/sched.go, needsReload).
What a server makes of them is not looked at: 0.24 loads a model anew for a context that it cuts to the one
that is there. Pure.
"""

from typing import Final

import msgspec

from gollamas.wire.body import Members, find
from gollamas.wire.scan import has_underscore

_Values = tuple[int | None, ...]

_INTEGERS: Final = ("num_ctx", "num_batch", "num_gpu", "main_gpu", "num_thread", "draft_num_predict")
_BOOLEAN: Final = "use_mmap"
NAMES: Final = (*_INTEGERS, _BOOLEAN)
_OBJECT_OR_NULL: Final = (ord("{"), ord("n"))
# What stands on both sides of the first underscore that tells a name from those of other options.
_AROUND: Final = frozenset(
    first * 256 + second for first, second in (b"mc", b"mb", b"mg", b"mt", b"ng", b"em", b"tn")
)
_LARGEST: Final = 2.0**63  # an int64 ends below it
MOST: Final = 2**63 - 1
_MOST_KEPT: Final = 4096  # clients make them up

_optional_decoder: Final = msgspec.json.Decoder(dict[str, msgspec.Raw] | None)
_number_decoder: Final = msgspec.json.Decoder(int | float | None)
_bool_decoder: Final = msgspec.json.Decoder(bool | None)


class RunnerOptions:
    """The runner options of a request. Equal ones are one object, as long as no more than 4096 are about.

    `values` are those of NAMES and `shift`, None for one that is absent; a build makes numbers of true and
    false, which Ollama would refuse: only `options` and `shift` have them as they are to be sent.
    """

    __slots__ = ("values",)

    def __init__(self, values: _Values) -> None:
        self.values = values

    @property
    def options(self) -> dict[str, object]:
        """Those that stand in a body's `options`."""
        said: dict[str, object] = {}
        for name, value in zip(NAMES, self.values[:-1], strict=True):
            if name == _BOOLEAN and value is not None:
                said[name] = bool(value)
            elif value is not None:
                said[name] = value
        return said

    @property
    def shift(self) -> bool | None:
        """What a body's `shift` says."""
        shift = self.values[-1]
        return None if shift is None else bool(shift)

    @property
    def told(self) -> dict[str, object]:
        """All of them, for people and their programs."""
        said = self.options
        if self.shift is not None:
            said["shift"] = self.shift
        return said

    @property
    def num_ctx(self) -> int | None:
        """The value of `num_ctx`."""
        return self.values[0] if self.values else None

    def with_num_ctx(self, num_ctx: int) -> "RunnerOptions":
        """Give the same ones with this context."""
        return _one_object((num_ctx, *self.values[1:]))

    @property
    def only_num_ctx(self) -> int | None:
        """The value of `num_ctx` where nothing else stands beside it."""
        return self.values[0] if all(value is None for value in self.values[1:]) else None

    def __str__(self) -> str:
        """Write them for people; none of them is a dash."""
        return ",".join(f"{name}={str(value).lower()}" for name, value in self.told.items()) or "-"


PLAIN: Final = RunnerOptions((None,) * (len(NAMES) + 1))
# Equal to none that is asked for: what is being loaded is not yet there for anybody.
NOT_YET: Final = RunnerOptions(())

_known: dict[_Values, RunnerOptions] = {PLAIN.values: PLAIN}


def runner_options(
    members: Members, *, is_plain: bool, takes_shift: bool, ignores_num_ctx: bool = False
) -> RunnerOptions | None:
    """Read those of a native request; None where Ollama refuses the value of one, for it to say so itself.

    In: the body's members, whether all their keys are plain, whether the route knows `shift`, whether the
    request's `num_ctx` is going to be another.
    """
    raw = members.get("options")
    shift = members.get("shift") if takes_shift else None
    if not is_plain:
        raw, shift = _of_any_case(members, "options"), _of_any_case(members, "shift") if takes_shift else None
    if shift is None and (raw is None or not _may_hold_one(bytes(raw))):
        return PLAIN
    try:
        found = {} if raw is None else _optional_decoder.decode(raw) or {}
        if ignores_num_ctx:
            found.pop("num_ctx", None)
        integers = [_integer(found.get(name)) for name in _INTEGERS]
        mmap = None if _BOOLEAN not in found else _bool_decoder.decode(found[_BOOLEAN])
        values = (*integers, mmap, None if shift is None else _bool_decoder.decode(shift))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, ValueError):
        return None
    return _one_object(values)


def largest_num_ctx(members: Members) -> int | None:
    """Read the `num_ctx` of a native request whose options are not all known; None where it names none.

    Of one that no int64 holds Go makes the largest or a negative one, by the processor: here the largest.
    """
    key = find(members, "options")
    try:
        found = None if key is None else _optional_decoder.decode(members[key])
        said = None if found is None else found.get("num_ctx")
        number = None if said is None else _number_decoder.decode(said)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return None if number is None else MOST if number >= _LARGEST else int(number)


def _of_any_case(members: Members, name: str) -> msgspec.Raw | None:
    key = find(members, name)
    return None if key is None else members[key]


def _may_hold_one(options: bytes) -> bool:
    """Whether one of the names could stand there. HOT: most requests name none of them."""
    return options[0] not in _OBJECT_OR_NULL or has_underscore(options, _AROUND)


def _integer(raw: msgspec.Raw | None) -> int | None:
    """Cut a number as Go does; raises ValueError for one that no int64 holds."""
    number = None if raw is None else _number_decoder.decode(raw)
    if number is None:
        return None
    if not -_LARGEST <= number < _LARGEST:
        raise ValueError("too large")
    return int(number)


def _one_object(values: _Values) -> RunnerOptions:
    known = _known.get(values)
    if known is None:
        if len(_known) >= _MOST_KEPT:
            _known.clear()
            _known[PLAIN.values] = PLAIN
        known = _known[values] = RunnerOptions(values)
    return known
