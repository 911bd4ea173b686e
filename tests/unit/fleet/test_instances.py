"""What a server holds in its memory, from loads, answers and listings in any order."""

import json
from collections.abc import Sequence

import pytest

from gollamas.fleet.entries import Entry
from gollamas.fleet.facts import Facts
from gollamas.fleet.instance import Instance
from gollamas.fleet.instances import Memory
from gollamas.fleet.runner_options import NOT_YET, PLAIN, RunnerOptions, runner_options
from gollamas.wire import body as bodies
from tests.unit.fleet.fleets import key_of

BLOB = "sha256-" + "f" * 64
M, COPY, DERIVED = key_of("m"), key_of("copy"), key_of("derived")
ONE, OTHER = "1" * 64, "2" * 64  # of m and its copy; of what was made from it


def with_context(num_ctx: int, **others: int) -> RunnerOptions:
    """Make runner options as a request has them."""
    members, is_plain = bodies.read(json.dumps({"options": {"num_ctx": num_ctx, **others}}).encode())
    made = runner_options(members, is_plain=is_plain, takes_shift=True)
    assert made is not None
    return made


SMALL, LARGE = with_context(2048), with_context(8192)


def listing(name: str, digest: str = ONE, context: int | None = 4096) -> Entry:
    """Make an instance as a server lists it."""
    said = {"name": name, "digest": digest, "context_length": context}
    return Entry(name, key_of(name), digest, json.dumps(said).encode(), 0)


def memory_of(*, knows_weights: bool = True) -> Memory:
    """Make the memory of a server that has a model, its copy, and a model made from it."""
    memory = Memory()
    memory.installed(
        {key: Entry(key, key, digest, b"{}", 0) for key, digest in ((M, ONE), (COPY, ONE), (DERIVED, OTHER))}
    )
    if knows_weights:
        memory.learned(ONE, Facts(BLOB, only_embeds=False))
        memory.learned(OTHER, Facts(BLOB, only_embeds=False))
    return memory


def load(
    memory: Memory, key: str, options: RunnerOptions = PLAIN, seconds: float = 1.0
) -> tuple[bool, Sequence[str]]:
    """Have a load of ours begin and end well; whether it changed nothing, and whom it pushed out."""
    digest = memory.digest_of(key)
    assert digest is not None
    memory.wanted(digest, key)
    memory.load_began(digest, key, options)
    return memory.load_ended(digest, key, options, seconds)[:2]


def options_of(memory: Memory, key: str = M) -> RunnerOptions | None:
    """Give the runner options that a model's instance was last asked for with, None where it is not there."""
    instance = memory.by_key.get(key)
    return None if instance is None else instance.options


def list_now(memory: Memory, *entries: Entry) -> list[Instance]:
    """Have the server's list answered as soon as it was asked for."""
    return memory.listed(entries, memory.changes)


# -- what is loaded ------------------------------------------------------------------------------------


def test_a_load_makes_the_instance_known_at_once() -> None:
    memory = memory_of()
    assert memory.by_key == {}
    assert load(memory, M, SMALL) == (False, [])
    instance = memory.by_key[M]
    assert (instance.options, instance.asked_with, instance.is_loading) == (SMALL, SMALL, False)
    assert instance.takes(SMALL)
    assert not instance.takes(LARGE)
    assert not instance.takes(PLAIN)


def test_equal_options_are_taken_that_are_another_object() -> None:
    memory = memory_of()
    load(memory, M, SMALL)
    assert memory.by_key[M].takes(RunnerOptions(SMALL.values))


def test_a_load_that_another_server_began_says_nothing() -> None:
    """A server whose address changed meanwhile is a new one."""
    memory = memory_of()
    assert memory.load_ended(ONE, M, SMALL, 1.0) == (False, (), None)
    assert memory.by_key == {}


def test_a_load_that_is_wanted_counts_as_there_and_takes_nobody() -> None:
    memory = memory_of()
    by_key = memory.by_key
    memory.wanted(ONE, M)
    memory.wanted(ONE, M)
    instance = memory.by_key[M]
    assert memory.by_key is by_key
    assert (instance.options, instance.asked_with, instance.is_loading) == (NOT_YET, None, True)
    assert not any(instance.takes(options) for options in (PLAIN, SMALL))


