"""Bodies in zstd, which Ollama takes on five routes, at most 20 MiB of them."""

import sys

import pytest

from gollamas.api import inference
from gollamas.api.inference import PassthroughRefused, prepare
from gollamas.api.routes import Route
from gollamas.errors import BadRequest, BodyTooLarge
from tests.unit.api.test_inference import BODIES, CHAT, read, refusal_of, request

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    import zstandard as zstd


ZSTD = [route for route in BODIES if route.takes_zstd]


def compressed(data: bytes) -> bytes:
    """Compress bytes into one frame."""
    if sys.version_info >= (3, 14):
        return zstd.compress(data)
    return zstd.ZstdCompressor().compress(data)


def with_checksum(data: bytes) -> bytes:
    """Compress bytes into one frame that ends with their checksum."""
    if sys.version_info >= (3, 14):
        return zstd.compress(data, options={zstd.CompressionParameter.checksum_flag: 1})
    return zstd.ZstdCompressor(write_checksum=True).compress(data)


def with_window(data: bytes, log: int) -> bytes:
    """Compress bytes into one frame of unknown size that asks for a window of 2 to this power."""
    if sys.version_info >= (3, 14):
        wanted = zstd.CompressionParameter
        encoder = zstd.ZstdCompressor(options={wanted.window_log: log, wanted.content_size_flag: 0})
        return encoder.compress(data) + encoder.flush()
    parameters = zstd.ZstdCompressionParameters(window_log=log, write_content_size=False)
    stream = zstd.ZstdCompressor(compression_params=parameters).compressobj()
    return stream.compress(data) + stream.flush()


@pytest.mark.parametrize("route", ZSTD, ids=lambda route: route.path)
@pytest.mark.parametrize("coding", [b"zstd", b"ZSTD", b" zstd "])
def test_a_zstd_body_is_read_and_goes_on_plain(route: Route, coding: bytes) -> None:
    named = read(route, request(compressed(CHAT), route.path, Content_Encoding=coding))
    assert named.name == "smol"
    assert prepare(named, "smol") == CHAT


def test_a_zstd_body_of_two_frames_is_one_body() -> None:
    body = compressed(CHAT[:10]) + compressed(CHAT[10:])
    assert read(ZSTD[0], request(body, ZSTD[0].path, Content_Encoding=b"zstd")).name == "smol"


@pytest.mark.parametrize("coding", [b"zstd, zstd", b"gzip", b"identity", b"br", b"zstd;q=1"])
def test_no_other_coding_is_zstd(coding: bytes) -> None:
    error = refusal_of(compressed(CHAT), "/v1/chat/completions", Content_Encoding=coding)
    assert (error.status, error.text[:17]) == (400, "invalid character")


@pytest.mark.parametrize(
    "route", [route for route in BODIES if not route.takes_zstd], ids=lambda route: route.path
)
def test_no_native_route_takes_zstd(route: Route) -> None:
    error = refusal_of(compressed(CHAT), route.path, Content_Encoding=b"zstd")
    assert (error.status, error.text) == (400, "invalid character '(' looking for beginning of value")


def test_a_zstd_body_of_exactly_the_limit_is_read() -> None:
    body = b'{"model":"smol","x":"' + b"a" * (inference.MAX_INFLATED_BYTES - 23) + b'"}'
    assert len(body) == 20 * 1024 * 1024
    named = read(ZSTD[0], request(compressed(body), ZSTD[0].path, Content_Encoding=b"zstd"))
    assert len(prepare(named, "smol")) == len(body)


@pytest.mark.parametrize("less", [0, 1])
def test_a_zstd_body_of_the_limit_has_to_be_whole_too(less: int) -> None:
    whole = with_checksum(b'{"model":"smol"}'.ljust(inference.MAX_INFLATED_BYTES - less))
    assert read(ZSTD[0], request(whole, ZSTD[0].path, Content_Encoding=b"zstd")).name == "smol"
    error = refusal_of(whole[:-1], ZSTD[0].path, Content_Encoding=b"zstd")
    assert isinstance(error, PassthroughRefused)


@pytest.mark.parametrize("size", [20 * 1024 * 1024 - 22, 300 * 1024 * 1024])
def test_a_zstd_body_that_grows_beyond_the_limit_is_too_large(size: int) -> None:
    body = compressed(b'{"model":"smol","x":"' + b"a" * size + b'"}')
    assert len(body) < 100_000
    error = refusal_of(body, "/v1/chat/completions", Content_Encoding=b"zstd")
    assert isinstance(error, BodyTooLarge)


def test_a_window_of_8_mib_is_allowed_and_a_larger_one_refused() -> None:
    body = b'{"model":"smol","x":"' + b"a" * 100_000 + b'"}'
    fits = request(with_window(body, 23), ZSTD[0].path, Content_Encoding=b"zstd")
    assert read(ZSTD[0], fits).name == "smol"
    for log in (24, 25):
        error = refusal_of(with_window(body, log), ZSTD[0].path, Content_Encoding=b"zstd")
        assert isinstance(error, PassthroughRefused)


@pytest.mark.parametrize(
    "body",
    [
        CHAT, b"\x28\xb5\x2f\xfd", compressed(CHAT)[:-1], compressed(CHAT)[:-10],
        b"\x28\xb5\x2f\xfd\xff\xff\xff\xff\xff\xff", compressed(CHAT)[:5],
    ],
)  # fmt: skip
def test_a_zstd_body_that_is_none_or_cut_is_a_400(body: bytes) -> None:
    for route in ZSTD:
        error = refusal_of(body, route.path, Content_Encoding=b"zstd")
        assert isinstance(error, BadRequest)
        assert error.text


def test_a_frame_without_all_of_its_checksum_is_cut() -> None:
    whole = with_checksum(CHAT)
    assert read(ZSTD[0], request(whole, ZSTD[0].path, Content_Encoding=b"zstd")).name == "smol"
    for end in range(1, len(whole)):
        assert isinstance(
            refusal_of(whole[:-end], ZSTD[0].path, Content_Encoding=b"zstd"), PassthroughRefused
        )


def test_a_frame_whose_checksum_is_another_is_refused() -> None:
    whole = with_checksum(CHAT)
    changed = whole[:-1] + bytes([whole[-1] ^ 1])
    assert isinstance(refusal_of(changed, ZSTD[0].path, Content_Encoding=b"zstd"), PassthroughRefused)


@pytest.mark.parametrize("behind", [b"junk", b"\x00", b"{}"])
def test_what_is_no_frame_behind_one_is_refused(behind: bytes) -> None:
    error = refusal_of(compressed(CHAT) + behind, ZSTD[0].path, Content_Encoding=b"zstd")
    assert isinstance(error, PassthroughRefused)
