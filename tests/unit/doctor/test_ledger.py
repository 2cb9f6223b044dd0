"""`doctor` compares the ledger of test with the finished runs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from rag_lightning.core.files import write_sealed
from rag_lightning.doctor import machine
from tests.run_folders import BLANK


@pytest.mark.parametrize(("split", "lost"), [("test", 1), ("test2", 1), ("dev", 0)])
def test_a_run_on_test_that_the_ledger_lacks_is_told(tmp_path: Path, split: str, lost: int) -> None:
    folder = tmp_path / "runs" / "s" / f"{split}-a"
    folder.mkdir(parents=True)
    write_sealed(folder / "run.json", {**json.loads(json.dumps(BLANK)), "split": split, "status": "finished"})
    write_sealed(folder / "summary.json", {"metrics": {}, "slices": {}})
    found = [one for one in machine._names(tmp_path, "") if one.state == "damaged"]
    assert len(found) == lost
    assert all(f"lacks 1 finished runs on test, the first {folder.name}" in one.detail for one in found)
