"""Projects of 64 passages: one that is trained, and one whose vectors other projects have computed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from rag_lightning.config.experiment import ExperimentConfig
from rag_lightning.stages import embed
from tests.foreign_vectors import Vectors, project_in, quiet
from tests.tiny_project import experiment, questions, write_data, write_lines

WITHOUT_GOLD = {"train": (0, 3, 4), "dev": (1,)}
"""Questions of a split that name no gold passage."""


@pytest.fixture(scope="session")
def ours(tmp_path_factory: pytest.TempPathFactory, bert_folder: Path) -> Vectors:
    """The vectors that the project would compute itself."""
    return np.array(embed.open_vectors(quiet(project_in(tmp_path_factory.mktemp("ours"), bert_folder))))


@pytest.fixture
def tiny(tmp_path: Path, bert_folder: Path) -> ExperimentConfig:
    """The project, of which nothing is built."""
    return project_in(tmp_path, bert_folder)


@pytest.fixture(scope="session")
def project(tmp_path_factory: pytest.TempPathFactory, bert_folder: Path) -> ExperimentConfig:
    """A few steps of everything; its stages are shared."""
    folder = tmp_path_factory.mktemp("systems")
    write_data(folder / "data")
    for split, bare in WITHOUT_GOLD.items():
        rows = questions(split)
        for i in bare:
            del rows[i]["gold_passage_id"]
        write_lines(folder / "data" / f"{split}.jsonl", rows)
    base = experiment(folder, folder / "data", bert_folder)
    return replace(
        base,
        reader=replace(base.reader, steps=12),
        train=replace(base.train, steps=2, eval_every=2),
        decoding=replace(base.decoding, k=2),
    )
