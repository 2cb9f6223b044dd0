"""Stage `embed`: corpus -> artifacts/vectors, with the passage encoder that retrieval uses."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from rag_lightning.config.experiment import ExperimentConfig
from rag_lightning.stages import biencoder, vectors
from rag_lightning.stages.workspace import Workspace

STAGE = vectors.vectors_stage(biencoder.passage_start)
build = STAGE.build


def open_vectors(workspace: Workspace) -> NDArray[np.float32]:
    """[N, D] float32, memory-mapped.

    Raises:
        DataError: not float32 or not finite, naming the row.
    """
    return vectors.read(build(workspace))


def run(config: ExperimentConfig) -> None:
    """Embed the corpus and print the rate and the folder."""
    workspace = Workspace(config)
    artifact = build(workspace)
    info = artifact.info
    rate = f"{info['passages_per_second']}/s, " if info["passages_per_second"] else ""
    workspace.announce(f"{info['passages']} vectors, {rate}{info['dtype']}: {artifact.path}")
