"""Retrieval inside training: the live query encoder against a frozen index.

Rows come from the flat index; doc_scores are computed again from the gathered passage vectors, so that the gradient
reaches the query encoder and score_scale. Passage encoder and index are frozen (paper section 2.2).

The search of a training step, made one step earlier by a thread of its own.

Searching a large index on the CPU then takes place while the generator is trained. The passages of a step are those
that the query encoder found before its last update; their doc_scores are computed by the one of the step itself. Every
batch of an accumulated step looks one step ahead, not one batch: the step is the same as with one larger batch.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rag_lightning.corpus.store import PassageStore
from rag_lightning.index.index import Index
from rag_lightning.retrieval.encoders import TextEncoder
from rag_lightning.retrieval.exact import ExactSearch
from rag_lightning.retrieval.questions import OracleRetriever, gold_first, gold_rows
from rag_lightning.retrieval.retriever import Asked, DenseRetriever
from rag_lightning.training.scaled_retrieval import ScaledRetrieval, pad_hits


class LiveRetrieval(ScaledRetrieval):
    """The trained half of the retriever.

    Args:
        encoder: The query encoder, trained in place.
        index: Exact search over the passage vectors.
        vectors: [N, D] float32, memory-mapped.
        store: Row -> Passage.
        score_scale: Start value; its logarithm is a parameter.

    Attributes:
        ahead: The search one step ahead, None where every step searches for its own passages.

    Raises:
        ConfigError: a score_scale that has no logarithm.
    """

    encoder: TextEncoder

    def __init__(
        self, encoder: TextEncoder, index: Index, vectors: NDArray[np.float32], store: PassageStore, score_scale: float
    ) -> None:
        super().__init__(store, score_scale, "encoder.score_scale")
        self.encoder = encoder
        self._index, self._vectors = index, vectors
        self.ahead: SearchAhead | None = None

    def look_ahead(
        self, upcoming: Iterator[Sequence[str]], k: int, parts: int = 1, resumed: Sequence[Tensor] = ()
    ) -> None:
        """Make `find` read rows [B, k] that were searched for one step earlier; arguments as in SearchAhead.

        The query encoder makes the vectors of that search without gradient or dropout, in float32.
        """
        self.ahead = SearchAhead(upcoming, partial(self._prepare, k=k), parts, resumed)

    def search(self, queries: Sequence[str], k: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """rows [B, k] (-1 = nothing found) and scaled doc_scores [B, k], without gradient or dropout."""
        scores, rows = self._index.search(self.encoder.encode_texts(queries), k)
        return rows, scores * np.float32(self.score_scale)

    def find(self, queries: Sequence[str], k: int) -> tuple[Tensor, NDArray[np.int64]]:
        """Query vectors [B, D] with gradient, and the rows [B, k] they find (-1 = nothing found), or found ahead.

        Raises:
            FloatingPointError: a vector is not finite.
        """
        vectors = self.encoder(**self.encoder.tokenize(queries)).float()
        search = self._search(vectors.detach(), k)
        with self.meter.retrieving():
            rows = search() if self.ahead is None else self.ahead.rows(search)
        return vectors, rows

    def _prepare(self, queries: Sequence[str], k: int) -> Search:
        with torch.autocast(self.log_scale.device.type, enabled=False):  # it would keep weights cast without gradient
            vectors = self.encoder.encode_texts(queries)
        return self._search(torch.from_numpy(vectors).to(self.log_scale.device), k)

    def _search(self, vectors: Tensor, k: int) -> Search:
        """The search for [B, D], which gives rows [B, k]; only they leave a device that searches itself."""
        if not bool(torch.isfinite(vectors).all()):
            raise FloatingPointError("a query vector is not finite")
        if isinstance(self._index, ExactSearch):
            exact = self._index
            return lambda: exact.find(vectors, k)[1].cpu().numpy()
        queries = np.ascontiguousarray(vectors.cpu().numpy())
        return lambda: self._index.search(queries, k)[1]

    def gather(self, rows: NDArray[np.int64]) -> Tensor:
        """Frozen passage vectors [*rows, D]."""
        with self.meter.retrieving():
            return torch.from_numpy(self._vectors[rows]).to(self.log_scale.device)

    def inner_products(self, vectors: Tensor, rows: NDArray[np.int64]) -> Tensor:
        """Scaled doc_scores [B, K] of query vectors [B, D] and rows [B, K]; -inf where there is none."""
        scores = torch.einsum("bd,bkd->bk", vectors, self.gather(np.maximum(rows, 0))) * self.log_scale.exp()
        return scores.masked_fill(torch.from_numpy(rows < 0).to(vectors.device), -torch.inf)

    def scored(self, asked: Sequence[Asked], k: int) -> tuple[NDArray[np.int64], Tensor]:
        """As ScaledRetrieval."""
        vectors, rows = self.find([question.query for question in asked], k)
        return rows, self.inner_products(vectors, rows)

    def ranked(self, asked: Sequence[Asked], k: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """As ScaledRetrieval."""
        return self.search([question.query for question in asked], k)


class OracleRetrieval(LiveRetrieval):
    """A gold passage first, the others as the live query encoder ranks them without it (see OracleRetriever).

    The gradient of the gold passage's score is that of its own inner product, also where it is lifted to the best of
    the others. A question without a known gold passage is retrieved for by the query encoder alone.
    """

    def scored(self, asked: Sequence[Asked], k: int) -> tuple[NDArray[np.int64], Tensor]:
        """As ScaledRetrieval."""
        vectors, found = self.find([question.query for question in asked], k)
        gold = gold_rows(self.store, asked)
        rows = gold_first(found, gold)
        scores = self.inner_products(vectors, rows)
        if k == 1:
            return rows, scores
        lift = (scores[:, 1] - scores[:, 0]).detach().clamp_min(0.0)  # of a missing other -inf: nothing
        known = torch.from_numpy(gold >= 0).to(scores.device)
        return rows, torch.cat([scores[:, :1] + torch.where(known, lift, 0.0).unsqueeze(1), scores[:, 1:]], dim=1)

    def ranked(self, asked: Sequence[Asked], k: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """As ScaledRetrieval."""
        oracle = OracleRetriever(DenseRetriever(self.encoder, self._index), self._vectors, self.store)
        rows, scores = pad_hits(oracle.retrieve(asked, k), k)
        return rows, scores * np.float32(self.score_scale)


Rows = NDArray[np.int64]
Search = Callable[[], Rows]


class SearchAhead:
    """Rows that were searched for one optimiser step before they are read.

    Args:
        upcoming: Queries of the batches of this process, from the second step of this training (or resumption) on.
        prepare: Makes the search of queries [B] ready, in the caller's thread and with its weights; what it returns
            runs in the other thread and gives rows [B, k].
        parts: Batches of a step.
        resumed: Rows of the first step, one [B, k] a part, where a training is resumed; none where it begins.
    """

    def __init__(
        self,
        upcoming: Iterator[Sequence[str]],
        prepare: Callable[[Sequence[str]], Search],
        parts: int,
        resumed: Sequence[Tensor] = (),
    ) -> None:
        self._upcoming, self._prepare, self._parts = upcoming, prepare, parts
        self._worker = ThreadPoolExecutor(1, "search ahead")
        self._found: deque[Future[Rows]] = deque(self._worker.submit(rows.numpy) for rows in resumed)

    def rows(self, now: Search) -> Rows:
        """Rows [B, k] of the batch at hand; begins the search for its counterpart of the next step.

        Args:
            now: Searches for the batch at hand in the first step, which has no search before it.
        """
        is_ready = len(self._found) == self._parts
        self._found.append(self._worker.submit(self._prepare(next(self._upcoming))))
        return self._found.popleft().result() if is_ready else now()

    def state(self) -> list[Tensor]:
        """The rows of the next step, for the resume point; waits for them."""
        return [torch.from_numpy(found.result()) for found in self._found]
