"""Listings of servers are read with every member left as it was."""

from datetime import UTC, datetime

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gollamas.fleet.entries import ZERO_TIME, Entry, nanoseconds, numbers, read


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1970-01-01T00:00:00Z", 0),
        ("2026-11-24T07:05:13.779374481Z", 1795503913_779374481),
        ("2026-11-24T08:05:13.7+01:00", 1795503913_700000000),
        ("2026-11-23T23:35:13.7-07:30", 1795503913_700000000),
        ("2319-03-06T06:52:34.612401471Z", 11018875954_612401471),
        ("0001-01-01T00:00:00Z", ZERO_TIME),
        ("0000-01-01T00:00:00Z", ZERO_TIME),
        ("2026-13-01T00:00:00Z", ZERO_TIME),
        ("yesterday", ZERO_TIME),
        ("", ZERO_TIME),
    ],
)
def test_times_are_read_with_nanoseconds_and_zones(text: str, expected: int) -> None:
    """Every time that Go writes is read, and what is none counts as Go's zero time."""
    assert nanoseconds(text) == expected


@given(st.datetimes(timezones=st.just(UTC)))
def test_times_agree_with_the_calendar(moment: datetime) -> None:
    """Seconds are those that the standard library counts."""
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    assert nanoseconds(moment.isoformat()) // 1000 == (moment - epoch) // (datetime.resolution)


def test_an_entry_keeps_its_bytes_and_an_alias_changes_only_its_name() -> None:
    """Odd spacing, unknown members and their order survive; name and model change in place."""
    json = b'{"size" : 1.50,"name":"a/b","new":{"x":[1, 2]},"model":"a/b","digest":"d"}'
    (entry,) = read(b'{"models":[' + json + b'],"more":1}', "modified_at")
    assert (entry.json, entry.key, entry.digest) == (json, "registry.ollama.ai/a/b:latest", "d")
    assert entry.renamed("gpt:latest") == (
        b'{"size":1.50,"name":"gpt:latest","new":{"x":[1, 2]},"model":"gpt:latest","digest":"d"}'
    )


def test_an_entry_of_a_variant_is_one_of_its_model() -> None:
    """With the variant's expiry and size, in its place."""
    (model,) = read(b'{"models":[{"name":"m","digest":"%b"}]}' % (b"a" * 64), "modified_at")
    raw = b'{"name":"v","model":"v","size":9,"digest":"f","expires_at":"x","new":[1, 2]}'
    shown = Entry("v", "v", "f", raw, 7).of(model)
    assert (shown.name, shown.key, shown.digest, shown.time_ns, shown.is_remote) == (
        "m",
        model.key,
        model.digest,
        7,
        False,
    )
    assert shown.json == (
        b'{"name":"m","model":"m","size":9,"digest":"%b","expires_at":"x","new":[1, 2]}'
        % model.digest.encode()
    )
    assert shown.digests == {model.digest}
    assert msgspec.json.decode(Entry("v", "v", "", b'{"name":"v"}', 0).of(model).json) == {"name": "m"}
    assert Entry("v", "v", "", b"{}", 0, is_remote=True).of(model).is_remote


def test_an_old_entry_without_model_gains_none() -> None:
    """A version that lists only `name` is passed on as it is."""
    (entry,) = read(b'{"models":[{"name":"a"}]}', "modified_at")
    assert (entry.renamed("b:latest"), entry.digest, entry.time_ns) == (b'{"name":"b:latest"}', "", ZERO_TIME)


def test_an_entry_that_another_host_runs_is_known() -> None:
    body = b'{"models":[{"name":"a","remote_host":"https://ollama.com"},{"name":"b","remote_host":""},{"name":"c"}]}'
    assert [entry.is_remote for entry in read(body, "modified_at")] == [True, False, False]


@pytest.mark.parametrize(
    "body", [b'{"models":null}', b'{"models":[]}', b'{"models":[1,null,{},{"name":"a b"},{"name":3}]}']
)
def test_what_has_no_name_is_passed_over(body: bytes) -> None:
    """No list and entries that nobody could ask for make an empty listing."""
    assert list(read(body, "modified_at")) == []


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"models":{}}', b"\xff", b'{"models":[' * 99999])
def test_what_is_no_listing_is_a_value_error(body: bytes) -> None:
    """A body of another shape is refused in one way."""
    with pytest.raises(ValueError, match="no list of models"):
        read(body, "modified_at")


@given(
    st.binary(max_size=60)
    | st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["models", "name", "model"]), inner)
        ),
    ).map(msgspec.json.encode)
)
def test_no_body_is_a_crash(body: bytes) -> None:
    """Any bytes are read or refused."""
    try:
        entries = read(body, "expires_at")
    except ValueError:
        return
    assert all(entry.key for entry in entries)


def test_numbers_of_an_entry_are_none_where_they_are_none() -> None:
    (entry,) = read(b'{"models":[{"name":"m","a":4096,"b":0,"c":"7","d":1.5,"e":null,"f":[]}]}', "expires_at")
    assert list(numbers(entry, "a", "b", "c", "d", "e", "f", "g")) == [4096, 0, None, None, None, None, None]
