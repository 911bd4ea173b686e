"""What is asked of a create: who may, where it goes, and what its servers must have before."""

import json
from collections.abc import Mapping

import pytest

from gollamas.api.manage import Change, Rules, with_source
from gollamas.config.model import Config, Expose, Manage
from gollamas.errors import BadRequest
from gollamas.events import JobKind
from tests.unit.api.test_manage import PULL, a_config, key, refusal, route_of
from tests.unit.api.test_manage import read as read_any

CREATE = b"/api/create"
ONE, TWO, THREE = (f"sha256:{digit * 64}" for digit in "123")


def read(body: bytes | Mapping[str, object], config: Config | None = None) -> Change:
    return read_any(CREATE, body, config)


def test_it_goes_to_the_servers_of_its_model_with_progress_in_lines() -> None:
    change = read(b'{"model":"M","from":"base"}')
    assert (change.kind, change.method, change.path) == (JobKind.CREATE, "POST", "/api/create")
    assert (change.name, change.model, change.key, change.servers) == ("M", "M", key("m"), ("a", "b"))
    assert (change.streams, change.is_exposed, change.blobs) == (True, True, ())
    assert json.loads(change.body) == {"model": "M", "from": "base", "stream": True}
    assert not read(b'{"model":"m","from":"base","stream":false}').streams
    assert json.loads(read(b'{"model":"m","STREAM":false}').body) == {"model": "m", "STREAM": True}
    assert read(b'{"name":"m","from":"base"}').name == "m"


def test_every_other_member_passes_byte_for_byte() -> None:
    rest = (
        b'"quantize": "q4_K_M" ,"parameters":{"temperature":1.0,"num_ctx":4096.00,"stop":["\\u00e9", "<|>"]},'
        b'"system":"a \\/ b","big":123456789012345678901234567890,"messages":[{"role":"user"}],"license":null'
    )
    body = read(b'{"model":"m",%b,"from":"base"}' % rest).body
    for member in (
        b'"q4_K_M"', b'{"temperature":1.0,"num_ctx":4096.00,"stop":["\\u00e9", "<|>"]}', b'"a \\/ b"',
        b"123456789012345678901234567890", b'[{"role":"user"}]', b"null",
    ):  # fmt: skip
        assert member in body


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b'{"model":""}', "invalid model name"),
        (b"{}", "invalid model name"),
        (b'{"model":"a b"}', "invalid model name"),
        (
            b'{"model":"m","stream":1}',
            "json: cannot unmarshal number into Go struct field CreateRequest.stream of type bool",
        ),
        (
            b'{"model":"m","from":1}',
            "json: cannot unmarshal number into Go struct field CreateRequest.from of type string",
        ),
        (
            b'{"model":"gollamas/m"}',
            "'gollamas/m' can't be created: names under gollamas/ belong to gollamas itself",
        ),
    ],
)
def test_what_can_t_be_made_is_refused(body: bytes, text: str) -> None:
    assert refusal(CREATE, body) == (400, text)


def test_who_may() -> None:
    status, text = refusal(CREATE, {"model": "new", "from": "m"})
    assert (status, "`manage` is `configured`" in text) == (403, True)
    status, text = refusal(CREATE, {"model": "m", "from": "m"}, a_config(manage=Manage.OFF))
    assert (status, text) == (403, "'m' can't be created through gollamas: `manage` is `off`")
    config = a_config(manage=Manage.ALL, manage_servers=("c",), expose=Expose.INSTALLED)
    change = read({"model": "new", "from": "m"}, config)
    assert (change.servers, change.is_exposed) == (("c",), True)
    assert refusal(CREATE, {"model": "x"}, a_config(aliases={"x": "m"})) == (
        400, "'x' can't be created: it is an alias of 'm'",
    )  # fmt: skip


def test_a_remote_host_is_for_those_who_may_change_all() -> None:
    body = {"model": "m", "from": "gpt", "remote_host": "https://example.com"}
    assert refusal(CREATE, body) == (403, "'m' can't be created with `remote_host`: `manage` is not `all`")
    assert json.loads(read(body, a_config(manage=Manage.ALL)).body)["remote_host"] == "https://example.com"
    assert read({**body, "remote_host": ""}).servers == ("a", "b")


