"""Examples and their rankings -> predictions, for every formulation and strategy."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from rag_lightning.config.decoding import DecodingConfig
from rag_lightning.config.experiment import Formulation
from rag_lightning.core.errors import ConfigError
from rag_lightning.core.records import Example, Hypothesis, Passage, Prediction, Ranking
from rag_lightning.corpus.store import PassageStore
from rag_lightning.decoding import beam, classify, first_entity, rag_sequence, rag_token
from rag_lightning.decoding.beam import Finished, check_decoding, check_doc_scores
from rag_lightning.decoding.encodings import Encodings
from rag_lightning.decoding.first_entity import FIRST_ENTITY
from rag_lightning.decoding.pair_store import PairStore
from rag_lightning.generator.inputs import Pair
from rag_lightning.generator.likelihoods import doc_log_probs
from rag_lightning.generator.surface import Surface

STRATEGIES = {
    "rag_token": ("greedy", "beam", "classify"),
    "rag_sequence": ("thorough", "fast", FIRST_ENTITY, "classify"),
    "closed_book": ("greedy", "beam", "classify"),
}
N_BEST = 5


@dataclass(frozen=True)
class Question:
    """An example with what was retrieved for it (best first; more than k is cut) and the scaled doc_scores.

    `null_score` is the logit of an empty passage that is read beside those, after them; None for none.
    """

    example: Example
    rows: tuple[int, ...]
    doc_scores: tuple[float, ...]
    null_score: float | None = None

    @property
    def logits(self) -> tuple[float, ...]:
        """Logits of p(z|x) over all passages that are read; a question without any has one empty passage."""
        read = self.doc_scores if self.null_score is None else (*self.doc_scores, self.null_score)
        return read or (0.0,)

    @property
    def read_rows(self) -> tuple[int | None, ...]:
        """The row of each passage that is read, None for an empty one."""
        read = self.rows if self.null_score is None else (*self.rows, None)
        return read or (None,)


def check_strategy(formulation: Formulation, strategy: str) -> None:
    """Raise ConfigError unless the strategy decodes the formulation."""
    if strategy not in STRATEGIES[formulation]:
        strategies = " or ".join(STRATEGIES[formulation])
        raise ConfigError(f"decoding.strategy={strategy!r} does not decode {formulation}; use {strategies}")


def check_positions(generator: Any, max_length: int) -> None:
    """Raise ConfigError if the decoder has fewer positions than a hypothesis may have tokens."""
    positions = getattr(generator.model.config, "max_position_embeddings", max_length)
    if max_length > positions:
        raise ConfigError(f"decoding.max_length={max_length} exceeds the {positions} positions of the generator")


def questions(
    examples: Sequence[Example],
    rankings: Sequence[Ranking] | None,
    score_scale: float,
    k: int,
    null_score: float | None = None,
) -> list[Question]:
    """Join examples and rankings by id; no rankings is closed book.

    Raises:
        ConfigError: an example without a ranking.
    """
    if rankings is None:
        return [Question(example, (), ()) for example in examples]
    by_id = {ranking.example_id: ranking for ranking in rankings}
    missing = [example.example_id for example in examples if example.example_id not in by_id]
    if missing:
        raise ConfigError(f"{len(missing)} examples have no ranking, the first is {missing[0]!r}; retrieve again")
    found = [by_id[example.example_id] for example in examples]
    return [
        Question(example, r.rows[:k], tuple(s * score_scale for s in r.scores[:k]), null_score)
        for example, r in zip(examples, found, strict=True)
    ]


class Predictor:
    """Decodes questions in batches.

    Args:
        formulation: rag_sequence, rag_token or closed_book.
        encodings: Encodings of its generator.
        decoding: Strategy, k, beams, lengths.
        passages: The corpus; None for closed book.
        pairs: Stored results of pairs; RAG-Token keeps whole questions there, and closed book nothing.

    Raises:
        ConfigError: a strategy that does not decode the formulation, or the generator; a count below 1; a max_length
            beyond the decoder's positions.
    """

    def __init__(
        self,
        formulation: Formulation,
        encodings: Encodings,
        decoding: DecodingConfig,
        passages: PassageStore | None,
        pairs: PairStore | None = None,
    ) -> None:
        check_strategy(formulation, decoding.strategy)
        check_decoding(decoding)
        if (decoding.strategy == "classify") != (encodings.generator.classes is not None):
            raise ConfigError(f"decoding.strategy={decoding.strategy!r}: classify goes with a generator.head, no other")
        check_positions(encodings.generator, decoding.max_length)
        self.formulation, self.encodings, self.decoding = formulation, encodings, decoding
        self.passages = passages
        self.pairs = pairs or PairStore()
        self.surface = Surface(encodings.generator.tokenizer)

    def batches(self, items: Sequence[Question]) -> Iterator[list[Question]]:
        """Groups of questions whose pairs fit `pairs_per_batch`."""
        k = 1 if self.formulation == "closed_book" else self.decoding.k
        size = max(1, self.decoding.pairs_per_batch // k)
        for start in range(0, len(items), size):
            yield list(items[start : start + size])

    def predict(self, batch: Sequence[Question]) -> list[Prediction]:
        """Predictions in the order of the batch.

        Raises:
            DataError: doc_scores that are not one finite number a passage.
        """
        for question in batch:
            if question.rows or question.doc_scores:
                check_doc_scores(question.example.example_id, question.doc_scores, len(question.rows))
        contexts = [self._read_passages(question) for question in batch]
        if self.decoding.strategy == FIRST_ENTITY:
            return [_unread(question, context) for question, context in zip(batch, contexts, strict=True)]
        pairs = [[Pair(q.example.query, passage) for passage in c] for q, c in zip(batch, contexts, strict=True)]
        if self.decoding.strategy == "classify":
            return self._classified(batch, pairs)
        decode = self._sequence if self.formulation == "rag_sequence" else self._token
        pools = [beam.rank(pool, self.decoding.length_penalty) for pool in decode(batch, pairs)]
        shown = [[p for p in context if p is not None] for context in contexts]
        return [self._prediction(q, pool, found) for q, pool, found in zip(batch, pools, shown, strict=True)]

    def _read_passages(self, question: Question) -> list[Passage | None]:
        """The passages; a question without any is answered from the parameters alone."""
        passages = self.passages
        if passages is None:
            return [None]
        return [None if row is None else passages[row] for row in question.read_rows]

    def _token(self, batch: Sequence[Question], pairs: Sequence[Sequence[Pair]]) -> list[list[Finished]]:
        width = max(map(len, pairs))
        scores = torch.full((len(batch), width), -torch.inf)
        for i, question in enumerate(batch):
            scores[i, : len(question.logits)] = torch.tensor(question.logits)
        beams = self.decoding.num_beams if self.decoding.strategy == "beam" else 1
        return rag_token.decode(
            self.encodings,
            pairs,
            doc_log_probs(scores),
            num_beams=beams,
            max_length=self.decoding.max_length,
            store=self.pairs if self.formulation == "rag_token" else None,
        )

    def _sequence(self, batch: Sequence[Question], pairs: Sequence[Sequence[Pair]]) -> list[list[Finished]]:
        build = rag_sequence.produced_matrices if self.decoding.strategy == "fast" else rag_sequence.matrices
        found = build(
            self.encodings,
            pairs,
            self.pairs,
            num_beams=self.decoding.passage_beams,
            max_length=self.decoding.max_length,
        )
        return [
            rag_sequence.decode(matrix, _prior(question).numpy().astype(np.float32), self.decoding.strategy)
            for matrix, question in zip(found, batch, strict=True)
        ]

    def _classified(self, batch: Sequence[Question], pairs: Sequence[Sequence[Pair]]) -> list[Prediction]:
        """All labels of each question, the most probable first."""
        found = classify.class_log_probs(self.encodings, pairs, self.pairs)
        pools = [classify.decode(self.encodings, m, _prior(q)) for m, q in zip(found, batch, strict=True)]
        return [
            Prediction(question.example.example_id, pool[0].text, pool[0].text, pool[0].log_prob, tuple(pool))
            for question, pool in zip(batch, pools, strict=True)
        ]

    def _prediction(self, question: Question, pool: Sequence[Finished], passages: Sequence[Passage]) -> Prediction:
        hypotheses = tuple(
            Hypothesis(self.surface.realise(h.token_ids, passages), h.log_prob, h.token_ids, h.passage_log_probs)
            for h in pool[:N_BEST]
        )
        best = hypotheses[0]
        return Prediction(
            question.example.example_id, best.text, self.surface.raw(best.token_ids), best.log_prob, hypotheses
        )


class GridPredictor(Predictor):
    """Decodes RAG-Sequence questions at several k and strategies in one pass over the largest k.

    Args:
        encodings: Encodings of the generator.
        decoding: Beams and lengths; k is the largest of the cells.
        passages: The corpus.
        pairs: Stored results of pairs.
        cells: (k, strategy) pairs, thorough and fast.

    Attributes:
        found: Cell -> its predictions so far: token for token those of a Predictor with this k and strategy.
    """

    def __init__(
        self,
        encodings: Encodings,
        decoding: DecodingConfig,
        passages: PassageStore,
        pairs: PairStore,
        cells: Sequence[tuple[int, str]],
    ) -> None:
        super().__init__("rag_sequence", encodings, decoding, passages, pairs)
        self.found: dict[tuple[int, str], list[Prediction]] = {cell: [] for cell in cells}

    def predict(self, batch: Sequence[Question]) -> list[Prediction]:
        """Predictions of the first cell, in the order of the batch; those of all cells are kept in `found`.

        Raises:
            DataError: doc_scores that are not one finite number a passage.
        """
        contexts = [self._read_passages(question) for question in batch]
        pairs = [[Pair(q.example.query, passage) for passage in c] for q, c in zip(batch, contexts, strict=True)]
        decoded = rag_sequence.decode_all(
            self.encodings,
            pairs,
            [question.logits for question in batch],
            self.pairs,
            ks=sorted({k for k, _ in self.found}),
            strategies=sorted({strategy for _, strategy in self.found}),
            num_beams=self.decoding.passage_beams,
            max_length=self.decoding.max_length,
        )
        made = {}
        for k, strategy in self.found:
            pools = [beam.rank(pool, self.decoding.length_penalty) for pool in decoded[k, strategy]]
            shown = [[p for p in context[:k] if p is not None] for context in contexts]
            made[k, strategy] = [self._prediction(q, p, s) for q, p, s in zip(batch, pools, shown, strict=True)]
            self.found[k, strategy] += made[k, strategy]
        return next(iter(made.values()))


def _unread(question: Question, contexts: Sequence[Passage | None]) -> Prediction:
    """Predictions of the strategy that needs no generator."""
    texts = ["" if passage is None else passage.text for passage in contexts]
    pool = tuple(first_entity.decode(question.example.query, texts, _prior(question))[:N_BEST])
    return Prediction(question.example.example_id, pool[0].text, pool[0].text, pool[0].log_prob, pool)


def _prior(question: Question) -> Tensor:
    """log p(z|x) [K]; a question without passages has one empty one."""
    return doc_log_probs(torch.tensor(question.logits))
