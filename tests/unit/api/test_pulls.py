"""What a pull is answered, while none is served: where the model is, or the command that gets it."""

import shlex
from collections.abc import Mapping, Sequence

import pytest

from gollamas import names
from gollamas.api.pulls import advice
from gollamas.config.model import Alias, Config, Expose, Model, Server
from gollamas.fleet.entries import Entry
from gollamas.fleet.view import View

NOT_YET = "gollamas does not serve /api/pull yet"
SECRET = "hunter2"


def key_of(name: str) -> str:
    key = names.key_of(name)
    assert key is not None
    return key


def config(
    models: Mapping[str, Sequence[str]] | None = None,
    aliases: Mapping[str, str] | None = None,
    expose: Expose = Expose.INSTALLED,
    servers: Sequence[Server] = (),
) -> Config:
    """Make a configuration of two servers, unless others are given."""
    ours = servers or [
        Server(id="pc-1", scheme="http", host="192.168.1.10", port=11434),
        Server(id="pc-2", scheme="http", host="192.168.1.11", port=11434),
    ]
    return Config(
        servers={server.id: server for server in ours},
        models={
            key_of(name): Model(name=name, key=key_of(name), servers=tuple(ids))
            for name, ids in (models or {}).items()
        },
        aliases={
            key_of(name): Alias(name=name, key=key_of(name), model=model, model_key=key_of(model))
            for name, model in (aliases or {}).items()
        },
        expose=expose,
    )


def view(made: Config, listed: Mapping[str, Sequence[str]], up: Sequence[str] = ()) -> View:
    """Make a view in which some servers have listed what they have, and are up as they answered."""
    seen = View(lambda _: None)
    seen.apply(made)
    for server_id, models in listed.items():
        seen.answered(server_id, "0.34.3", 1.0)
        seen.listed(server_id, [Entry(name, key_of(name), "d", b"{}", 0) for name in models])
    for server_id in set(listed) - set(up or listed):
        seen.connect_failed(server_id, "refused", 0.0)
    return seen


def said(text: str, made: Config, listed: Mapping[str, Sequence[str]], up: Sequence[str] = ()) -> str:
    return advice(text, made, view(made, listed, up))


BOTH: Mapping[str, Sequence[str]] = {"pc-1": (), "pc-2": ("llama3.2:latest",)}


def test_a_model_of_no_server_is_named_with_all_of_them_and_the_command() -> None:
    assert said("typo", config(), BOTH) == (
        f"none of the servers (pc-1, pc-2) has the model 'typo'. {NOT_YET}. "
        "Pull it on pc-1: OLLAMA_HOST=http://192.168.1.10:11434 ollama pull typo"
    )


def test_where_only_configured_models_are_served_it_has_to_be_configured_too() -> None:
    assert said("typo:1b", config({"m": ["pc-1"]}, expose=Expose.CONFIGURED), BOTH) == (
        f"none of the servers (pc-1, pc-2) has the model 'typo:1b'. {NOT_YET}. "
        "Pull it on pc-1, and start gollamas with --proxy typo:1b=pc-1, too: "
        "OLLAMA_HOST=http://192.168.1.10:11434 ollama pull typo:1b"
    )


def test_a_model_that_is_configured_for_certain_servers_is_to_be_pulled_on_one_of_those() -> None:
    made = config({"typo": ["pc-2"]}, expose=Expose.CONFIGURED)
    assert said("TYPO:latest", made, BOTH) == (
        f"none of the servers that are to run it (pc-2) has the model 'TYPO:latest'. {NOT_YET}. "
        "Pull it on pc-2: OLLAMA_HOST=http://192.168.1.11:11434 ollama pull TYPO:latest"
    )
    elsewhere = said("llama3.2", config({"llama3.2": ["pc-1"]}), BOTH)
    assert "(pc-1) has the model 'llama3.2'; it is on pc-2. " in elsewhere
    assert elsewhere.endswith("Pull it on pc-1: OLLAMA_HOST=http://192.168.1.10:11434 ollama pull llama3.2")


