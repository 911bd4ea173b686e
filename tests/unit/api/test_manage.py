"""What is asked of a body that changes models, who may, and where it goes."""

import json
from collections.abc import Iterable, Mapping
from typing import Any

import pytest

from gollamas.api.manage import Change, Rules, Unqualified
from gollamas.api.own_changes import owed_change, pull_of
from gollamas.api.routes import Route, find
from gollamas.config.model import Alias, Config, Expose, Manage, Model, Server
from gollamas.errors import ProxyError
from gollamas.events import JobKind
from gollamas.fleet.owed import Debt
from gollamas.names import key_of

PULL, PUSH, COPY, DELETE = b"/api/pull", b"/api/push", b"/api/copy", b"/api/delete"
CREATE = b"/api/create"


def key(name: str) -> str:
    """Give the key of a name that is one."""
    return key_of(name) or name


def a_config(
    models: Mapping[str, Iterable[str]] | None = None,
    aliases: Mapping[str, str] | None = None,
    **options: Any,
) -> Config:
    """Make a configuration of three servers."""
    servers = {one: Server(id=one, scheme="http", host=one, port=1) for one in ("a", "b", "c")}
    models = {"m": ("a", "b")} if models is None else models
    return Config(
        servers=servers,
        models={key(name): Model(name=name, key=key(name), servers=tuple(on)) for name, on in models.items()},
        aliases={
            key(name): Alias(name=name, key=key(name), model=to, model_key=key(to))
            for name, to in (aliases or {}).items()
        },
        **options,
    )


def route_of(path: bytes) -> Route:
    """Find a route."""
    route = find(path)
    assert route is not None
    return route


