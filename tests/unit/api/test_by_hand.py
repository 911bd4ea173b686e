"""What an operator asks to have pulled or deleted, and where it goes."""

import json

import pytest

from gollamas.api.by_hand import change_by_hand
from gollamas.config.model import Manage
from gollamas.errors import ProxyError
from gollamas.events import JobKind
from tests.unit.api.test_manage import a_config, key

KINDS = (JobKind.PULL, JobKind.DELETE)


@pytest.mark.parametrize("manage", list(Manage))
@pytest.mark.parametrize("kind", KINDS)
def test_what_clients_may_change_says_nothing_about_an_operator(kind: JobKind, manage: Manage) -> None:
    """A configured model goes to its servers, any other to all."""
    config = a_config(manage=manage)
    assert change_by_hand(config, kind, "M").servers == ("a", "b")
    change = change_by_hand(config, kind, "new:1b")
    assert (change.kind, change.name, change.key, change.servers) == (
        kind, "new:1b", key("new:1b"), ("a", "b", "c"),
    )  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_a_model_that_is_not_configured_goes_to_the_servers_that_are_named_for_it(kind: JobKind) -> None:
    config = a_config(manage_servers=("b", "c"))
    assert change_by_hand(config, kind, "new").servers == ("b", "c")
    assert change_by_hand(config, kind, "m").servers == ("a", "b")


@pytest.mark.parametrize("kind", KINDS)
def test_an_alias_stands_for_its_model(kind: JobKind) -> None:
    """Also in a pull, which a client can't ask for by an alias."""
    change = change_by_hand(a_config(aliases={"gpt-4o": "m"}), kind, "GPT-4o:latest")
    assert (change.name, change.model, change.key, change.servers) == ("m", "m", key("m"), ("a", "b"))
    assert json.loads(change.body)["model"] == "m"


def test_servers_are_asked_for_what_a_client_would_ask() -> None:
    """A pull tells of its progress."""
    pull = change_by_hand(a_config(), JobKind.PULL, "m")
    assert (pull.method, pull.path, json.loads(pull.body)) == (
        "POST", "/api/pull", {"model": "m", "stream": True},
    )  # fmt: skip
    delete = change_by_hand(a_config(), JobKind.DELETE, "m")
    assert (delete.method, delete.path, json.loads(delete.body)) == ("DELETE", "/api/delete", {"model": "m"})


@pytest.mark.parametrize(
    ("kind", "model", "status", "words"),
    [
        (JobKind.PULL, "elsewhere.example/a/b", 403, "add it to `registries` to allow it"),
        (JobKind.PULL, "gollamas/m:ctx1", 400, "names under gollamas/ belong to gollamas itself"),
        (JobKind.DELETE, "GOLLAMAS/m", 400, "names under gollamas/ belong to gollamas itself"),
        (JobKind.PULL, "a b", 400, "invalid model name"),
        (JobKind.DELETE, "a b", 400, 'name "a b" is invalid'),
    ],
)
def test_what_nobody_may_change_is_refused(kind: JobKind, model: str, status: int, words: str) -> None:
    for manage in Manage:
        with pytest.raises(ProxyError) as refused:
            change_by_hand(a_config(manage=manage), kind, model)
        assert (refused.value.status, words in refused.value.text) == (status, True)


def test_a_registry_that_is_allowed_is_allowed() -> None:
    config = a_config(registries=("elsewhere.example",))
    assert change_by_hand(config, JobKind.PULL, "elsewhere.example/a/b").key == "elsewhere.example/a/b:latest"
