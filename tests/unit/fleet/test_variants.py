"""Variants of models: their names, and which of a server's are to be used, wait for a list, are left over."""

import re

import pytest

from gollamas import names
from gollamas.fleet.entries import Entry
from gollamas.fleet.variants import HiddenCopy, Variant, Variants, copy_name_of, name_of
from tests.unit.fleet.fleets import entry, key_of

KEY, OTHER = key_of("m"), key_of("other:8b")
OLD, NEW = "a" * 64, "b" * 64
M_OLD, M_NEW = entry("m", OLD), entry("m", NEW)


def by_key(*entries: Entry) -> dict[str, Entry]:
    """Give entries by their keys."""
    return {one.key: one for one in entries}


def variant(name: str = "m", digest: str = OLD, num_ctx: int = 4096) -> str:
    """Name a variant of a model."""
    return name_of(key_of(name), digest, num_ctx)


def server_with(*models: Entry, variants: tuple[str, ...] = (), asked: int = 0) -> Variants:
    """Make the variants of a server that lists these models, and variants of them."""
    made = Variants()
    list_(made, *models, variants=variants, asked=asked)
    return made


def list_(made: Variants, *models: Entry, variants: tuple[str, ...] = (), asked: int = 0) -> None:
    """Have the server list these models and variants."""
    made.listed(by_key(*(entry(name, "f" * 64) for name in variants)), by_key(*models), asked)


def told(made: Variants) -> list[tuple[str, int, str | None, bool]]:
    """Say which variants there are."""
    return [
        (one.name, one.num_ctx, None if one.model is None else one.model.name, one.is_current)
        for one in made.all()
    ]


def names_left_over(made: Variants) -> list[str]:
    """Name those that can go."""
    return [one.name for one in made.left_over()]


# -- names -------------------------------------------------------------------------------------------

LONGEST = "x" * 80


@pytest.mark.parametrize(
    ("model", "readable"),
    [
        ("m", "m"),
        ("M:Latest", "m"),
        ("llama3.2:1b-instruct-q4_K_M", "llama3.2-1b-instruct-q4_k_m"),
        ("user/m:8b", "m-8b"),
        ("hf.co/user/m.gguf:Q8_0", "m.gguf-q8_0"),
        ("host:5000/user/m", "m"),
        ("_m", "_m"),
        (f"{LONGEST}:{LONGEST}", "x" * 59),
        (f"{'h' * 350}/{LONGEST}/{LONGEST}:{LONGEST}", "x" * 59),
        ("gollamas", "gollamas"),
    ],
)
def test_a_variant_s_name_is_one_that_ollama_takes_and_says_whose_it_is(model: str, readable: str) -> None:
    name = variant(model)
    parsed = names.parse(name)
    assert parsed is not None
    assert (parsed.host, parsed.namespace, parsed.tag) == (names.DEFAULT_HOST, "gollamas", "ctx4096")
    assert re.fullmatch(re.escape(readable) + "-[0-9a-f]{20}", parsed.model)
    assert len(parsed.model) <= 80
    assert parsed.shortest == name  # as the server lists it
    assert names.is_ours(parsed.key)


@pytest.mark.parametrize("num_ctx", [1, 4096, 10**9])
def test_a_variant_s_tag_is_its_context(num_ctx: int) -> None:
    assert variant(num_ctx=num_ctx).endswith(f":ctx{num_ctx}")
    made = server_with(M_OLD, variants=(variant(num_ctx=num_ctx),))
    assert made.find(KEY, num_ctx) == variant(num_ctx=num_ctx)


def test_what_differs_in_name_digest_or_context_differs_in_the_name() -> None:
    models = [
        "m", "m:8b", "m-8b", "user/m", "other/m", "hf.co/user/m", "hf.co/library/m", "m8b", "m:latest-x",
        f"{LONGEST[:70]}a", f"{LONGEST[:70]}b", f"{LONGEST}:a", f"{LONGEST}:b",
    ]  # fmt: skip
    made = [
        name_of(key_of(model), digest, num_ctx)
        for model in models
        for digest in (OLD, NEW)
        for num_ctx in (4096, 8192)
    ]
    assert len({names.key_of(name) for name in made}) == len(made) == len(models) * 4


