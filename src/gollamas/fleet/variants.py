"""Variants of models: what a request that can't carry a context size is sent to instead of its model.

A variant differs from its model in `PARAMETER num_ctx` alone, and shares the model's weights and its runner.
Owns their names, and which of those that a server lists are whose, are to be used, are left over. Each name
holds a hash of its model's name, so that it is known whose it is when the model is gone, and one of the name,
the digest and the context, so that a variant of that name is right wherever it comes from: two proxies make
and use the same ones. Pure.

Beside them stand hidden copies: a pull copies a model that it may change, so that the weights in memory can
still be unloaded by a name. One is there as long as its pull goes on, or longer where that crashed.
"""

import hashlib
import re
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from gollamas import names
from gollamas.fleet.entries import Entry

NAMESPACE: Final = "gollamas"
_PREFIX: Final = f"{names.DEFAULT_HOST}/{NAMESPACE}/"
_OF_MODEL: Final = 8  # hex digits
_OF_CONTENTS: Final = 12
_LONGEST_PART: Final = 80  # characters, of a part of a name
_READABLE: Final = _LONGEST_PART - 1 - _OF_MODEL - _OF_CONTENTS
_BASE: Final = rf"{re.escape(_PREFIX)}.+-([0-9a-f]{{{_OF_MODEL}}})[0-9a-f]{{{_OF_CONTENTS}}}"
_KEY: Final = re.compile(rf"{_BASE}:ctx(\d{{1,18}})")
_COPY_TAG: Final = "old"
_COPY_KEY: Final = re.compile(f"{_BASE}:{_COPY_TAG}")


def name_of(key: str, digest: str, num_ctx: int) -> str:
    """Name the variant of a model with these contents that has this context."""
    base = _base(key, f"{key}\n{digest}\n{num_ctx}")
    return f"{base}:ctx{num_ctx}"


def copy_name_of(key: str, digest: str) -> str:
    """Name the hidden copy of a model with these contents."""
    base = _base(key, f"{key}\n{digest}")
    return f"{base}:{_COPY_TAG}"


class Variant(NamedTuple):
    """A variant on a server. `model` is the entry of what it was made of, None where that is gone.

    `is_current` says that it was made of the contents that the model has now. `entry` is None until the
    server listed it.
    """

    name: str
    num_ctx: int
    model: Entry | None
    is_current: bool
    entry: Entry | None


class HiddenCopy(NamedTuple):
    """A hidden copy on a server, with the members of a variant; it has no context of its own."""

    name: str
    model: Entry | None
    is_current: bool
    entry: Entry | None
    num_ctx: None = None


