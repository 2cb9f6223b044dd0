"""Every target of at most three tokens over a vocabulary of seven, with its exact probability."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from rag_lightning.core.records import Passage
from rag_lightning.generator.inputs import Pair
from rag_lightning.generator.seq2seq import Seq2SeqGenerator

VOCABULARY, LENGTH, END = 7, 3, 3
TEXTS = ("a b c b", "c", "b b a", "a a c c b a", "b", "c a")
QUERIES = ("a b", "c", "b a a")


def targets() -> list[tuple[int, ...]]:
    """All sequences that end in the end token or have the full length."""
    found: list[tuple[int, ...]] = []
    others = [i for i in range(VOCABULARY) if i != END]
    for length in range(1, LENGTH + 1):
        for prefix in itertools.product(others, repeat=length - 1):
            last = range(VOCABULARY) if length == LENGTH else [END]
            found += [(*prefix, token) for token in last]
    return found


@dataclass(frozen=True)
class Exact:
    """Token log-probs of all C targets, by the plain forward of one unpadded pair at a time."""

    generator: Seq2SeqGenerator
    targets: tuple[tuple[int, ...], ...]

    def tokens(self, pair: Pair) -> NDArray[np.float64]:
        """[C, T] log p(y_t|x,z,y_<t), 0 after the end."""
        (source,) = self.generator.source_ids([pair])
        return _tokens(self.generator, tuple(source), self.targets)

    def sequence(self, pairs: list[Pair], priors: NDArray[np.float64]) -> NDArray[np.float64]:
        """[C] log p(y|x) of RAG-Sequence; priors [K] are probabilities."""
        return np.log(sum(p * np.exp(self.tokens(pair).sum(1)) for p, pair in zip(priors, pairs, strict=True)))

    def token(self, pairs: list[Pair], priors: NDArray[np.float64]) -> NDArray[np.float64]:
        """[C] log p(y|x) of RAG-Token."""
        return np.log(sum(p * np.exp(self.tokens(z)) for p, z in zip(priors, pairs, strict=True))).sum(1)


@lru_cache(maxsize=64)
def _tokens(
    generator: Seq2SeqGenerator, source: tuple[int, ...], wanted: tuple[tuple[int, ...], ...]
) -> NDArray[np.float64]:
    padded = torch.tensor([[*t, *[0] * (LENGTH - len(t))] for t in wanted])
    inputs = torch.cat([torch.full((len(wanted), 1), generator.start_id), padded[:, :-1]], dim=1)
    with torch.inference_mode():
        logits = generator.model(
            input_ids=torch.tensor([source]).expand(len(wanted), -1), decoder_input_ids=inputs
        ).logits.double()
    found = torch.log_softmax(logits, -1).gather(-1, padded.unsqueeze(-1)).squeeze(-1).numpy()
    return np.where(np.arange(LENGTH) < np.array([[len(t)] for t in wanted]), found, 0.0)


@pytest.fixture(scope="session")
def exact(toy: Seq2SeqGenerator) -> Exact:
    return Exact(toy, tuple(targets()))


@pytest.fixture
def questions() -> list[list[Pair]]:
    """Three questions with 3, 2 and 1 passages of unequal length."""
    passages = [Passage(str(i), "", text) for i, text in enumerate(TEXTS)]
    groups = (passages[:3], passages[3:5], passages[5:])
    return [[Pair(query, p) for p in group] for query, group in zip(QUERIES, groups, strict=True)]
