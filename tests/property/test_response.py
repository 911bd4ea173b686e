"""Answers at every split of their bytes."""

from hypothesis import given
from hypothesis import strategies as st

from gollamas.wire.message import Fields
from gollamas.wire.response import ResponseReader, end_to_end
from tests.unit.wire.readers import answer_of, cut_at

cuts = st.lists(st.integers(0, 300), max_size=20)
statuses = st.sampled_from([200, 201, 206, 299, 400, 404, 429, 500, 503, 599])
tokens = st.text("!#$%&'*+-.^_`|~0123456789abcXYZ", min_size=1, max_size=12).map(str.encode)
names = tokens.filter(
    lambda name: name.lower() not in (b"content-length", b"transfer-encoding", b"connection")
)
values = st.text([chr(n) for n in (*range(0x21, 0x7F), *range(0x80, 0x100))], max_size=12).map(
    lambda text: text.encode("latin-1")
)
fields = st.lists(st.tuples(names, values), max_size=6)
sizes = st.sampled_from([b"%x", b"%X", b"00%x", b"%x;a=b"])


@st.composite
def answers(draw: st.DrawFn) -> tuple[bytes, bytes, bool]:
    """Draw a whole answer, its body, and whether only the connection's end ends it."""
    lines = [b"%b: %b\r\n" % one for one in draw(fields)]
    body = draw(st.binary(max_size=60))
    sent, ends_with_connection = body, False
    match draw(st.sampled_from(["length", "chunks", "close"])):
        case "length":
            lines.append(b"Content-Length: %d\r\n" % len(body))
        case "chunks":
            pieces = cut_at(body, draw(st.lists(st.integers(1, 60), max_size=4))) if body else []
            sent = b"".join(draw(sizes) % len(piece) + b"\r\n" + piece + b"\r\n" for piece in pieces if piece)
            sent += draw(st.sampled_from([b"0\r\n\r\n", b"000\r\n\r\n", b"0\r\nX-T: 1\r\n\r\n"]))
            lines.append(b"Transfer-Encoding: chunked\r\n")
        case _:
            ends_with_connection = True
    interim = b"HTTP/1.1 103 Early\r\nLink: x\r\n\r\n" * draw(st.integers(0, 10))
    head = b"HTTP/1.1 %d Words\r\n" % draw(statuses) + b"".join(draw(st.permutations(lines))) + b"\r\n"
    return interim + head + sent, body, ends_with_connection


@given(answers(), cuts)
def test_any_split_gives_the_same_answer(drawn: tuple[bytes, bytes, bool], places: list[int]) -> None:
    data, body, ends_with_connection = drawn
    said = answer_of(cut_at(data, places), closes=ends_with_connection)
    assert said == answer_of([data], closes=ends_with_connection)
    assert (said.error, said.body, said.is_complete) == (None, body, True)
    assert said.keeps_alive is not ends_with_connection


@given(answers(), st.integers(0, 1000), cuts)
def test_an_answer_that_is_cut_anywhere_is_seen_as_cut(
    drawn: tuple[bytes, bytes, bool], end: int, places: list[int]
) -> None:
    data, body, ends_with_connection = drawn
    part = data[: end % len(data)]
    said = answer_of(cut_at(part, places), closes=True)
    assert body.startswith(said.body)
    if said.is_complete:
        assert ends_with_connection
        assert not said.keeps_alive


@given(answers().filter(lambda drawn: not drawn[2]), st.binary(min_size=1, max_size=40), cuts)
def test_bytes_behind_an_answer_never_reach_it(
    drawn: tuple[bytes, bytes, bool], behind: bytes, places: list[int]
) -> None:
    data, body, _ = drawn
    said = answer_of(cut_at(data + behind, places))
    assert (said.body, said.is_complete) == (body, True)
    # Empty lines before the next answer mean nothing, and neither does the first half of one.
    assert not said.keeps_alive or not behind.strip(b"\r\n")


@given(
    st.lists(
        st.sampled_from(
            [
                b"HTTP/1.1", b"HTTP/1.0", b" ", b"200", b"204", b"101", b"600", b"\r\n", b"\n", b"\x00",
                b"Content-Length: 5\r\n", b"Transfer-Encoding: chunked\r\n", b"hello", b"5", b"0",
                b"X: y\r\n", b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 100 Go\r\n\r\n", b":", b"\t", b"\x80",
            ]
        ),
        max_size=12,
    ).map(b"".join),
    cuts,
)  # fmt: skip
def test_any_bytes_have_one_verdict_however_they_are_split(data: bytes, places: list[int]) -> None:
    whole, split = answer_of([data]), answer_of(cut_at(data, places))
    assert (whole.error is None) is (split.error is None)
    if whole.error is None:
        assert split == whole


@given(
    st.lists(
        st.tuples(
            st.one_of(names, st.sampled_from([b"Connection", b"connection"])), st.one_of(values, tokens)
        )
    )
)
def test_nothing_that_connection_names_is_passed_on(sent: Fields) -> None:
    joined: dict[bytes, bytes] = {}
    for name, value in sent:
        lower = name.lower()
        joined[lower] = joined[lower] + b", " + value if lower in joined else value
    named = {token.strip() for token in joined.get(b"connection", b"").lower().split(b",")}
    named -= {b"authorization", b"host", b"content-type"}
    reader = ResponseReader()
    for name, value in sent:
        reader.on_header(name, value)
    assert reader.names == joined
    for line in end_to_end(reader).splitlines():
        name = line.partition(b":")[0].lower()
        assert name not in named
        assert name != b"connection"
