"""Embedding by several processes of this machine or of several: a crew of embed_corpus (retrieval/embed.py)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from rag_lightning.config.experiment import ExperimentConfig
from rag_lightning.core.arrays import open_array
from rag_lightning.core.files import open_atomic
from rag_lightning.retrieval.duplicates import first_of_same
from rag_lightning.retrieval.embed import SHARDS, Embedded, Shard, embed_shard
from rag_lightning.retrieval.encoders import TextEncoder
from rag_lightning.stages import corpus, together
from rag_lightning.stages.workspace import Workspace

PARTS = "parts"


@dataclass(frozen=True)
class Processes:
    """Encodes shards in the processes of `devices` and `num_nodes`; each writes vectors that this one collects.

    Args:
        workspace: Workspace of the stage.
        folder: Folder of the artifact.
        source: Folder or hub name of the passage encoder.
    """

    workspace: Workspace
    folder: Path
    source: Path | str

    def embed(self, shards: Iterable[Shard], dtype: str, tokens_per_batch: int) -> Embedded:
        """As `Crew.embed`, in order.

        Raises:
            JobError: all processes are lost.
            RagLightningError: what a process raised.
        """
        sizes = {start: len(passages) for start, passages in shards}
        if not sizes:
            return
        _part(self.folder, 0).parent.mkdir(exist_ok=True)

        def missing() -> list[int]:
            there = {file.name for file in _part(self.folder, 0).parent.iterdir()}
            return [start for start in sizes if _part(self.folder, start).name not in there]

        given = {"source": str(self.source), "dtype": dtype, "tokens": tokens_per_batch, "size": max(sizes.values())}
        together.finish("embed", self.workspace, self.folder, missing, given)
        for start in sizes:
            yield start, np.array(open_array(_part(self.folder, start), np.float32, 2))
            _part(self.folder, start).unlink()


def embed_share(rank: int, config: ExperimentConfig, folder: Path, values: Mapping[str, Any]) -> None:
    """Embed the shards of one of several processes."""
    workspace, dtype = together.quiet(config), values["dtype"]
    encoder = TextEncoder(replace(config.encoder, dtype=dtype), values["source"], "passage")
    model = encoder.to(workspace.device, getattr(torch, dtype)).eval()
    store = corpus.open_store(workspace)
    first = first_of_same(store)
    rows = np.flatnonzero(first == np.arange(len(first)))
    for start in together.share(rank, values):
        passages = [store[int(row)] for row in rows[start : start + values["size"]]]
        with open_atomic(_part(folder, start)) as handle:
            np.save(handle, embed_shard(passages, model, values["tokens"]))


def _part(folder: Path, start: int) -> Path:
    """The vectors of a shard, with the shards: they go with them when the plan changes."""
    return folder / SHARDS / PARTS / f"{start:010d}.npy"
