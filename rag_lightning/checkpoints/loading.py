"""Models that transformers does not load by itself: the parts of a RAG checkpoint, and a quantised GGUF file.

The generator of a RAG checkpoint is a BART under `rag.generator.`, its question encoder a DPR under
`rag.question_encoder.`. A GGUF file becomes a plain transformers folder that can be trained and saved.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import torch
from transformers import (
    AutoTokenizer,
    BartConfig,
    BartForConditionalGeneration,
    DPRConfig,
    DPRQuestionEncoder,
    LlamaConfig,
    LlamaForCausalLM,
)

from rag_lightning.checkpoints.opening import open_tokenizer
from rag_lightning.checkpoints.rag_layout import Part, RagCheckpoint, is_rag, open_rag
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
    checkpoint.tokenizer_folder("generator")
    model = checkpoint.load("generator", BartForConditionalGeneration, dropout=dropout, attention_dropout=0.0)
    return model, _tokenizer(checkpoint, "generator", model.config)


def generator_tokenizer(source: str | Path) -> Any:
    """The tokenizer of a generator, of a RAG checkpoint that of its generator.

    Args:
        source: Folder or hub name.

    Raises:
        AssetError: missing or unreadable.
        ConfigError: a RAG checkpoint whose generator is no BART.
        DataError: config.json cannot be read.
    """
    if is_rag(source):
        checkpoint = open_rag(Path(source))
        return _tokenizer(checkpoint, "generator", checkpoint.config_of("generator", BartConfig))
    return open_tokenizer(source, "generator")


def question_tokenizer_of(folder: Path) -> Any:
    """The tokenizer of the question encoder; None where the checkpoint states why it has no such encoder.

    Raises:
        AssetError: missing or unreadable.
        ConfigError: no RAG checkpoint, or its question encoder is no DPR.
        DataError: config.json cannot be read.
    """
    checkpoint = open_rag(folder)
    if checkpoint.has_no_questions:
        return None
    return _tokenizer(checkpoint, "question_encoder", checkpoint.config_of("question_encoder", DPRConfig))


def _tokenizer(checkpoint: RagCheckpoint, part: Part, settings: Any) -> Any:
    """The tokenizer of a part; released folders do not name their class: the model's configuration does."""
    return open_tokenizer(checkpoint.tokenizer_folder(part), "RAG checkpoint", settings)


WANTED = {"pooling": "pooler", "normalize": False, "score_scale": 1.0}
"""Encoder settings under which doc_scores are transformers' own: plain inner products of DPR vectors."""


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
    tokenizer = _tokenizer(checkpoint, "question_encoder", model.config)
    if len(tokenizer) > model.config.vocab_size:
        raise ConfigError(
            f"RAG checkpoint {folder}: {place.name} has {len(tokenizer)} tokens, the question encoder only "
            f"{model.config.vocab_size}"
        )
    return model, tokenizer


def unpack_gguf(file: Path, folder: Path) -> dict[str, Any]:
    """Write a GGUF model as a transformers folder: float32 safetensors, configuration, tokenizer.

    transformers refuses to train or save a model loaded from GGUF; a new model with the same weights has no such limit.

    Args:
        file: GGUF file of the Llama family.
        folder: A new folder for the model.

    Returns:
        `parameters`: their number.

    Raises:
        AssetError: the extra `gguf` is not installed, or the file cannot be read as a Llama.
    """
    try:
        tokenizer = AutoTokenizer.from_pretrained(file.parent, gguf_file=file.name)
        loaded = LlamaForCausalLM.from_pretrained(file.parent, gguf_file=file.name, dtype=torch.float32)
    except ImportError as error:
        raise AssetError(
            f"{file}: reading GGUF needs the extra: pip install -c constraints.txt -e '.[gguf]'"
        ) from error
    except (ValueError, OSError, KeyError, IndexError, struct.error) as error:
        hint = (
            ""
            if "accelerate" not in str(error)
            else "; it needs the extra: pip install -c constraints.txt -e '.[gguf]'"
        )
        raise AssetError(f"{file}: cannot be read as a Llama ({' '.join(str(error).split())[:200]}){hint}") from error
    settings = loaded.config.to_dict()
    settings.pop("quantization_config", None)
    model = LlamaForCausalLM(LlamaConfig(**settings))
    model.load_state_dict(loaded.state_dict())
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return {"parameters": sum(parameter.numel() for parameter in model.parameters())}