def test_a_load_that_never_went_out_leaves_nothing() -> None:
    memory = memory_of()
    memory.wanted(ONE, M)
    memory.not_loaded(ONE)
    assert memory.by_key == {}
    memory.not_loaded(ONE)
    load(memory, M, SMALL)
    memory.wanted(ONE, M)  # other options
    memory.not_loaded(ONE)
    assert options_of(memory) is SMALL


def test_what_never_went_out_does_not_end_what_did() -> None:
    """A second load of the model is given up, then one of another model over the same weights."""
    memory = memory_of()
    memory.load_began(ONE, M)
    memory.not_loaded(ONE)
    assert memory.by_key[M].is_loading
    memory.load_ended(ONE, M, PLAIN, 1.0)
    memory.load_began(ONE, M)
    memory.not_loaded(ONE)
    memory.wanted(OTHER, DERIVED)
    memory.not_loaded(OTHER)
    assert (M in memory.by_key, DERIVED in memory.by_key) == (True, False)
    memory.load_ended(ONE, M, PLAIN, 1.0)
    assert not memory.by_key[M].is_loading


def test_what_leaves_for_another_load_stays_as_long_as_nobody_knows() -> None:
    memory = memory_of()
    load(memory, DERIVED, SMALL)
    memory.load_began(ONE, M)
    memory.not_loaded(OTHER)  # a load of it, which waited behind this one
    assert memory.by_key[DERIVED].is_loading
    assert not memory.by_key[DERIVED].takes(SMALL)
    memory.load_ended(ONE, M, SMALL, 0.01)
    assert memory.by_key[DERIVED].takes(SMALL)


def test_a_model_that_the_server_does_not_list_has_no_digest() -> None:
    memory = memory_of()
    assert memory.digest_of(M) == ONE
    assert memory.digest_of(key_of("nobody")) is None
    memory.answered(None, key_of("nobody"), PLAIN)
    memory.unloaded(key_of("nobody"))
    assert memory.by_key == {}


def test_a_model_without_a_digest_is_its_name() -> None:
    memory = Memory()
    memory.installed({M: Entry("m", M, "", b"{}", 0), COPY: Entry("copy", COPY, "", b"{}", 0)})
    assert memory.digest_of(M) == M
    load(memory, M, SMALL)
    assert (options_of(memory), options_of(memory, COPY)) == (SMALL, None)
    list_now(memory, listing("m", ""), listing("copy", ""))
    assert (options_of(memory), options_of(memory, COPY)) == (SMALL, PLAIN)


# -- listings ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ends", ["well", "same", "failed"])
def test_a_listing_that_was_asked_for_before_a_load_ended_says_nothing_about_it(ends: str) -> None:
    """Neither that it is there nor that it is not: whenever the answer comes, also after a second one."""
    for entries in ([], [listing("m")]):
        memory = memory_of()
        if ends == "same":
            load(memory, M, SMALL)
        asked = [memory.changes]
        memory.load_began(ONE, M)
        asked.append(memory.changes)
        for before in asked:
            memory.listed(entries, before)
            assert memory.by_key[M].is_loading
        list_now(memory, *entries)
        assert memory.by_key[M].is_loading
        if ends == "failed":
            memory.load_failed(ONE)
        else:
            memory.load_ended(ONE, M, LARGE, 0.01 if ends == "same" else 1.0)
        for before in asked:
            memory.listed(entries, before)
            assert options_of(memory) is (None if ends == "failed" else LARGE)
        list_now(memory, *entries)
        left = None if not entries else PLAIN if ends == "failed" else LARGE
        assert options_of(memory) is left


def test_what_a_listing_lacks_is_not_loaded() -> None:
    memory = memory_of()
    load(memory, M, SMALL)
    list_now(memory, listing("m"))
    assert options_of(memory) is SMALL
    list_now(memory)
    assert memory.by_key == {}


def test_a_listing_says_nothing_about_an_answer_of_ours_that_is_newer() -> None:
    memory = memory_of()
    asked = memory.changes
    memory.answered(None, M, SMALL)
    memory.listed([], asked)
    assert options_of(memory) is SMALL
    list_now(memory)
    assert options_of(memory) is None


def test_other_weights_are_judged_while_one_model_loads() -> None:
    memory = memory_of(knows_weights=False)
    load(memory, DERIVED, SMALL)
    memory.load_began(ONE, M)
    list_now(memory)
    assert list(memory.by_key) == [M, COPY]


