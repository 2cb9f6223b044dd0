"""What a decoding strategy is: questions with their passages in, predictions out.

Strategies are listed, configured and explained without torch, so their files import it only where they decode.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from rag_lightning.config.bounds import PositiveInt
from rag_lightning.config.fields import Section
from rag_lightning.config.registries import DECODINGS
from rag_lightning.core.errors import ConfigError
from rag_lightning.core.records import Hypothesis, Passage, Prediction
from rag_lightning.decoding.question import Question

if TYPE_CHECKING:
    from torch import Tensor

    from rag_lightning.decoding.beam import Finished
    from rag_lightning.decoding.encodings import Encodings
    from rag_lightning.decoding.pair_store import PairStore
    from rag_lightning.generator.inputs import Pair
    from rag_lightning.generator.surface import Surface

N_BEST = 5
"""Hypotheses that a prediction keeps."""


@dataclass(frozen=True)
class Batch:
    """Questions that are decoded together.

    Args:
        formulation: The model.
        questions: B questions.
        read: The passages each is answered from, best first; None is an empty passage.
        encodings: Encodings of the generator.
        store: Stored results of pairs.
        surface: Token ids to text, as the passages spell it.
    """

    formulation: str
    questions: Sequence[Question]
    read: Sequence[Sequence[Passage | None]]
    encodings: Encodings
    store: PairStore
    surface: Surface

    @property
    def pairs(self) -> list[list[Pair]]:
        """B lists of the pairs of a question."""
        from rag_lightning.generator.inputs import Pair

        listed = zip(self.questions, self.read, strict=True)
        return [[Pair(question.example.query, passage) for passage in context] for question, context in listed]

    @property
    def priors(self) -> list[Tensor]:
        """log p(z|x) [K] of each question, on the host."""
        import torch

        from rag_lightning.generator.likelihoods import doc_log_probs

        return [doc_log_probs(torch.tensor(question.logits, device="cpu")) for question in self.questions]

    def predictions(self, pools: Sequence[Sequence[Hypothesis]]) -> list[Prediction]:
        """Predictions of hypotheses that are text already, best first."""
        return [
            Prediction(question.example.example_id, pool[0].text, pool[0].text, pool[0].log_prob, tuple(pool))
            for question, pool in zip(self.questions, pools, strict=True)
        ]

    def realised(self, pools: Sequence[Sequence[Finished]], length_penalty: float = 0.0) -> list[Prediction]:
        """Predictions of token sequences, ranked by log p(y|x) / tokens ** length_penalty."""
        from rag_lightning.decoding.beam import rank

        listed = zip(self.questions, self.read, pools, strict=True)
        return [self._prediction(q, context, rank(pool, length_penalty)[:N_BEST]) for q, context, pool in listed]

    def _prediction(
        self, question: Question, context: Sequence[Passage | None], pool: Sequence[Finished]
    ) -> Prediction:
        shown = [passage for passage in context if passage is not None]
        hypotheses = tuple(
            Hypothesis(self.surface.realise(h.token_ids, shown), h.log_prob, h.token_ids, h.passage_log_probs)
            for h in pool
        )
        best, raw = hypotheses[0], self.surface.raw(pool[0].token_ids)
        return Prediction(question.example.example_id, best.text, raw, best.log_prob, hypotheses)


@dataclass(frozen=True)
class Strategy(Section):
    """A decoding strategy, with its values; its fields are its own part of section `decoding`.

    Attributes:
        title: What tables call it.
        formulations: The models it decodes.
        labels: It ranks the labels of a task, and so needs a generator.head; the others cannot use one.
        generates: It asks the generator; False is a baseline without one.
        from_train: It answers from the training examples, without a model (decoding/trivial.py).
        served: It asks a server for the generator's results, which is not loaded here.
        unfit: Why it decodes no other formulations, for messages; empty where that is plain.
        beams: Beams of each pair, by which its work is counted.
        marginal: The marginal of RAG-Sequence that it computes (rag_sequence.MARGINALS), for every k from one pass over
            the largest; empty for a strategy of its own.
        stored: The values on which stored results of a pair depend, as part of a file's name; empty stores nothing.
    """

    PATH: ClassVar[str] = "decoding"
    STAGES: ClassVar[tuple[str, ...]] = ("predictions",)
    title: ClassVar[str]
    formulations: ClassVar[tuple[str, ...]]
    labels: ClassVar[bool] = False
    generates: ClassVar[bool] = True
    from_train: ClassVar[bool] = False
    served: ClassVar[bool] = False
    unfit: ClassVar[str] = ""
    marginal: ClassVar[str] = ""

    @property
    def stored(self) -> str:
        """See the class."""
        return ""

    @property
    def beams(self) -> int:
        """See the class."""
        return 1

    def check(self, encodings: Encodings) -> None:
        """Raise ConfigError for a generator that it cannot decode."""
        if self.labels != (encodings.generator.classes is not None):
            named = " or ".join(name for name in DECODINGS if DECODINGS.get(name).labels)
            raise ConfigError(f"decoding.strategy: {named} goes with a generator.head, no other; this is {self.title}")

    def predict(self, batch: Batch) -> list[Prediction]:
        """Predictions in the order of the batch."""
        raise NotImplementedError


@dataclass(frozen=True)
class Search(Strategy):
    """A strategy that writes token by token.

    Args:
        max_length: New tokens at most.
    """

    max_length: PositiveInt = 24

    def check(self, encodings: Encodings) -> None:
        """Raise ConfigError as `Strategy`, and where the decoder has fewer positions than a hypothesis may be long."""
        super().check(encodings)
        positions = getattr(encodings.generator.model.config, "max_position_embeddings", self.max_length)
        if self.max_length > positions:
            problem = f"exceeds the {positions} positions of the generator"
            raise ConfigError(f"decoding.max_length={self.max_length} {problem}")


def strategies_of(formulation: str) -> list[str]:
    """Names of the strategies that decode a formulation."""
    return [name for name in DECODINGS if formulation in DECODINGS.get(name).formulations]


def trivial_strategies() -> list[str]:
    """Names of the strategies that answer from the training examples, without a model."""
    return [name for name in DECODINGS if DECODINGS.get(name).from_train]


def check_strategy(formulation: str, strategy: str) -> None:
    """Raise ConfigError unless the strategy decodes the formulation."""
    known = strategies_of(formulation)
    if strategy in known:
        return
    unfit = DECODINGS.get(strategy).unfit if strategy in DECODINGS else ""
    problem = f"does not decode {formulation}" + f" ({unfit})" * bool(unfit)
    raise ConfigError(f"decoding.strategy={strategy!r} {problem}; use {' or '.join(known)}")
