"""Whatever order lists and our changes come in, a variant that is found is one of what its model is now."""

from collections.abc import Iterator
from itertools import count

from hypothesis import given
from hypothesis import strategies as st

from gollamas import names
from gollamas.fleet.entries import Entry
from gollamas.fleet.variants import Variants, copy_name_of, name_of
from tests.unit.fleet.fleets import entry, key_of

MODELS = ("m", "other:8b")
DIGESTS = ("a" * 64, "b" * 64)
CONTEXTS = (4096, 8192)

models = st.dictionaries(st.sampled_from(MODELS), st.sampled_from(DIGESTS), max_size=2)
variants = st.tuples(st.sampled_from(MODELS), st.sampled_from(DIGESTS), st.sampled_from(CONTEXTS)).map(
    lambda said: name_of(key_of(said[0]), said[1], said[2])
)
copies = st.tuples(st.sampled_from(MODELS), st.sampled_from(DIGESTS)).map(
    lambda said: copy_name_of(key_of(said[0]), said[1])
)
foreign = st.sampled_from(["gollamas/x", "gollamas/x-0123:ctx1", "gollamas/m:latest"])
lists = st.tuples(models, st.lists(st.one_of(variants, copies, foreign), max_size=5), st.integers(0, 6))
happenings = st.lists(
    st.one_of(
        st.tuples(st.just("list"), lists),
        st.tuples(st.just("made"), variants),
        st.tuples(st.just("removed"), st.one_of(variants, copies)),
    ),
    max_size=12,
)


@given(happenings)
def test_only_what_was_made_of_the_contents_that_are_listed_is_found(
    happened: list[tuple[str, object]],
) -> None:
    held = Variants()
    listed: dict[str, str] = {}
    there: dict[str, bool] = {}  # of each variant, what was said last by us or by a list that may say so
    changed_at: dict[str, int] = {}
    changes: Iterator[int] = count(1)
    now = asked = 0
    for what, said in happened:
        if isinstance(said, tuple):
            listed, shown, ago = said
            asked = max(asked, now - ago)  # lists are answered one after another
            found = {key_of(name): entry(name) for name in shown}
            held.listed(
                found, {key_of(model): entry(model, digest) for model, digest in listed.items()}, asked
            )
            for key in {*there, *found}:
                if changed_at.get(key, 0) <= asked:
                    there[key] = key in found
        else:
            assert isinstance(said, str)
            now = next(changes)
            there[key_of(said)], changed_at[key_of(said)] = what == "made", now
            (held.made if what == "made" else held.removed)(said, now)
        check(held, listed, there)


def check(held: Variants, listed: dict[str, str], there: dict[str, bool]) -> None:
    """Compare what is found with what is there."""
    for model in MODELS:
        for num_ctx in CONTEXTS:
            digest = listed.get(model)
            name = None if digest is None else name_of(key_of(model), digest, num_ctx)
            is_there = name is not None and there.get(key_of(name), False)
            assert held.find(key_of(model), num_ctx) == (name if is_there else None)
            if name is not None and is_there:
                shown = held.model_of(key_of(name))
                assert shown is not None
                assert (shown.key, shown.digest) == (key_of(model), digest)
    left_over = {one.name for one in held.left_over()}
    assert not left_over & {held.find(key_of(model), num_ctx) for model in MODELS for num_ctx in CONTEXTS}
    for one in held.all():
        assert names.is_ours(key_of(one.name))
        assert (one.model is None) <= (one.name in left_over)
    hidden = {one.name for one in held.copies()}
    assert hidden == {name for name in map(spelt, there) if name.endswith(":old") and there[key_of(name)]}
    assert not hidden & {one.name for one in held.all()}


def spelt(key: str) -> str:
    """Give a key of ours as the server lists it."""
    return key.removeprefix(f"{names.DEFAULT_HOST}/")


parts = st.text("abcXYZ019_.-", min_size=1, max_size=80).filter(lambda part: part[0] not in ".-")
model_names = st.one_of(
    parts,
    st.tuples(parts, parts).map(":".join),
    st.tuples(parts.map(lambda part: part.replace(".", "_")), parts, parts).map(
        lambda three: f"{three[0]}/{three[1]}:{three[2]}"
    ),
)
made_of = st.tuples(model_names, st.text("0123456789abcdef", min_size=1, max_size=64), st.integers(1, 10**9))


@given(made_of, made_of)
def test_every_name_is_valid_and_two_never_collide(
    one: tuple[str, str, int], other: tuple[str, str, int]
) -> None:
    keys = []
    for name, digest, num_ctx in (one, other):
        parsed = names.parse(name_of(key_of(name), digest, num_ctx))
        assert parsed is not None
        assert names.is_ours(parsed.key)
        keys.append(parsed.key)
    is_same = (key_of(one[0]), *one[1:]) == (key_of(other[0]), *other[1:])
    assert (keys[0] == keys[1]) is is_same


@given(made_of, made_of)
def test_every_copy_s_name_is_valid_and_two_never_collide(
    one: tuple[str, str, int], other: tuple[str, str, int]
) -> None:
    """Neither with one another nor with a variant's."""
    keys = [names.key_of(copy_name_of(key_of(name), digest)) for name, digest, _ in (one, other)]
    assert all(key is not None and names.is_ours(key) for key in keys)
    assert (keys[0] == keys[1]) is ((key_of(one[0]), one[1]) == (key_of(other[0]), other[1]))
    made = {names.key_of(name_of(key_of(name), digest, num_ctx)) for name, digest, num_ctx in (one, other)}
    assert made.isdisjoint(keys)


@given(made_of)
def test_whose_a_variant_is_can_be_read_from_its_name(said: tuple[str, str, int]) -> None:
    """Also when its model is there no more; and only of the model that it was made of."""
    name, digest, num_ctx = said
    held = Variants()
    mine = name_of(key_of(name), digest, num_ctx)
    shown: dict[str, Entry] = {key_of(mine): entry(mine)}
    model = entry(name, digest)
    held.listed(shown, {model.key: model}, 0)
    assert held.find(model.key, num_ctx) == mine
    held.listed(shown, {}, 0)
    assert [one.name for one in held.left_over()] == [mine]
