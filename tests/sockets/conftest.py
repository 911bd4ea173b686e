"""Every test of a request's way runs twice: as on a quiet proxy, and as on one with many requests open."""

import pytest

from gollamas.background import prober
from gollamas.net import rounds

# What these look at does not pass through a round, or they start programs of their own.
ASIDE = {
    "test_binding", "test_by_hand", "test_by_hand_verbs", "test_copy_and_delete", "test_create",
    "test_demo", "test_hangup", "test_hidden_copies", "test_jobs", "test_jobs_by_hand", "test_keeping",
    "test_large_uploads", "test_leaving_memory", "test_limits", "test_listings", "test_managing",
    "test_managing_verbs", "test_metrics", "test_mixture", "test_owed", "test_prober", "test_pull",
    "test_push", "test_replay_changes", "test_shortage", "test_shutdown", "test_simulate",
    "test_simulated_blobs", "test_status", "test_sync", "test_timers", "test_variants_verb", "test_watching",
}  # fmt: skip


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Have each read worked off at once, and gathered in the round of its turn."""
    if metafunc.module.__name__.rpartition(".")[2] not in ASIDE:
        metafunc.parametrize("few", [rounds.FEW, -1], ids=["at once", "in rounds"], indirect=True)


# What these look at is how often a server is asked, or what happens between two looks.
UNHURRIED = {"test_by_hand", "test_loads", "test_prober"}


@pytest.fixture(autouse=True)
def quick_looks(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have a server looked at more often than ten times a second, where each test would wait for that."""
    if request.module.__name__.rpartition(".")[2] not in UNHURRIED:
        monkeypatch.setattr(prober, "_GAP", 0.005)


@pytest.fixture(autouse=True)
def few(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Set how many requests may be open before reads are gathered."""
    monkeypatch.setattr(rounds, "FEW", getattr(request, "param", rounds.FEW))
