"""The page about the context says what holds: its file is a configuration, its warning the one that comes."""

from pathlib import Path

from gollamas.config.load import load
from gollamas.events import Event, Warned
from gollamas.fleet.policy import Policies
from gollamas.fleet.reloads import Reloads
from gollamas.fleet.runner_options import PLAIN
from tests.meta.documents import blocks_of, text_of

_PAGE = "docs/context.md"


def test_the_file_of_the_page_gives_models_the_context_that_it_says(tmp_path: Path) -> None:
    """One context for all models, a larger one for the last."""
    text = next(block.text for block in blocks_of(_PAGE) if block.language == "yaml")
    path = tmp_path / "gollamas.yaml"
    path.write_text(text, encoding="utf-8")
    config = load(["--config", str(path)], {})
    assert config.warnings == ()
    policies = Policies(config)
    found = {key: policies.of(key) for key in config.models}
    contexts = {
        (server, policy.num_ctx, policy.keep_alive)
        for by_server in found.values()
        for server, policy in (by_server or {}).items()
    }
    assert contexts == {("pc-1", 8192, -1), ("pc-2", 8192, -1), ("pc-2", 65536, -1)}


def test_the_warning_of_the_page_is_the_one_that_is_logged() -> None:
    """Twelve reloads within a minute of the first, and then another."""
    emitted: list[Event] = []
    reloads = Reloads(emitted.append)
    small, large = PLAIN.with_num_ctx(2048), PLAIN.with_num_ctx(8192)
    for now in (0.0, *map(float, range(1, 12)), 60.0):
        reloads.noted("pc-1", "llama3.2:latest", small, large, now)
    warnings = [event.text for event in emitted if isinstance(event, Warned)]
    assert len(warnings) == 2
    assert f" {warnings[-1]}\n" in text_of(_PAGE)
