"""The architecture of a model folder, by its config.json: compared before weights of one are loaded into another.

The shape of a BERT or BART, from a table or from its folder, and its number of parameters.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rag_lightning.config.generator import GeneratorConfig
from rag_lightning.core.errors import ConfigError, DataError
from rag_lightning.core.files import read_object

SIZES = {
    "width": ("d_model", "hidden_size"),
    "encoder layers": ("encoder_layers",),
    "decoder layers": ("decoder_layers",),
    "layers": ("num_hidden_layers",),
    "heads": ("encoder_attention_heads", "num_attention_heads"),
    "projection": ("projection_dim",),
    "vocabulary": ("vocab_size",),
}
"""Our name of a size -> transformers' names of it, by model family."""
SEQ2SEQ = ("bart",)


def read_settings(folder: Path) -> dict[str, Any]:
    """config.json of a model folder.

    Raises:
        DataError: missing, or no JSON object.
    """
    return read_object(folder / "config.json")


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
    """The settings of the generator that config.init makes from `source`.

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
    """The settings of a query encoder, which may be part of a RAG checkpoint.

    Raises:
        DataError: no readable config.json.
    """
    found = read_settings(source)
    part = found.get("question_encoder")
    return dict(part) if isinstance(part, dict) else found


@dataclass(frozen=True)
class Shape:
    """An encoder, with a decoder where decoder_layers is not 0.

    Args:
        width: D of a state.
        ffn: Width inside the feed-forward part.
        layers: Layers of the encoder.
        vocabulary: Number of tokens.
        positions: Rows of a position table.
        decoder_layers: Layers of the decoder.
    """

    width: int
    ffn: int
    layers: int
    vocabulary: int
    positions: int
    decoder_layers: int = 0

    @property
    def parameters(self) -> int:
        """Embeddings (tied, one position table a side), attention, feed-forward, LayerNorms; no pooler, no head."""
        d, f = self.width, self.ffn
        norm, attention = 2 * d, 4 * d * d + 4 * d
        layer = attention + (2 * d * f + d + f) + 2 * norm
        sides = 2 if self.decoder_layers else 1
        embeddings = self.vocabulary * d + sides * (self.positions * d + norm)
        return embeddings + self.layers * layer + self.decoder_layers * (layer + attention + norm)


MINILM = Shape(384, 1536, 6, 30_522, 512)
BERT_BASE = Shape(768, 3072, 12, 30_522, 512)
BART_ROWS = 2
"""Rows of BART's position tables in front of position 0."""
BART_LARGE = Shape(1024, 4096, 12, 50_265, 1024 + BART_ROWS, 12)
SHAPES: Mapping[str, Shape] = {
    "mini": MINILM,
    "facebook/dpr-question_encoder-single-nq-base": BERT_BASE,
    "facebook/dpr-ctx_encoder-single-nq-base": BERT_BASE,
    "facebook/bart-large": BART_LARGE,
}
BERT_FIELDS = ("hidden_size", "intermediate_size", "num_hidden_layers", "vocab_size", "max_position_embeddings")
BART_FIELDS = ("d_model", "encoder_ffn_dim", "encoder_layers", *BERT_FIELDS[-2:], "decoder_layers")
PARTS = {"encoder": "question_encoder", "generator": "generator"}
"""Part -> its key in the config.json of a RAG checkpoint."""


def shape_of(name: str, part: str) -> Shape:
    """The shape of a model of the configuration; `part` (encoder or generator) selects the part of a RAG checkpoint.

    Raises:
        ConfigError: a hub name that is not known before it is downloaded, or a folder of another kind of model.
    """
    if name in SHAPES:
        return SHAPES[name]
    file = Path(name) / "config.json"
    if name.startswith("facebook/rag-") and not file.is_file():
        return BERT_BASE if part == "encoder" else BART_LARGE
    if not file.is_file():
        raise ConfigError(
            f"model {name!r}: its shape is not known before it is downloaded; give its folder, or one of "
            f"{', '.join(SHAPES)}"
        )
    try:
        whole = read_object(file)
    except DataError as error:
        raise ConfigError(
            f"{file}: is no model's configuration; give the folder of a BERT, DPR, BART or RAG"
        ) from error
    found = whole.get(PARTS[part])
    raw: dict[str, Any] = found if isinstance(found, dict) else whole
    kind = raw.get("model_type")
    names = {"bert": BERT_FIELDS, "dpr": BERT_FIELDS, "bart": BART_FIELDS}.get(str(kind))
    if names is None or not all(isinstance(raw.get(field), int) for field in names):
        raise ConfigError(f"{file}: a model of type {kind!r} cannot be planned with; a BERT, DPR, BART or RAG can")
    width, ffn, layers, vocabulary, positions, *decoder = (int(raw[field]) for field in names)
    return Shape(width, ffn, layers, vocabulary, positions + (BART_ROWS if decoder else 0), *decoder)
