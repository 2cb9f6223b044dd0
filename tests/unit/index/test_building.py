"""Builds in parts and from samples give what one build gives."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from rag_lightning.index import building
from rag_lightning.index.building import rules_of
from rag_lightning.index.index import Floats, build_index, faiss
from tests.index_kinds import COUNT, DIM, KINDS, clustered, config


@pytest.fixture(scope="module")
def vectors() -> Floats:
    return clustered()


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind.startswith(("ivf", "opq"))])
def test_an_interrupted_build_continues_to_the_same_bytes(
    kind: str, vectors: Floats, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever was added before: parts that are there are not made again, and nothing is left behind."""
    monkeypatch.setattr(building, "BLOCK", 100)
    monkeypatch.setattr(building, "PART_BYTES", 0)
    monkeypatch.setattr(building, "LEAST_POINTS", 300)
    whole = build_index(config(kind), vectors)

    def interrupt(done: int, total: int) -> None:
        if done >= 700:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build_index(config(kind), vectors, report=interrupt, folder=tmp_path)
    made = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "parts").iterdir()}
    assert len(made) == 8, "the trained index and seven parts"
    (tmp_path / "parts" / "000000000700.faiss.tmp").write_bytes(b"cut")
    trained = []
    monkeypatch.setattr(building, "train", lambda *_: trained.append(1))
    with pytest.MonkeyPatch.context() as patch:
        kept = {}
        patch.setattr(building.shutil, "rmtree", lambda parts: kept.update({p.name: p.stat() for p in parts.iterdir()}))
        build_index(config(kind), vectors, folder=tmp_path)
    assert all(kept[name].st_mtime_ns == stamp for name, stamp in made.items())
    joined = build_index(config(kind), vectors, folder=tmp_path)
    assert not list(tmp_path.iterdir())
    one, two = (faiss.serialize_index(index.faiss_index) for index in (whole, joined))
    np.testing.assert_array_equal(one, two)
    assert joined.search(vectors[:5], 1)[1].ravel().tolist() == whole.search(vectors[:5], 1)[1].ravel().tolist()


def test_a_large_sample_is_drawn_once_for_all_builds(vectors: Floats, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(building, "LEAST_POINTS", 200)
    monkeypatch.setattr(building, "POINTS_PER_CELL", 10)
    one, two = (build_index(config("ivf_sq8"), vectors, threads=n).faiss_index for n in (1, 2))
    np.testing.assert_array_equal(faiss.serialize_index(one), faiss.serialize_index(two))
    assert rules_of(config("ivf_sq8").made().empty(COUNT, DIM), COUNT).training == 200