def test_a_server_that_goes_down_has_nothing_loaded_but_what_loads() -> None:
    memory = memory_of(knows_weights=False)
    load(memory, DERIVED)
    memory.load_began(ONE, M)
    memory.lost()
    assert list(memory.by_key) == [M, COPY]
    memory.load_failed(ONE)
    assert memory.by_key == {}


def test_before_the_server_said_what_it_has_on_disk_its_loaded_models_are_known_by_their_names() -> None:
    memory = Memory()
    list_now(memory, listing("m"), listing("derived", OTHER))
    assert list(memory.by_key) == [M, DERIVED]
    assert memory.digest_of(M) is None


def test_a_listing_tells_what_is_new_in_it_once() -> None:
    memory = memory_of()
    (new,) = list_now(memory, listing("m", context=None))
    assert (new.context, list_now(memory, listing("m", context=None))) == (None, [])
    (again,) = list_now(memory, listing("m", context=4096))  # a version that says it
    assert again is new
    assert again.context == 4096
    entry = listing("m")
    assert list_now(memory, entry) == list_now(memory, entry) == []
    assert memory.shown_as(entry) is new
    assert memory.shown_as(listing("m")) is None


# -- foreign instances ---------------------------------------------------------------------------------


def test_somebody_else_s_instance_takes_plain_requests_and_the_context_that_is_shown() -> None:
    memory = memory_of()
    list_now(memory, listing("m", context=2048))
    instance = memory.by_key[M]
    assert (instance.is_foreign, instance.asked_with) == (True, None)
    assert instance.takes(PLAIN)
    assert instance.takes(SMALL)
    assert not instance.takes(LARGE)
    assert not instance.takes(with_context(2048, num_gpu=0))


def test_somebody_else_s_instance_of_an_unknown_context_takes_plain_requests_alone() -> None:
    memory = memory_of()
    list_now(memory, listing("m", context=None))
    assert memory.by_key[M].takes(PLAIN)
    assert not memory.by_key[M].takes(with_context(4096, num_gpu=1))
    assert not memory.by_key[M].takes(SMALL)


def test_an_instance_of_ours_is_judged_as_asked_and_not_by_the_context_that_is_shown() -> None:
    """0.24 shows 8192 for each of 8192, 16384 and 20000, and reloads between them."""
    memory = memory_of()
    load(memory, M, with_context(16384))
    list_now(memory, listing("m", context=8192))
    assert memory.by_key[M].context == 8192
    assert not memory.by_key[M].takes(LARGE)
    assert memory.by_key[M].takes(with_context(16384))


def test_a_context_that_changed_in_the_list_is_somebody_else_s_load() -> None:
    memory = memory_of()
    load(memory, M, SMALL)
    list_now(memory, listing("m", context=2048))
    (news,) = list_now(memory, listing("m", context=8192))
    assert (news.is_foreign, news.asked_with, news.context) == (True, None, 8192)
    assert news.takes(LARGE)
    assert news.takes(PLAIN)
    assert not news.takes(SMALL)


def test_somebody_else_s_instance_is_ours_once_a_plain_request_was_answered() -> None:
    memory = memory_of()
    list_now(memory, listing("m", context=8192))
    instance = memory.by_key[M]
    memory.answered(instance, M, PLAIN)
    assert memory.by_key[M] is instance
    assert (instance.is_foreign, instance.options) == (False, PLAIN)
    assert not instance.takes(LARGE)


# -- answers -------------------------------------------------------------------------------------------


def test_an_answer_makes_the_instance_known_at_once() -> None:
    memory = memory_of()
    memory.answered(None, M, SMALL)
    assert memory.by_key[M].takes(SMALL)
    assert not memory.by_key[M].is_foreign


def test_an_answer_to_unknown_options_leaves_an_instance_of_unknown_options() -> None:
    memory = memory_of()
    memory.answered(None, M, None)
    assert memory.by_key[M].is_foreign
    load(memory, M, SMALL)
    instance = memory.by_key[M]
    memory.answered(instance, M, None)
    assert (instance.is_foreign, instance.options, instance.takes(SMALL)) == (True, PLAIN, False)