def read(path: bytes, body: bytes | Mapping[str, object], config: Config | None = None) -> Change:
    """Read a request."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Rules(config or a_config()).read(route_of(path), raw)


def refusal(path: bytes, body: bytes | Mapping[str, object], config: Config | None = None) -> tuple[int, str]:
    """Give the status and the words of a refusal."""
    with pytest.raises(ProxyError) as caught:
        read(path, body, config)
    return caught.value.status, caught.value.text


# -- what is asked -------------------------------------------------------------------------------------


def test_a_pull_goes_to_the_servers_of_its_model_with_progress_in_lines() -> None:
    change = read(PULL, b'{"model":"m","insecure":true,"x":[1, 2],"stream":false}')
    assert (change.kind, change.method, change.path) == (JobKind.PULL, "POST", "/api/pull")
    assert (change.name, change.model, change.key) == ("m", "m", key("m"))
    assert change.servers == ("a", "b")
    assert change.body == b'{"model":"m","insecure":true,"x":[1, 2],"stream":true}'
    assert change.insecure
    assert not change.streams


@pytest.mark.parametrize(
    ("body", "sent"),
    [
        (b'{"model":"m"}', b'{"model":"m","stream":true}'),
        (b'{"model":"m","stream":null}', b'{"model":"m","stream":true}'),
        (b'{"Stream":true,"MODEL":"M:latest"}', b'{"Stream":true,"MODEL":"M:latest"}'),
        (
            b'{"model":"","name":"m","insecure":null}',
            b'{"model":"","name":"m","insecure":null,"stream":true}',
        ),
        (b'{"name":"library/m"}', b'{"name":"library/m","stream":true}'),
    ],
)
@pytest.mark.parametrize("path", [PULL, PUSH])
def test_a_name_stands_where_ollama_reads_it_and_streams_by_default(
    body: bytes, sent: bytes, path: bytes
) -> None:
    change = read(path, body)
    assert (change.body, change.key, change.streams, change.insecure) == (sent, key("m"), True, False)


def test_a_delete_says_nothing_of_streams() -> None:
    change = read(DELETE, b'{"model":"m","stream":"x","insecure":5}')
    assert (change.method, change.body) == ("DELETE", b'{"model":"m","stream":"x","insecure":5}')
    assert not change.streams


def test_a_copy_is_about_its_destination() -> None:
    change = read(COPY, {"source": "other:1b", "destination": "M"})
    assert (change.name, change.model, change.key, change.servers) == ("M", "M", key("m"), ("a", "b"))
    assert (change.source_name, change.source, change.source_key) == ("other:1b", "other:1b", key("other:1b"))


# -- in Ollama's words ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "body", "text"),
    [
        (PULL, b"", "missing request body"),
        (PULL, b" \n", "missing request body"),
        (DELETE, b"", "missing request body"),
        (COPY, b"", "missing request body"),
        (PULL, b"{}", "invalid model name"),
        (PULL, b'{"model":"a b"}', "invalid model name"),
        (PULL, b'{"name":"x/y/z/w"}', "invalid model name"),
        (PUSH, b"{}", "model is required"),
        (PUSH, b'{"model":""}', "model is required"),
        (DELETE, b'{"model":null}', "model is required"),
        (DELETE, b'{"model":"a b"}', 'name "a b" is invalid'),
        (COPY, b"{}", 'source "" is invalid'),
        (COPY, b'{"source":"m"}', 'destination "" is invalid'),
        (COPY, b'{"source":"a b","destination":"m"}', 'source "a b" is invalid'),
        (PULL, b'{"model":5}',
         "json: cannot unmarshal number into Go struct field PullRequest.model of type string"),
        (PUSH, b'{"name":[]}',
         "json: cannot unmarshal array into Go struct field PushRequest.name of type string"),
        (DELETE, b'{"model":{}}',
         "json: cannot unmarshal object into Go struct field DeleteRequest.model of type string"),
        (COPY, b'{"source":true}',
         "json: cannot unmarshal bool into Go struct field CopyRequest.source of type string"),
        (PULL, b'{"model":"m","stream":"x"}',
         "json: cannot unmarshal string into Go struct field PullRequest.stream of type bool"),
        (PUSH, b'{"model":"m","insecure":1}',
         "json: cannot unmarshal number into Go struct field PushRequest.insecure of type bool"),
        (PULL, b'{"model":"a b","name":5}',
         "json: cannot unmarshal number into Go struct field PullRequest.name of type string"),
        (PUSH, b'{"model":"m","Username":[]}',
         "json: cannot unmarshal array into Go struct field PushRequest.username of type string"),
        (PULL, b'{"model":"m","password":{}}',
         "json: cannot unmarshal object into Go struct field PullRequest.password of type string"),
        (DELETE, b'{"model":"m","name":5,"username":5}',
         "json: cannot unmarshal number into Go struct field DeleteRequest.name of type string"),
    ],
)  # fmt: skip
def test_what_ollama_would_refuse_is_refused_in_its_words(path: bytes, body: bytes, text: str) -> None:
    assert refusal(path, body, a_config(manage=Manage.ALL)) == (400, text)


@pytest.mark.parametrize(
    ("name", "spelt_out"),
    [
        ("a b", "registry.ollama.ai/library/a b:latest"),
        (" a b ", "registry.ollama.ai/library/ a b :latest"),
        ("u/a b", "registry.ollama.ai/u/a b:latest"),
        ("x/y/z/w", "x/y/z/w:latest"),
        ("x:", "registry.ollama.ai/library/x:!MISSING!"),
        ("/x", "registry.ollama.ai/!MISSING!/x:latest"),
        ("http://a b", "http:/!MISSING!/a b:latest"),
        ("http://h//m", "h/!MISSING!/m:latest"),
        ("http:////m", "registry.ollama.ai/!MISSING!/m:latest"),
        ("h://n/-m", "h://n/-m:latest"),
        ("x@sha256:abc", "registry.ollama.ai/library/x@sha256:abc"),
    ],
)
@pytest.mark.parametrize("streams", [True, False])
def test_a_push_of_no_name_is_refused_as_0_24_and_0_34_do(name: str, spelt_out: str, streams: bool) -> None:
    with pytest.raises(Unqualified) as caught:
        read(PUSH, {"model": name, "stream": streams}, a_config(manage=Manage.ALL))
    assert caught.value.text == f"unqualified name: {spelt_out}"
    assert caught.value.streams is streams


# -- who may -------------------------------------------------------------------------------------------

BODIES: Mapping[bytes, Mapping[str, str]] = {
    PULL: {"model": "new"},
    PUSH: {"model": "new"},
    COPY: {"source": "m", "destination": "new"},
    DELETE: {"model": "new"},
}


@pytest.mark.parametrize("path", BODIES)
def test_by_default_only_configured_models_are_changed(path: bytes) -> None:
    status, text = refusal(path, BODIES[path])
    assert status == 403
    assert text.endswith(
        "through gollamas: it is not among its models, and `manage` is `configured`; "
        "add it to `models`, or set `manage: all`"
    )
    assert "'new'" in text
    assert read(path, {**BODIES[path], "model": "m", "destination": "m"}).servers == ("a", "b")


@pytest.mark.parametrize("path", BODIES)
def test_nobody_changes_anything_while_manage_is_off(path: bytes) -> None:
    for name in ("new", "m"):
        body = {**BODIES[path], "model": name, "destination": name}
        status, text = refusal(path, body, a_config(manage=Manage.OFF))
        assert (status, text.endswith("through gollamas: `manage` is `off`")) == (403, True)


@pytest.mark.parametrize("path", BODIES)
def test_where_all_may_be_changed_another_model_goes_to_all_servers_or_those_that_are_named(
    path: bytes,
) -> None:
    assert read(path, BODIES[path], a_config(manage=Manage.ALL)).servers == ("a", "b", "c")
    assert read(path, BODIES[path], a_config(manage_servers=("c",), manage=Manage.ALL)).servers == ("c",)
    configured = {**BODIES[path], "model": "m", "destination": "m"}
    assert read(path, configured, a_config(manage_servers=("c",), manage=Manage.ALL)).servers == ("a", "b")


@pytest.mark.parametrize("expose", list(Expose))
def test_it_is_known_whether_clients_can_use_a_model_once_it_is_there(expose: Expose) -> None:
    config = a_config(expose=expose, manage=Manage.ALL)
    assert read(PULL, {"model": "m"}, config).is_exposed
    assert read(PULL, {"model": "new"}, config).is_exposed is (expose is Expose.INSTALLED)
    assert read(COPY, BODIES[COPY], config).is_exposed is (expose is Expose.INSTALLED)


# -- registries ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", [PULL, PUSH])
@pytest.mark.parametrize(
    ("name", "host"),
    [
        ("evil.example/u/x", "evil.example"),
        ("http://Evil.example:80/u/x", "evil.example:80"),
        ("registry.ollama.ai:443/library/x", "registry.ollama.ai:443"),
        ("localhost:9/library/none", "localhost:9"),
    ],
)
def test_other_registries_are_refused_before_anything_is_sent(path: bytes, name: str, host: str) -> None:
    status, text = refusal(path, {"model": name}, a_config(manage=Manage.ALL))
    where = "pulled from" if path == PULL else "pushed to"
    assert (status, text) == (403, f"models can't be {where} {host}: add it to `registries` to allow it")
    assert read(path, {"model": name}, a_config(registries=(host,), manage=Manage.ALL)).model == name


@pytest.mark.parametrize("name", ["x", "u/x", "hf.co/u/x", "HuggingFace.co/u/x:Q4", "https://hf.co/u/x"])
def test_ollama_s_own_registries_are_allowed(name: str) -> None:
    assert read(PULL, {"model": name}, a_config(manage=Manage.ALL)).model == name


def test_hosts_of_configured_names_and_of_aliases_count() -> None:
    config = a_config({"my.example:5000/u/x": "a"}, {"y": "other.example/u/y"}, manage=Manage.ALL)
    assert read(PULL, {"model": "MY.example:5000/u/x"}, config).servers == ("a",)
    assert read(PULL, {"model": "my.example:5000/u/z"}, config).servers == ("a", "b", "c")
    assert read(PUSH, {"model": "y"}, config).model == "other.example/u/y"
    assert refusal(PULL, {"model": "my.example/u/x"}, config)[0] == 403


def test_a_delete_or_a_copy_asks_no_registry() -> None:
    name = "evil.example/u/x"
    assert read(DELETE, {"model": name}, a_config(manage=Manage.ALL)).model == name
    assert read(COPY, {"source": name, "destination": name}, a_config(manage=Manage.ALL)).source == name


# -- aliases, and names of ours ------------------------------------------------------------------------


def test_an_alias_is_followed_where_its_model_is_meant() -> None:
    config = a_config(aliases={"gpt-4o": "m"})
    for path in (PUSH, DELETE):
        change = read(path, {"model": "GPT-4o:latest"}, config)
        assert (change.name, change.model, change.key) == ("GPT-4o:latest", "m", key("m"))
        assert b'"model":"m"' in change.body
        assert change.servers == ("a", "b")
    change = read(COPY, {"source": "gpt-4o", "destination": "m"}, config)
    assert (change.source_name, change.source, change.source_key) == ("gpt-4o", "m", key("m"))
    assert change.body == b'{"source":"m","destination":"m"}'


def test_an_alias_is_no_name_for_something_new() -> None:
    config = a_config(aliases={"gpt-4o": "m"}, manage=Manage.ALL)
    assert refusal(PULL, {"model": "GPT-4o"}, config) == (
        400, "'gpt-4o' can't be pulled: it is an alias of 'm'",
    )  # fmt: skip
    assert refusal(COPY, {"source": "m", "destination": "gpt-4o"}, config) == (
        400, "'gpt-4o' can't be created by a copy: it is an alias of 'm'",
    )  # fmt: skip


@pytest.mark.parametrize(
    "name",
    [
        "gollamas/x",
        "GoLLaMas/x:ctx1",
        "registry.ollama.ai/gollamas/x",
        "https://registry.ollama.ai/gollamas/x",
    ],
)
def test_names_of_ours_can_t_be_changed_and_are_not_there_to_all_else(name: str) -> None:
    config = a_config(manage=Manage.ALL)
    for path, body in (
        (PULL, {"model": name}),
        (DELETE, {"model": name}),
        (COPY, {"source": "m", "destination": name}),
    ):
        status, text = refusal(path, body, config)
        assert (status, text.endswith("names under gollamas/ belong to gollamas itself")) == (400, True)
    assert refusal(PUSH, {"model": name}, config) == (404, f"model '{name}' not found")
    assert refusal(COPY, {"source": name, "destination": "m"}, config) == (404, f'model "{name}" not found')


@pytest.mark.parametrize("written", [" gollamas/x-1:old", "gollamas/x-1:old\t", "gollamas/x:local"])
def test_names_of_ours_are_no_source_of_a_create_in_any_spelling(written: str) -> None:
    config = a_config(manage=Manage.ALL)
    assert refusal(CREATE, {"model": "m", "from": written}, config) == (404, f"model '{written}' not found")


@pytest.mark.parametrize(
    "written", [" evil.example/u/x", "evil.example/u/x:local ", "http://evil.example/u/x\n"]
)
def test_white_space_opens_no_registry_to_a_create(written: str) -> None:
    change = read(CREATE, {"model": "m", "from": written}, a_config(manage=Manage.ALL))
    assert (change.source_servers, "evil.example" in change.source_refusal) == ((), True)


@pytest.mark.parametrize("written", ["x:cloud", " x:8b-cloud"])
def test_a_create_from_the_cloud_is_one_with_a_remote_host(written: str) -> None:
    text = f"'m' can't be created from '{written}': `manage` is not `all`"
    assert refusal(CREATE, {"model": "m", "from": written}) == (403, text)
    assert read(CREATE, {"model": "m", "from": written}, a_config(manage=Manage.ALL)).source == written
    assert read(
        CREATE, {"model": "m", "from": written}, a_config({"m": "a", written.strip(): "a"})
    ).source_servers
    for config in (a_config(), a_config(manage=Manage.ALL)):
        assert refusal(CREATE, {"model": "m", "from": "evil.example/u/x:cloud"}, config)[0] == 403


def test_what_a_server_missed_goes_to_it_alone() -> None:
    change = owed_change(Debt(JobKind.DELETE, "b", key("m"), "m", "1", 0.0, b'{"model":"m"}'))
    assert (change.method, change.path, change.body) == ("DELETE", "/api/delete", b'{"model":"m"}')
    assert (change.servers, change.key, change.name) == (("b",), key("m"), "m")


def test_a_pull_of_what_a_server_lacks_goes_to_it_alone() -> None:
    change = pull_of("b", key("m"), "m")
    assert (change.kind, change.method, change.path) == (JobKind.PULL, "POST", "/api/pull")
    assert change.body == b'{"model":"m","stream":true}'
    assert (change.servers, change.key, change.name) == (("b",), key("m"), "m")