@pytest.mark.parametrize("models", [{}, {"llama3.2": ["pc-1", "pc-2"]}])
def test_a_model_that_is_there_is_said_to_be_there(models: Mapping[str, Sequence[str]]) -> None:
    assert said("library/llama3.2", config(models), BOTH) == (
        f"the model 'library/llama3.2' is on pc-2 already. {NOT_YET}. "
        "To bring it up to date: OLLAMA_HOST=http://192.168.1.11:11434 ollama pull library/llama3.2"
    )


@pytest.mark.parametrize("expose", [Expose.CONFIGURED, Expose.RUNNING])
def test_a_model_that_is_there_and_not_served_leads_to_the_flag_that_serves_it(expose: Expose) -> None:
    assert said("llama3.2", config({"m": ["pc-1"]}, expose=expose), BOTH) == (
        "the model 'llama3.2' is on pc-2, but gollamas is not to serve it: "
        "start it with --proxy llama3.2=pc-2, or with --expose installed"
    )


def test_an_alias_leads_to_its_model() -> None:
    made = config({"m:1b": ["pc-2"]}, {"gpt-4o": "m:1b"}, Expose.CONFIGURED)
    assert said("GPT-4o", made, BOTH) == (
        f"none of the servers that are to run it (pc-2) has the model 'm:1b' (which 'gpt-4o' stands for). "
        f"{NOT_YET}. Pull it on pc-2: OLLAMA_HOST=http://192.168.1.11:11434 ollama pull m:1b"
    )


def test_a_server_that_never_listed_is_not_said_to_lack_anything() -> None:
    assert "(pc-1) has the model 'typo' (pc-2 could not be asked). " in said("typo", config(), {"pc-1": ()})
    nothing = said("typo", config(), {})
    assert nothing.startswith("none of the servers (pc-1, pc-2) could be asked for the model 'typo'. ")
    assert nothing.endswith("Pull it on pc-1: OLLAMA_HOST=http://192.168.1.10:11434 ollama pull typo")


def test_the_command_goes_to_a_server_that_is_up_and_asks_for_no_secret() -> None:
    assert "Pull it on pc-2: " in said("typo", config(), BOTH, up=["pc-2"])
    closed = Server(
        id="pc-1", scheme="https", host="::1", port=443, fields=((b"Authorization", SECRET.encode()),)
    )
    made = config(servers=[closed, Server(id="pc-2", scheme="http", host="pc-2", port=80, prefix="/a;b")])
    assert said("typo", made, BOTH).endswith("OLLAMA_HOST='http://pc-2/a;b' ollama pull typo")
    alone = said("typo", config(servers=[closed]), {"pc-1": ()})
    assert "OLLAMA_HOST='https://[::1]' ollama pull typo" in alone
    assert SECRET not in alone


def test_very_many_servers_are_not_all_named() -> None:
    many = [Server(id=f"s{number}", scheme="http", host="a", port=number) for number in range(1, 24)]
    got = said("typo", config(servers=many), {server.id: () for server in many})
    assert "s19, s20 and 3 more) has the model 'typo'" in got
    assert "s21" not in got


@pytest.mark.parametrize(
    "name", ["$(reboot):///n/typo", "`reboot`:///n/typo", " n/typo ", "';reboot;':///n/typo"]
)
def test_no_byte_of_the_command_is_the_clients_beside_a_models_name(name: str) -> None:
    """What stands before `://` is dropped by Ollama unread."""
    command = said(name, config(), BOTH).rpartition(": ")[2]
    assert command.startswith("OLLAMA_HOST=http://192.168.1.10:11434 ollama pull ")
    assert shlex.split(command)[3] in ("n/typo", "n/typo:latest")
    assert len(shlex.split(command)) == 4
    assert "reboot" not in said(name, config(), BOTH)


@pytest.mark.parametrize("name", ["a b", "$(reboot)", "x\x1b[2J", "-rf", "typo;reboot"])
def test_what_is_no_name_is_not_repeated(name: str) -> None:
    assert said(name, config(), BOTH) == f"{NOT_YET}, and what it was asked for is no model's name"


def test_a_model_whose_servers_are_configured_no_more_gets_no_command() -> None:
    """The request keeps the configuration that it began with; the view has the new one."""
    old = config({"typo": ["gone"]})
    assert advice("typo", old, view(config(), BOTH)) == (
        f"{NOT_YET}: pull the model 'typo' on an Ollama server directly"
    )
