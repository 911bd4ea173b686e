"""Requests that no proxy may let through, each with the statuses it may be refused with."""

from typing import Final

_CHUNKED: Final = b"Transfer-Encoding: chunked\r\n"
BODY: Final = b"5\r\nhello\r\n0\r\n\r\n"


def post(fields: bytes, body: bytes = b"") -> bytes:
    """Make a request out of ready field lines and a body."""
    return b"POST /api/chat HTTP/1.1\r\nHost: a\r\n" + fields + b"\r\n" + body


def get(target: bytes, host: bytes = b"a") -> bytes:
    """Make a request without a body."""
    return b"GET " + target + b" HTTP/1.1\r\nHost: " + host + b"\r\n\r\n"


def chunked(body: bytes) -> bytes:
    """Make a request whose body is in chunks."""
    return post(_CHUNKED, body)


def _cases(
    what: str, statuses: tuple[int, ...], requests: list[bytes]
) -> dict[str, tuple[bytes, tuple[int, ...]]]:
    return {f"{what}-{number}": (request, statuses) for number, request in enumerate(requests)}


REFUSED: Final[dict[str, tuple[bytes, tuple[int, ...]]]] = {
    # A length beside chunks (RFC 9112, section 6.1), however it is written.
    **_cases(
        "length-and-chunks",
        (400, 501),
        [
            post(b"Content-Length: 5\r\n" + _CHUNKED, BODY),
            post(_CHUNKED + b"Content-Length: 5\r\n", BODY),
            post(b"content-length: 0\r\ntransfer-ENCODING: CHUNKED\r\n", BODY),
            post(b"Content-Length: 5\r\nTransfer-Encoding:\tchunked\r\n", BODY),
            post(b"Content-Length: 5\r\nTransfer-Encoding: chunked \t\r\n", BODY),
            post(b"Content-Length: 5\r\nTransfer-Encoding : chunked\r\n", BODY),
            post(b"Content-Length: 5\r\nTransfer-Encoding: xchunked\r\n", BODY),
            post(b"Content-Length: 5\r\nTransfer-Encoding: identity\r\n", b"hello"),
            post(b"Content-Length: 5\r\nTransfer-Encoding:\r\n chunked\r\n", BODY),
            post(b"Content-Length: 5\r\nTransfer-Encoding: chunked\x00\r\n", BODY),
            post(b"Content-Length: 5\r\nTransfer-Encoding: \x0bchunked\r\n", BODY),
            post(b"Content-Length: 5\r\n" + _CHUNKED + _CHUNKED, BODY),
        ],
    ),
    **_cases(
        "content-length",
        (400,),
        [
            post(b"Content-Length: " + value + b"\r\n", b"hello")
            for value in (
                b"5\r\nContent-Length: 5", b"5\r\nContent-Length: 6", b"5, 5", b"5,5", b"5,", b"+5", b"-5",
                b"0x5", b"5_0", b"", b"5\t5", b"5 5", b"5.0", b"5e0", b"five", b"\xb2", b'"5"', b"5\r\n 0",
                b"5;",
            )
        ],
    ),
    **_cases(
        "content-length-overflow",
        (413,),
        [
            post(b"Content-Length: " + value + b"\r\n", b"hello")
            for value in (b"9223372036854775808", b"18446744073709551616", b"18446744073709551621", b"9" * 23)
        ],
    ),
    **_cases("content-length-over-limit", (413,), [post(b"Content-Length: 67108865\r\n", b"hello")]),
    **_cases(
        "unknown-coding",
        (501,),
        [
            post(b"Transfer-Encoding: " + value + b"\r\n", BODY)
            for value in (b"gzip, chunked", b"gzip", b"identity", b"xchunked", b"gzip , identity")
        ],
    ),
    **_cases(
        "chunked-not-last",
        (400, 501),
        [
            post(b"Transfer-Encoding: " + value + b"\r\n", BODY)
            for value in (b"chunked, gzip", b"chunked, chunked", b"chunked , identity")
        ],
    ),
    **_cases(
        "malformed-coding",
        (400,),
        [
            post(b"Transfer-Encoding: " + value + b"\r\n", BODY)
            for value in (
                b",chunked", b"chunked,", b'"chunked"', b"", b"chunked\r\nTransfer-Encoding: chunked",
                b"gzip\r\nTransfer-Encoding: chunked", b"\xa0chunked", b"chunked;q=1", b"chun ked",
                b"chunked\xa0", b"\r\n chunked", b"chunked\x7f", b"ch\x00unked",
            )
        ],
    ),
    **_cases(
        "coding-in-1.0",
        (400,),
        [
            b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n" + BODY,
            b"POST / HTTP/1.0\r\nTransfer-Encoding: gzip\r\n\r\n" + BODY,
            b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n" + BODY,
        ],
    ),
    **_cases(
        "chunk-size",
        (400,),
        [
            chunked(size + b"\r\nhello\r\n0\r\n\r\n")
            for size in (
                b"0x5", b"+5", b"-5", b"5_", b" 5", b"5 ", b"5\t", b"", b"g", b"00000000000000005",
                b"f" * 17, b"0" * 2000 + b"5", b"5;", b"5;;a", b"5;a=", b"5;=b", b'5;a="b', b'5;a="b""',
                b'5;a="\\', b"5;a\nb", b"5;a\rb", b"5;a\x00", b"5;\x7f", b"5;a=b c", b"5\n", b"5\r",
                b"5;a\n", b"\xb25",
            )
        ],
    ),
    **_cases("chunk-too-large", (413,), [chunked(b"f" * 16 + b"\r\nhello"), chunked(b"4000001\r\nhello")]),
    **_cases(
        "chunk-end",
        (400,),
        [
            chunked(body)
            for body in (
                b"5\r\nhelloo\r\n0\r\n\r\n", b"5\r\nhello0\r\n\r\n", b"5\r\nhello\n0\r\n\r\n",
                b"5\r\nhello\r0\r\n\r\n", b"5\nhello\r\n0\r\n\r\n", b"5\rhello\r\n0\r\n\r\n",
                b"5\r\nhello\r\n0\n\n", b"5\r\nhello\r\n0\r\r\n", b"5\r\nhello\r\n\r\n0\r\n\r\n",
            )
        ],
    ),
    **_cases(
        "chunk-extensions",
        (400,),
        [
            chunked(b"5;" + b"a" * 20_000 + b"\r\nhello\r\n0\r\n\r\n"),
            chunked(b"1;a=bcdefghijklmno\r\nx\r\n" * 1025 + b"0\r\n\r\n"),
        ],
    ),
    **_cases(
        "trailer",
        (400,),
        [
            chunked(b"0\r\n" + trailer + b"\r\n\r\n")
            for trailer in (
                b"Content-Length: 5", b"transfer-encoding: chunked", b"Host: b", b"Authorization: x",
                b"Content-Type: text/plain", b"Content-Encoding: gzip", b"Trailer: x", b"Cookie: a=b",
                b"Expect: x", b"TE: trailers", b"Via: 1.1 x", b"Content-Range: bytes 0-1/2", b"X : y",
                b": y", b"X", b" X: y", b"X: a\r\n b", b"X: a\nY: b", b"X: a\x00", b"X: a\rb", b"X: \x7f",
                b"X\x80: y", b"(): y", b"\r\n".join(b"X: y" for _ in range(101)),
            )
        ],
    ),
    **_cases(
        "line-end",
        (400,),
        [
            b"POST / HTTP/1.1\nHost: a\r\n\r\n", b"POST / HTTP/1.1\r\nHost: a\n\r\n",
            b"POST / HTTP/1.1\nHost: a\n\n", b"POST / HTTP/1.1\r\nHost: a\r\n\n",
            b"POST / HTTP/1.1\rHost: a\r\n\r\n", b"\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
            b"\r\n\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", b"\rGET / HTTP/1.1\r\nHost: a\r\n\r\n",
            b"\r\n" * 17 + get(b"/"),
        ],
    ),
    **_cases(
        "field-line",
        (400,),
        [
            post(line + b"\r\n")
            for line in (
                b"X: a\rb", b"X: a\x00b", b"X: a\x01b", b"X: a\x7fb", b"X: a\r\n b", b"X: a\r\n\tb",
                b"X : a", b"X\t: a", b": a", b"no colon", b"X Y: a", b"X\x00: a", b"X\x80: a", b"X(): a",
                b"X: a\nY: b", b"\x0bX: a",
            )
        ],
    ),
    **_cases(
        "blank-before-first-field",
        (400,),
        [
            b"POST / HTTP/1.1\r\n Host: a\r\n\r\n",
            b"POST / HTTP/1.1\r\n\tX: b\r\nHost: a\r\n\r\n",
        ],
    ),
    **_cases(
        "host",
        (400,),
        [
            b"GET / HTTP/1.1\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: a\r\nhost: b\r\n\r\n",
            b"GET / HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n",
            *(
                get(b"/", host)
                for host in (
                    b"a, b", b"a,b", b"a b", b"@c", b"u@a", b"u:p@a", b"a/b", b"a?b", b"a#b",
                    b"localhost:4000/#@evil", b"a:65536", b"a:123456", b"a:-1", b"a:b", b"a:1:2", b"::1",
                    b"[::1", b"::1]", b"[::1]x", b"[::1]:x", b"[]", b"[g]", b"a\\b", b"a<b", b'"a"', b":80",
                    b"a\x80", b"\xc3\xa9",
                )
            ),
        ],
    ),
    **_cases(
        "target",
        (400,),
        [
            *(
                get(target)
                for target in (
                    b"http://b/", b"http://u@a/", b"http://a:80/", b"https://a/", b"ftp://a/", b"http:///",
                    b"http://", b"*", b"a", b"a:80", b"/#x", b"/a#b", b"/\\", b"/a\\b",
                    b"/%00", b"/a%00b", b"/%", b"/%2", b"/%zz", b"/\x80", b"/\xc3\xa9", b"/\x7f", b"/\x01",
                    b"?x", b"//a b", b"/a b",
                )
            ),
            b"GET  / HTTP/1.1\r\nHost: a\r\n\r\n", b"GET /  HTTP/1.1\r\nHost: a\r\n\r\n",
            b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", b"GET / HTTP/1.1 \r\nHost: a\r\n\r\n",
            b"GET / http/1.1\r\nHost: a\r\n\r\n", b"GET http://a/ HTTP/1.0\r\n\r\n",
        ],
    ),
    **_cases(
        "blank-before-or-behind-method",
        (400, 501),
        [b" GET / HTTP/1.1\r\nHost: a\r\n\r\n", b"GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n"],
    ),
    **_cases(
        "version",
        (400, 501, 505),
        [
            b"GET /\r\n\r\n", b"GET / HTTP/0.9\r\nHost: a\r\n\r\n", b"GET / HTTP/2.0\r\nHost: a\r\n\r\n",
            b"GET / HTTP/1.2\r\nHost: a\r\n\r\n", b"GET / HTTP/11\r\nHost: a\r\n\r\n",
            b"GET / HTTP/1\r\nHost: a\r\n\r\n", b"GET / RTSP/1.0\r\nHost: a\r\n\r\n",
            b"DESCRIBE / RTSP/1.0\r\nHost: a\r\n\r\n", b"SOURCE / ICE/1.0\r\nHost: a\r\n\r\n",
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 40,
        ],
    ),
    **_cases(
        "method-refused",
        (405,),
        [
            b"CONNECT / HTTP/1.1\r\nHost: a\r\n\r\n",
            b"TRACE / HTTP/1.1\r\nHost: a\r\n\r\n",
        ],
    ),
    **_cases("connect-authority", (400, 405), [b"CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n"]),
    **_cases(
        "method-unknown",
        (501,),
        [
            b"FOO / HTTP/1.1\r\nHost: a\r\n\r\n",
            b"get / HTTP/1.1\r\nHost: a\r\n\r\n",
            b"GeT / HTTP/1.1\r\nHost: a\r\n\r\n",
            b"GETT / HTTP/1.1\r\nHost: a\r\n\r\n",
        ],
    ),
    **_cases(
        "expectation",
        (417,),
        [
            post(b"Content-Length: 5\r\nExpect: " + value + b"\r\n", b"hello")
            for value in (
                b"y 100-continue",
                b"200-maybe",
                b"100-continue, 100-continue",
                b"100-continue\r\nExpect: x",
                b"",
            )
        ],
    ),
    **_cases("target-too-long", (414,), [get(b"/" + b"a" * 8192), get(b"/" + b"a" * 70_000)]),
    **_cases(
        "head-too-large",
        (431,),
        [
            post(b"X: " + b"a" * 66_000 + b"\r\n"),
            post(b"".join(b"X%d: a\r\n" % n for n in range(200))),
            post(b"X: " + b"a" * 100_000 + b"\r\n"),
            post(b"A: b\r\n" * 200),
        ],
    ),
}  # fmt: skip
"""Each by what it is about and its number."""
