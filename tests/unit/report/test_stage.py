"""Stage `report` finds the sweep's folder, or says which there are."""

from __future__ import annotations

from pathlib import Path

import pytest

from rag_lightning.config.commands import SweepConfig
from rag_lightning.config.experiment import ExperimentConfig
from rag_lightning.core.errors import DataError
from rag_lightning.report import command


def test_a_sweep_that_has_not_run_is_told_with_those_that_have(tmp_path: Path) -> None:
    config = SweepConfig(name="nq", experiment=ExperimentConfig(folder=str(tmp_path)))
    with pytest.raises(DataError, match="does not exist; run the sweep first; there are runs of no sweep"):
        command.run(config)
    (tmp_path / "runs" / "smoke").mkdir(parents=True)
    with pytest.raises(DataError, match="there are runs of smoke"):
        command.run(config)
    (tmp_path / "runs" / "nq").mkdir()
    with pytest.raises(DataError, match=r"sweep\.json"):
        command.run(config)
    assert not (tmp_path / "reports").exists() or not any((tmp_path / "reports" / "out").iterdir())
