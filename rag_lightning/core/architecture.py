"""What a model folder is by its config.json: compared before weights of one are taken for another's."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rag_lightning.core.errors import DataError
from rag_lightning.core.generator_config import GeneratorConfig

SIZES = {
    "width": ("d_model", "hidden_size"),
    "encoder layers": ("encoder_layers",),
    "decoder layers": ("decoder_layers",),
    "layers": ("num_hidden_layers",),
    "heads": ("encoder_attention_heads", "num_attention_heads"),
    "projection": ("projection_dim",),
    "vocabulary": ("vocab_size",),
}
"""What it is called here -> what transformers calls it, in one family or another."""
SEQ2SEQ = ("bart",)


def read_settings(folder: Path) -> dict[str, Any]:
    """config.json of a model folder.

    Raises:
        DataError: missing, or no JSON object.
    """
    path = folder / "config.json"
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise DataError(path, "cannot be read", hint="is the folder a model?") from error
    except ValueError as error:
        raise DataError(path, "is not JSON") from error
    if not isinstance(found, dict):
        raise DataError(path, "is not a JSON object")
    return found


def describe(settings: Mapping[str, Any]) -> str:
    """Family and sizes in one line, equal for equal architectures.

    >>> describe({"model_type": "bert", "hidden_size": 32, "num_hidden_layers": 4, "vocab_size": 99})
    'bert, width 32, layers 4, vocabulary 99'
    """
    family = str(settings.get("model_type", ""))
    seq2seq = family in SEQ2SEQ
    parts = [family]
    for shown, names in SIZES.items():
        if seq2seq and shown == "layers":  # transformers' own alias of encoder_layers
            continue
        value = next((settings[name] for name in names if settings.get(name)), None)
        parts += [] if value is None else [f"{shown} {value}"]
    return ", ".join(parts)


def expected_generator(config: GeneratorConfig, source: Path) -> dict[str, Any]:
    """The settings that a generator made from `source` by config.init has.

    Raises:
        DataError: no readable config.json.
    """
    found = read_settings(source)
    if config.init != "warm_start":
        part = found.get("generator")
        return dict(part) if isinstance(part, dict) else found
    return {
        "model_type": "bart",
        "d_model": found.get("hidden_size"),
        "encoder_layers": found.get("num_hidden_layers"),
        "decoder_layers": config.decoder_layers,
        "encoder_attention_heads": found.get("num_attention_heads"),
        "vocab_size": found.get("vocab_size"),
    }


def expected_query_encoder(source: Path) -> dict[str, Any]:
    """The same of a query encoder, which may be part of a RAG checkpoint."""
    found = read_settings(source)
    part = found.get("question_encoder")
    return dict(part) if isinstance(part, dict) else found
