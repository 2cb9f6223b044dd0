"""Memory as the bench counts it: the process's own apart from pages of files, and a peak without what was there."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from rag_lightning.bench.memory import EACH, MIB, Peak, memory
from tests.index_kinds import KINDS

COUNT, WIDTH, EXTRA = 200_000, 256, 400
"""Vectors of 195 MiB, and MiB that a build may take beside its index: about two copies of the vectors, and less than
half of the GiB that is promised."""
VALUES = {"factory": "PCA64,SQ8", "pq": "PQ16x6np", "nlist": 128, "ef_construction": 20, "m": 8}


def test_a_peak_is_what_was_allocated_and_freed_within_it() -> None:
    held = np.ones(64 * MIB, np.uint8)
    with Peak() as peak:
        more = np.ones(96 * MIB, np.uint8)
        time.sleep(10 * EACH)
        del more
        less = np.ones(16 * MIB, np.uint8)
    assert 95 <= peak.mib <= 100, (held.size, less.size)


def test_pages_of_files_are_not_the_process_own(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.ones(64 * MIB, np.uint8))
    before = memory()
    with Peak() as peak:
        mapped = np.load(tmp_path / "a.npy", mmap_mode="r")
        assert int(mapped.sum()) == 64 * MIB
    after = memory()
    assert peak.mib < 8 and after["mapped"] - before["mapped"] > 60


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("many") / "vectors.npy"
    rng = np.random.default_rng(0)
    vectors = rng.standard_normal((256, WIDTH), dtype=np.float32)[rng.integers(0, 256, COUNT)]
    np.save(file, vectors + 0.5 * rng.standard_normal((COUNT, WIDTH), dtype=np.float32))
    return file


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("kind", KINDS)
def test_a_build_takes_the_index_and_little_more(kind: str, many: Path, tmp_path: Path) -> None:
    """A process for each build; the vectors are mapped, and are not the process's own."""
    asked, answer = tmp_path / "request.json", tmp_path / "answer.json"
    request = {"vectors": str(many), "folder": str(tmp_path), "kind": kind, "options": VALUES, "threads": 1}
    asked.write_text(json.dumps(request))
    subprocess.run([sys.executable, "-m", "rag_lightning.bench.child", "build", asked, answer], check=True)
    found = json.loads(answer.read_text())
    assert 0 < found["build_mib"] <= found["bytes"] / MIB + EXTRA
