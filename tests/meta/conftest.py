"""What the tests that build share: one compiler, so that what two of them compile is compiled once."""

import pytest

from tests.meta.building import quick_compiler


@pytest.fixture(scope="session")
def compiler(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Give the variables that name it."""
    return quick_compiler(tmp_path_factory.mktemp("compiler"))
