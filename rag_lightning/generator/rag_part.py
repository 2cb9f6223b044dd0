"""The generator of a transformers RAG checkpoint: a BART under `rag.generator.`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from transformers import AutoTokenizer, BartForConditionalGeneration

from rag_lightning.core.errors import AssetError
from rag_lightning.core.rag_checkpoint import open_rag


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
