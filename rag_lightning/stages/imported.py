"""Vectors and FAISS files of other projects, published where the stages `embed` and `index` look for their own.

`embed --vectors F` and `index --import F` take the place of the embedding of the corpus: the artifact has the digest of
the configuration, and its manifest names the file and its hash. So that it is what that digest stands for, passages
from the first to the last are encoded again and compared. Ids put the vectors into the order of the corpus.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rag_lightning.config.experiment import ExperimentConfig
from rag_lightning.core.arrays import open_floats
from rag_lightning.core.artifacts import Artifact
from rag_lightning.core.console import progress, say
from rag_lightning.core.errors import ConfigError, DataError
from rag_lightning.core.files import check_file, file_sha256
from rag_lightning.corpus.store import PassageStore
from rag_lightning.index.foreign import ForeignIndex, open_foreign
from rag_lightning.index.index import Floats, IndexKind, build_index
from rag_lightning.retrieval.corpus_vectors import corpus_order, write_vectors
from rag_lightning.retrieval.embed import VECTORS
from rag_lightning.retrieval.encoders import TextEncoder
from rag_lightning.retrieval.vector_checks import NEAR, SAMPLE, check_sample, relative_errors
from rag_lightning.retrieval.vector_files import VectorFile, open_vector_file
from rag_lightning.retrieval.vector_ids import read_ids
from rag_lightning.stages import biencoder, corpus, embed, index
from rag_lightning.stages.workspace import Workspace


def import_vectors(workspace: Workspace, path: Path, ids: Path | None) -> Artifact:
    """Publish the vectors of a file as those of the configured corpus and passage encoder.

    Args:
        workspace: Corpus and encoder.
        path: .npy, .npz, parquet, or a raw memory map.
        ids: File with the id of each vector; None for the file's own ids, else the order of the corpus.

    Raises:
        ConfigError: vectors of this configuration exist already.
        DataError: the file cannot be read, or holds other vectors.
    """
    _check_new(workspace, "vectors")
    store, encoder = corpus.open_store(workspace), _encoder(workspace)
    return _publish(workspace, open_vector_file(path, len(store), encoder.dim), ids, store, encoder)


def import_index(workspace: Workspace, path: Path, ids: Path | None) -> Artifact:
    """Publish a FAISS file as the configured index, and its vectors if they are not there yet.

    An index that is what the configuration would build, in the order of the corpus, is taken as it is; from any other
    one the configured index is built with its vectors.

    Args:
        workspace: Corpus, encoder and kind of index.
        path: File of faiss.write_index.
        ids: File with the id of each vector; None for the order of the corpus, or the file's own map of ids.

    Raises:
        ConfigError: an index of this configuration exists already.
        DataError: the file cannot be read, holds other vectors, or quantised ones of another kind.
    """
    _check_new(workspace, "index")
    store, encoder, started = corpus.open_store(workspace), _encoder(workspace), time.perf_counter()
    found, config = open_foreign(path, len(store), encoder.dim), workspace.config.index
    kind: IndexKind = config.made()
    apart = found.differences(kind.empty(len(store), encoder.dim))
    own = None if found.ids is None else (str(one) for one in found.ids)
    order = corpus_order(store, read_ids(ids) if ids else own, ids or path)
    apart += ["its order, not that of the corpus"] if order is not None else []
    if not found.lossless:
        _check_quantised(workspace, found, apart)
    elif embed.STAGE.open(workspace) is None:
        given = VectorFile(path, f"FAISS {found.name}", (len(store), encoder.dim), "float32", found.blocks)
        _publish(workspace, given, ids, store, encoder, order)
    vectors = embed.open_vectors(workspace)
    if found.lossless:
        _check_same(found, vectors, order)

    def make(folder: Path) -> dict[str, Any]:
        built = build_index(config, vectors) if apart else kind.opened_as(config, found.index)
        seconds = round(time.perf_counter() - started, 3)
        return {**built.save(folder), "build_seconds": seconds, "imported": _source(path, f"FAISS {found.name}")}

    if apart:
        workspace.announce(f"{path.name} has {', '.join(apart)}: the index is built anew from its vectors")
    return workspace.store.build(index.STAGE.at(workspace).recipe, make)


def _check_new(workspace: Workspace, kind: str) -> None:
    if named := workspace.config.encoder.passage_vectors:
        raise ConfigError(f"encoder.passage_vectors={named} names the vectors already; clear it to import others")
    stage = {"vectors": embed.STAGE, "index": index.STAGE}[kind]
    if found := stage.open(workspace):
        raise ConfigError(f"{found.path} holds the {kind} of this configuration already; remove it to import others")


def _encoder(workspace: Workspace) -> TextEncoder:
    return (
        TextEncoder(workspace.config.encoder, biencoder.passage_start(workspace).source, "passage")
        .to(workspace.device)
        .eval()
    )


def _source(path: Path, layout: str) -> dict[str, Any]:
    return {"file": path.name, "sha256": file_sha256(path), "layout": layout}


def _publish(
    workspace: Workspace,
    given: VectorFile,
    ids: Path | None,
    store: PassageStore,
    encoder: TextEncoder,
    order: NDArray[np.int64] | None = None,
) -> Artifact:
    """The artifact of vectors; `order` as `corpus_order` gives it, where it is known."""
    if order is None:
        order = corpus_order(store, read_ids(ids) if ids else given.ids() if given.ids else None, ids or given.path)

    def make(folder: Path) -> dict[str, Any]:
        started = time.perf_counter()
        with progress("importing", "vectors") as report:
            write_vectors(given, order, folder / VECTORS, report, workspace.config.encoder.stored)
        vectors = open_floats(folder / VECTORS)
        error = check_sample(vectors, store, encoder, given.path)
        taken = {"seconds": round(time.perf_counter() - started, 3), "passages_per_second": 0.0, "reused": 0}
        checked = {"checked": min(SAMPLE, len(store)), "largest_error": round(error, 5)}
        imported = {**_source(given.path, given.layout), **checked}
        return {"passages": len(store), "dim": encoder.dim, "dtype": given.dtype, **taken, "imported": imported}

    return workspace.store.build(embed.STAGE.at(workspace).recipe, make)


def _check_same(found: ForeignIndex, vectors: Floats, order: NDArray[np.int64] | None) -> None:
    """Raise DataError unless an index holds the published vectors."""
    for start, block in found.stored():
        rows = np.arange(start, start + len(block))
        wanted = vectors[rows if order is None else order[rows]]
        _refuse(found, rows, ~(relative_errors(block[:, : vectors.shape[1]], wanted) <= NEAR))


def _check_quantised(workspace: Workspace, found: ForeignIndex, apart: list[str]) -> None:
    """Raise unless a quantised index is what the configuration would build, over vectors that are there."""
    if apart:
        problem = f"is an {found.name}, which does not keep its vectors, and no other index can be made of it"
        own = f"set index.kind and its options to its own ({'; '.join(apart)}; kind factory takes any factory string)"
        hint = f"{own}, or give the vectors: embed --vectors"
        raise DataError(found.path, problem, hint=hint)
    if embed.STAGE.open(workspace) is None:
        hint = "import them first: embed --vectors FILE, or embed the corpus"
        raise DataError(found.path, f"is an {found.name}, which does not keep its vectors", hint=hint)
    vectors = embed.open_vectors(workspace)
    rows = np.unique(np.linspace(0, len(vectors) - 1, SAMPLE).astype(np.int64))
    held, wanted = found.rows(rows), vectors[rows]
    distances = np.stack([np.linalg.norm(wanted - one, axis=1) for one in held])
    nearest = distances.diagonal() <= distances.min(axis=1)
    same = relative_errors(held, found.coded(wanted)) <= NEAR  # coarse codes may be nearer to the vector of another row
    _refuse(found, rows, ~(nearest | same))


def _refuse(found: ForeignIndex, rows: NDArray[np.int64], wrong: NDArray[np.bool_]) -> None:
    if wrong.any():
        problem = "is not the vector of its passage in the artifact of vectors"
        hint = "give the index over these vectors, in the order of the corpus or with --ids FILE"
        raise DataError(found.path, problem, row=int(rows[int(wrong.argmax())]) + 1, hint=hint)


def _describe(artifact: Artifact) -> str:
    source = artifact.info["imported"]
    checked = f", {source['checked']} passages encoded again" if "checked" in source else ""
    return f"from {source['file']} ({source['layout']}{checked})"


def run_embed(config: ExperimentConfig, vectors: str = "", ids: str = "") -> None:
    """Command `embed`: embed the corpus, or publish the vectors of a file, and print what was made.

    Args:
        config: The experiment.
        vectors: File of vectors; empty to embed.
        ids: File with the id of each vector.

    Raises:
        ConfigError: ids without vectors.
    """
    made = _imported(config, import_vectors, vectors, ids, "vectors that it names; give --vectors")
    if made is None:
        embed.run(config)
    else:
        say(f"{made.info['passages']} vectors {_describe(made)}: {made.path}")


def run_index(config: ExperimentConfig, imported: str = "", ids: str = "") -> None:
    """Command `index`: build the configured index, or publish a FAISS file, and print what was made.

    Args:
        config: The experiment.
        imported: FAISS file; empty to build.
        ids: File with the id of each vector.

    Raises:
        ConfigError: ids without an index.
    """
    made = _imported(config, import_index, imported, ids, "index that it names; give --import")
    if made is None:
        index.run(config)
    else:
        say(f"{made.info['bytes'] / 1e6:.1f} MB {_describe(made)}: {made.path}")


def _imported(
    config: ExperimentConfig,
    publish: Callable[[Workspace, Path, Path | None], Artifact],
    file: str,
    ids: str,
    what: str,
) -> Artifact | None:
    """The artifact that a file is published as; None without a file.

    Raises:
        ConfigError: ids without a file.
        DataError: a file is missing or empty.
    """
    if ids and not file:
        raise ConfigError(f"--ids needs the {what} FILE")
    for given in filter(None, (file, ids)):
        check_file(Path(given))  # before models and passages are fetched
    return publish(Workspace(config), Path(file), Path(ids) if ids else None) if file else None
