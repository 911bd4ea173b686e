"""The fields of a head by name."""

from hypothesis import given
from hypothesis import strategies as st

from gollamas.wire.message import names_of


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