class Variants:
    """Those on one server, and its hidden copies, which are found and removed as none of them."""

    def __init__(self) -> None:
        self._listed: dict[str, Entry] = {}  # by key
        self._made: dict[str, tuple[str, int]] = {}  # by key: the name, the number of the change
        self._removed: dict[str, int] = {}  # by key, the number of the change
        self._installed: Mapping[str, Entry] = {}
        self._refused: set[str] = set()  # digests of models that the server made none of
        self._has_refused = False  # since it came up
        self._names: dict[tuple[str, int], str] = {}  # HOT: those that are there, by model and context
        self._models: dict[str, Entry] = {}  # by the key of such a variant

    # -- what the server says ------------------------------------------------------------------------

    def listed(self, entries: Mapping[str, Entry], installed: Mapping[str, Entry], asked: int) -> None:
        """Note which variants the server lists, and which models; `asked` as in `Memory.listed`."""
        self._installed = installed
        self._made = {key: made for key, made in self._made.items() if made[1] > asked}
        self._removed = {key: change for key, change in self._removed.items() if change > asked}
        self._listed = {key: entry for key, entry in entries.items() if key not in self._removed}
        digests = {_digest(entry) for entry in installed.values()}
        self._refused &= digests
        self._index()

    def returned(self) -> None:
        """Forget what the server refused to make: it may be another one."""
        self._refused.clear()
        self._has_refused = False

    # -- what we do ----------------------------------------------------------------------------------

    def made(self, name: str, change: int) -> None:
        """Note that a variant was made; `change` is the number of a change that comes after it."""
        key = names.key_of(name) or name
        self._made[key] = name, change
        self._removed.pop(key, None)
        self._index()

    def refused(self, digest: str) -> bool:
        """Note that the server made none of a model; whether it is the first that it refuses."""
        is_first, self._has_refused = not self._has_refused, True
        self._refused.add(digest)
        return is_first

    def may_ask_again(self, digest: str) -> None:
        """Forget that the server made none of a model: what was in its way may have gone."""
        self._refused.discard(digest)

    def removed(self, name: str, change: int) -> None:
        """Note that a variant is there no more."""
        key = names.key_of(name) or name
        self._listed.pop(key, None)
        self._made.pop(key, None)
        self._removed[key] = change
        self._index()

    # -- what is known -------------------------------------------------------------------------------

    def find(self, key: str, num_ctx: int) -> str | None:
        """The name of a model's variant, None where it is not there."""
        return self._names.get((key, num_ctx))

    def is_refused(self, digest: str) -> bool:
        """Whether the server made none of this model."""
        return digest in self._refused

    def model_of(self, key: str) -> Entry | None:
        """The model of a variant, or of a hidden copy, whose contents are those that the model has now."""
        known = self._models.get(key)
        if known is not None:
            return known
        copy = _copy(key, key, None, self._by_hash())
        return copy.model if copy is not None and copy.is_current else None

    def all(self) -> Sequence[Variant]:
        """Give those that are there."""
        if not self._listed and not self._made:
            return ()
        models = self._by_hash()
        found = [_variant(key, entry.name, entry, models) for key, entry in self._listed.items()]
        found += [
            _variant(key, name, None, models)
            for key, (name, _) in self._made.items()
            if key not in self._listed
        ]
        return [one for one in found if one is not None]

    def of(self, key: str) -> Sequence[Variant]:
        """Give those of a model, whatever contents they were made of, and whether it is there or not."""
        owner = _hash(key, _OF_MODEL)
        return [one for one in self.all() if _owner(one.name) == owner]

    def copies(self) -> Sequence[HiddenCopy]:
        """Give the hidden copies that the server lists."""
        models = self._by_hash()
        found = [_copy(key, entry.name, entry, models) for key, entry in self._listed.items()]
        return [one for one in found if one is not None]

    def left_over(self) -> Sequence[Variant]:
        """Give those that can go: their model is gone, or has other contents now, and a variant of those."""
        renewed = {key for key, _ in self._names}
        return [
            one
            for one in self.all()
            if one.model is None or (not one.is_current and one.model.key in renewed)
        ]

    def _by_hash(self) -> Mapping[str, Entry]:
        """The models by what the names of theirs hold of them."""
        return {_hash(key, _OF_MODEL): entry for key, entry in self._installed.items()}

    def _index(self) -> None:
        self._names, self._models = {}, {}
        for one in self.all():
            if one.is_current and one.model is not None:
                self._names[one.model.key, one.num_ctx] = one.name
                self._models[names.key_of(one.name) or one.name] = one.model


def _variant(key: str, name: str, entry: Entry | None, models: Mapping[str, Entry]) -> Variant | None:
    """Read a variant's name; None where it is no name of ours."""
    found = _KEY.fullmatch(key)
    if found is None:
        return None
    model, num_ctx = models.get(found[1]), int(found[2])
    is_current = model is not None and names.key_of(name_of(model.key, _digest(model), num_ctx)) == key
    return Variant(name, num_ctx, model, is_current, entry)


def _copy(key: str, name: str, entry: Entry | None, models: Mapping[str, Entry]) -> HiddenCopy | None:
    """Read a hidden copy's name; None where it is none."""
    found = _COPY_KEY.fullmatch(key)
    if found is None:
        return None
    model = models.get(found[1])
    is_current = model is not None and names.key_of(copy_name_of(model.key, _digest(model))) == key
    return HiddenCopy(name, model, is_current, entry)


def _base(key: str, contents: str) -> str:
    """The name of what is made of a model, without its tag."""
    model = key.rpartition("/")[2].removesuffix(f":{names.DEFAULT_TAG}").replace(":", "-")
    return f"{NAMESPACE}/{model[:_READABLE]}-{_hash(key, _OF_MODEL)}{_hash(contents, _OF_CONTENTS)}"


def _owner(name: str) -> str:
    """What a variant's name holds of its model."""
    return name.rpartition(":")[0][-_OF_MODEL - _OF_CONTENTS : -_OF_CONTENTS].lower()


def _digest(entry: Entry) -> str:
    return entry.digest or entry.key


def _hash(text: str, digits: int) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:digits]
