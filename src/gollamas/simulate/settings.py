"""What a simulated server is told before it starts.

Owns the values and their defaults (those of Ollama 0.34 without any environment variable).
"""

from dataclasses import dataclass
from typing import Final

FOREVER: Final = 9223372036.854775807  # seconds: the longest duration of Go, which stands for "for ever"

VERSIONS: Final = ("0.34.3", "0.32.15", "0.24.0")  # answered as the recordings are, the newest first


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """A simulated server. Seconds are floats, sizes are bytes."""

    version: str = VERSIONS[0]
    models: tuple[str, ...] = ("llama3.2", "smollm2:135m", "all-minilm")  # installed, oldest first
    listed_twice: tuple[str, ...] = ()  # those that another runner has a manifest of, too (0.40 and later)
    load_seconds: float = 1.0  # for each load, whatever the model
    tokens_per_second: float = 50.0  # for each request; 0 means as fast as it goes
    prompt_tokens_per_second: float = 2000.0  # 0 means as fast as it goes
    num_parallel: int = 1  # OLLAMA_NUM_PARALLEL: requests that one loaded model works on at a time
    max_queue: int = 512  # OLLAMA_MAX_QUEUE: requests that wait behind a load
    max_loaded: int = 3  # OLLAMA_MAX_LOADED_MODELS
    keep_alive: float = 300.0  # OLLAMA_KEEP_ALIVE
    context_length: int = 4096  # OLLAMA_CONTEXT_LENGTH
    vram_bytes: int = 0  # of a GPU, for each loaded model; what is too large for it lies on the CPU
    origins: tuple[str, ...] = ()  # OLLAMA_ORIGINS
    is_loopback: bool = True  # listens on loopback, so that the Host field is checked
    registry: bool = True  # whether registry.ollama.ai can be reached
    pull_seconds: float = 2.0  # for each pull
    home: str = "/usr/share/ollama/.ollama"  # shows in a few error texts
    remembered: int = 1000  # requests that are kept for a test to look at
    resolver: str = "127.0.0.11:53"  # shows in the error text of a failed look-up

    @property
    def release(self) -> tuple[int, ...]:
        """The version as numbers, for comparing; a suffix as in `-rc1` is left out."""
        return tuple(int(part) for part in self.version.partition("-")[0].split(".") if part.isdigit())