def test_an_answer_s_options_are_those_that_were_asked_for_last() -> None:
    memory = memory_of()
    load(memory, M, SMALL)
    load(memory, M, LARGE, seconds=0.01)
    instance = memory.by_key[M]
    assert instance.options is LARGE
    memory.answered(instance, M, SMALL)
    assert instance.options is SMALL
    assert instance.takes(LARGE)


def test_an_answer_that_a_reload_of_the_server_s_own_went_before_has_its_options() -> None:
    """It was let through, and loaded the model itself."""
    memory = memory_of()
    load(memory, M, SMALL)
    instance = memory.by_key[M]
    memory.answered(instance, M, LARGE)
    assert instance.takes(LARGE)
    assert not instance.takes(SMALL)


def test_an_old_answer_says_nothing_about_what_came_meanwhile() -> None:
    memory = memory_of()
    load(memory, M, SMALL)
    seen = memory.by_key[M]
    memory.load_began(ONE, M)
    memory.answered(seen, M, SMALL)
    assert memory.by_key[M].is_loading
    memory.load_ended(ONE, M, LARGE, 1.0)
    memory.answered(seen, M, SMALL)
    memory.answered(None, M, SMALL)
    assert options_of(memory) is LARGE


# -- what was no load ----------------------------------------------------------------------------------


def test_an_answer_in_less_than_a_quarter_of_the_quickest_load_was_none() -> None:
    memory = memory_of()
    assert load(memory, M, SMALL, 2.0) == (False, [])
    assert load(memory, M, LARGE, 0.49) == (True, [])
    instance = memory.by_key[M]
    assert instance.takes(SMALL)
    assert instance.takes(LARGE)
    assert instance.options is LARGE
    assert load(memory, M, with_context(4096), 0.5) == (False, [])
    assert memory.by_key[M] is not instance
    assert not memory.by_key[M].takes(SMALL)


def test_the_quickest_load_counts() -> None:
    memory = memory_of()
    for number, (seconds, is_same) in enumerate(((4.0, False), (8.0, False), (2.0, False), (0.6, False))):
        assert load(memory, M, with_context(1000 + number), seconds)[0] is is_same
    assert load(memory, M, SMALL, 0.14)[0]


def test_a_load_of_what_was_not_there_is_one_however_quick_it_was() -> None:
    memory = memory_of()
    load(memory, M, SMALL, 2.0)
    list_now(memory)
    assert load(memory, M, LARGE, 0.01) == (False, [])
    assert not memory.by_key[M].takes(SMALL)


def test_where_no_load_was_seen_yet_it_counts_as_one() -> None:
    memory = memory_of()
    list_now(memory, listing("m", context=2048))
    assert load(memory, M, LARGE, 0.001) == (False, [])
    assert not memory.by_key[M].takes(PLAIN)


def test_a_first_load_of_what_was_there_may_have_been_none() -> None:
    """So a later one that took long was the first of all, and what is quick beside it none."""
    memory = memory_of()
    memory.answered(None, M, PLAIN)
    assert load(memory, M, SMALL, 0.010) == (False, [])
    assert load(memory, M, LARGE, 0.008) == (False, [])  # quicker; still not known what a load takes
    assert load(memory, M, SMALL, 0.020) == (False, [])
    assert load(memory, M, LARGE, 2.0) == (False, [])
    assert load(memory, M, SMALL, 0.010) == (True, [])


def test_a_load_from_nothing_says_what_one_takes() -> None:
    memory = memory_of()
    memory.answered(None, M, PLAIN)
    load(memory, M, SMALL, 0.5)
    list_now(memory)
    load(memory, M, SMALL, 1.0)
    assert load(memory, M, LARGE, 0.2) == (True, [])


def test_of_somebody_else_s_instance_the_options_are_known_once_a_load_was_none() -> None:
    memory = memory_of()
    load(memory, M, SMALL, 2.0)
    list_now(memory, listing("m", context=2048))
    list_now(memory, listing("m", context=8192))
    instance = memory.by_key[M]
    assert instance.is_foreign
    assert load(memory, M, with_context(16384), 0.01) == (True, [])
    assert memory.by_key[M] is instance
    assert not instance.is_foreign
    assert instance.takes(with_context(16384))
    assert not instance.takes(LARGE)


