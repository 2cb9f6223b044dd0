"""Stages that compute one float32 vector per corpus row, for a given passage encoder."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rag_lightning.core.artifacts import Artifact
from rag_lightning.core.console import progress
from rag_lightning.core.hardware import resolve_dtype
from rag_lightning.core.stage import Bound, Stage
from rag_lightning.index.index import check_vectors
from rag_lightning.retrieval.embed import VECTORS, embed_corpus
from rag_lightning.retrieval.encoders import Role, TextEncoder
from rag_lightning.stages import corpus
from rag_lightning.stages.workspace import Workspace, config_stage


@dataclass(frozen=True)
class Start:
    """An encoder to start from. It is built or downloaded only when its source is read.

    Args:
        identity: Digest of an external model, or the stage that trains the encoder.
        open: Function that returns its folder or hub name, and its score_scale.
    """

    identity: str | Bound[Workspace]
    open: Callable[[], tuple[Path | str, float]]

    @property
    def source(self) -> Path | str:
        """Its folder or hub name."""
        return self.open()[0]

    @property
    def score_scale(self) -> float:
        """The factor of its inner products."""
        return self.open()[1]


def pretrained(workspace: Workspace, role: Role) -> Start:
    """The configured query or passage encoder without any training of ours."""
    encoder = workspace.config.encoder
    name = encoder.passage_model or encoder.model if role == "passage" else encoder.model
    return Start(workspace.model_digest(name), lambda: (workspace.model_source(name), encoder.score_scale))


def vectors_stage(passage_encoder: Callable[[Workspace], Start]) -> Stage[Workspace]:
    """The stage that embeds the corpus with a passage encoder; an interrupted build continues after its last shard."""

    def inputs(workspace: Workspace) -> dict[str, str | Bound[Workspace]]:
        return {"corpus": corpus.STAGE.at(workspace), "model": passage_encoder(workspace).identity}

    def make(workspace: Workspace, folder: Path) -> dict[str, Any]:
        encoder = workspace.config.encoder
        dtype: Any = resolve_dtype(encoder.dtype)
        model = TextEncoder(replace(encoder, dtype=dtype), passage_encoder(workspace).source, "passage")
        with progress("embedding", "passages") as report:
            passages = corpus.open_store(workspace)
            return embed_corpus(model, passages, folder, encoder.tokens_per_batch, dtype, report)

    return config_stage("vectors", 2, inputs, make, resumable=True)


PRETRAINED = vectors_stage(lambda workspace: pretrained(workspace, "passage"))


def read(artifact: Artifact) -> NDArray[np.float32]:
    """[N, D] float32, memory-mapped.

    Raises:
        DataError: not float32 or not finite, naming the row.
    """
    path = artifact.path / VECTORS
    vectors: NDArray[np.float32] = np.load(path, mmap_mode="r")
    check_vectors(vectors, source=path)
    return vectors