def test_two_proxies_name_a_variant_alike_whatever_the_spelling() -> None:
    assert variant("M:latest") == variant("registry.ollama.ai/library/m") == variant("m")
    assert variant("m") == "gollamas/m-" + variant("m").partition("-")[2]
    assert variant("m") == variant("m")


@pytest.mark.parametrize(
    ("name", "ours"),
    [
        ("gollamas/x", True),
        ("GOLLAMAS/x:y", True),
        ("registry.ollama.ai/gollamas/x", True),
        ("http://registry.ollama.ai/Gollamas/x", True),
        ("gollamas", False),
        ("gollamas-x/y", False),
        ("hf.co/gollamas/x", False),
        ("library/gollamas", False),
    ],
)
def test_all_names_in_our_namespace_are_ours(name: str, ours: bool) -> None:
    assert names.is_ours(key_of(name)) is ours


# -- which are there ---------------------------------------------------------------------------------


def test_a_server_without_variants_has_none() -> None:
    for made in (Variants(), server_with(M_OLD)):
        assert (made.all(), made.left_over(), made.find(KEY, 4096), made.model_of(key_of(variant()))) == (
            (), [], None, None,
        )  # fmt: skip


def test_a_variant_that_is_listed_is_found_by_model_and_context() -> None:
    made = server_with(M_OLD, entry("other:8b", NEW), variants=(variant(), variant("other:8b", NEW, 8192)))
    assert made.find(KEY, 4096) == variant()
    assert made.find(OTHER, 8192) == variant("other:8b", NEW, 8192)
    assert (made.find(KEY, 8192), made.find(OTHER, 4096)) == (None, None)
    assert made.model_of(key_of(variant())) is M_OLD
    assert told(made) == [
        (variant(), 4096, "m", True),
        (variant("other:8b", NEW, 8192), 8192, "other:8b", True),
    ]
    assert names_left_over(made) == []


def test_a_variant_is_asked_for_as_the_server_lists_it() -> None:
    shouted = variant().upper()
    made = server_with(M_OLD, variants=(shouted,))
    assert made.find(KEY, 4096) == shouted
    assert made.model_of(key_of(variant())) is M_OLD


def test_what_is_no_variant_s_name_is_no_variant() -> None:
    """Nobody knows what it is: it is neither used nor removed."""
    mine = variant().partition("gollamas/")[2]
    others = (
        "gollamas/m", f"gollamas/{mine}x", "gollamas/m-0123:ctx4096", mine.replace("ctx", ""),
        f"gollamas/{mine.partition(':')[0]}:ctx", f"gollamas/{mine.partition(':')[0]}:ctx9999999999999999999",
        f"gollamas/{mine.partition(':')[0]}", f"gollamas/{mine.partition('-')[2]}",
    )  # fmt: skip
    made = server_with(M_OLD, variants=others)
    assert (made.all(), made.left_over(), made.find(KEY, 4096)) == ([], [], None)


def test_a_name_with_another_hash_is_left_of_other_contents() -> None:
    """Of the same model: the first digits say so."""
    forged = re.sub("[0-9a-f]{12}:", "0" * 12 + ":", variant())
    made = server_with(M_OLD, variants=(forged,))
    assert told(made) == [(forged, 4096, "m", False)]
    assert made.find(KEY, 4096) is None


def test_what_was_made_of_other_contents_is_not_used_and_goes_with_its_successor() -> None:
    made = server_with(M_NEW, variants=(variant(),))
    assert (made.find(KEY, 4096), made.model_of(key_of(variant()))) == (None, None)
    assert told(made) == [(variant(), 4096, "m", False)]
    assert names_left_over(made) == []  # until the new one is there
    made.made(variant("m", NEW), 1)
    assert made.find(KEY, 4096) == variant("m", NEW)
    assert names_left_over(made) == [variant()]


def test_all_variants_of_a_model_that_is_gone_are_left_over() -> None:
    mine = (variant(), variant(num_ctx=8192), variant("m", NEW))
    made = server_with(entry("other:8b"), variants=(*mine, variant("other:8b")))
    assert names_left_over(made) == list(mine)
    assert made.find(KEY, 4096) is None
    assert [one.model for one in made.left_over()] == [None] * 3


