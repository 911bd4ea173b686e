"""Requests at every split of their bytes, and beside h11."""

import h11
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.wire.framing import BODY, REFUSED, chunked, get, post
from tests.unit.wire.readers import cut_at, first_request, requests_of

METHODS = [b"GET", b"HEAD", b"POST", b"PUT", b"DELETE", b"OPTIONS", b"PATCH"]
_FRAMING = [b"host", b"content-length", b"transfer-encoding", b"expect"]

cuts = st.lists(st.integers(0, 20_000), max_size=20)
near_cuts = st.lists(st.integers(0, 300), max_size=20)
tokens = st.text("!#$%&'*+-.^_`|~0123456789abcXYZ", min_size=1, max_size=12).map(str.encode)
names = tokens.filter(lambda name: name.lower() not in _FRAMING)
visible = st.text([chr(n) for n in (*range(0x21, 0x7F), *range(0x80, 0x100))], max_size=12)
values = st.builds(lambda a, b: f"{a} {b}".strip().encode("latin-1"), visible, visible)
targets = st.text("abcXYZ019-._~!$&'()*+,;=:@/", max_size=30).map(lambda path: b"/" + path.encode())
queries = st.one_of(
    st.just(b""), st.text("abc019=&+/?%", max_size=20).map(lambda q: q.replace("%", "%20").encode())
)
sizes = st.sampled_from([b"%x", b"%X", b"000%x", b'%x;a="b;\\"c"', b"%x;a;b=c"])


@st.composite
def requests(draw: st.DrawFn) -> bytes:
    """Draw a sound request."""
    target = draw(targets)
    if query := draw(queries):
        target += b"?" + query
    fields = [(b"Host", b"a:11434"), *draw(st.lists(st.tuples(names, values), max_size=6))]
    body = b""
    match draw(st.sampled_from(["none", "length", "chunks"])):
        case "length":
            body = draw(st.binary(max_size=60))
            fields.append((b"Content-Length", b"%d" % len(body)))
        case "chunks":
            pieces = draw(st.lists(st.binary(min_size=1, max_size=20), max_size=5))
            body = b"".join(draw(sizes) % len(piece) + b"\r\n" + piece + b"\r\n" for piece in pieces)
            body += draw(st.sampled_from([b"0\r\n\r\n", b"00;x\r\n\r\n", b"0\r\nX-T: 1\r\nY: \r\n\r\n"]))
            fields.append((b"transfer-encoding", b"Chunked"))
    start = draw(st.sampled_from(METHODS)) + b" " + target + b" HTTP/1.1\r\n"
    return start + b"".join(b"%b: %b\r\n" % one for one in draw(st.permutations(fields))) + b"\r\n" + body


def by_h11(data: bytes) -> tuple[h11.Request, bytes]:
    """Read one request with h11."""
    peer = h11.Connection(h11.SERVER)
    peer.receive_data(data)
    head = peer.next_event()
    assert isinstance(head, h11.Request)
    body = b""
    while isinstance(event := peer.next_event(), h11.Data):
        body += bytes(event.data)
    assert isinstance(event, h11.EndOfMessage)
    return head, body


@given(requests())
def test_a_sound_request_is_read_as_h11_reads_it(data: bytes) -> None:
    head, body, rest = first_request([data])
    theirs, their_body = by_h11(data)
    assert head.method == theirs.method
    assert head.path + (b"?" + head.query if b"?" in theirs.target else b"") == theirs.target
    # Of a coding h11 also makes the value lower.
    joined: dict[bytes, bytes] = {}
    for name, value in theirs.headers:
        joined[name] = joined[name] + b", " + value if name in joined else value
    assert {name: value.lower() for name, value in head.names.items()} == {
        name: value.lower() for name, value in joined.items()
    }
    assert (body, rest) == (their_body, b"")


@given(requests(), near_cuts, st.binary(max_size=20))
def test_any_split_gives_the_same_request_and_the_same_rest(
    data: bytes, places: list[int], behind: bytes
) -> None:
    whole = first_request([data + behind])
    assert whole[2] == behind
    assert first_request(cut_at(data + behind, places)) == whole


@given(st.lists(requests(), min_size=1, max_size=4), near_cuts)
def test_any_split_of_a_pipeline_gives_the_same_requests(stream: list[bytes], places: list[int]) -> None:
    seen = requests_of(cut_at(b"".join(stream), places))
    assert seen.error is None
    assert seen.requests == [first_request([one])[:2] for one in stream]


@given(st.sampled_from(sorted(REFUSED)), st.one_of(cuts, near_cuts))
def test_any_split_of_what_is_ambiguous_is_refused_alike(name: str, places: list[int]) -> None:
    data, _ = REFUSED[name]
    assert requests_of(cut_at(data, places)) == requests_of([data])


PARTS = [
    b"GET", b"POST", b" ", b"/", b"HTTP/1.1", b"HTTP/1.0", b"\r\n", b"\n", b"\r", b"\x00", b":",
    b"Host: a\r\n", b"Content-Length: 5\r\n", b"Transfer-Encoding: chunked\r\n", b"Connection: close\r\n",
    b"hello", b"5", b"0", b"a", b";", b'"', b"\t", b"\x80", b",", BODY, get(b"/"),
    post(b"Content-Length: 5\r\n", b"hello"), chunked(BODY),
]  # fmt: skip


@given(st.lists(st.sampled_from(PARTS), max_size=12).map(b"".join), near_cuts)
def test_any_bytes_have_one_verdict_however_they_are_split(data: bytes, places: list[int]) -> None:
    assert requests_of(cut_at(data, places)) == requests_of([data])


@given(requests(), st.integers(0, 400), st.sampled_from(PARTS), near_cuts)
def test_a_part_put_anywhere_into_a_sound_request_has_one_verdict(
    data: bytes, at: int, part: bytes, places: list[int]
) -> None:
    changed = data[:at] + part + data[at:]
    assert requests_of(cut_at(changed, places)) == requests_of([changed])
