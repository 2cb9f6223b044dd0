"""Two runs of a sweep on one machine make the same files: vectors, indexes, weights, predictions, scores, tables."""

from __future__ import annotations

import csv
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from rag_lightning.core.artifacts import MANIFEST
from rag_lightning.core.files import file_sha256
from rag_lightning.stages.training_start import RAG_FILE

ROOT = Path(__file__).parents[2]
SWEEP = """
import sys
from pathlib import Path
import torch
from rag_lightning.report.command import run as report
from rag_lightning.sweep.run import run
from tests.tiny_project import sweep
torch.set_num_threads(1)
config = sweep(*map(Path, sys.argv[1:]))
run(config)
report(config)
"""
RATES = ("retrieval_share", "pairs_per_second")
"""What rag.json holds of measured time."""
MEASURED = ("cost", "bm25_scale")
"""Kinds of artifacts that hold seconds."""
SECONDS = re.compile(r"s/query|ms/query|.*\b(s|ms|seconds)\b.*")
"""Heads of columns of measured times."""


def swept(root: Path, data: Path, bert: Path, hashing: int) -> Path:
    """The folder of a project in which another process has run the tiny sweep."""
    command = [sys.executable, "-c", SWEEP, str(root), str(data), str(bert)]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "PYTHONHASHSEED": str(hashing), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return root


def without(value: Any) -> Any:
    """A value of rag.json without rates."""
    return {key: one for key, one in value.items() if key not in RATES} if isinstance(value, dict) else value


def contents(root: Path) -> dict[str, Any]:
    """Every file of the artifacts -> its digest; a manifest without its times."""
    found: dict[str, Any] = {}
    for file in sorted((root / "artifacts").rglob("*")):
        name = file.relative_to(root / "artifacts")
        if not file.is_file() or name.parts[0] in MEASURED or file.suffix in (".lock", ".sqlite"):
            continue
        found[name.as_posix()] = file_sha256(file)
        if file.name == MANIFEST:
            manifest = json.loads(file.read_text())
            found[name.as_posix()] = {key: manifest[key] for key in ("digest", "config", "inputs")}
        elif file.name == RAG_FILE:
            info = json.loads(file.read_text())
            found[name.as_posix()] = {key: without(value) for key, value in info.items()}
    return found


@pytest.fixture(scope="module")
def twice(tiny_data: Path, bert_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    first, second = tmp_path_factory.mktemp("first"), tmp_path_factory.mktemp("second")
    return swept(first, tiny_data, bert_folder, 1), swept(second, tiny_data, bert_folder, 2)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_every_artifact_is_the_same(twice: tuple[Path, Path]) -> None:
    first, second = map(contents, twice)
    kinds = {name.split("/")[0] for name in first}
    assert {"corpus", "vectors", "index", "reader", "model", "rankings", "predictions", "scores"} <= kinds
    assert first == second


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_every_table_is_the_same(twice: tuple[Path, Path]) -> None:
    first, second = ({p.relative_to(r): p for p in r.glob("reports/**/*.csv")} for r in twice)
    assert first and first.keys() == second.keys()
    for name in first:
        assert without_times(first[name]) == without_times(second[name]), name


def without_times(table: Path) -> list[list[str]]:
    """The rows of a CSV without its columns of measured times."""
    with table.open(encoding="utf-8", newline="") as handle:
        rows = list(csv.reader(handle))
    return [[cell for cell, head in zip(row, rows[0], strict=True) if not SECONDS.fullmatch(head)] for row in rows]
