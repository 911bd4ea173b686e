"""What the fleet of the client tests consists of; `conftest` starts it once for each module.

Two servers with different models, one model on both, one whose server is away, and an alias for each dialect.
"""

from typing import Final

from tests.clients.programs import Proxied, SimulatedFleet

MODELS: Final = {
    "first": ("all-minilm", "smollm2:135m", "llama3.2"),
    "second": ("smollm2:135m", "qwen3:8b", "deepseek-r1:14b"),
}
NAMES: Final = (
    "all-minilm:latest",
    "deepseek-r1:14b",
    "llama3.2:latest",
    "qwen3:8b",
    "smollm2:135m",
)
ALIASES: Final = {
    "gpt-4o": "llama3.2",
    "claude-sonnet-4": "qwen3:8b",
    "text-embedding-3-small": "all-minilm",
    "assistant": "llama3.2",
}
AWAY: Final = "mistral"  # its server does not answer


class Fleet:
    """A running proxy and what stands behind it."""

    def __init__(self, simulated: SimulatedFleet, proxied: Proxied) -> None:
        self.simulated = simulated
        self.url = proxied.url
        self.address = proxied.address

    @property
    def openai_url(self) -> str:
        """The address for a client of OpenAI's."""
        return f"{self.url}/v1"
