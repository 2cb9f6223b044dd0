"""Retrieval by query vectors that another project's encoder made: an index is searched, and no query is encoded.

Files of vectors are .npy, .npz or parquet; each vector has the id of its question, beside it in the file or in a file
of ids. Only the questions of these files can be asked.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from rag_lightning.config.fields import setting
from rag_lightning.core.errors import ConfigError, DataError
from rag_lightning.core.files import file_digest
from rag_lightning.index.checks import check_k
from rag_lightning.index.index import Floats, Index
from rag_lightning.retrieval.retriever import (
    Asked,
    Hits,
    Parts,
    QuestionRetriever,
    RetrieverKind,
    Searched,
    search,
)
from rag_lightning.retrieval.vector_checks import finite
from rag_lightning.retrieval.vector_files import open_array_file
from rag_lightning.retrieval.vector_ids import read_ids

FIELD = "retriever.query_vectors"


@dataclass(frozen=True)
class Vectors(RetrieverKind):
    """Query vectors of files and an index over passage vectors; encoder.score_scale is the factor of their products.

    Args:
        query_vectors: Files of query vectors (.npy, .npz, parquet) for retriever.kind=vectors, with the ids of the
            questions beside them; an id is that of one question in all splits.
        query_ids: Files of ids, one for each file of query_vectors; empty where those hold their own.
    """

    title: ClassVar[str] = "given query vectors"
    searches: ClassVar[Searched] = ("index",)
    scale: ClassVar[Literal["encoder", "bm25", "configured", ""]] = "configured"
    reads: ClassVar[tuple[str, ...]] = ("encoder.score_scale", "index.")
    query: ClassVar[str] = "given vectors"
    answers_new: ClassVar[bool] = False

    query_vectors: tuple[str, ...] = setting((), digest="by content")
    query_ids: tuple[str, ...] = setting((), digest="by content")

    @property
    def files(self) -> tuple[str, ...]:
        """The files of vectors and of ids.

        Raises:
            ConfigError: none, or not as many of one as of the other.
        """
        if not self.query_vectors:
            raise ConfigError(f"retriever.kind=vectors needs vectors of the questions; set {FIELD} to their files")
        if self.query_ids and len(self.query_ids) != len(self.query_vectors):
            counts = f"{len(self.query_ids)} files for {len(self.query_vectors)} of {FIELD}"
            raise ConfigError(f"retriever.query_ids names {counts}; give one for each, or none")
        return (*self.query_vectors, *self.query_ids)

    def open(self, parts: Parts) -> QuestionRetriever:
        """Search with the vector of each question."""
        return GivenVectors(*self._read(), parts.index())

    def check(self, asked: Sequence[Asked], width: int) -> None:
        """Raise ConfigError or DataError, unless each question has a vector of this width and an id of its own."""
        vectors, rows = self._read()
        if vectors.shape[1] != width:
            problem = f"holds vectors of width {vectors.shape[1]}; the passages' are {width} wide"
            raise DataError(self.query_vectors[0], problem, field="shape", hint="give those of the same encoder")
        texts: dict[str, str] = {}
        for question in asked:
            if texts.setdefault(question.example_id, question.query) != question.query:
                two = f"{texts[question.example_id][:60]!r} and {question.query[:60]!r}"
                problem = f"id {question.example_id!r} is that of two questions, {two}"
                raise ConfigError(f"{FIELD}: {problem}; give each question of all splits an id of its own")
        _check_known(asked, rows)

    def _read(self) -> tuple[Floats, Mapping[str, int]]:
        digests = tuple(file_digest(Path(name)) for name in self.files)
        return read_query_vectors(self.query_vectors, self.query_ids, digests)


@lru_cache(maxsize=4)
def read_query_vectors(
    files: tuple[str, ...], ids: tuple[str, ...], digests: tuple[str, ...]
) -> tuple[Floats, Mapping[str, int]]:
    """[Q, D] float32 of all files, and the row of each id.

    Args:
        files: .npy, .npz or parquet.
        ids: A file of ids for each; empty for their own.
        digests: Digests of all these files, so that a file that has changed is read again.

    Raises:
        DataError: a file that cannot be read, vectors without ids, of another width or not finite, or an id twice.
    """
    parts: list[Floats] = []
    rows: dict[str, int] = {}
    for place, name in enumerate(files):
        path, source = Path(name), Path(ids[place] if ids else name)
        vectors, listed = _read_one(path, Path(ids[place]) if ids else None)
        if len(listed) != len(vectors):
            raise DataError(source, f"has {len(listed):,} ids for {len(vectors):,} vectors", field="id")
        if parts and vectors.shape[1] != parts[0].shape[1]:
            problem = f"holds vectors of width {vectors.shape[1]}, those of {files[0]} are {parts[0].shape[1]} wide"
            raise DataError(path, problem, field="shape", hint="give those of one encoder")
        start = sum(map(len, parts))
        for row, identifier in enumerate(listed):
            if rows.setdefault(identifier, start + row) != start + row:
                raise DataError(source, "is there twice", row=row + 1, field="id", value=identifier)
        parts.append(vectors)
    return np.concatenate(parts), rows


def _read_one(path: Path, ids: Path | None) -> tuple[Floats, list[str]]:
    given = open_array_file(path)
    blocks = [np.zeros((0, given.shape[1]), dtype=np.float32)]
    for block in given.blocks():
        blocks.append(finite(path, block, sum(map(len, blocks))))
    vectors: Floats = np.concatenate(blocks)
    if ids is None and given.ids is None:
        hint = "give the id of each question's vector: retriever.query_ids FILE, or an array or column ids beside it"
        raise DataError(path, "holds vectors without ids", hint=hint)
    return vectors, list(read_ids(ids) if ids else given.ids() if given.ids else ())


def _check_known(asked: Sequence[Asked], rows: Mapping[str, int]) -> None:
    missing = [question for question in asked if question.example_id not in rows]
    if missing:
        first = f"the first is {missing[0].example_id!r}: {missing[0].query[:60]!r}"
        hint = "give vectors of all questions that are asked, with the ids that the files of questions have"
        raise ConfigError(f"{FIELD} has no vector of {len(missing):,} of {len(asked):,} questions, {first}; {hint}")


class GivenVectors:
    """Searches with the vectors that questions have by their ids.

    Args:
        vectors: [Q, D] float32.
        rows: Id of a question -> row of its vector.
        index: An index over vectors of the same width.

    Raises:
        ConfigError: the index's vectors are of another width.
    """

    def __init__(self, vectors: Floats, rows: Mapping[str, int], index: Index) -> None:
        if vectors.shape[1] != index.dim:
            raise ConfigError(f"{FIELD} holds vectors {vectors.shape[1]} wide, the index {index.dim}")
        self.vectors, self.rows, self.index = vectors, rows, index

    def retrieve(self, asked: Sequence[Asked], k: int) -> list[Hits]:
        """As QuestionRetriever.

        Raises:
            ConfigError: also a question without a vector.
        """
        check_k(k, self.index.ntotal)
        _check_known(asked, self.rows)
        if not asked:
            return []
        wanted: NDArray[np.int64] = np.array([self.rows[question.example_id] for question in asked])
        return search(self.index, self.vectors[wanted], k)
