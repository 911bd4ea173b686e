"""A model in a server's memory: the runner options that it was asked for with, and how it is listed.

Owns whether a request with other options makes the server load it anew. Pure.
"""

from math import inf
from typing import Final

from gollamas.fleet.entries import Entry, numbers
from gollamas.fleet.keep import Keep
from gollamas.fleet.runner_options import PLAIN, RunnerOptions

_MOST_SAME: Final = 32  # clients make them up


class Instance:
    """A model in a server's memory, by the digest of its manifest.

    `options` are those that it was last asked for with; `same` all that turned out to be no reload.
    `is_foreign` says that somebody else loaded it, with options that nobody told us. `context` is what the
    server's list shows, None until it did since the last load. `asked_as` is the key of the name that it was
    last asked for by, `coming` are the options of a load that is wanted or under way, `keep` is what we know
    of its expiry, and `listed` when the list was asked for that shows it. Above `least_reload` seconds what a
    server calls the time of a load was one.
    """

    __slots__ = (
        "asked_as", "coming", "context", "digest", "entry", "is_foreign", "is_loading", "keep",
        "least_reload", "listed", "options", "same",
    )  # fmt: skip

    def __init__(self, digest: str, options: RunnerOptions, asked_as: str, *, is_loading: bool) -> None:
        self.digest = digest
        self.options = options
        self.same: tuple[RunnerOptions, ...] = (options,)
        self.asked_as = asked_as
        self.is_foreign = False
        self.is_loading = is_loading
        self.coming: RunnerOptions | None = None
        self.keep = Keep()
        self.listed = -1
        self.least_reload = inf
        self.context: int | None = None
        self.entry: Entry | None = None  # as the server listed it last

    @property
    def asked_with(self) -> RunnerOptions | None:
        """The runner options that we know it to have: none of somebody else's, nor while one loads."""
        return None if self.is_foreign or self.is_loading else self.options

    @property
    def num_ctx(self) -> int | None:
        """The context that it was asked for with, or is going to be; of somebody else's what is shown."""
        if self.is_loading:
            return None if self.coming is None else self.coming.num_ctx
        return self.context if self.is_foreign else self.options.num_ctx

    @property
    def expires_at(self) -> float | None:
        """The Unix time at which its server says that it leaves, None where it has not said so since."""
        entry = self.entry
        return None if entry is None or self.listed < self.keep.change else entry.time_ns / 1e9

    def turned_out_same(self, options: RunnerOptions) -> None:
        """Note that it is the same for a server with these options as with its own."""
        if self.is_foreign:
            self.is_foreign, self.same = False, ()
        if options not in self.same:
            self.same = (*self.same[1 - _MOST_SAME :], options)
        self.options = options

    def takes(self, wanted: RunnerOptions) -> bool:
        """Whether a request with these options needs no load of ours first."""
        if self.is_loading:
            return False
        if self.is_foreign and self.context is not None and wanted.only_num_ctx == self.context:
            return True
        return any(wanted.values == other.values for other in self.same)

    def take_note(self, entry: Entry, asked: int) -> bool:
        """Note how its server lists it; whether that is news. Another context: somebody loaded it anew."""
        self.listed = asked
        if self.entry is entry and self.context is not None:
            return False
        (context,) = numbers(entry, "context_length")
        is_news = self.entry is None or context != self.context
        if self.entry is not None and None not in (context, self.context) and is_news:
            self.is_foreign, self.options, self.same = True, PLAIN, (PLAIN,)
            self.keep = Keep()
        self.entry, self.context = entry, context
        return is_news
