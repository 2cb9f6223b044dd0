"""A sweep and a claim on the tiny project, from files to tables: the numbers as recorded, but for measured times."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from rag_lightning.tracking import track
from tests.golden import names
from tests.golden.comparing import compare, renamed
from tests.golden.driving import call, not_worse, retrieval, runs, table
from tests.golden.recorded import recorded_or
from tests.golden.spaces import NAME, claims, sweep
from tests.run_folders import NoMirror, svg_only


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory, tiny_data: Path, bert_folder: Path) -> Path:
    """The folder of a sweep that has run, with its report."""
    root = tmp_path_factory.mktemp("golden_sweep")
    file = root / "sweep.yaml"
    file.write_text(yaml.safe_dump(sweep(root, tiny_data, bert_folder), sort_keys=False), encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(track, "Mirror", NoMirror)
        svg_only(patch)
        call("sweep", names.CONFIG, str(file))
        call("report", names.CONFIG, str(file))
    return root


def label(old: str) -> str:
    """The new label of a system."""
    return names.LABELS[old]


def same(old: str) -> str:
    """A key that is no name of ours."""
    return old


def assert_equal(golden: dict[str, Any], found: dict[str, Any]) -> None:
    """Fails with what differs."""
    differences = list(compare(golden, found))
    assert not differences, "\n".join(differences[:20])


def test_every_point_has_the_scores_it_had(swept: Path) -> None:
    found = runs(swept / names.RUNS / NAME)
    assert_equal(renamed(recorded_or("sweep_runs", found), label, same, names.metric), found)


def test_the_same_points_are_not_worse_than_the_best(swept: Path) -> None:
    found = not_worse(swept / names.RUNS / NAME)
    assert_equal(renamed(recorded_or("sweep_selection", found), label), found)


def test_retrievers_find_what_they_found(swept: Path) -> None:
    found = retrieval(swept / names.RUNS / NAME)
    golden = recorded_or("sweep_retrieval", found)
    assert_equal(renamed(golden, same, names.ENCODERS.__getitem__, names.metric), found)


def test_the_table_holds_the_numbers_it_held(swept: Path) -> None:
    found = table(swept / names.REPORTS / NAME / names.FILES["table"])
    assert_equal(renamed(recorded_or("sweep_table", found), label, names.column), found)


def test_a_claim_is_tested_with_the_numbers_it_was(
    swept: Path, tiny_data: Path, bert_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(track, "Mirror", NoMirror)
    svg_only(monkeypatch)
    file, matrix = claims(swept / "experiments", swept, tiny_data, bert_folder)
    words = (names.FILE, str(file), names.MATRIX, str(matrix), names.SPLIT, "test", names.FOLDER, str(swept))
    call("claims", *words)
    tables = (swept / names.REPORTS).rglob(names.FILES["table"])
    (written,) = (path for path in tables if NAME not in path.parts)
    found = {
        row: {name: value for name, value in cells.items() if name != "test"} for row, cells in table(written).items()
    }
    assert_equal(renamed(recorded_or("claims_table", found), same, names.column), found)
