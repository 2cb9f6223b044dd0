"""The generator of a transformers RAG checkpoint: a BART under `rag.generator.`.

The question encoder of a transformers RAG checkpoint: a DPR under `rag.question_encoder.`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from transformers import AutoTokenizer, BartForConditionalGeneration, DPRQuestionEncoder

from rag_lightning.checkpoints.rag_layout import open_rag
from rag_lightning.config.retrieval import EncoderConfig
from rag_lightning.core.errors import AssetError, ConfigError


def generator_of(folder: Path, dropout: float) -> tuple[Any, Any]:
    """Model (float32, embeddings tied as the checkpoint has them) and tokenizer of the generator.

    Raises:
        AssetError: tokenizer or weights missing or unreadable, or only as pickle.
        ConfigError: no RAG checkpoint, or its generator is no BART.
        DataError: config.json cannot be read.
    """
    checkpoint = open_rag(folder)
    place = checkpoint.tokenizer_folder("generator")
    model = checkpoint.load("generator", BartForConditionalGeneration, dropout=dropout, attention_dropout=0.0)
    try:
        # released tokenizer folders do not name their class: the model's configuration does
        tokenizer = AutoTokenizer.from_pretrained(place, config=model.config, local_files_only=True)
    except (OSError, ValueError) as error:
        raise AssetError(f"RAG checkpoint {folder}: {place.name} cannot be loaded ({error})") from error
    return model, tokenizer


WANTED = {"pooling": "pooler", "normalize": False, "score_scale": 1.0}
"""transformers' doc_scores are plain inner products of DPR vectors."""


def question_encoder_of(folder: Path, config: EncoderConfig, role: str) -> tuple[Any, Any]:
    """Model (float32) and tokenizer of the question encoder.

    Raises:
        AssetError: tokenizer or weights missing or unreadable, or only as pickle.
        ConfigError: settings under which its scores would be others, a passage encoder is wanted, no DPR, or a
            tokenizer with ids the model does not know.
        DataError: config.json cannot be read.
    """
    checkpoint = open_rag(folder)
    if role != "query":
        raise ConfigError(f"RAG checkpoint {folder}: holds no passage encoder; set encoder.passage_model to its DPR's")
    for name, wanted in WANTED.items():
        found = getattr(config, name)
        if found != wanted:
            raise ConfigError(f"encoder.{name} is {found!r}; the question encoder of a RAG checkpoint needs {wanted!r}")
    place = checkpoint.tokenizer_folder("question_encoder")
    model = checkpoint.load("question_encoder", DPRQuestionEncoder)
    try:
        tokenizer = AutoTokenizer.from_pretrained(place, config=model.config, local_files_only=True)
    except (OSError, ValueError) as error:
        raise AssetError(f"RAG checkpoint {folder}: {place.name} cannot be loaded ({error})") from error
    if len(tokenizer) > model.config.vocab_size:
        raise ConfigError(
            f"RAG checkpoint {folder}: {place.name} has {len(tokenizer)} tokens, the question encoder only "
            f"{model.config.vocab_size}"
        )
    return model, tokenizer
