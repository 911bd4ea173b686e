"""Every test of a request's way runs twice: as on a quiet proxy, and as on one with many requests open."""

import pytest

from gollamas.net import rounds

# What these look at does not pass through a round, or they start programs of their own.
ASIDE = {
    "test_binding", "test_by_hand", "test_by_hand_verbs", "test_demo", "test_hangup", "test_keeping",
    "test_limits", "test_listings", "test_metrics", "test_mixture", "test_prober", "test_shortage",
    "test_shutdown", "test_simulate", "test_timers", "test_variants_verb",
}  # fmt: skip


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Have each read worked off at once, and gathered in the round of its turn."""
    if metafunc.module.__name__.rpartition(".")[2] not in ASIDE:
        metafunc.parametrize("few", [rounds.FEW, -1], ids=["at once", "in rounds"], indirect=True)


@pytest.fixture(autouse=True)
def few(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Set how many requests may be open before reads are gathered."""
    monkeypatch.setattr(rounds, "FEW", getattr(request, "param", rounds.FEW))