def test_it_may_be_limited_to_one_of_its_servers() -> None:
    rules, route = Rules(a_config()), route_of(CREATE)
    body = b'{"model":"m","from":"m"}'
    assert rules.read(route, body).servers == ("a", "b")
    assert rules.read(route, body, "b").servers == ("b",)
    for server in ("c", "z"):
        with pytest.raises(BadRequest, match=f"^model 'm' does not run on server '{server}'$"):
            rules.read(route, body, server)


def test_a_name_has_one_source() -> None:
    assert refusal(PULL, b'{"model":"m:local:cloud"}') == (
        400, 'use either :local or :cloud, not both: "m:local:cloud"',
    )  # fmt: skip


# -- from a model --------------------------------------------------------------------------------------


def test_its_source_is_a_model_that_an_alias_may_stand_for() -> None:
    config = a_config({"m": ("a", "b"), "base": ("b", "c")}, aliases={"short": "base"})
    change = read(b'{"model":"m","FROM":"Short"}', config)
    assert (change.source_name, change.source, change.source_key) == ("Short", "base", key("base"))
    assert json.loads(change.body) == {"model": "m", "FROM": "base", "stream": True}
    assert (change.source_servers, change.source_refusal) == (("b", "c"), "")


def test_where_its_source_may_be_pulled() -> None:
    assert read({"model": "m", "from": "other"}).source_servers == ()  # by nobody: it is not configured
    assert read({"model": "m", "from": "other"}, a_config(manage=Manage.ALL)).source_servers == (
        "a",
        "b",
        "c",
    )
    assert read({"model": "m", "from": "m"}).source_servers == ("a", "b")


def test_a_source_on_a_host_that_is_not_allowed_is_one_that_nobody_pulls() -> None:
    change = read({"model": "m", "from": "http://Evil.example/x/y"}, a_config(manage=Manage.ALL))
    assert change.source_servers == ()
    assert change.source_refusal == (
        "model 'http://Evil.example/x/y' can't be pulled from evil.example: "
        "add it to `registries` to allow it"
    )
    allowed = a_config(manage=Manage.ALL, registries=("evil.example",))
    assert read({"model": "m", "from": "evil.example/u/x"}, allowed).source_refusal == ""


@pytest.mark.parametrize("name", ["gollamas/m", "GOLLAMAS/m:x", "registry.ollama.ai/gollamas/m"])
def test_names_of_ours_are_no_source(name: str) -> None:
    assert refusal(CREATE, {"model": "m", "from": name}) == (404, f"model '{name}' not found")


@pytest.mark.parametrize("written", ["", "./model.gguf", "/root/x.gguf", "a b"])
def test_what_is_no_name_is_for_servers_to_judge(written: str) -> None:
    change = read({"model": "m", "from": written})
    assert (change.source, change.source_key) == ("", "")
    assert json.loads(change.body)["from"] == written


# -- from blobs ----------------------------------------------------------------------------------------


def test_the_blobs_that_it_names_are_listed_once() -> None:
    change = read({
        "model": "m", "files": {"a": ONE, "b": TWO}, "draft_files": {"d": ONE}, "adapters": {"x": THREE},
    })  # fmt: skip
    assert change.blobs == (ONE, TWO, THREE)
    assert json.loads(change.body)["adapters"] == {"x": THREE}


@pytest.mark.parametrize("member", ["files", "draft_files", "adapters", "FILES"])
@pytest.mark.parametrize(
    "value", [b"null", b"{}", b"[1]", b'{"a":1}', b'"x"', b'{"a":"sha256:12"}', b'{"a":"\xff"}']
)
def test_what_is_no_list_of_files_is_for_servers_to_refuse(member: str, value: bytes) -> None:
    change = read(b'{"model":"m","%b":%b}' % (member.encode(), value))
    assert change.blobs == ()
    assert value in change.body


def test_a_server_is_asked_for_a_source_in_its_own_spelling() -> None:
    change = read({"model": "m", "From": "SMOL", "system": "x"}, a_config(manage=Manage.ALL))
    assert with_source(change, "SMOL:latest") is change
    assert with_source(change, "smol:latest").body == (
        b'{"model":"m","From":"smol:latest","system":"x","stream":true}'
    )
