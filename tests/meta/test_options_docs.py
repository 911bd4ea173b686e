"""What is made from the declarations of the options is up to date, and the pages name every part of it."""

import re
from pathlib import Path

import pytest

from gollamas.cli.describe import SCHEMA, TABLES, described
from gollamas.config.options import POLICY_KEYS

ROOT = Path(__file__).parents[2]
MEND = "run `python -m gollamas.cli.describe` in the repository's root"


@pytest.mark.parametrize("name", [*TABLES, SCHEMA])
def test_what_is_made_from_the_options_is_up_to_date(name: str) -> None:
    """README, the page about configuration and the shipped schema are those of the declarations."""
    path = ROOT / name
    assert path.read_text(encoding="utf-8") == described(ROOT)[path], MEND


def test_the_page_names_what_the_table_can_not() -> None:
    """The keys of a server and of a policy, the verbs that read the configuration."""
    page = (ROOT / "docs/configuration.md").read_text(encoding="utf-8")
    keys = ("headers", "tls", "ca", "verify", "url", "per_server", *POLICY_KEYS)
    for word in (*keys, "check --live", "gollamas health"):
        assert re.search(rf"(?<!\w){word}(?!\w)", page), word
