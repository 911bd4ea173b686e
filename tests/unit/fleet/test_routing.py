"""Names find their model whatever their spelling."""

from dataclasses import replace

import pytest

from gollamas.config.model import Expose
from gollamas.errors import BadRequest, NoServerLeft
from gollamas.fleet.routing import Found, Invalid, OneServer, Routing, Unknown
from gollamas.fleet.variants import name_of
from tests.unit.fleet.fleets import config, entry, key_of, server, view_of

MADE = config(
    {"llama3.2": ["a", "b"], "gpt-oss:120b-cloud": ["b"]},
    {"gpt-4o": "llama3.2", "Best": "llama3.2:latest"},
)


@pytest.mark.parametrize(
    "text",
    [
        "llama3.2",
        "llama3.2:latest",
        "LLAMA3.2:Latest",
        "library/llama3.2",
        "registry.ollama.ai/library/llama3.2:latest",
        "llama3.2:local",
        " llama3.2",
    ],
)
def test_a_spelling_of_a_configured_model_is_passed_as_written(text: str) -> None:
    """Every spelling that Ollama takes for the model is routed, and the server reads the client's own."""
    found = Routing(MADE).find(text, view_of(MADE))
    assert isinstance(found, Found)
    assert (found.key, found.model, found.candidates, found.alias) == (
        key_of("llama3.2"),
        text,
        ("a", "b"),
        None,
    )


@pytest.mark.parametrize(
    ("text", "alias", "model"),
    [
        ("gpt-4o", "gpt-4o", "llama3.2"),
        ("GPT-4o:latest", "gpt-4o", "llama3.2"),
        ("best", "Best", "llama3.2:latest"),
    ],
)
def test_an_alias_is_asked_for_under_its_target(text: str, alias: str, model: str) -> None:
    """An alias in any spelling becomes the name that it stands for."""
    found = Routing(MADE).find(text, view_of(MADE))
    assert isinstance(found, Found)
    assert (found.alias, found.model, found.candidates) == (alias, model, ("a", "b"))


@pytest.mark.parametrize("text", ["", "a b", "x:", "/x", "x@sha256:00", "a/b/c/d", "ä"])
def test_what_is_no_name_is_told_from_what_is_unknown(text: str) -> None:
    """Ollama answers these with 400, not 404."""
    assert isinstance(Routing(MADE).find(text, view_of(MADE)), Invalid)


@pytest.mark.parametrize("text", ["llama3.3", "llama3.2:1b", "user/llama3.2", "hf.co/library/llama3.2"])
def test_a_model_that_is_not_configured_is_unknown(text: str) -> None:
    """Under `configured` nobody is asked about it."""
    view = view_of(MADE)
    view.listed("a", [entry(text)])
    found = Routing(MADE).find(text, view)
    assert isinstance(found, Unknown)
    assert not found.may_look_up


def test_cloud_names_are_routed_only_where_configured() -> None:
    """A cloud name that a server lists is not routed under the widest `expose`."""
    made = config({"gpt-oss:120b-cloud": ["a"]}, servers=["b"], expose=Expose.INSTALLED)
    view = view_of(made)
    view.listed("b", [entry("x:cloud"), entry("x:8b-cloud")])
    assert isinstance(Routing(made).find("GPT-OSS:120b-cloud", view), Found)
    for text in ("x:cloud", "x:8b-Cloud"):
        found = Routing(made).find(text, view)
        assert isinstance(found, Unknown)
        assert not found.may_look_up


def test_the_wider_expose_routes_what_servers_have() -> None:
    """What servers have is found with its holders in order; what they lack may be looked up."""
    made = config({"m": ["b"]}, {"best": "n"}, servers=["a", "b"], expose=Expose.INSTALLED)
    view, routing = view_of(made), Routing(made)
    missing = routing.find("best", view)
    assert isinstance(missing, Unknown)
    assert (missing.key, missing.may_look_up) == (key_of("n"), True)
    view.listed("b", [entry("n"), entry("m")])
    view.listed("a", [entry("n"), entry("m")])
    for text, candidates, alias in (
        ("N", ("a", "b"), None),
        ("best", ("a", "b"), "best"),
        ("m", ("b",), None),
    ):
        found = routing.find(text, view)
        assert isinstance(found, Found)
        assert (found.candidates, found.alias) == (candidates, alias)


def test_the_spelling_of_the_server_is_used_where_case_counts() -> None:
    """`/api/embeddings` gets the listed name where the client's differs in more than what is left out."""
    view, routing = view_of(MADE), Routing(MADE)
    view.listed("a", [entry("Llama3.2:latest")])
    for text, on_a in (
        ("llama3.2", "Llama3.2:latest"),
        ("Llama3.2", "Llama3.2"),
        ("gpt-4o", "Llama3.2:latest"),
    ):
        found = routing.find(text, view)
        assert isinstance(found, Found)
        assert found.name_minding_case(view, "a") == on_a
        assert found.name_minding_case(view, "b") == found.model
        assert found.name_minding_case(view, "gone") == found.model


def test_nothing_is_called_unknown_while_nobody_can_be_asked() -> None:
    """With every server away there is an error that names them; with one up there is none."""
    view = view_of(MADE)
    view.connect_failed("a", "connection refused", 1.0)
    error = Routing(MADE).cannot_tell(view)
    assert error is not None
    assert "a: connection refused" in error.text
    view.answered("b", "0.1.0", 1.0)
    assert Routing(MADE).cannot_tell(view) is None


