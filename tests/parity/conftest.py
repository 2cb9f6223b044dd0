"""The same weights as transformers' RAG and as ours."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import (
    DPRConfig,
    DPRQuestionEncoder,
    RagConfig,
    RagSequenceForGeneration,
    RagTokenForGeneration,
)

from rag_lightning.core.records import Passage
from rag_lightning.generator.inputs import Pair, pad_ids
from rag_lightning.generator.seq2seq import Seq2SeqGenerator

CLASSES = {"rag_sequence": RagSequenceForGeneration, "rag_token": RagTokenForGeneration}
TEXTS = (("a b c b", "c", "b b a"), ("a a c c b a", "b", "c a"))
EVEN = (("a b c b", "c b a a", "b b a c"), ("a a c c", "b a b b", "c a a b"))
"""Passages of one length: transformers' RAG-Sequence generation attends to padding."""


@dataclass(frozen=True)
class Case:
    """Two questions with three passages each, as text for ours and as ids for theirs."""

    questions: list[list[Pair]]
    doc_scores: Tensor
    ids: Tensor
    mask: Tensor

    @property
    def inputs(self) -> dict[str, Tensor]:
        return {"context_input_ids": self.ids, "context_attention_mask": self.mask, "doc_scores": self.doc_scores}


def _case(toy: Seq2SeqGenerator, texts: tuple[tuple[str, ...], ...]) -> Case:
    queries = ("a b", "c a")
    questions = [[Pair(q, Passage(t, "", t)) for t in group] for q, group in zip(queries, texts, strict=True)]
    ids, mask = pad_ids(toy.source_ids([pair for pairs in questions for pair in pairs]), toy.pad_id)
    return Case(questions, torch.tensor([[1.0, 0.3, -0.8], [-0.2, 0.6, 0.1]]), ids, mask)


@pytest.fixture
def case(toy: Seq2SeqGenerator) -> Case:
    found = _case(toy, TEXTS)
    assert not found.mask.all(), "parity must hold with padding"
    return found


@pytest.fixture
def even_case(toy: Seq2SeqGenerator) -> Case:
    found = _case(toy, EVEN)
    assert found.mask.all()
    return found


@pytest.fixture
def transformers_rag(toy: Seq2SeqGenerator) -> Callable[..., Any]:
    """Makes transformers' RAG around a copy of the toy model; nothing is retrieved."""

    def make(formulation: str, label_smoothing: float = 0.0, n_docs: int = 3) -> Any:
        sizes = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1, "intermediate_size": 8}
        encoder = DPRQuestionEncoder(DPRConfig(vocab_size=7, max_position_embeddings=8, **sizes))
        generator = copy.deepcopy(toy.model)
        config = RagConfig.from_question_encoder_generator_configs(
            encoder.config, generator.config, n_docs=n_docs, label_smoothing=label_smoothing
        )
        return CLASSES[formulation](config=config, question_encoder=encoder, generator=generator).eval()

    return make
