"""What a retriever is: questions in, the best rows of each out; its kinds, and dense retrieval.

Kinds can be listed without torch, FAISS or bm25s: what they open imports those.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from rag_lightning.config.fields import Section
from rag_lightning.core.errors import ConfigError
from rag_lightning.core.records import Ranking
from rag_lightning.corpus.store import PassageStore
from rag_lightning.index.checks import check_k
from rag_lightning.index.index import Floats, Index

if TYPE_CHECKING:
    from rag_lightning.retrieval.bm25 import BM25Retriever
    from rag_lightning.retrieval.encoders import TextEncoder


Searched = tuple[Literal["index", "bm25", "given"], ...]
"""What a kind of retriever searches: artifacts of these names beside the corpus."""


@dataclass(frozen=True)
class Hits:
    """The passages found for one query, best first: rows [n] int64 (never -1) and scores [n] float32, n <= k."""

    rows: NDArray[np.int64]
    scores: NDArray[np.float32]

    def ranking(self, example_id: str) -> Ranking:
        """The hits as a record of an example."""
        return Ranking(example_id, tuple(map(int, self.rows)), tuple(map(float, self.scores)))


class Retriever(Protocol):
    """Anything that ranks a corpus for a query."""

    def retrieve(self, queries: Sequence[str], k: int) -> list[Hits]:
        """The k best rows of every query, fewer where fewer match.

        Raises:
            ConfigError: k is below 1 or larger than the corpus.
        """


class Asked(Protocol):
    """What is known of a question, of an example as of a training item."""

    @property
    def query(self) -> str:
        """Its text."""

    @property
    def example_id(self) -> str:
        """Whose question it is."""

    @property
    def gold_passage_ids(self) -> tuple[str, ...]:
        """Passages that hold its evidence, none where they are not known."""


class QuestionRetriever(Protocol):
    """Anything that ranks a corpus for a question."""

    def retrieve(self, asked: Sequence[Asked], k: int) -> list[Hits]:
        """The k best rows of every question, fewer where fewer match.

        Raises:
            ConfigError: k is below 1 or larger than the corpus.
        """


class Parts(Protocol):
    """What a kind may be opened from; each part is built when it is asked for."""

    @property
    def seed(self) -> int:
        """Seed of the experiment."""

    @property
    def device(self) -> str:
        """The device of all models."""

    @property
    def store(self) -> PassageStore:
        """The corpus."""

    def dense(self) -> DenseRetriever:
        """The query encoder with the configured index."""

    def vectors(self) -> Floats:
        """[N, D] float32 of the passages."""

    def index(self) -> Index:
        """The index over them: the configured one, in training the flat one."""

    def bm25(self) -> BM25Retriever:
        """Lexical retrieval."""

    def given(self) -> Retriever:
        """The passages that the question files have."""

    def model(self, name: str) -> Path:
        """The folder of a model beside the encoders."""

    def bm25_weight(self) -> float:
        """The weight of BM25 in the scores, as it was fitted on dev."""


@dataclass(frozen=True)
class RetrieverKind(Section):
    """A kind of retriever, with its values; fields are its own part of section `retriever`.

    Attributes:
        title: What tables and notes call it.
        encodes: It searches with the query encoder, which RAG training then trains.
        searches: What it searches, artifacts of their own beside the corpus.
        reads_vectors: It reads the vectors of the passages, too.
        scale: What gives the factor of its scores before training: the encoder, or the one tuned for BM25. No factor is
            trained where it is the configured one (encoder.score_scale), or where scores are taken as they are.
        gold_first: A known gold passage is put first, in training too.
        reads: Fields of the configuration, by how they begin, that decide its rankings.
        trained_as: Kind of retriever that it is trained as; empty for itself.
        query: What stands for a query encoder in tables, of a kind that has none.
        answers_new: It ranks passages for any question, not only for those that it was given.
    """

    PATH: ClassVar[str] = "retriever"
    STAGES: ClassVar[tuple[str, ...]] = ("model", "rankings")
    title: ClassVar[str]
    encodes: ClassVar[bool] = False
    searches: ClassVar[Searched] = ()
    reads_vectors: ClassVar[bool] = False
    scale: ClassVar[Literal["encoder", "bm25", "configured", ""]] = ""
    gold_first: ClassVar[bool] = False
    reads: ClassVar[tuple[str, ...]] = ()
    trained_as: ClassVar[str] = ""
    query: ClassVar[str] = ""
    answers_new: ClassVar[bool] = True

    @property
    def files(self) -> tuple[str, ...]:
        """Files of the user whose content decides its rankings."""
        return ()

    @property
    def models(self) -> tuple[str, ...]:
        """Models beside the encoders that decide its rankings, by folder or hub name."""
        return ()

    @property
    def fitted(self) -> bool:
        """Whether the weight of BM25 in its scores is fitted on dev."""
        return False

    def check(self, asked: Sequence[Asked], width: int) -> None:
        """Check before training that it can rank passages for these questions.

        Args:
            asked: The questions.
            width: Width of the passage vectors.

        Raises:
            ConfigError, DataError: it cannot.
        """

    def open(self, parts: Parts) -> QuestionRetriever:
        """The retriever, made of what it needs."""
        raise NotImplementedError


@dataclass(frozen=True)
class Dense(RetrieverKind):
    """The query encoder and an index over passage vectors."""

    title: ClassVar[str] = "dense retrieval"
    encodes: ClassVar[bool] = True
    searches: ClassVar[Searched] = ("index",)
    scale: ClassVar[Literal["encoder", "bm25", "configured", ""]] = "encoder"
    reads: ClassVar[tuple[str, ...]] = ("encoder.", "index.")

    def open(self, parts: Parts) -> QuestionRetriever:
        """Retrieval by the question's text alone."""
        return ByText(parts.dense())