@pytest.mark.parametrize("shown", [2048, 8192])
def test_after_a_load_that_seems_none_the_next_list_says_the_context(shown: int) -> None:
    """Whether the model has no more, or a machine under load was as quick as it never was idle."""
    memory = memory_of()
    load(memory, M, SMALL, 2.0)
    before = listing("m", context=2048)
    list_now(memory, before)
    assert load(memory, M, LARGE, 0.01) == (True, [])
    assert memory.by_key[M].context is None
    now = before if shown == 2048 else listing("m", context=shown)
    (news,) = list_now(memory, now)
    assert news is memory.by_key[M]
    assert (news.context, news.is_foreign, news.asked_with) == (shown, False, LARGE)
    assert list_now(memory, now) == []


def test_what_is_the_same_is_bounded() -> None:
    """A client that makes up contexts gets an empty request of ours for each, and no endless list."""
    memory = memory_of()
    load(memory, M, SMALL, 2.0)
    for number in range(100):
        assert load(memory, M, with_context(10_000 + number), 0.01)[0]
    load(memory, M, with_context(10_099), 0.01)
    same = memory.by_key[M].same
    assert len(same) == len(set(same)) == 32
    assert memory.by_key[M].takes(with_context(10_099))
    assert not memory.by_key[M].takes(SMALL)


# -- weights -------------------------------------------------------------------------------------------


def test_a_copy_of_a_loaded_model_is_loaded() -> None:
    memory = memory_of(knows_weights=False)
    load(memory, M, SMALL)
    assert memory.by_key[COPY] is memory.by_key[M]
    list_now(memory, listing("copy"))
    assert memory.by_key[M].takes(SMALL)
    assert memory.shown_as(listing("copy")) is None


def test_a_copy_that_is_asked_for_with_other_options_pushes_the_model_out() -> None:
    memory = memory_of()
    load(memory, M, SMALL)
    assert load(memory, COPY, LARGE) == (False, [M])
    assert load(memory, COPY, SMALL) == (False, [])
    assert load(memory, M, LARGE) == (False, [COPY])


def test_models_over_the_same_weights_push_each_other_out() -> None:
    memory = memory_of()
    load(memory, M, SMALL)
    assert load(memory, DERIVED, LARGE) == (False, [M])
    assert (options_of(memory), options_of(memory, DERIVED)) == (None, LARGE)
    assert load(memory, M, SMALL) == (False, [DERIVED])


def test_models_over_the_same_weights_that_want_the_same_are_loaded_both() -> None:
    memory = memory_of()
    load(memory, M, SMALL)
    entry = listing("m", context=2048)
    (news,) = list_now(memory, entry)
    assert load(memory, DERIVED, SMALL, 0.01) == (True, [])
    assert (options_of(memory), options_of(memory, DERIVED)) == (SMALL, SMALL)
    assert memory.by_key[DERIVED].context == 2048
    assert list_now(memory, listing("m", context=2048)) == []
    assert memory.shown_as(entry) is None
    assert list_now(memory, entry) == []
    assert memory.shown_as(entry) is news
    list_now(memory, listing("derived", OTHER, 2048))
    assert sorted(memory.by_key) == sorted((M, COPY, DERIVED))


def test_an_instance_that_another_name_loaded_is_shown_as_what_we_know_of_it() -> None:
    memory = memory_of()
    load(memory, M, SMALL)
    entry = listing("derived", OTHER)
    list_now(memory, entry)
    assert memory.shown_as(entry) is memory.by_key[M]
    assert DERIVED not in memory.by_key


def test_one_runner_with_two_names_is_news_once() -> None:
    memory = memory_of()
    load(memory, M, SMALL)
    load(memory, DERIVED, SMALL, 0.01)
    assert len(list_now(memory, listing("m"))) == 1


def test_models_that_are_asked_for_alike_push_nobody_out_while_no_load_is_sure_to_be_one() -> None:
    """A system prompt of its own makes a model another one over the same weights, and no reload."""
    memory = memory_of()
    list_now(memory, listing("m"))
    memory.answered(memory.by_key[M], M, PLAIN)
    for key in (DERIVED, M, DERIVED):
        assert load(memory, key, PLAIN, 0.001) == (False, [])
    assert load(memory, M, SMALL, 0.001) == (False, [DERIVED])
    load(memory, M, PLAIN, 1.0)
    assert load(memory, DERIVED, PLAIN, 1.0) == (False, [M])


