"""Artifact `vectors`: one float32 vector per corpus row, by whichever passage encoder is asked for."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rag_lightning.config.experiment import to_dict
from rag_lightning.core.artifacts import Artifact, Recipe
from rag_lightning.core.hardware import resolve_dtype
from rag_lightning.corpus.store import PassageStore
from rag_lightning.index.index import check_vectors
from rag_lightning.retrieval.embed import VECTORS, embed_corpus
from rag_lightning.retrieval.encoders import Role, TextEncoder
from rag_lightning.stages import corpus
from rag_lightning.stages.workspace import Workspace, progress

VERSION = 1
FIELDS = ("pooling", "normalize", "passage_prefix", "max_passage_length")


@dataclass(frozen=True)
class Start:
    """An encoder's folder or hub name, the score_scale that goes with it, and what identifies both."""

    source: Path | str
    score_scale: float
    digest: str


def as_it_comes(workspace: Workspace, role: Role) -> Start:
    """The configured query or passage encoder without any training of ours."""
    encoder = workspace.config.encoder
    name = encoder.passage_model or encoder.model if role == "passage" else encoder.model
    return Start(workspace.model_source(name), encoder.score_scale, workspace.model_digest(name))


def build(workspace: Workspace, start: Start) -> Artifact:
    """The vectors of the corpus under a passage encoder; an interrupted run continues by shards."""
    encoder = workspace.config.encoder
    passages = corpus.build(workspace)
    dtype = resolve_dtype(encoder.dtype)
    settings = {field: to_dict(encoder)[field] for field in FIELDS} | {"dtype": dtype}
    inputs = {"corpus": passages.digest, "model": start.digest}

    def make(folder: Path) -> dict[str, Any]:
        model = TextEncoder(replace(encoder, dtype=dtype), start.source, "passage")  # type: ignore[arg-type]
        with progress("embedding", "passages") as report:
            return embed_corpus(model, PassageStore(passages.path), folder, encoder.tokens_per_batch, dtype, report)  # type: ignore[arg-type]

    return workspace.store.build(Recipe("vectors", settings, inputs, VERSION), make, resumable=True)


def read(artifact: Artifact) -> NDArray[np.float32]:
    """[N, D] float32, memory-mapped.

    Raises:
        DataError: not float32 or not finite, naming the row.
    """
    path = artifact.path / VECTORS
    vectors: NDArray[np.float32] = np.load(path, mmap_mode="r")
    check_vectors(vectors, source=path)
    return vectors
