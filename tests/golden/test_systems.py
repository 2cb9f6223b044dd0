"""Every formulation, strategy and retriever on a tiny project: texts, likelihoods, passages and metrics as recorded."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.golden.comparing import compare_system
from tests.golden.driving import system
from tests.golden.recorded import recorded_or
from tests.golden.systems import SYSTEMS, write_files


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One folder for all, so that what they share is built once."""
    folder = tmp_path_factory.mktemp("golden")
    write_files(folder)
    return folder


@pytest.mark.parametrize("name", SYSTEMS)
def test_a_system_predicts_what_it_did(name: str, root: Path, bert_folder: Path) -> None:
    found = system(name, root, bert_folder)
    differences = compare_system(recorded_or(name, found), found)
    assert not differences, "\n".join(differences[:20])
