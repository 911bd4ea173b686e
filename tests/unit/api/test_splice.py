"""What a policy puts into a native body: when it does, and where."""

import json

import msgspec
import pytest

from gollamas.api.inference import prepare, prepare_in_pieces
from gollamas.api.routes import ROUTES
from gollamas.fleet.policy import Fill
from tests.unit.api.test_inference import named_by

NATIVE = [route.path for route in ROUTES if route.takes_options]
V1 = [
    route.path for route in ROUTES if route.loads and not route.takes_options and not route.takes_keep_alive
]
SYSTEMONE = "/v1/systemone"
KINDS = pytest.mark.parametrize("forces", [False, True], ids=["default", "force"])
ON_NATIVE = pytest.mark.parametrize("path", NATIVE)


def fill_of(keep_alive: bytes | None = None, num_ctx: int | None = None, *, forces: bool = False) -> Fill:
    """Make what a policy fills in."""
    raw = None if keep_alive is None else msgspec.Raw(keep_alive)
    return Fill(raw, num_ctx, forces_keep_alive=forces, forces_num_ctx=forces)


def filled(path: str, body: bytes, fill: Fill | None, model: str = "m") -> bytes:
    """Make the body for a server; it is the same in pieces."""
    made = prepare(named_by(body, path), model, fill)
    assert b"".join(prepare_in_pieces(named_by(body, path), model, fill)) == made
    return made


def test_the_native_routes_that_run_a_model_carry_both() -> None:
    assert NATIVE == ["/api/generate", "/api/chat", "/api/embed", "/api/embeddings"]
    assert [route.path for route in ROUTES if route.takes_keep_alive] == [*NATIVE, SYSTEMONE]


# -- keep_alive --------------------------------------------------------------------------------------


@ON_NATIVE
@KINDS
@pytest.mark.parametrize(
    ("sent", "by_default", "by_force"),
    [
        (b"", b',"keep_alive":600', b',"keep_alive":600'),
        (b',"keep_alive":null', b',"keep_alive":600', b',"keep_alive":600'),
        (b',"keep_alive":"5m"', b',"keep_alive":"5m"', b',"keep_alive":600'),
        (b',"keep_alive":0', b',"keep_alive":0', b',"keep_alive":600'),
        (b',"keep_alive":-1', b',"keep_alive":-1', b',"keep_alive":600'),
        (b',"keep_alive":true', b',"keep_alive":true', b',"keep_alive":600'),  # Ollama's own 400
        (b',"keep_alive":{"a": 1}', b',"keep_alive":{"a": 1}', b',"keep_alive":600'),
        (b',"Keep_Alive":null', b',"Keep_Alive":600', b',"Keep_Alive":600'),
        (b',"KEEP_ALIVE":"5m"', b',"KEEP_ALIVE":"5m"', b',"KEEP_ALIVE":600'),
        (b',"\xe2\x84\xaaeep_alive":5', b',"\xe2\x84\xaaeep_alive":5', b',"\xe2\x84\xaaeep_alive":600'),
    ],
)
def test_a_keep_alive_is_filled_in_by_default_and_replaced_by_force(
    path: str, forces: bool, sent: bytes, by_default: bytes, by_force: bytes
) -> None:
    expected = by_force if forces else by_default
    got = filled(path, b'{"model":"m"' + sent + b',"x": 1}', fill_of(b"600", forces=forces))
    if sent:
        assert got == b'{"model":"m"' + expected + b',"x":1}'
    else:
        assert got == b'{"model":"m","x":1' + expected + b"}"


# -- num_ctx -----------------------------------------------------------------------------------------

CTX = b'{"num_ctx":4096}'


