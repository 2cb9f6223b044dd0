"""DPR's biencoder JSON, and rows that are not it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from rag_lightning.core.errors import DataError
from rag_lightning.core.records import Passage
from rag_lightning.tasks.biencoder import read_biencoder


def context(name: str, **more: Any) -> dict[str, Any]:
    return {"title": f"T {name}", "text": f"text of {name}", "score": 1000, "title_score": 1, "passage_id": name} | more


ROW = {
    "dataset": "nq_train_psgs_w100",
    "question": "big little lies season 2 how many episodes",
    "answers": ["seven"],
    "positive_ctxs": [context("18768923"), context("18768937")],
    "negative_ctxs": [context("30"), context("31")],
    "hard_negative_ctxs": [context("18768937"), context("17820417")],
}


def write(path: Path, rows: Any) -> Path:
    path.write_text(json.dumps(rows), encoding="utf-8")
    return path


def test_a_row_has_its_first_positive_and_its_hard_negatives_before_others(tmp_path: Path) -> None:
    (found,) = read_biencoder(write(tmp_path / "train.json", [ROW]), 2)
    assert found is not None
    assert found.query == ROW["question"]
    assert found.positive == Passage("18768923", "T 18768923", "text of 18768923")
    assert found.right == {"18768923", "18768937"}
    assert [passage.passage_id for passage in found.negatives] == ["17820417", "30"]  # a positive is no negative


def test_a_row_without_positives_is_told_apart(tmp_path: Path) -> None:
    rows = [ROW | {"positive_ctxs": []}, ROW]
    first, second = read_biencoder(write(tmp_path / "train.json", rows), 1)
    assert first is None and second is not None


def test_psg_id_and_missing_ids_are_known_too(tmp_path: Path) -> None:
    bare = {"title": "", "text": "no id"}
    old = {"title": "t", "text": "x", "psg_id": 7}
    (found,) = read_biencoder(write(tmp_path / "t.json", [ROW | {"positive_ctxs": [old], "negative_ctxs": [bare]}]), 3)
    assert found is not None and found.positive.passage_id == "7"
    assert found.negatives[-1] == Passage(" no id", "", "no id")


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ({}, r"row 1.*is not JSON: expected '\['"),
        ([], "is an empty list"),
        (["x"], "row 1.*must be a list of objects"),
        ([ROW, ROW | {"question": " "}], "row 2.*question.*is empty"),
        ([ROW, {"question": "q"}], "row 2.*positive_ctxs.*is missing"),
        ([ROW | {"hard_negative_ctxs": "x"}], "row 1.*hard_negative_ctxs.*must be a list of objects"),
        ([ROW | {"positive_ctxs": [{"title": "t"}]}], r"row 1.*positive_ctxs\.text.*is missing"),
        ([ROW | {"positive_ctxs": [context("1", text="  ")]}], r"row 1.*positive_ctxs\.text.*is empty"),
        ([ROW | {"positive_ctxs": [context("1", title=3)]}], r"row 1.*positive_ctxs\.title.*must be a string"),
        ([ROW | {"positive_ctxs": [context("1", passage_id=[])]}], r"row 1.*positive_ctxs\.passage_id"),
        ([ROW | {"positive_ctxs": [context("1", text="\ud800")]}], "half of a surrogate pair"),
    ],
)
def test_other_layouts_name_row_and_field(tmp_path: Path, rows: Any, said: str) -> None:
    with pytest.raises(DataError, match=said):
        list(read_biencoder(write(tmp_path / "train.json", rows), 1))
