"""A variant's name in an error is the client's, whatever spelling Ollama gives it."""

import pytest

from gollamas.wire.hiding import NameHider

VARIANT = b"gollamas/llama3.2-0123456789abcdef0123:ctx4096"
FULL = b"registry.ollama.ai/" + VARIANT


def hidden(*pieces: bytes, name: bytes = b"llama3.2") -> bytes:
    """Pass an answer in these pieces."""
    hider = NameHider(VARIANT, name)
    passed = b"".join([hider.feed(piece) for piece in pieces])
    return passed + hider.flush()


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (b'{"error":"model \'%b\' not found"}' % VARIANT, b'{"error":"model \'llama3.2\' not found"}'),
        (b'{"error":"open %b"}' % FULL, b'{"error":"open registry.ollama.ai/library/llama3.2:latest"}'),
        (
            VARIANT + b" and " + FULL + VARIANT,
            b"llama3.2 and registry.ollama.ai/library/llama3.2:latestllama3.2",
        ),
        (b"<html>%b</html>" % VARIANT, b"<html>llama3.2</html>"),
        (b"another gollamas/llama3.2-", b"another gollamas/llama3.2-"),
        (b'event: x\ndata: {"error":"%b"}\n\n' % VARIANT, b'event: x\ndata: {"error":"llama3.2"}\n\n'),
        (b"", b""),
    ],
)
def test_the_name_is_the_client_s_wherever_it_stands(said: bytes, expected: bytes) -> None:
    assert hidden(said) == expected
    assert hidden(*(said[place : place + 1] for place in range(len(said)))) == expected


def test_a_name_of_the_client_s_is_written_into_json() -> None:
    said = b'{"error":"%b"}' % VARIANT
    assert hidden(said, name=b'a"b') == b'{"error":"a\\"b"}'
    assert hidden(b'{"error":"%b"}' % FULL, name=b"user/M:8b") == b'{"error":"registry.ollama.ai/user/M:8b"}'


def test_where_the_client_s_is_no_name_the_variant_s_is_hidden_too() -> None:
    assert hidden(FULL, name=b"\xff") == b"registry.ollama.ai/" + "\ufffd".encode()


def test_only_what_may_be_the_beginning_of_the_name_is_held() -> None:
    hider = NameHider(VARIANT, b"m")
    assert (hider.feed(b"x" * 1000), hider.held) == (b"x" * 1000, b"")
    assert (hider.feed(b"y" + VARIANT[:20]), hider.held) == (b"y", VARIANT[:20])
    assert (hider.feed(VARIANT[20:] + b"z"), hider.held) == (b"mz", b"")
    assert (hider.feed(b'{"model":"reg'), hider.held) == (b'{"model":"', b"reg")
    assert (hider.flush(), hider.held) == (b"reg", b"")
    assert (hider.feed(b"gollamas/\n"), hider.held) == (b"gollamas/\n", b"")


def test_the_path_of_a_manifest_tells_nothing() -> None:
    path = FULL.replace(b":", b"/")
    assert hidden(b"open /m/%b: no" % path) == b"open /m/registry.ollama.ai/library/llama3.2/latest: no"
    assert hidden(b"open C:\\m\\llama3.2-0123456789abcdef0123\\ctx") == b"open C:\\m\\llama3.2\\ctx"