@ON_NATIVE
@KINDS
@pytest.mark.parametrize(
    ("options", "by_default", "by_force"),
    [
        (b"null", CTX, CTX),
        (b"{}", CTX, CTX),
        (b'{"seed":1}', b'{"seed":1,"num_ctx":4096}', b'{"seed":1,"num_ctx":4096}'),
        (b'{"num_ctx":null,"seed":1}', b'{"num_ctx":4096,"seed":1}', b'{"num_ctx":4096,"seed":1}'),
        (b'{"num_ctx":2048,"seed":1}', None, b'{"num_ctx":4096,"seed":1}'),
        (b'{"num_ctx":4096}', None, CTX),
        (b'{"num_ctx":0}', None, CTX),
        (b'{"num_ctx":"2048"}', None, CTX),  # Ollama's own 400
        (b'{"num_ctx":[2048]}', None, CTX),
        # Another option to Ollama, which minds the case here.
        (b'{"NUM_CTX":1}', b'{"NUM_CTX":1,"num_ctx":4096}', b'{"NUM_CTX":1,"num_ctx":4096}'),
        # Of two the last counts, as in Go.
        (b'{"num_ctx":1,"num_ctx":null}', CTX, CTX),
        (b'{"num_ctx":null,"num_ctx":1}', None, CTX),
        (b'{"\xff":1}', b'{"\xef\xbf\xbd":1,"num_ctx":4096}', b'{"\xef\xbf\xbd":1,"num_ctx":4096}'),
        # No object: Ollama refuses it.
        (b"[]", None, None),
        (b'"num_ctx"', None, None),
        (b"4096", None, None),
        (b"true", None, None),
    ],
)
@pytest.mark.parametrize("key", [b"options", b"OPTIONS", b"Option\xc5\xbf"], ids=["lower", "upper", "folded"])
def test_a_context_is_filled_in_by_default_and_replaced_by_force(
    path: str, forces: bool, options: bytes, by_default: bytes | None, by_force: bytes | None, key: bytes
) -> None:
    body = b'{"model":"m","%b":%b,"x":1}'
    got = filled(path, body % (key, options), fill_of(num_ctx=4096, forces=forces))
    if (expected := by_force if forces else by_default) is not None:
        assert got == body % (key, expected)
    else:
        assert json.loads(got) == json.loads(body % (key, options))


@ON_NATIVE
@KINDS
def test_options_are_made_where_there_are_none(path: str, forces: bool) -> None:
    got = filled(path, b'{"x":1,"model":"m"}', fill_of(num_ctx=4096, forces=forces))
    assert got == b'{"x":1,"model":"m","options":{"num_ctx":4096}}'


def test_both_are_filled_in_beside_another_name() -> None:
    got = filled("/api/chat", b'{"model":"alias","messages":[ ]}', fill_of(b"-1", 4096), "m")
    assert got == b'{"model":"m","messages":[ ],"keep_alive":-1,"options":{"num_ctx":4096}}'


# -- what stays --------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", [*NATIVE, *V1])
def test_where_nothing_is_filled_in_the_body_stays(path: str) -> None:
    named = named_by(b'{"model":"m","x":1}', path) if path != "/v1/audio/transcriptions" else None
    for nothing in (None, fill_of()):
        if named is not None:
            assert prepare(named, "m", nothing) == b'{"model":"m","x":1}'


@pytest.mark.parametrize("path", [path for path in V1 if path != "/v1/audio/transcriptions"])
def test_the_other_dialects_carry_neither(path: str) -> None:
    got = filled(path, b'{"model":"m","keep_alive":1}', fill_of(b"600", 4096, forces=True))
    assert got == b'{"model":"m","keep_alive":1}'


def test_systemone_carries_a_keep_alive_alone() -> None:
    got = filled(SYSTEMONE, b'{"model":"m"}', fill_of(b"600", 4096, forces=True))
    assert got == b'{"model":"m","keep_alive":600}'


def test_a_large_body_is_filled_in_its_pieces() -> None:
    large = b'"%b"' % (b"x" * (1 << 17))
    got = filled("/api/generate", b'{"model":"m","prompt":%b}' % large, fill_of(b"600", 4096))
    assert got == b'{"model":"m","prompt":%b,"keep_alive":600,"options":{"num_ctx":4096}}' % large
