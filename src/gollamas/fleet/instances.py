"""What one server holds in its memory: which models, and with which runner options each was asked for.

Owns what counts as loaded. A load or an answer of ours makes an instance known at once; else the server's own
list is right, unless it was asked for before what we know. Instances are told apart by their weights, as
Ollama tells them (server/sched.go): a copy of a model is loaded with it, and a model made from it with other
parameters pushes it out. Pure.
"""

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from gollamas.fleet.entries import Entry
from gollamas.fleet.facts import Facts
from gollamas.fleet.hand_unloads import HandUnloads
from gollamas.fleet.instance import Instance
from gollamas.fleet.runner_options import NOT_YET, PLAIN, RunnerOptions

# A load that takes less than this share of the quickest one was none: the server found nothing to do.
_NO_LOAD: Final = 0.25
_LEAST_LOAD: Final = 0.05  # seconds; a process is started for each
_RELOAD: Final = 0.5  # the share above which what a server calls the time of a load was one


class LoadEffect(NamedTuple):
    """What a load was: `is_same` if it changed nothing; else which names it pushed out."""

    is_same: bool
    pushed_out: Sequence[str]
    replaced: Instance | None  # what of the model itself was there


class Memory:
    """The instances of one server. `by_key` is what choosing reads: one object, kept up to date."""

    def __init__(self) -> None:
        self.by_key: dict[str, Instance] = {}
        self.changes = 0  # of ours: what was asked for before one says nothing about it
        self.loads = 0  # how many have begun or ended
        self._has_listed = False
        self._installed: Mapping[str, Entry] = {}
        self._listed: tuple[Entry, ...] = ()
        self._facts: dict[str, Facts] = {}  # by digest, as far as they were asked for
        self._by_digest: dict[str, Instance] = {}
        self._changed: dict[str, int] = {}  # by weights, the number of the last change
        self._quickest: dict[str, float] = {}  # by weights, seconds
        self._unsure: set[str] = set()  # weights whose quickest load may have been none
        self._suspended: dict[str, list[tuple[Instance, RunnerOptions]]] = {}  # by weights, while one loads
        self._under_way: set[str] = set()  # digests that are being loaded: their weights stay what they were
        self.hand_unloads = HandUnloads()
        self.sent_away: set[str] = set()  # keys of models that were told to leave: that they go is no wonder

    def digest_of(self, key: str) -> str | None:
        """What the server has under a name; None where it does not list it."""
        entry = self._installed.get(key)
        return None if entry is None else entry.digest or key

    def weights_of(self, digest: str) -> str:
        """What a runner of this model is made of; the model itself where nobody has asked yet."""
        facts = self._facts.get(digest)
        return digest if facts is None else facts.weights or digest

    def facts_of(self, digest: str) -> Facts | None:
        """What `/api/show` said of a model, once it was asked."""
        return self._facts.get(digest)

    def shown_as(self, entry: Entry) -> Instance | None:
        """The instance that an entry of the server's list tells of."""
        shown = [instance for instance in self._by_digest.values() if instance.entry is entry]
        return next((one for one in shown if one.digest == entry.digest), shown[0] if shown else None)

    # -- what the server says ------------------------------------------------------------------------

    def installed(self, entries: Mapping[str, Entry]) -> None:
        """Note what the server has on disk."""
        self._installed, self._has_listed = entries, True
        digests = {entry.digest for entry in entries.values()} | self._by_digest.keys()
        self._facts = {digest: facts for digest, facts in self._facts.items() if digest in digests}
        self._index()

    def learned(self, digest: str, facts: Facts) -> None:
        """Note what `/api/show` said of a model: it is told apart by its weights, unless a load has begun."""
        if digest in self._under_way:
            return
        weights = facts.weights or digest
        self._facts[digest] = facts
        if digest in self._changed:
            self._changed[weights] = max(self._changed.pop(digest), self._changed.get(weights, 0))

    def listed(self, entries: Sequence[Entry], asked: int) -> list[Instance]:
        """Note what the server says to have in memory; `asked` is what `changes` was at the question.

        Returns the instances that it shows for the first time, or with another context; one of each entry.
        """
        self._listed = tuple(entries)
        shown = {self._weights_in(entry): entry for entry in reversed(entries)}
        for instance in tuple(self._by_digest.values()):
            weights = self.weights_of(instance.digest)
            if weights not in shown and self._is_judged(weights, asked):
                del self._by_digest[instance.digest]
        news: list[Instance] = []
        leaving = self.hand_unloads.leaving(shown, lambda key: self._judged(key, asked))
        for weights, entry in shown.items():
            if self._is_judged(weights, asked):
                there = self._with(weights) or ([] if weights in leaving else [self._somebody_elses(entry)])
                news += [instance for instance in there if instance.take_note(entry, asked)][:1]
        self._index()
        return news

    def lost(self) -> None:
        """Forget what is loaded: the server does not answer, and may start anew."""
        self._by_digest = {
            digest: instance for digest, instance in self._by_digest.items() if instance.is_loading
        }
        self._index()

    # -- what we do ----------------------------------------------------------------------------------

    def wanted(self, digest: str, key: str, options: RunnerOptions = PLAIN) -> None:
        """Note that a load is about to go out: until it has ended its model counts as one that is there."""
        instance = self._by_digest.get(digest)
        if instance is None:
            instance = self._by_digest[digest] = Instance(digest, NOT_YET, key, is_loading=True)
            self._index()
        instance.coming = options

    def load_began(self, digest: str, key: str, options: RunnerOptions = PLAIN) -> None:
        """Note that a load is under way: what is there of these weights may leave for it."""
        self.wanted(digest, key, options)
        weights = self.weights_of(digest)
        self._under_way.add(digest)
        self.loads += 1
        self._change(weights)
        there = [instance for instance in self._with(weights) if not instance.is_loading]
        # Two lines of loads can turn out to be of the same weights, where a server did not say so at first.
        suspended = self._suspended.setdefault(weights, [])
        suspended += [(instance, instance.options) for instance in there]
        for instance in there:
            instance.options, instance.is_loading, instance.coming = NOT_YET, True, options

    def load_ended(self, digest: str, key: str, options: RunnerOptions, seconds: float) -> LoadEffect:
        """Note that a load was answered after so many seconds; one that did not begin here is none."""
        if digest not in self._under_way:
            return LoadEffect(is_same=False, pushed_out=(), replaced=None)
        weights = self.weights_of(digest)
        before = self._resume(digest, weights)
        is_same = bool(before) and self._was_none(weights, seconds)
        is_sure = not is_same and weights in self._quickest and weights not in self._unsure
        if is_same:
            pushed_out: list[str] = []
            own = self._by_digest.get(digest)
            if own is None or own not in before:
                own = self._by_digest[digest] = Instance(digest, options, key, is_loading=False)
                own.entry, own.context = before[0].entry, before[0].context
            if options.num_ctx not in (None, own.context):
                own.context = None  # the model has no more, or this was a load after all: the next list says
            own.turned_out_same(options)
            own.asked_as = key
        else:
            self._time(weights, seconds, was_there=bool(before))
            ours = [one for one in before if not one.is_foreign and one.asked_as != key]
            pushed_out = [one.asked_as for one in ours if is_sure or not one.takes(options)]
            self._drop(weights)
            self._by_digest[digest] = Instance(digest, options, key, is_loading=False)
        if weights not in self._unsure:
            self._by_digest[digest].least_reload = self._quickest[weights] * _RELOAD
        self._index()
        replaced = next((one for one in before if is_sure and one.digest == digest), None)
        return LoadEffect(is_same, pushed_out, replaced)

    def load_failed(self, digest: str) -> None:
        """Note that a load failed: whoever knows what is there now, it is not us."""
        weights = self.weights_of(digest)
        self._resume(digest, weights)
        self._drop(weights)
        self._by_digest.pop(digest, None)
        self._index()

    def not_loaded(self, digest: str) -> None:
        """Note that a load was given up before it went out."""
        instance = self._by_digest.get(digest)
        if instance is None or instance.options is not NOT_YET or digest in self._under_way:
            return
        suspended = self._suspended.get(self.weights_of(digest), ())
        if all(one is not instance for one, _ in suspended):
            del self._by_digest[digest]
            self._index()

    def answered(self, seen: Instance | None, key: str, options: RunnerOptions | None) -> None:
        """Note that a request was answered that no load went before.

        In: the instance that was there when it began, the model, its runner options, None where they are
        not known.
        """
        entry = self._installed.get(key)
        if entry is None or entry.is_remote:
            return  # nothing of it is loaded here
        digest = entry.digest or key
        there = self._by_digest.get(digest)
        if there is not None and (there.is_loading or there is not seen):
            return  # what came meanwhile is newer
        if there is None:
            there = self._by_digest[digest] = Instance(digest, options or PLAIN, key, is_loading=False)
            if seen is None:  # else it was unloaded while its request ran
                self.hand_unloads.asked_for(key)
        elif options is None or not there.takes(options) or there.is_foreign:
            there.options, there.same = options or PLAIN, (options or PLAIN,)
        else:
            there.options = options
        there.is_foreign, there.asked_as = options is None, key
        self._change(self.weights_of(digest))
        self._index()

    def gave(self, key: str, seconds: float | None, unix: float) -> None:
        """Note how long a model was told to stay; None for what a client said, or a touch that failed."""
        instance = self.by_key.get(key)
        if instance is not None and not instance.is_loading and instance.keep.given != seconds:
            instance.keep.gave(seconds, self.changed(), unix)

    def changed(self) -> int:
        """Give the number of a change of ours that a list has to be asked for after."""
        self.changes += 1
        return self.changes

    def is_loading_any(self, since: int) -> bool:
        """Whether a load of ours is under way, or has begun or ended since there were so many `loads`."""
        return bool(self._under_way) or self.loads != since

    def unloaded_by_hand(self, key: str) -> None:
        """Note that an operator unloads a model, by all its names: it stays so until a client asks for it."""
        digest = self.digest_of(key)
        self.hand_unloads.note(key, *(other for other in self._installed if self.digest_of(other) == digest))

    def is_unloaded_by_hand(self, key: str) -> bool:
        """Whether nothing but a client's request is to load a model."""
        return key in self.hand_unloads

    def unloaded(self, key: str) -> None:
        """Note that a model was told to leave."""
        digest = self.digest_of(key)
        self.sent_away.add(key)
        if digest is not None and (weights := self.weights_of(digest)) not in self._suspended:
            self._drop(weights)
            self._index()

    # ------------------------------------------------------------------------------------------------

    def _weights_in(self, entry: Entry) -> str:
        return self.weights_of(entry.digest or entry.key)

    def _with(self, weights: str) -> list[Instance]:
        return [one for one in self._by_digest.values() if self.weights_of(one.digest) == weights]

    def _is_judged(self, weights: str, asked: int) -> bool:
        """Whether a list says anything of these weights: it was asked for after what we know of them."""
        return self._changed.get(weights, 0) <= asked and not any(
            instance.is_loading for instance in self._with(weights)
        )

    def _judged(self, key: str, asked: int) -> str | None:
        """The weights of a model, None where a list says nothing of them."""
        digest = self.digest_of(key)
        weights = None if digest is None else self.weights_of(digest)
        return weights if weights is not None and self._is_judged(weights, asked) else None

    def _somebody_elses(self, entry: Entry) -> Instance:
        digest = entry.digest or entry.key
        instance = self._by_digest[digest] = Instance(digest, PLAIN, entry.key, is_loading=False)
        instance.is_foreign = True
        return instance

    def _change(self, weights: str) -> None:
        self.changes += 1
        self._changed[weights] = self.changes

    def _drop(self, weights: str) -> None:
        """Forget what is there of these weights; not what is about to be loaded."""
        self._change(weights)
        for instance in self._with(weights):
            if not instance.is_loading:
                del self._by_digest[instance.digest]

    def _resume(self, digest: str, weights: str) -> list[Instance]:
        """End the suspension of what was there before a load; return it."""
        self._under_way.discard(digest)
        self.loads += 1
        before = self._suspended.pop(weights, [])
        for instance, options in before:
            instance.options, instance.is_loading = options, False
        return [instance for instance, _ in before]

    def _was_none(self, weights: str, seconds: float) -> bool:
        """Whether a load was so quick that the server can't have loaded anything."""
        quickest = self._quickest.get(weights)
        if quickest is None or seconds >= quickest * _NO_LOAD:
            return False
        self._change(weights)
        return True

    def _time(self, weights: str, seconds: float, *, was_there: bool) -> None:
        """Keep the time of the quickest load.

        One of what was there may have been none, and so may one in next to no time: somebody had loaded it.
        """
        quickest = self._quickest.get(weights)
        is_sure = not was_there and seconds >= _LEAST_LOAD
        if quickest is None:
            if not is_sure:
                self._unsure.add(weights)
        elif weights in self._unsure and (is_sure or quickest < seconds * _NO_LOAD):
            self._unsure.discard(weights)
        elif seconds >= quickest or (seconds < quickest * _NO_LOAD and weights not in self._unsure):
            return
        self._quickest[weights] = seconds

    def _index(self) -> None:
        found: dict[str, Instance] = {}
        if not self._has_listed:
            names = [(entry.key, entry.digest) for entry in self._listed]
        else:
            names = [(key, entry.digest) for key, entry in self._installed.items()]
        for key, digest in names:
            instance = self._by_digest.get(digest or key)
            if instance is not None:
                found[key] = instance
        self.by_key.clear()
        self.by_key.update(found)
