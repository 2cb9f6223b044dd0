"""Stage `embed`: passages -> artifacts/vectors, one float32 vector per corpus row."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rag_lightning.core.artifacts import Artifact, Recipe
from rag_lightning.core.config import ExperimentConfig, to_dict
from rag_lightning.core.hardware import resolve_dtype
from rag_lightning.corpus.store import PassageStore
from rag_lightning.index.index import check_vectors
from rag_lightning.retrieval.embed import VECTORS, embed_corpus
from rag_lightning.retrieval.encoders import TextEncoder
from rag_lightning.stages import biencoder, corpus
from rag_lightning.stages.progress import progress
from rag_lightning.stages.workspace import Workspace

VERSION = 1
FIELDS = ("pooling", "normalize", "passage_prefix", "max_passage_length")


def build(workspace: Workspace) -> Artifact:
    """The vectors of the corpus under the passage encoder; an interrupted run continues by shards."""
    encoder = workspace.config.encoder
    start = biencoder.passage_start(workspace)
    passages = corpus.build(workspace)
    dtype = resolve_dtype(encoder.dtype)
    settings = {field: to_dict(encoder)[field] for field in FIELDS} | {"dtype": dtype}
    inputs = {"corpus": passages.digest, "model": start.digest}

    def make(folder: Any) -> dict[str, Any]:
        model = TextEncoder(replace(encoder, dtype=dtype), start.source, "passage")  # type: ignore[arg-type]
        with progress("embedding", "passages") as report:
            return embed_corpus(model, PassageStore(passages.path), folder, encoder.tokens_per_batch, dtype, report)  # type: ignore[arg-type]

    return workspace.store.build(Recipe("vectors", settings, inputs, VERSION), make, resumable=True)


def open_vectors(workspace: Workspace) -> NDArray[np.float32]:
    """[N, D] float32, memory-mapped.

    Raises:
        DataError: not float32 or not finite, naming the row.
    """
    path = build(workspace).path / VECTORS
    vectors: NDArray[np.float32] = np.load(path, mmap_mode="r")
    check_vectors(vectors, source=path)
    return vectors


def run(config: ExperimentConfig) -> None:
    """Embed the corpus and say how fast."""
    workspace = Workspace(config)
    artifact = build(workspace)
    info = artifact.info
    workspace.announce(f"{info['passages']} vectors, {info['passages_per_second']}/s, {info['dtype']}: {artifact.path}")
