"""Requests whose framing is refused, and those at the edge that are not (RFC 9112, RFC 9110)."""

import random
import time

import pytest

from gollamas.events import End
from tests.sockets.proxying import one_server, runs
from tests.sockets.raw import Client, Message, byte_by_byte

BODY = b'{"model":"llama3.2"}'


def head(*lines: bytes, start: bytes = b"POST /api/chat HTTP/1.1") -> bytes:
    """Make a head whose lines are given as they are, with Host first unless they begin otherwise."""
    return b"\r\n".join((start, *lines)) + b"\r\n\r\n"


def hosted(*lines: bytes, start: bytes = b"POST /api/chat HTTP/1.1") -> bytes:
    return head(b"Host: localhost", *lines, start=start)


def chunked(body: bytes, *lines: bytes) -> bytes:
    return hosted(b"Transfer-Encoding: chunked", *lines) + body


def with_field(line: bytes) -> bytes:
    return hosted(line, b"Content-Length: 20") + BODY


WHOLE = b"14\r\n" + BODY + b"\r\n"
CL = b"Content-Length: 20"
TE = b"Transfer-Encoding: chunked"

REFUSED: dict[str, tuple[int | tuple[int, ...], bytes]] = {
    # row 1
    "a length beside chunked": (400, hosted(CL, TE) + WHOLE + b"0\r\n\r\n"),
    "chunked beside a length": (400, hosted(TE, CL) + WHOLE + b"0\r\n\r\n"),
    "names in other case": (400, hosted(b"content-LENGTH: 20", b"transfer-ENCODING: Chunked") + WHOLE),
    "an obscured coding beside a length": ((400, 501), hosted(CL, b"Transfer-Encoding: xchunked") + WHOLE),
    "a coding behind a tab": (400, hosted(CL, b"Transfer-Encoding:\tchunked") + WHOLE),
    "a coding behind a space before the colon": (400, hosted(CL, b"Transfer-Encoding : chunked") + WHOLE),
    # row 4
    "one length twice": (400, hosted(CL, CL) + BODY),
    "two lengths": (400, hosted(CL, b"Content-Length: 21") + BODY),
    "a list of lengths": (400, hosted(b"Content-Length: 20, 20") + BODY),
    "a length with a plus": (400, hosted(b"Content-Length: +20") + BODY),
    "a negative length": (400, hosted(b"Content-Length: -20") + BODY),
    "a hexadecimal length": (400, hosted(b"Content-Length: 0x14") + BODY),
    "a length with an underscore": (400, hosted(b"Content-Length: 2_0") + BODY),
    "an empty length": (400, hosted(b"Content-Length:") + BODY),
    "a tab within a length": (400, hosted(b"Content-Length: 2\t0") + BODY),
    "a length in other digits": (400, hosted(b"Content-Length: \xef\xbc\x92\xef\xbc\x90") + BODY),
    "a length of 2^63": (413, hosted(b"Content-Length: 9223372036854775808") + BODY),
    "a length of 2^64 and 20": (413, hosted(b"Content-Length: 18446744073709551636") + BODY),
    "a length of 23 digits": (413, hosted(b"Content-Length: 10000000000000000000000") + BODY),
    # row 5
    "gzip before chunked": (501, hosted(b"Transfer-Encoding: gzip, chunked") + WHOLE),
    "an empty coding before chunked": (400, hosted(b"Transfer-Encoding: ,chunked") + WHOLE),
    "identity": (501, hosted(b"Transfer-Encoding: identity") + WHOLE),
    "chunked twice": (400, hosted(TE, TE) + WHOLE),
    "chunked in a list twice": ((400, 501), hosted(b"Transfer-Encoding: chunked, chunked") + WHOLE),
    "an unknown coding": (501, hosted(b"Transfer-Encoding: xchunked") + WHOLE),
    "a quoted coding": (400, hosted(b'Transfer-Encoding: "chunked"') + WHOLE),
    "a coding padded with other bytes": (400, hosted(b"Transfer-Encoding: \xa0chunked") + WHOLE),
    "an empty coding": (400, hosted(b"Transfer-Encoding:") + WHOLE),
    "chunked in HTTP/1.0": (400, hosted(TE, start=b"POST /api/chat HTTP/1.0") + WHOLE + b"0\r\n\r\n"),
    # row 6
    "a chunk size with 0x": (400, chunked(b"0x14\r\n" + BODY + b"\r\n0\r\n\r\n")),
    "a chunk size with a plus": (400, chunked(b"+14\r\n" + BODY + b"\r\n0\r\n\r\n")),
    "a chunk size with a minus": (400, chunked(b"-14\r\n" + BODY + b"\r\n0\r\n\r\n")),
    "a chunk size with an underscore": (400, chunked(b"1_4\r\n" + BODY + b"\r\n0\r\n\r\n")),
    "a chunk size behind a space": (400, chunked(b" 14\r\n" + BODY + b"\r\n0\r\n\r\n")),
    "an empty chunk size": (400, chunked(b"\r\n" + BODY + b"\r\n0\r\n\r\n")),
    "a chunk size of 17 digits": (400, chunked(b"00000000000000014\r\n" + BODY + b"\r\n0\r\n\r\n")),
    "a chunk size of 16 f": ((400, 413), chunked(b"ffffffffffffffff\r\n" + BODY + b"\r\n0\r\n\r\n")),
    "a chunk size of 2000 zeros": (400, chunked(b"0" * 2000 + b"\r\n\r\n")),
    "a chunk size ended by LF": (400, chunked(b"14\n" + BODY + b"\r\n0\r\n\r\n")),
    "a chunk size ended by CR": (400, chunked(b"14\r" + BODY + b"\r\n0\r\n\r\n")),
    "a chunk without its CRLF": (400, chunked(b"14\r\n" + BODY + b"0\r\n\r\n")),
    "a chunk ended by LF": (400, chunked(b"14\r\n" + BODY + b"\n0\r\n\r\n")),
    "a chunk ended by LF CR": (400, chunked(b"14\r\n" + BODY + b"\n\r0\r\n\r\n")),
    "a chunk longer than its size": (400, chunked(b"13\r\n" + BODY + b"\r\n0\r\n\r\n")),
    "LF in a chunk's extension": (400, chunked(b"14;a\nb\r\n" + BODY + b"\r\n0\r\n\r\n")),
    "CR in a chunk's extension": (400, chunked(b"14;a\rb\r\n" + BODY + b"\r\n0\r\n\r\n")),
    "NUL in a chunk's extension": (400, chunked(b"14;a\x00b\r\n" + BODY + b"\r\n0\r\n\r\n")),
    "an open quote in a chunk's extension": (400, chunked(b'14;a="b\r\n' + BODY + b"\r\n0\r\n\r\n")),
    "LF within a quoted extension": (400, chunked(b'14;a="b\nc"\r\n' + BODY + b"\r\n0\r\n\r\n")),
    "a last chunk ended by LF": (400, chunked(WHOLE + b"0\n\r\n")),
    "a body ended by LF": (400, chunked(WHOLE + b"0\r\n\n")),
    # row 7
    "17 KiB of one extension": (400, chunked(b"14;" + b"a" * 17 * 1024 + b"\r\n" + BODY + b"\r\n0\r\n\r\n")),
    "17 KiB of many extensions": (
        400,
        chunked(b"".join(b"1;%b\r\n%c\r\n" % (b"e" * 1023, byte) for byte in BODY) + b"0\r\n\r\n"),
    ),
    # row 8
    "a length as a trailer": (400, chunked(WHOLE + b"0\r\nContent-Length: 5\r\n\r\n")),
    "a coding as a trailer": (400, chunked(WHOLE + b"0\r\nTransfer-Encoding: chunked\r\n\r\n")),
    "Host as a trailer": (400, chunked(WHOLE + b"0\r\nhost: evil\r\n\r\n")),
    "Authorization as a trailer": (400, chunked(WHOLE + b"0\r\nAUTHORIZATION: Bearer x\r\n\r\n")),
    "a trailer without a colon": (400, chunked(WHOLE + b"0\r\nnothing\r\n\r\n")),
    "a trailer with a space before its colon": (400, chunked(WHOLE + b"0\r\nx : 1\r\n\r\n")),
    "a folded trailer": (400, chunked(WHOLE + b"0\r\nx: 1\r\n 2\r\n\r\n")),
    "a trailer ended by LF": (400, chunked(WHOLE + b"0\r\nx: 1\n\r\n")),
    "1000 trailers": (400, chunked(WHOLE + b"0\r\n" + b"x: 1\r\n" * 1000 + b"\r\n")),
    # row 9
    "LF for every CRLF": (400, (hosted(CL) + BODY).replace(b"\r\n", b"\n")),
    "a request line ended by LF": (400, (hosted(CL) + BODY).replace(b"\r\n", b"\n", 1)),
    "a field ended by LF": (400, hosted(CL).replace(b"localhost\r", b"localhost") + BODY),
    "a head ended by LF": (400, hosted(CL).replace(b"20\r\n\r", b"20\r\n") + BODY),
    "a bare CR in a value": (400, with_field(b"X: a\rb")),
    "a bare CR at another place of it": (400, with_field(b"X: ab\rc")),
    "NUL in a value": (400, with_field(b"X: a\x00b")),
    "a control character in a value": (400, with_field(b"X: a\x01b")),
    "DEL in a value": (400, with_field(b"X: a\x7fb")),
    "a folded field": (400, with_field(b"X: a\r\n b")),
    "a folded length": (400, hosted(b"Content-Length:\r\n 20") + BODY),
    "a folded coding": ((400, 501), hosted(b"Transfer-Encoding:\r\n chunked") + WHOLE),
    "a space before a colon": (400, with_field(b"X : a")),
    "an empty name": (400, with_field(b": a")),
    "a field without a colon": (400, with_field(b"nothing")),
    "a space before the first field": (400, head(b" X: a", b"Host: localhost", CL) + BODY),
    "a space in a name": (400, with_field(b"X y: a")),
    "other bytes in a name": (400, with_field(b"X\xff: a")),
    # row 10
    "no Host": (400, head(CL) + BODY),
    "two Hosts": (400, head(b"Host: localhost", b"Host: localhost", CL) + BODY),
    "a list of Hosts": (400, head(b"Host: localhost, localhost", CL) + BODY),
    "a Host with user info": (400, head(b"Host: user@localhost", CL) + BODY),
    "a Host with a path": (400, head(b"Host: localhost/api", CL) + BODY),
    "a Host with a fragment": (400, head(b"Host: localhost:4000/#@evil", CL) + BODY),
    "a Host with a space": (400, head(b"Host: a b", CL) + BODY),
    "a Host with a port too high": (400, head(b"Host: localhost:65536", CL) + BODY),
    "a Host with a word as port": (400, head(b"Host: localhost:http", CL) + BODY),
    "a Host with other bytes": (400, head(b"Host: loc\xc3\xa4l", CL) + BODY),
    # row 11
    "an absolute target of another host": (400, hosted(CL, start=b"POST http://other/x HTTP/1.1") + BODY),
    "an absolute target of a user": (400, hosted(CL, start=b"POST http://u@localhost/ HTTP/1.1") + BODY),
    "an absolute target of https": (400, hosted(CL, start=b"POST https://localhost/x HTTP/1.1") + BODY),
    "the asterisk": (400, hosted(start=b"GET * HTTP/1.1")),
    "a target that is an authority": (400, hosted(start=b"GET localhost:80 HTTP/1.1")),
    "a fragment": (400, hosted(CL, start=b"POST /api/chat#x HTTP/1.1") + BODY),
    "two spaces before the target": (400, hosted(CL, start=b"POST  /api/chat HTTP/1.1") + BODY),
    "two spaces behind the target": (400, hosted(CL, start=b"POST /api/chat  HTTP/1.1") + BODY),
    "a tab before the target": ((400, 501), hosted(CL, start=b"POST\t/api/chat HTTP/1.1") + BODY),
    "other bytes in the target": (400, hosted(CL, start=b"POST /api/ch\xc3\xa4t HTTP/1.1") + BODY),
    "a backslash in the target": (400, hosted(CL, start=b"POST /api\\chat HTTP/1.1") + BODY),
    "%00 in the target": (400, hosted(CL, start=b"POST /api/chat%00 HTTP/1.1") + BODY),
    "a percent sign without digits": (400, hosted(CL, start=b"POST /api/chat%zz HTTP/1.1") + BODY),
    "a space in the target": (400, hosted(CL, start=b"POST /api/ch at HTTP/1.1") + BODY),
    # row 12
    "HTTP/1.2": ((400, 505), hosted(CL, start=b"POST /api/chat HTTP/1.2") + BODY),
    "HTTP/2.0": (505, hosted(CL, start=b"POST /api/chat HTTP/2.0") + BODY),
    "HTTP/9.9": ((400, 505), hosted(CL, start=b"POST /api/chat HTTP/9.9") + BODY),
    "no version": ((400, 505), b"GET /\r\n\r\n"),
    "HTTP in lower case": (400, hosted(CL, start=b"POST /api/chat http/1.1") + BODY),
    "the preface of HTTP/2": ((400, 505), b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    "RTSP": (400, hosted(start=b"OPTIONS / RTSP/1.0")),
    "a method of RTSP": ((400, 501, 405), hosted(start=b"DESCRIBE / RTSP/1.0")),
    "ICE": (400, hosted(start=b"SOURCE / ICE/1.0")),
    "the hello of TLS": ((400, 501), b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(32)),
    "CONNECT": (405, hosted(start=b"CONNECT localhost:80 HTTP/1.1")),
    "TRACE": (405, hosted(start=b"TRACE / HTTP/1.1")),
    "an unknown method": (501, hosted(start=b"BREW / HTTP/1.1")),
    "a method in lower case": ((400, 501), hosted(start=b"post /api/chat HTTP/1.1")),
    # row 14
    "an unknown expectation": (417, hosted(b"Expect: 200-maybe", CL) + BODY),
    "an obscured expectation": (417, hosted(b"Expect: y 100-continue", CL) + BODY),
    # limits of heads
    "a target of 9 KiB": (414, hosted(CL, start=b"POST /api/chat?" + b"a" * 9 * 1024 + b" HTTP/1.1") + BODY),
    "a head of 65 KiB": (431, hosted(b"X: " + b"a" * 65 * 1024, CL) + BODY),
    "201 fields": (431, hosted(*(b"X: 1",) * 199, CL) + BODY),
    "empty lines without end": (400, b"\r\n" * 50),
}  # fmt: skip


async def is_refused(client: Client, expected: int | tuple[int, ...]) -> Message:
    """Read an answer that ends its connection."""
    message = await client.answer()
    assert message.status in ((expected,) if isinstance(expected, int) else expected), message
    assert message.get(b"connection") == b"close"
    assert await client.is_closed()
    return message


@pytest.mark.parametrize("case", REFUSED)
@runs
async def test_a_request_of_bad_framing_is_refused_and_reaches_no_server(case: str) -> None:
    expected, data = REFUSED[case]
    async with one_server() as (server, proxy):
        client = await proxy.connect()
        await client.send(data)
        await is_refused(client, expected)
        assert server.hits == 0
        assert (await proxy.events.ended()).end is End.REFUSED


@pytest.mark.parametrize("case", [case for case, (_, data) in REFUSED.items() if len(data) < 3000])
@runs
async def test_byte_by_byte_it_is_refused_alike(case: str) -> None:
    expected, data = REFUSED[case]
    async with one_server() as (server, proxy):
        client = await proxy.connect()
        await client.drip(byte_by_byte(data))
        await is_refused(client, expected)
        assert server.hits == 0


ACCEPTED: dict[str, bytes] = {
    "a length with zeros before it": hosted(b"Content-Length: 00000000000000000020") + BODY,
    "a length between blanks": hosted(b"Content-Length:  \t20 \t") + BODY,
    "a method, a name and a coding in any case": hosted(b"tRANSFER-eNCODING: cHUNKED") + WHOLE + b"0\r\n\r\n",
    "chunk extensions": chunked(b'14;a;b=c;d="e;f"\r\n' + BODY + b"\r\n0;x=y\r\n\r\n"),
    "a chunk size of 16 digits": chunked(b"0000000000000014\r\n" + BODY + b"\r\n0\r\n\r\n"),
    "a chunk size in capitals": chunked(
        b"1A\r\n" + BODY[:-1] + b',"a":1' + b"\r\n1\r\n}\r\n0\r\n\r\n"
    ).replace(b"1A", b"19"),
    "a trailer": chunked(WHOLE + b"0\r\nX-Trailer: 1\r\nX-Other: 2\r\n\r\n"),
    "an absolute target of this host": hosted(CL, start=b"POST http://localhost/api/chat HTTP/1.1") + BODY,
    "an absolute target in other case": hosted(CL, start=b"POST HTTP://LOCALHOST/api/chat HTTP/1.1") + BODY,
    "a Host with a port": head(b"Host: localhost:11434", CL) + BODY,
    "a Host of IPv6": head(b"Host: [::1]:11434", CL) + BODY,
    "an empty line before": b"\r\n" + hosted(CL) + BODY,
    "other bytes in a value": with_field(b"X: a\xe4\xff b"),
    "no blank behind a colon": with_field(b"X:a"),
    "an empty value": with_field(b"X:"),
    "a query": hosted(CL, start=b"POST /api/chat?ts=123 HTTP/1.1") + BODY,
    "200 fields": hosted(*(b"X: 1",) * 198, CL) + BODY,
    "a head of 63 KiB": hosted(b"X: " + b"a" * 63 * 1024, CL) + BODY,
    "an empty Host": head(b"Host:", CL) + BODY,
    "a query that no URL may have": hosted(CL, start=b"POST /api/chat?d=50%&x=\xc3\xa9#y HTTP/1.1") + BODY,
}


@pytest.mark.parametrize("case", ACCEPTED)
@pytest.mark.parametrize("way", ["whole", "byte by byte", "at random"])
@runs
async def test_a_request_at_the_edge_is_passed_on_with_its_body(case: str, way: str) -> None:
    data = ACCEPTED[case]
    async with one_server() as (server, proxy):
        client = await proxy.connect()
        if way == "whole":
            await client.send(data)
        elif way == "byte by byte":
            await client.drip(byte_by_byte(data))
        else:
            await client.drip(splits(data, random.Random(case)))  # noqa: S311 - repeatable, not secret
        assert (await client.answer()).status == 200
        (request,) = server.requests
        assert request.start == b"POST /api/chat HTTP/1.1"
        assert request.body.startswith(BODY[:-1])
        assert request.get(b"content-length") == b"%d" % len(request.body)
        assert request.get(b"transfer-encoding") is None
        assert not request.all(b"x-trailer")
        assert len(request.all(b"x")) == data.count(b"\r\nX:")


def splits(data: bytes, chance: random.Random) -> list[bytes]:
    """Cut bytes at up to 20 places."""
    places = sorted(chance.sample(range(1, len(data)), min(20, len(data) - 1)))
    return [data[a:b] for a, b in zip([0, *places], [*places, len(data)], strict=True)]


@runs
async def test_64_ki_chunks_of_one_byte_cost_little() -> None:
    filler = b'{"model":"llama3.2","x":"' + b"a" * 65536 + b'"}'
    data = chunked(b"".join(b"1\r\n%c\r\n" % byte for byte in filler) + b"0\r\n\r\n")
    async with one_server() as (server, proxy):
        spent = time.process_time()
        assert (await proxy.ask(data)).status == 200
        assert time.process_time() - spent < 1.0  # of two loops, both in this process
        assert server.requests[0].body == filler