@dataclass(frozen=True)
class Nothing(RetrieverKind):
    """Closed book."""

    title: ClassVar[str] = "no retrieval"

    def open(self, parts: Parts) -> QuestionRetriever:
        """Raise ConfigError: nothing is retrieved."""
        raise ConfigError("retriever.kind=none retrieves nothing")


class ByText:
    """Retrieval that uses nothing of a question but its text."""

    def __init__(self, retriever: Retriever) -> None:
        self.retriever = retriever

    def retrieve(self, asked: Sequence[Asked], k: int) -> list[Hits]:
        """As QuestionRetriever."""
        return self.retriever.retrieve([question.query for question in asked], k)


class DenseRetriever:
    """Encodes queries and searches an index.

    Args:
        encoder: The query encoder.
        index: An index over vectors of the same width.
        batch_size: Queries encoded together.

    Raises:
        ConfigError: the encoder's vectors are not as wide as the index's.
    """

    def __init__(self, encoder: TextEncoder, index: Index, batch_size: int = 64) -> None:
        if encoder.dim != index.dim:
            raise ConfigError(f"the query encoder gives vectors {encoder.dim} wide, the index holds {index.dim}")
        self.encoder, self.index, self.batch_size = encoder, index, batch_size

    def retrieve(self, queries: Sequence[str], k: int) -> list[Hits]:
        """The k best rows of every query, fewer where the index finds fewer.

        Raises:
            ConfigError: k is below 1 or larger than the corpus.
        """
        check_k(k, self.index.ntotal)
        return self.search(self.encoder.encode_texts(queries, self.batch_size), k) if len(queries) else []

    def search(self, vectors: Floats, k: int) -> list[Hits]:
        """`retrieve` for query vectors [Q, D]."""
        return search(self.index, vectors, k)


def search(index: Index, vectors: Floats, k: int) -> list[Hits]:
    """The k best rows for each of the query vectors [Q, D], fewer where the index finds fewer."""
    scores, rows = index.search(vectors, k)
    return [Hits(r[r >= 0], s[r >= 0]) for r, s in zip(rows, scores, strict=True)]
