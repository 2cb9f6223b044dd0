"""Stages that compute one vector per corpus row, for a given passage encoder."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rag_lightning.config.digesting import settings
from rag_lightning.core.arrays import open_floats
from rag_lightning.core.artifacts import Artifact
from rag_lightning.core.console import progress
from rag_lightning.core.devices import device_class
from rag_lightning.core.errors import ConfigError, DataError
from rag_lightning.core.files import file_digest, file_sha256
from rag_lightning.core.hardware import resolve_dtype
from rag_lightning.core.stage import Bound, Stage
from rag_lightning.index.checks import check_vectors
from rag_lightning.retrieval.corpus_vectors import corpus_order, write_vectors
from rag_lightning.retrieval.embed import SHARD_SIZE, VECTORS, Crew, embed_corpus
from rag_lightning.retrieval.encoders import Role, TextEncoder
from rag_lightning.retrieval.on_ray import Actors
from rag_lightning.retrieval.vector_files import open_array_file
from rag_lightning.retrieval.vector_ids import read_ids
from rag_lightning.stages import corpus, together
from rag_lightning.stages.embed_parts import Processes
from rag_lightning.stages.workspace import Workspace


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
        found: dict[str, str | Bound[Workspace]] = {"corpus": corpus.STAGE.at(workspace)}
        return found | (_file_inputs(workspace) or {"model": passage_encoder(workspace).identity})

    def make(workspace: Workspace, folder: Path) -> dict[str, Any]:
        encoder = workspace.config.encoder
        if encoder.passage_vectors:
            return _from_file(workspace, folder)
        dtype: Any = resolve_dtype(encoder.dtype, device_class(workspace.device))
        source = passage_encoder(workspace).source
        model = TextEncoder(replace(encoder, dtype=dtype), source, "passage").to(workspace.device)
        crew: Crew | None = Actors(encoder, source) if encoder.engine == "ray" else None
        if together.is_shared(workspace.config):
            crew = Processes(workspace, folder, source)
        with progress("embedding", "passages") as report:
            passages, tokens = corpus.open_store(workspace), encoder.tokens_per_batch
            return embed_corpus(model, passages, folder, tokens, dtype, report, SHARD_SIZE, encoder.stored, crew)

    return Stage("vectors", 2, _settings, inputs, make, resumable=True, check=_check, check_data=together.check)


def _settings(workspace: Workspace) -> dict[str, Any]:
    """The fields of the configuration, of which only `stored` has an effect on vectors that are given."""
    found = settings(workspace.config, "vectors")
    given = workspace.config.encoder.passage_vectors
    return {path: value for path, value in found.items() if not given or path == "encoder.stored"}


def _check(workspace: Workspace) -> None:
    encoder = workspace.config.encoder
    if encoder.engine == "ray" and together.is_shared(workspace.config):
        raise ConfigError("encoder.engine=ray shares embedding out itself; set devices and num_nodes to 1")
    if encoder.passage_vectors and workspace.config.biencoder.steps:
        raise ConfigError("encoder.passage_vectors are of an encoder that is not trained here; set biencoder.steps=0")
    if encoder.passage_ids and not encoder.passage_vectors:
        raise ConfigError("encoder.passage_ids needs the vectors that it names; set encoder.passage_vectors")


def _file_inputs(workspace: Workspace) -> dict[str, str | Bound[Workspace]]:
    encoder = workspace.config.encoder
    files = {"passage_vectors": encoder.passage_vectors, "passage_ids": encoder.passage_ids}
    return {name: file_digest(Path(file)) for name, file in files.items() if file}


def _from_file(workspace: Workspace, folder: Path) -> dict[str, Any]:
    """The vectors of encoder.passage_vectors, in the order of the corpus; no passage is encoded to check them.

    Raises:
        DataError: a file that cannot be read, of another number of vectors, or ids that are not the corpus's.
    """
    encoder, store = workspace.config.encoder, corpus.open_store(workspace)
    given, ids = open_array_file(Path(encoder.passage_vectors)), encoder.passage_ids
    if given.shape[0] != len(store):
        problem = f"holds {given.shape[0]:,} vectors; the corpus has {len(store):,} passages"
        raise DataError(given.path, problem, field="shape", hint="give the corpus that they were made for")
    listed = read_ids(Path(ids)) if ids else given.ids() if given.ids else None
    if listed is None:
        workspace.announce(f"{given.path.name} has no ids: its vectors are taken in the order of the corpus")
    order = corpus_order(store, listed, Path(ids) if ids else given.path)
    with progress("importing", "vectors") as report:
        write_vectors(given, order, folder / VECTORS, report, encoder.stored)
    source = {"file": given.path.name, "sha256": file_sha256(given.path), "layout": given.layout}
    made = {"passages": len(store), "dim": given.shape[1], "dtype": given.dtype, "imported": source}
    return made | {"seconds": 0.0, "passages_per_second": 0.0, "reused": 0}


PRETRAINED = vectors_stage(lambda workspace: pretrained(workspace, "passage"))


def mapped(artifact: Artifact) -> NDArray[np.float32]:
    """[N, D] float32, memory-mapped, as they were checked when they were written.

    Raises:
        DataError: not float32.
    """
    return open_floats(artifact.path / VECTORS)


def read(artifact: Artifact) -> NDArray[np.float32]:
    """[N, D] float32, memory-mapped, checked.

    Raises:
        DataError: not float32 or not finite, naming the row.
    """
    vectors = mapped(artifact)
    check_vectors(vectors, source=artifact.path / VECTORS)
    return vectors