def test_somebody_else_s_model_over_the_same_weights_is_not_told_to_be_pushed_out() -> None:
    memory = memory_of()
    list_now(memory, listing("derived", OTHER))
    assert load(memory, M, SMALL) == (False, [])
    assert DERIVED not in memory.by_key


def test_where_the_weights_are_not_known_models_are_told_apart_by_their_contents() -> None:
    memory = memory_of(knows_weights=False)
    memory.learned(ONE, Facts("", only_embeds=True))
    assert memory.facts_of(ONE) == Facts("", only_embeds=True)
    assert memory.facts_of(OTHER) is None
    assert (memory.weights_of(ONE), memory.weights_of(OTHER)) == (ONE, OTHER)
    load(memory, M, SMALL)
    assert load(memory, DERIVED, LARGE) == (False, [])
    assert (options_of(memory), options_of(memory, DERIVED)) == (SMALL, LARGE)


def test_what_is_learned_of_a_model_does_not_make_older_listings_right() -> None:
    memory = memory_of(knows_weights=False)
    asked = memory.changes
    load(memory, M, SMALL)
    memory.learned(ONE, Facts(BLOB, only_embeds=False))
    memory.listed([], asked)
    assert options_of(memory) is SMALL


def test_a_model_s_weights_stay_what_they_were_as_long_as_it_is_being_loaded() -> None:
    """Nothing is learned or forgotten: what was suspended for the load comes back with its end."""
    memory = memory_of(knows_weights=False)
    load(memory, M, SMALL)
    memory.load_began(ONE, M)
    memory.learned(ONE, Facts(BLOB, only_embeds=False))
    assert memory.facts_of(ONE) is None
    memory.load_ended(ONE, M, LARGE, 0.01)
    assert memory.by_key[M].takes(SMALL)
    memory.learned(ONE, Facts(BLOB, only_embeds=False))
    memory.learned(OTHER, Facts(BLOB, only_embeds=False))
    load(memory, M, SMALL)
    load(memory, DERIVED, LARGE, 0.01)
    memory.load_began(ONE, M)
    memory.installed({DERIVED: Entry("derived", DERIVED, OTHER, b"{}", 0)})  # it was deleted
    assert memory.by_key[DERIVED].is_loading
    memory.load_ended(ONE, M, SMALL, 0.01)
    assert memory.by_key[DERIVED].takes(LARGE)
    list_now(memory)
    memory.installed({DERIVED: Entry("derived", DERIVED, OTHER, b"{}", 0)})
    assert memory.facts_of(ONE) is None  # it is neither on disk nor in memory


def test_a_model_that_another_host_runs_is_not_loaded_by_its_answer() -> None:
    memory = Memory()
    memory.installed({M: Entry("m", M, ONE, b"{}", 0, is_remote=True)})
    memory.answered(None, M, PLAIN)
    assert memory.by_key == {}


# -- unloads, failures, what stays ---------------------------------------------------------------------


def test_an_unload_takes_all_names_of_the_weights_out_of_memory() -> None:
    memory = memory_of()
    load(memory, M, SMALL)
    load(memory, DERIVED, SMALL, 0.01)
    asked = memory.changes
    memory.unloaded(COPY)
    assert memory.by_key == {}
    memory.listed([listing("m")], asked)
    assert memory.by_key == {}


def test_an_unload_ends_no_load() -> None:
    memory = memory_of()
    memory.load_began(ONE, M)
    memory.unloaded(M)
    assert memory.by_key[M].is_loading
    memory.load_ended(ONE, M, SMALL, 1.0)
    assert options_of(memory) is SMALL


def test_after_a_load_that_failed_only_the_server_knows_what_is_there() -> None:
    memory = memory_of()
    load(memory, M, SMALL)
    memory.load_began(ONE, M)
    memory.load_failed(ONE)
    assert memory.by_key == {}
    list_now(memory, listing("m", context=2048))
    assert memory.by_key[M].is_foreign


def test_a_deleted_model_that_stays_in_memory_is_no_model_that_can_be_asked_for() -> None:
    memory = memory_of()
    load(memory, M, SMALL)
    entry = listing("m")
    memory.installed({DERIVED: Entry("derived", DERIVED, OTHER, b"{}", 0)})
    list_now(memory, entry)
    assert M not in memory.by_key
    assert memory.shown_as(entry) is not None
    list_now(memory)
    assert memory.shown_as(entry) is None


