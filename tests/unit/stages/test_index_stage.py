"""Stage `index`: what its artifact holds and how it is opened, beside the kinds themselves."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rag_lightning.config.experiment import ExperimentConfig
from rag_lightning.core.errors import ConfigError, DataError
from rag_lightning.index import building
from rag_lightning.retrieval.embed import VECTORS
from rag_lightning.stages import embed, index, retrieve, vectors
from rag_lightning.stages.workspace import Workspace
from tests.foreign_vectors import quiet


def at(tiny: ExperimentConfig, kind: str, **options: Any) -> Workspace:
    return quiet(replace(tiny, encoder=replace(tiny.encoder, normalize=True)), kind, **options)


def test_refinement_makes_doc_scores_exact_on_one_built_index(tiny: ExperimentConfig) -> None:
    coarse, refined, flat = at(tiny, "sq8"), at(tiny, "sq8", refine=8), at(tiny, "flat")
    assert index.STAGE.digest(coarse) == index.STAGE.digest(refined)
    digests = [retrieve.stage("pretrained").digest(work.on("dev")) for work in (coarse, refined)]
    assert digests[0] != digests[1]
    queries = np.array(vectors.mapped(embed.build(flat)))[:9]
    exact, others = (index.open_index(work).search(queries, 5)[0] for work in (flat, coarse))
    np.testing.assert_allclose(index.open_index(refined).search(queries, 5)[0], exact, atol=1e-6)
    assert not np.allclose(others, exact, atol=1e-6)


def test_vectors_that_were_removed_are_embedded_again_to_refine_alone(tiny: ExperimentConfig) -> None:
    index.build(at(tiny, "sq8"))
    shutil.rmtree(embed.build(at(tiny, "sq8")).path)
    fresh = replace(at(tiny, "sq8"), announce=lambda line: None)  # a store of its own
    assert index.open_index(fresh).vectors is None and embed.STAGE.open(fresh) is None
    assert index.open_index(replace(at(tiny, "sq8", refine=2), announce=lambda line: None)).vectors is not None
    assert (Path(embed.build(fresh).path) / VECTORS).exists()


def test_a_killed_build_continues_in_its_folder(tiny: ExperimentConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(building, "BLOCK", 10)
    monkeypatch.setattr(building, "PART_BYTES", 0)
    work = at(tiny, "ivf_sq8", nlist=4)
    whole = index.build(work).manifest["files"]["index.faiss"]["sha256"]
    shutil.rmtree(index.build(work).path)
    filled = building._filled

    def killed(trained: Path, given: Any, rows: range) -> Any:
        if rows.start == 30:
            raise KeyboardInterrupt
        return filled(trained, given, rows)

    again = replace(work, announce=lambda line: None)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(building, "_filled", killed)
        index.build(again)
    monkeypatch.setattr(building, "train", lambda *_: pytest.fail("it is trained already"))
    made = index.build(again)
    assert made.manifest["files"]["index.faiss"]["sha256"] == whole
    assert set(made.manifest["files"]) == {"index.faiss", "index.json"}


def test_vectors_of_another_length_than_the_encoder_gives_are_refused(
    tiny: ExperimentConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    work = at(tiny, "flat")
    long = 2 * np.array(vectors.mapped(embed.build(work)))
    monkeypatch.setattr(vectors, "mapped", lambda artifact: long)
    with pytest.raises(DataError, match=r"row 0: vector has length 2, but encoder\.normalize makes all of length 1"):
        index.build(work)


def test_a_factory_string_is_checked_before_vectors_are_made(tiny: ExperimentConfig) -> None:
    with pytest.raises(ConfigError, match=r"index\.kind=factory needs index\.factory"):
        retrieve.build(at(tiny, "factory"), "dev", "pretrained")
    with pytest.raises(ConfigError, match="FAISS refuses it for width 32"):
        retrieve.build(at(tiny, "factory", factory="IVF4,Flt"), "dev", "pretrained")
    assert not list((Path(tiny.folder) / "artifacts" / "vectors").glob("*"))
