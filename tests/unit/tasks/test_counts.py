"""The counts of the specs are those the report knows."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from rag_lightning.tasks.spec import TASKS, get_task

PAPER = yaml.safe_load(Path("reports/paper.yaml").read_text(encoding="utf-8"))
COUNTS = {row["dataset"]: row for row in PAPER["counts"]}


@pytest.mark.parametrize("name", sorted(TASKS))
def test_counts_are_those_of_the_paper_and_of_the_data(name: str) -> None:
    task, known = get_task(name), COUNTS[name]
    assert [task.printed[part] for part in ("train", "dev", "test")] == known["printed"]
    for part, actual in zip(("train", "dev", "test"), known["actual"], strict=True):
        assert actual is None or task.counts[part] == actual