def test_a_model_that_was_made_anew_is_not_loaded_while_the_old_one_stays_in_memory() -> None:
    memory = memory_of()
    load(memory, M, SMALL)
    memory.installed({M: Entry("m", M, "3" * 64, b"{}", 0)})
    entry = listing("m")
    list_now(memory, entry)
    assert memory.by_key == {}
    assert load(memory, M, LARGE) == (False, [])
    list_now(memory, entry, listing("m", "3" * 64))
    assert options_of(memory) is LARGE


# -- contexts, times, reloads --------------------------------------------------------------------------


@pytest.mark.parametrize(("options", "num_ctx"), [(PLAIN, None), (SMALL, 2048)])
def test_an_instance_has_the_context_that_it_was_asked_for_with(
    options: RunnerOptions, num_ctx: int | None
) -> None:
    memory = memory_of()
    load(memory, M, options)
    list_now(memory, listing("m", context=4096))
    assert (memory.by_key[M].num_ctx, memory.by_key[M].context) == (num_ctx, 4096)


def test_somebody_else_s_instance_has_the_context_that_is_shown() -> None:
    memory = memory_of()
    list_now(memory, listing("m", context=None))
    assert memory.by_key[M].num_ctx is None
    list_now(memory, listing("m", context=8192))
    assert memory.by_key[M].num_ctx == 8192


def test_an_instance_that_is_being_loaded_has_the_context_that_comes() -> None:
    memory = memory_of()
    memory.wanted(ONE, M, SMALL)
    assert memory.by_key[M].num_ctx == 2048
    memory.wanted(ONE, M, LARGE)  # behind it in line
    assert memory.by_key[M].num_ctx == 8192
    memory.load_began(ONE, M, PLAIN)
    assert memory.by_key[M].num_ctx is None
    memory.load_ended(ONE, M, PLAIN, 1.0)
    memory.load_began(ONE, M, LARGE)
    assert (memory.by_key[M].num_ctx, memory.by_key[M].asked_with) == (8192, None)
    assert Instance(ONE, NOT_YET, M, is_loading=True).num_ctx is None


def test_a_model_that_leaves_for_another_over_its_weights_has_the_context_that_comes() -> None:
    memory = memory_of()
    load(memory, DERIVED, SMALL)
    memory.load_began(ONE, M, LARGE)
    assert memory.by_key[DERIVED].num_ctx == 8192
    memory.load_failed(ONE)
    assert DERIVED not in memory.by_key


@pytest.mark.parametrize(
    ("before", "after", "seconds", "replaced"),
    [
        (SMALL, LARGE, 1.0, SMALL),
        (PLAIN, LARGE, 1.0, PLAIN),
        (SMALL, LARGE, 0.01, None),  # it turned out to be none
        (None, LARGE, 1.0, None),
    ],
)
def test_a_load_tells_which_instance_of_the_model_had_to_leave(
    before: RunnerOptions | None, after: RunnerOptions, seconds: float, replaced: RunnerOptions | None
) -> None:
    memory = memory_of()
    if before is not None:
        load(memory, M, before)
    memory.load_began(ONE, M, after)
    effect = memory.load_ended(ONE, M, after, seconds)
    assert (effect.replaced and effect.replaced.asked_with) == replaced
    assert effect.is_same is (seconds < 1)


def test_somebody_else_s_instance_had_to_leave_with_options_that_nobody_knows() -> None:
    memory = memory_of()
    load(memory, M, PLAIN)
    list_now(memory, listing("m", context=4096))
    list_now(memory, listing("m", context=2048))
    memory.load_began(ONE, M, LARGE)
    replaced = memory.load_ended(ONE, M, LARGE, 1.0).replaced
    assert replaced is not None
    assert replaced.asked_with is None


def test_another_model_that_had_to_leave_is_no_instance_of_this_one() -> None:
    memory = memory_of()
    load(memory, DERIVED, SMALL)
    memory.load_began(ONE, M, LARGE)
    effect = memory.load_ended(ONE, M, LARGE, 1.0)
    assert (effect.pushed_out, effect.replaced) == ([DERIVED], None)