@pytest.mark.parametrize("expose", list(Expose))
@pytest.mark.parametrize(
    "text",
    [name_of(key_of("m"), "a" * 64, 4096), "gollamas/x", "GOLLAMAS/x:y", "registry.ollama.ai/gollamas/x"],
)
def test_a_name_of_ours_is_unknown_and_nobody_is_asked_for_it(expose: Expose, text: str) -> None:
    made = config({"m": ["a"]}, {"best": text}, servers=["a"], expose=expose)
    view = view_of(made)
    view.listed("a", [entry("m"), entry(text)])
    view.ran("a", [entry(text)])
    for name in (text, "best"):
        found = Routing(made).find(name, view)
        assert isinstance(found, Unknown)
        assert not found.may_look_up


def test_a_route_has_the_policies_of_its_model() -> None:
    """By whatever name, and of a model that turned up too."""
    made = replace(
        config({"m": ["a", "b"]}, {"best": "m", "found": "n"}, servers=["a", "b"], expose=Expose.INSTALLED),
        num_ctx={("", "a"): 2048, (key_of("n"), ""): 8192},
    )
    view, routing = view_of(made), Routing(made)
    view.listed("a", [entry("n")])
    for text, contexts in (
        ("m", {"a": 2048}),
        ("M", {"a": 2048}),
        ("registry.ollama.ai/library/m", {"a": 2048}),
        ("best", {"a": 2048}),
        ("n", {"a": 8192, "b": 8192}),
        ("found", {"a": 8192, "b": 8192}),
    ):
        found = routing.find(text, view)
        assert isinstance(found, Found)
        assert found.policies is not None
        assert {server: policy.num_ctx for server, policy in found.policies.items()} == contexts
        assert found.policies is routing.policies.of(found.key)


def test_without_a_policy_a_route_has_none() -> None:
    found = Routing(MADE).find("llama3.2", view_of(MADE))
    assert isinstance(found, Found)
    assert found.policies is None


# -- one server ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("expose", list(Expose))
@pytest.mark.parametrize("server_id", ["a", "b", "c"])
@pytest.mark.parametrize(
    "text", ["llama3.2", "LLAMA3.2:latest", "gpt-4o", "gpt-oss:120b-cloud", "n", "", "x:cloud"]
)
def test_a_request_for_one_server_reaches_that_one_or_none(text: str, server_id: str, expose: Expose) -> None:
    """It is told the same of the model as any other request, and reaches no server that others would not."""
    made = replace(MADE, servers={**MADE.servers, "c": server("c")}, expose=expose, num_ctx={("", "a"): 2048})
    view, routing = view_of(made), Routing(made)
    for each in view.servers:
        view.answered(each, "0.34.3", 1.0)
        view.listed(each, [entry("llama3.2"), entry("x:cloud"), *([entry("n")] if each != "a" else [])])
        view.ran(each, [entry("n")] if each == "c" else [])
    whole = routing.find(text, view)
    if isinstance(whole, Found) and server_id not in whole.candidates:
        with pytest.raises(BadRequest) as why:
            OneServer(routing, server_id).find(text, view)
        assert why.value.text == f"model '{text}' does not run on server '{server_id}'"
        return
    one = OneServer(routing, server_id).find(text, view)
    assert type(one) is type(whole)
    if isinstance(one, Found) and isinstance(whole, Found):
        assert one.candidates == (server_id,)
        assert (one.key, one.model, one.alias) == (whole.key, whole.model, whole.alias)
        assert one.policies is whole.policies
    if isinstance(one, Unknown) and isinstance(whole, Unknown):
        assert (one.key, one.may_look_up) == (whole.key, whole.may_look_up)


def test_whether_one_server_has_a_model_may_not_be_known_yet() -> None:
    """Then nobody is told that it runs elsewhere, unless the configuration says so."""
    made = config({"m": ["a"]}, servers=["b"], expose=Expose.INSTALLED)
    view, one = view_of(made), OneServer(Routing(made), "b")
    view.listed("a", [entry("n"), entry("m")])
    for why in ("no answer yet", "connection refused"):
        with pytest.raises(NoServerLeft) as error:
            one.find("n", view)
        assert error.value.text == f"model 'n' is not available: no server can be reached (b: {why})"
        with pytest.raises(BadRequest):
            one.find("m", view)
        view.connect_failed("b", "connection refused", 1.0)
    view.listed("b", [])
    with pytest.raises(BadRequest):
        one.find("n", view)


def test_a_server_that_is_configured_no_more_is_no_other_one() -> None:
    """A request that began before reaches nobody else."""
    made = config({}, servers=["a", "b"], expose=Expose.INSTALLED)
    view, one = view_of(made), OneServer(Routing(made), "b")
    view.apply(config({}, servers=["a"], expose=Expose.INSTALLED))
    view.answered("a", "0.34.3", 1.0)
    view.listed("a", [entry("n")])
    with pytest.raises(NoServerLeft):
        one.find("n", view)
    assert one.cannot_tell(view) is not None


def test_a_name_that_one_server_can_t_be_asked_for_names_no_other_server() -> None:
    view = view_of(MADE)
    one = OneServer(Routing(MADE), "b")
    view.answered("a", "0.34.3", 1.0)
    view.connect_failed("b", "connection refused", 1.0)
    error = one.cannot_tell(view)
    assert error is not None
    assert error.text == "the server that was asked for can't be reached (b: connection refused)"
    view.answered("b", "0.34.3", 1.0)
    view.connect_failed("a", "connection refused", 1.0)
    assert one.cannot_tell(view) is None
