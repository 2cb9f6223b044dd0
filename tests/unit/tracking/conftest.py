"""Run folders and a store for the tests."""

import pytest

from rag_lightning.tracking.mirror import Mirror
from rag_lightning.tracking.store import default_uri
from tests.run_folders import run_folder, run_info, run_maker

__all__ = ["run_folder", "run_info", "run_maker"]


@pytest.fixture(scope="session")
def uri(tmp_path_factory: pytest.TempPathFactory) -> str:
    """One store for all tests of this folder: making it takes seconds."""
    folder = tmp_path_factory.mktemp("store")
    made = default_uri(folder)
    assert Mirror(made, "made", folder, pytest.fail).single("made", {}, {})
    return made


@pytest.fixture
def warnings() -> list[str]:
    return []
