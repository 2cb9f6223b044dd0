"""What an index finds does not depend on the length that its encoder gives all vectors."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from rag_lightning.index.index import build_index
from tests.index_kinds import KINDS, clustered, config

TRAINED = [kind for kind in KINDS if kind.startswith(("ivf", "opq"))]


@pytest.mark.parametrize("kind", [*TRAINED, "IVF20,SQ8", "PCAR24,IVF20_HNSW8,SQ8"])
def test_recall_is_that_of_vectors_of_length_1(kind: str, capfd: pytest.CaptureFixture[str]) -> None:
    chosen = config(kind) if kind in KINDS else replace(config("factory"), options={"factory": kind})
    vectors = clustered()
    exact = np.argsort(-(vectors[:200] @ vectors.T), axis=1, kind="stable")[:, :5]

    def recall(length: float) -> float:
        scaled = vectors * np.float32(length)
        rows = build_index(chosen, scaled).search(scaled[:200].copy(), 5)[1]
        return float(np.mean([len(set(mine) & set(best)) / 5 for mine, best in zip(rows, exact, strict=True)]))

    of_unit = recall(1)
    for length in (0.01, 300):
        assert recall(length) == pytest.approx(of_unit, abs=0.04), length
    assert "WARNING" not in capfd.readouterr().err, "of FAISS"
