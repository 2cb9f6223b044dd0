"""transformers' RAG models small enough to be made in a test, saved as transformers saves them."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import torch
from transformers import (
    DPRConfig,
    DPRQuestionEncoder,
    RagConfig,
    RagSequenceForGeneration,
    RagTokenForGeneration,
    RagTokenizer,
)

from rag_lightning.generator.seq2seq import Seq2SeqGenerator

CLASSES: dict[str, Any] = {"rag_sequence": RagSequenceForGeneration, "rag_token": RagTokenForGeneration}


def make_rag(toy: Seq2SeqGenerator, formulation: str, projection: int = 0) -> Any:
    """transformers' RAG of a random DPR over the toy's tokens and a copy of the toy generator."""
    torch.manual_seed(3)
    sizes = {"hidden_size": 8, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 8}
    vocabulary = toy.model.config.vocab_size
    encoder = DPRQuestionEncoder(
        DPRConfig(
            vocab_size=vocabulary,
            max_position_embeddings=16,
            projection_dim=projection,
            initializer_range=0.5,
            pad_token_id=0,
            **sizes,
        )
    )
    generator = copy.deepcopy(toy.model)
    config = RagConfig.from_question_encoder_generator_configs(encoder.config, generator.config, n_docs=3)
    return CLASSES[formulation](config=config, question_encoder=encoder, generator=generator).eval()


def save_rag(model: Any, tokenizer: Any, folder: Path, **settings: Any) -> Path:
    """Model and tokenizers, as `from_pretrained` of transformers expects them."""
    model.save_pretrained(folder, **settings)
    RagTokenizer(tokenizer, tokenizer).save_pretrained(folder)  # type: ignore[no-untyped-call]
    return folder
