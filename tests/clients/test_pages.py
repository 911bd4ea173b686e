"""The pages that say what to set in a tool: with that set, a client of the same dialect is answered."""

import re
import subprocess
import sys
import tomllib
from typing import Any

import openai
import pytest

from tests.clients.fleet import Fleet
from tests.meta.documents import blocks_of, yaml_of_text

WRITTEN = "http://localhost:11434"
CODING = "docs/coding-tools.md"
ASKS = {
    "ANTHROPIC_BASE_URL": (
        "import anthropic; print(anthropic.Anthropic().messages.create(model='llama3.2', max_tokens=9, "
        "messages=[{'role': 'user', 'content': 'Hello'}]).model)"
    ),
    "OPENAI_BASE_URL": (
        "import openai; print(openai.OpenAI().chat.completions.create(model='llama3.2', "
        "messages=[{'role': 'user', 'content': 'Hello'}]).model)"
    ),
    "OLLAMA_HOST": "import ollama; print(ollama.generate('llama3.2', 'Hello').model)",
}


def exports(fleet: Fleet) -> dict[str, dict[str, str]]:
    """Give the variables of each block of `export` lines, with the running proxy's address, by the first."""
    found = {}
    for block in blocks_of(CODING):
        variables = dict(re.findall(r"^export (\w+)=(\S*)$", block.text, re.MULTILINE))
        if block.language == "sh" and variables:
            found[next(iter(variables))] = {
                name: value.replace(WRITTEN, fleet.url) for name, value in variables.items()
            }
    return found


@pytest.mark.parametrize("first", ASKS)
def test_the_variables_of_the_page_lead_a_client_to_the_proxy(fleet: Fleet, first: str) -> None:
    variables = exports(fleet)
    assert set(variables) == set(ASKS)
    done = subprocess.run(
        [sys.executable, "-c", ASKS[first]],
        env={"PATH": "/usr/bin:/bin", **variables[first]},
        check=False,
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stdout) == (0, "llama3.2\n"), done.stderr


def test_codex_is_led_to_a_route_that_answers(fleet: Fleet) -> None:
    (text,) = [block.text for block in blocks_of(CODING) if block.language == "toml"]
    config = tomllib.loads(text)
    provider: dict[str, Any] = config["model_providers"][config["model_provider"]]
    assert provider["wire_api"] == "responses"
    client = openai.OpenAI(base_url=provider["base_url"].replace(WRITTEN, fleet.url), api_key="none")
    assert client.responses.create(model="llama3.2", input="Hello").output_text


def test_continue_is_given_the_address_for_each_model() -> None:
    (text,) = [block.text for block in blocks_of(CODING) if block.language == "yaml"]
    models = yaml_of_text(text)["models"]
    assert {(model["provider"], model["apiBase"]) for model in models} == {("ollama", WRITTEN)}