def test_a_model_without_a_digest_has_variants_too() -> None:
    made = server_with(entry("m", ""), variants=(variant("m", KEY),))
    assert made.find(KEY, 4096) == variant("m", KEY)


# -- what we do, beside lists in any order -----------------------------------------------------------


def test_a_variant_that_was_made_is_there_at_once_and_until_a_later_list_lacks_it() -> None:
    made = server_with(M_OLD)
    made.made(variant(), 5)
    assert made.find(KEY, 4096) == variant()
    assert made.model_of(key_of(variant())) is M_OLD
    assert made.all() == [Variant(variant(), 4096, M_OLD, True, None)]
    list_(made, M_OLD, asked=4)  # asked for before it was made
    assert made.find(KEY, 4096) == variant()
    list_(made, M_OLD, variants=(variant(),), asked=4)
    (one,) = made.all()
    assert one.entry is not None
    list_(made, M_OLD, asked=5)
    assert (made.find(KEY, 4096), made.all()) == (None, ())


def test_a_variant_that_was_removed_is_gone_at_once_and_until_a_later_list_has_it() -> None:
    made = server_with(M_OLD, variants=(variant(),))
    made.removed(variant(), 5)
    assert (made.find(KEY, 4096), made.model_of(key_of(variant())), made.all()) == (None, None, ())
    list_(made, M_OLD, variants=(variant(),), asked=4)
    assert made.find(KEY, 4096) is None
    list_(made, M_OLD, variants=(variant(),), asked=5)
    assert made.find(KEY, 4096) == variant()


def test_a_variant_that_was_removed_and_made_again_is_there() -> None:
    made = server_with(M_OLD, variants=(variant(),))
    made.removed(variant(), 5)
    made.made(variant(), 7)
    for asked in (4, 6):
        list_(made, M_OLD, asked=asked)
        assert made.find(KEY, 4096) == variant()
        list_(made, M_OLD, variants=(variant(),), asked=asked)
        assert made.find(KEY, 4096) == variant()
    list_(made, M_OLD, asked=7)
    assert made.find(KEY, 4096) is None


def test_a_variant_that_was_made_and_removed_is_gone() -> None:
    made = server_with(M_OLD)
    made.made(variant(), 5)
    made.removed(variant(), 7)
    for asked in (4, 6):
        list_(made, M_OLD, variants=(variant(),), asked=asked)
        assert made.find(KEY, 4096) is None
    list_(made, M_OLD, variants=(variant(),), asked=7)
    assert made.find(KEY, 4096) == variant()


def test_names_that_nobody_could_read_are_kept_as_they_are() -> None:
    made = server_with(M_OLD)
    made.made("a b", 1)
    made.removed("a b", 2)
    made.removed("c d", 3)
    assert made.all() == ()


def test_all_of_a_model_are_found_by_its_name_whether_it_is_there_or_not() -> None:
    mine = (variant(), variant(num_ctx=8192), variant("m", NEW).upper())
    made = server_with(M_OLD, variants=(*mine, variant("other:8b"), copy("m")))
    made.made(variant(num_ctx=1024), 1)
    found = [*mine, variant(num_ctx=1024)]
    assert [one.name for one in made.of(KEY)] == found
    list_(made, variants=(*mine, variant("other:8b")))
    assert [one.name for one in made.of(KEY)] == found
    assert [one.name for one in made.of(OTHER)] == [variant("other:8b")]
    assert made.of(key_of("m:8b")) == []


# -- hidden copies -----------------------------------------------------------------------------------


def copy(name: str = "m", digest: str = OLD) -> str:
    """Name the hidden copy of a model."""
    return copy_name_of(key_of(name), digest)


