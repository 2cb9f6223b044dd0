"""A generator by what its folder says it is: a BART (or what becomes one) or a Llama."""

from __future__ import annotations

from pathlib import Path

from rag_lightning.checkpoints.rag_layout import model_type
from rag_lightning.config.generator import GeneratorConfig
from rag_lightning.generator.causal import CausalGenerator
from rag_lightning.generator.seq2seq import Seq2SeqGenerator

Writer = Seq2SeqGenerator | CausalGenerator


def create_generator(config: GeneratorConfig, source: str | Path) -> Writer:
    """A generator before any training.

    Raises:
        AssetError: not there, unreadable, or only as pickle.
        ConfigError: another kind of model, or settings it cannot have.
    """
    if config.init != "warm_start" and model_type(source) == "llama":
        return CausalGenerator.load(source, config)
    return Seq2SeqGenerator.create(config, source)


def load_generator(folder: Path, config: GeneratorConfig) -> Writer:
    """A generator that was saved."""
    family = CausalGenerator if model_type(folder) == "llama" else Seq2SeqGenerator
    return family.load(folder, config)