def test_what_takes_more_than_half_of_the_quickest_load_was_one() -> None:
    memory = memory_of()
    load(memory, M, SMALL, 4.0)
    assert memory.by_key[M].least_reload == 2.0
    load(memory, M, LARGE, 2.0)
    assert memory.by_key[M].least_reload == 1.0
    load(memory, M, SMALL, 3.0)
    assert memory.by_key[M].least_reload == 1.0
    load(memory, M, LARGE, 0.1)
    assert memory.by_key[M].least_reload == 1.0


def test_where_it_is_not_known_what_a_load_takes_nothing_counts_as_one() -> None:
    memory = memory_of()
    memory.answered(None, M, PLAIN)
    assert memory.by_key[M].least_reload == float("inf")
    load(memory, M, SMALL, 0.01)  # of what was there: it may have been none
    assert memory.by_key[M].least_reload == float("inf")
    load(memory, M, LARGE, 1.0)
    assert memory.by_key[M].least_reload == 0.5


def test_a_load_of_ours_that_lies_between_is_seen() -> None:
    memory = memory_of()
    since = memory.loads
    assert not memory.is_loading_any(since)
    memory.wanted(ONE, M, SMALL)
    assert not memory.is_loading_any(since)
    memory.load_began(ONE, M, SMALL)
    assert memory.is_loading_any(since)
    assert memory.is_loading_any(memory.loads)
    memory.load_ended(ONE, M, SMALL, 1.0)
    assert memory.is_loading_any(since)
    assert not memory.is_loading_any(memory.loads)
    since = memory.loads
    memory.load_began(OTHER, DERIVED)
    memory.load_failed(OTHER)
    assert memory.is_loading_any(since)


def expiring(name: str, at: int, digest: str = ONE) -> Entry:
    """Make an instance as a server lists it, which leaves at this Unix time."""
    entry = listing(name, digest)
    return Entry(name, entry.key, digest, entry.json, at * 1_000_000_000)


def test_an_expiry_is_known_from_a_list_that_was_asked_for_after_the_time_was_given() -> None:
    memory = memory_of()
    load(memory, M, SMALL)
    instance = memory.by_key[M]
    assert instance.expires_at is None
    list_now(memory, expiring("m", 700))
    assert instance.expires_at == 700
    asked = memory.changes
    memory.gave(M, 60.0, 600.0)
    assert (instance.keep.given, instance.expires_at) == (60.0, None)
    memory.listed([expiring("m", 700)], asked)
    assert instance.expires_at is None
    list_now(memory, entry := expiring("m", 660))
    assert instance.expires_at == 660
    list_now(memory, entry)
    assert instance.expires_at == 660


def test_a_time_that_was_given_already_is_no_news() -> None:
    memory = memory_of()
    load(memory, M, SMALL)
    memory.gave(M, 60.0, 600.0)
    instance, changes = memory.by_key[M], memory.changes
    memory.gave(M, 60.0, 700.0)
    assert (memory.changes, instance.keep.change) == (changes, changes)
    memory.gave(M, None, 700.0)
    assert (memory.changes, instance.keep.given) == (changes + 1, None)


def test_a_time_is_given_to_what_is_there_alone() -> None:
    memory = memory_of()
    memory.gave(M, 60.0, 600.0)
    memory.wanted(ONE, M, SMALL)
    memory.gave(M, 60.0, 600.0)
    assert memory.by_key[M].keep.given is None


def test_a_load_forgets_the_time_of_what_was_there_and_one_that_was_none_does_not() -> None:
    memory = memory_of()
    load(memory, M, SMALL)
    memory.gave(M, 60.0, 600.0)
    load(memory, M, LARGE, 0.01)
    assert memory.by_key[M].keep.given == 60.0
    load(memory, M, SMALL)
    assert memory.by_key[M].keep.given is None


def test_somebody_else_s_load_forgets_the_time_that_was_given() -> None:
    memory = memory_of()
    load(memory, M, SMALL)
    list_now(memory, listing("m", context=2048))
    memory.gave(M, 60.0, 600.0)
    list_now(memory, listing("m", context=8192))
    assert memory.by_key[M].keep.given is None


def test_changes_are_counted_on() -> None:
    memory = memory_of()
    before = memory.changes
    assert (memory.changed(), memory.changed(), memory.changes) == (before + 1, before + 2, before + 2)
