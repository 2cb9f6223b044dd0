"""encoder.stored=float16: half the bytes, and everything that reads vectors reads the rounded ones."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from rag_lightning.config.experiment import ExperimentConfig
from rag_lightning.core.arrays import Halves
from rag_lightning.retrieval.embed import VECTORS
from rag_lightning.stages import embed, index, retrieve, vectors
from rag_lightning.stages.workspace import Workspace
from tests.foreign_vectors import quiet


def stored(tiny: ExperimentConfig, how: Any, kind: str = "flat", **options: Any) -> Workspace:
    return quiet(replace(tiny, encoder=replace(tiny.encoder, normalize=True, stored=how)), kind, **options)


def test_half_precision_is_another_artifact_of_half_the_size(tiny: ExperimentConfig) -> None:
    whole, halves = (embed.build(stored(tiny, how)) for how in ("float32", "float16"))
    assert whole.digest != halves.digest and "encoder.stored" not in whole.manifest["config"]
    sizes = [(artifact.path / VECTORS).stat().st_size - 128 for artifact in (whole, halves)]
    assert sizes[0] == 2 * sizes[1] and halves.info["stored"] == "float16"
    both = [np.asarray(vectors.read(artifact)) for artifact in (whole, halves)]
    assert both[1].tobytes() == both[0].astype(np.float16).astype(np.float32).tobytes()
    assert np.abs(both[1] - both[0]).max() <= 2.0**-11  # numbers of unit vectors, rounded to 11 bits


@pytest.mark.parametrize(("kind", "options"), [("flat", {}), ("sq8", {"refine": 8}), ("hnsw", {})])
def test_scores_are_exact_for_the_stored_vectors(tiny: ExperimentConfig, kind: str, options: dict[str, Any]) -> None:
    work = stored(tiny, "float16", kind, **options)
    passages = np.asarray(vectors.mapped(embed.build(work)))
    queries = passages[:9] + np.float32(0.01)
    opened = index.open_index(work)
    scores, rows = opened.search(queries, 5)
    products = queries @ passages.T
    np.testing.assert_allclose(scores, np.take_along_axis(products, rows, axis=1), atol=1e-6)
    if kind != "hnsw":
        np.testing.assert_allclose(scores, -np.sort(-products, axis=1)[:, :5], atol=1e-6)
        assert isinstance(opened.vectors, Halves)


@pytest.mark.parametrize("kind", ["oracle", "hybrid"])
def test_retrievers_that_read_vectors_read_them(tiny: ExperimentConfig, kind: str) -> None:
    work = stored(tiny, "float16")
    work = replace(work, config=replace(work.config, retriever=replace(work.config.retriever, kind=kind)))
    rankings = retrieve.read(retrieve.build(work, "dev", "pretrained"))
    assert rankings and all(len(one.rows) > 0 for one in rankings)
