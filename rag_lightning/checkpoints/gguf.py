"""A model in one quantised GGUF file -> a plain transformers folder that can be trained and saved."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import torch
from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

from rag_lightning.core.errors import AssetError


def unpack_gguf(file: Path, folder: Path) -> dict[str, Any]:
    """Weights as float32 safetensors, configuration without its quantisation, tokenizer.

    transformers refuses to train or save what it loaded from GGUF; the same weights in a new model are free of that.

    Args:
        file: Llama-family GGUF.
        folder: New, for the model.

    Returns:
        parameters: how many.

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