@pytest.mark.parametrize(
    "model", ["m", "M:Latest", f"{'h' * 350}/{LONGEST}/{LONGEST}:{LONGEST}", "hf.co/u/m.gguf:Q8_0"]
)
def test_a_copy_s_name_is_one_that_ollama_takes_and_no_variant_s(model: str) -> None:
    parsed = names.parse(copy(model))
    assert parsed is not None
    assert (parsed.host, parsed.namespace, parsed.tag) == (names.DEFAULT_HOST, "gollamas", "old")
    readable, _, hashes = parsed.model.rpartition("-")
    assert readable == variant(model).rpartition("/")[2].rpartition("-")[0]
    assert re.fullmatch("[0-9a-f]{20}", hashes)
    assert len(parsed.model) <= 80
    assert parsed.shortest == copy(model)  # as the server lists it
    assert names.is_ours(parsed.key)


def test_a_copy_s_name_says_of_which_model_and_contents() -> None:
    made = [copy(), copy("m", NEW), copy("m:8b"), copy("m-8b"), copy("other/m"), copy("hf.co/library/m")]
    assert len({names.key_of(name) for name in made}) == len(made)
    assert copy("M:latest") == copy("registry.ollama.ai/library/m") == copy("m")


def test_copies_are_told_apart_from_variants() -> None:
    """None is found, or left over: it may be that of a pull that goes on, of another proxy's, too."""
    made = server_with(M_OLD, variants=(variant(), copy(), copy("m", NEW), copy("gone"), "gollamas/m:old"))
    assert told(made) == [(variant(), 4096, "m", True)]
    assert [(one.name, one.model, one.is_current, one.num_ctx) for one in made.copies()] == [
        (copy(), M_OLD, True, None),
        (copy("m", NEW), M_OLD, False, None),
        (copy("gone"), None, False, None),
    ]
    assert all(isinstance(one, HiddenCopy) and one.entry is not None for one in made.copies())
    assert names_left_over(made) == []
    list_(made, variants=(copy(),))
    assert (names_left_over(made), made.all()) == ([], [])


def test_a_runner_that_a_copy_loaded_is_the_model_s_as_long_as_that_has_the_same_contents() -> None:
    """Whether or not the server has listed the copy since it was made."""
    for listed in ((), (copy(), copy("m", NEW), copy("gone"))):
        made = server_with(M_OLD, variants=listed)
        assert made.model_of(key_of(copy())) is M_OLD
        assert made.model_of(key_of(copy("m", NEW))) is None
        assert made.model_of(key_of(copy("gone"))) is None
        assert made.model_of(key_of("gollamas/m:old")) is None
    nameless = server_with(entry("m", ""))
    assert nameless.model_of(key_of(copy("m", KEY))) is not None


def test_a_copy_that_was_removed_is_gone_at_once_and_until_a_later_list_has_it() -> None:
    made = server_with(M_OLD, variants=(copy(),))
    made.removed(copy(), 5)
    assert made.copies() == []
    list_(made, M_OLD, variants=(copy(),), asked=4)
    assert made.copies() == []
    list_(made, M_OLD, variants=(copy(),), asked=5)
    assert [one.name for one in made.copies()] == [copy()]


# -- refusals ----------------------------------------------------------------------------------------


def test_a_server_that_makes_none_of_a_model_is_told_of_once() -> None:
    made = server_with(M_OLD, entry("other:8b", NEW))
    assert not made.is_refused(OLD)
    assert (made.refused(OLD), made.refused(OLD), made.refused(NEW)) == (True, False, False)
    assert (made.is_refused(OLD), made.is_refused(NEW)) == (True, True)
    made.returned()
    assert not made.is_refused(OLD)
    assert made.refused(NEW)


def test_a_refusal_ends_where_what_was_in_the_way_may_be_gone() -> None:
    made = server_with(M_OLD, entry("other:8b", NEW))
    made.refused(OLD)
    made.refused(NEW)
    made.may_ask_again(OLD)
    assert (made.is_refused(OLD), made.is_refused(NEW)) == (False, True)
    assert not made.refused(OLD)  # it was told of


def test_a_refusal_holds_as_long_as_the_model_is_what_it_was() -> None:
    made = server_with(M_OLD)
    made.refused(OLD)
    list_(made, M_OLD)
    assert made.is_refused(OLD)
    list_(made, M_NEW)
    list_(made, M_OLD)
    assert not made.is_refused(OLD)
    nameless = server_with(entry("m", ""))
    nameless.refused(KEY)
    list_(nameless, entry("m", ""))
    assert nameless.is_refused(KEY)
