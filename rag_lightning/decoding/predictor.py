"""Examples and their rankings -> predictions, for every formulation and strategy."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from rag_lightning.config.decoding import DecodingConfig
from rag_lightning.config.experiment import Formulation
from rag_lightning.config.registries import DECODINGS
from rag_lightning.core.devices import in_smaller_batches
from rag_lightning.core.records import Passage, Prediction
from rag_lightning.corpus.store import PassageStore
from rag_lightning.decoding.beam import check_doc_scores
from rag_lightning.decoding.encodings import Encodings
from rag_lightning.decoding.pair_store import PairStore
from rag_lightning.decoding.question import Question
from rag_lightning.decoding.rag_sequence import decode_all
from rag_lightning.decoding.strategy import Batch, Strategy, check_strategy
from rag_lightning.generator.surface import Surface


class Predictor:
    """Decodes questions in batches.

    Args:
        formulation: Model.
        encodings: Encodings of its generator.
        decoding: Strategy with its values, k, pairs of a batch.
        passages: The corpus; None for closed book.
        pairs: Stored results of pairs; RAG-Token and FiD keep whole questions there, and closed book
            nothing.

    Raises:
        ConfigError: a strategy that does not decode the formulation, or the generator.
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
        self.strategy: Strategy = decoding.made()
        self.strategy.check(encodings)
        self.formulation, self.encodings, self.decoding = formulation, encodings, decoding
        self.passages = passages
        self.pairs = pairs or PairStore()
        self.pairs.vocabulary = len(encodings.steps.vocabulary.weight)
        self.surface = Surface(encodings.generator.tokenizer)

    def batches(self, items: Sequence[Question]) -> Iterator[list[Question]]:
        """Groups of questions whose pairs fit `pairs_per_batch`."""
        return batches(items, self.formulation, self.decoding)

    def predict(self, batch: Sequence[Question]) -> list[Prediction]:
        """Predictions in the order of the batch.

        Raises:
            DataError: doc_scores that are not one finite number a passage.
            ConfigError: a device without memory for a quarter of the batch.
        """
        return in_smaller_batches(lambda part: self.strategy.predict(self._batch(part)), batch, self._size)

    @property
    def _size(self) -> str:
        return f"decoding.pairs_per_batch={self.decoding.pairs_per_batch}"

    def _batch(self, batch: Sequence[Question]) -> Batch:
        """The questions with what they are answered from."""
        for question in batch:
            if question.rows or question.doc_scores:
                check_doc_scores(question.example.example_id, question.doc_scores, len(question.rows))
        read = [self._read_passages(question) for question in batch]
        return Batch(self.formulation, batch, read, self.encodings, self.pairs, self.surface)

    def _read_passages(self, question: Question) -> list[Passage | None]:
        """The passages; a question without any is answered from the parameters alone."""
        passages = self.passages
        if passages is None:
            return [None]
        return [None if row is None else passages[row] for row in question.read_rows]


def batches(items: Sequence[Question], formulation: Formulation, decoding: DecodingConfig) -> Iterator[list[Question]]:
    """Groups of questions whose pairs fit `pairs_per_batch`."""
    k = 1 if formulation == "closed_book" else decoding.k
    size = max(1, decoding.pairs_per_batch // k)
    for start in range(0, len(items), size):
        yield list(items[start : start + size])


class GridPredictor(Predictor):
    """Decodes RAG-Sequence questions at several k and strategies in one pass over the largest k.

    Args:
        encodings: Encodings of the generator.
        decoding: Beams and lengths; k is the largest of the cells.
        passages: The corpus.
        pairs: Stored results of pairs.
        cells: (k, strategy) pairs; every strategy has a `marginal`.

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
            DataError, ConfigError: as `Predictor.predict`.
        """
        each = in_smaller_batches(self._cells, batch, self._size)
        for cell, found in self.found.items():
            found += [one[cell] for one in each]
        return [one[next(iter(self.found))] for one in each]

    def _cells(self, batch: Sequence[Question]) -> list[dict[tuple[int, str], Prediction]]:
        """The prediction of each cell for each question."""
        whole = self._batch(batch)
        marginals = {strategy: DECODINGS.get(strategy).marginal for _, strategy in self.found}
        decoded = decode_all(
            self.encodings,
            whole.pairs,
            [question.logits for question in batch],
            self.pairs,
            ks=sorted({k for k, _ in self.found}),
            strategies=sorted(set(marginals.values())),
            num_beams=self.decoding.passage_beams,
            max_length=self.decoding.max_length,
            beam_penalty=self.decoding.passage_length_penalty,
        )
        made = {}
        for k, strategy in self.found:
            cut = replace(whole, read=[passages[:k] for passages in whole.read])
            made[k, strategy] = cut.realised(decoded[k, marginals[strategy]], self.decoding.length_penalty)
        return [dict(zip(made, row, strict=True)) for row in zip(*made.values(), strict=True)]
