"""What was unloaded by hand stays away until somebody asks for it."""

import pytest

from gollamas.fleet.entries import Entry
from gollamas.fleet.facts import Facts
from gollamas.fleet.hand_unloads import HandUnloads
from gollamas.fleet.instances import Memory
from gollamas.fleet.policy import Policy
from gollamas.fleet.runner_options import PLAIN
from tests.unit.fleet.fleets import key_of
from tests.unit.fleet.test_instances import BLOB, COPY, DERIVED, ONE, M, listing, memory_of


def loaded() -> Memory:
    """Make the memory of a server that lists a model as loaded."""
    memory = memory_of()
    memory.listed([listing("m")], memory.changes)
    return memory


def unloaded() -> Memory:
    """Make the memory of a server whose model was unloaded by hand, and may not have left yet."""
    memory = loaded()
    memory.unloaded_by_hand(M)
    memory.unloaded(M)
    return memory


def test_it_is_noted_by_all_names_of_the_model() -> None:
    memory = unloaded()
    assert memory.is_unloaded_by_hand(M)
    assert memory.is_unloaded_by_hand(COPY)
    assert not memory.is_unloaded_by_hand(DERIVED)
    assert not memory.is_unloaded_by_hand(key_of("other"))


def test_it_is_noted_of_what_is_not_there_at_all() -> None:
    memory = memory_of()
    memory.unloaded_by_hand(M)
    memory.unloaded_by_hand(key_of("unlisted"))
    assert memory.is_unloaded_by_hand(M)
    assert memory.is_unloaded_by_hand(key_of("unlisted"))
    memory.listed([listing("other", "9" * 64)], memory.changes)
    assert memory.is_unloaded_by_hand(key_of("unlisted"))


def test_it_ends_when_somebody_asks_for_it() -> None:
    memory = unloaded()
    memory.hand_unloads.asked_for(M)
    assert not memory.is_unloaded_by_hand(M)
    memory.hand_unloads.asked_for(M)


def test_what_is_still_answering_counts_as_gone() -> None:
    memory = unloaded()
    for _ in range(2):
        assert memory.listed([listing("m")], memory.changes) == []
        assert memory.is_unloaded_by_hand(M)
        assert M not in memory.by_key


def test_a_list_of_before_says_nothing() -> None:
    memory = loaded()
    asked = memory.changes
    memory.unloaded_by_hand(M)
    memory.unloaded(M)
    memory.listed([], asked)
    memory.listed([listing("m")], memory.changes)
    assert memory.is_unloaded_by_hand(M)


def test_what_was_gone_and_is_there_again_was_asked_for() -> None:
    memory = unloaded()
    memory.listed([], memory.changes)
    assert memory.is_unloaded_by_hand(M)
    memory.listed([listing("m")], memory.changes)
    assert not memory.is_unloaded_by_hand(M)
    assert memory.by_key[M].is_foreign


def test_another_model_that_is_listed_is_shown() -> None:
    memory = unloaded()
    memory.installed({**memory._installed, key_of("x"): Entry("x", key_of("x"), "9" * 64, b"{}", 0)})
    memory.listed([listing("m"), listing("x", "9" * 64)], memory.changes)
    assert set(memory.by_key) == {key_of("x")}


def test_a_model_that_comes_back_by_a_load_of_ours_is_known_while_it_is_marked() -> None:
    """A load that was under way when it was unloaded."""
    memory = unloaded()
    memory.wanted(ONE, M)
    memory.load_began(ONE, M)
    memory.load_ended(ONE, M, PLAIN, 1.0)
    memory.listed([listing("m")], memory.changes)
    assert memory.is_unloaded_by_hand(M)
    assert not memory.by_key[M].is_foreign


def test_an_answer_that_loaded_it_ends_it_and_one_that_ran_meanwhile_does_not() -> None:
    memory = loaded()
    seen = memory.by_key[M]
    memory.unloaded_by_hand(M)
    memory.unloaded(M)
    memory.answered(seen, M, PLAIN)
    assert memory.is_unloaded_by_hand(M)
    memory.unloaded(M)
    memory.answered(None, M, PLAIN)
    assert not memory.is_unloaded_by_hand(M)


def test_facts_that_come_later_change_nothing() -> None:
    memory = memory_of(knows_weights=False)
    memory.listed([listing("m")], memory.changes)
    memory.unloaded_by_hand(M)
    memory.unloaded(M)
    memory.learned(ONE, Facts(BLOB, only_embeds=False))
    memory.listed([listing("m")], memory.changes)
    assert memory.is_unloaded_by_hand(M)
    assert M not in memory.by_key


def test_where_nothing_is_marked_nothing_is_asked() -> None:
    def fails(_: str) -> str:
        raise AssertionError

    assert not HandUnloads().leaving(("w",), fails)


@pytest.mark.parametrize(("num_ctx", "wanted"), [(None, None), (0, None), (4096, 4096)])
@pytest.mark.parametrize("forces", [True, False])
def test_a_load_of_nobody_s_request_has_the_context_of_the_policy(
    num_ctx: int | None, wanted: int | None, forces: bool
) -> None:
    """One that is to be what is loaded gives none."""
    policy = Policy(60.0, num_ctx, forces_keep_alive=False, forces_num_ctx=forces)
    assert policy.load_options.num_ctx == wanted
    assert policy.load_options.only_num_ctx == wanted
