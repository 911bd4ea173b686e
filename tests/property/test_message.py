"""Where lines and names of fields end."""

from hypothesis import example, given
from hypothesis import strategies as st

from gollamas.wire.message import _search_line, line_at, names_of

lines = st.lists(st.sampled_from([b"a", b":", b"\r", b"\n", b"\r\n", b" ", b"\x00", b"\xff"])).map(b"".join)


@given(data=lines, start=st.integers(0, 20), size=st.integers(0, 20))
@example(data=b"a:b\r\n", start=0, size=4)
@example(data=b"\r\n", start=0, size=2)
def test_a_loop_finds_what_the_interpreter_searches_for(data: bytes, start: int, size: int) -> None:
    size = min(size, len(data))
    start = min(start, size)
    name_end, following = line_at(data, start, size)
    searched, following_too = _search_line(data, start, size)
    assert following == following_too
    assert not following or name_end == searched


@given(
    fields=st.lists(
        st.tuples(
            st.text("abcXYZ-", min_size=1).map(str.encode),
            st.text("ab:, \t", max_size=5).map(lambda text: text.strip().encode()),
        ),
        max_size=5,
    )
)
def test_all_names_are_read_from_the_head_itself(fields: list[tuple[bytes, bytes]]) -> None:
    joined: dict[bytes, bytes] = {}
    for name, value in fields:
        lower = name.lower()
        joined[lower] = joined[lower] + b", " + value if lower in joined else value
    raw = b"".join(b"%b: %b\r\n" % field for field in fields)
    assert names_of(b"GET / HTTP/1.1\r\n" + raw + b"\r\n" + b"behind: it\r\n") == joined
