"""Run folders and a store for the tests."""

import pytest

from rag_lightning.tracking.store import default_uri
from tests.run_folders import run_folder, run_info, run_maker

__all__ = ["run_folder", "run_info", "run_maker"]


@pytest.fixture(scope="session")
def uri(tmp_path_factory: pytest.TempPathFactory) -> str:
    """One store for all tests of this folder: making it takes seconds."""
    return default_uri(tmp_path_factory.mktemp("store"))


@pytest.fixture
def warnings() -> list[str]:
    return []
