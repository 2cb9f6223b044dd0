"""What is made once, and given to many tests."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from rag_lightning.config import yaml_files

if TYPE_CHECKING:
    from rag_lightning.generator.seq2seq import Seq2SeqGenerator


@pytest.fixture(scope="session", autouse=True)
def yaml_is_parsed_once() -> Iterator[None]:
    """Each report reads the paper's numbers again, each matrix all experiments: the same text has the same values."""
    read, kept = yaml_files.plain_values, dict[str, bytes]()

    def plain_values(text: str) -> Any:
        if text not in kept:
            kept[text] = pickle.dumps(read(text))
        return pickle.loads(kept[text])

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(yaml_files, "plain_values", plain_values)
        yield


@pytest.fixture(scope="session")
def new_reader(bert_folder: Path) -> Callable[..., Seq2SeqGenerator]:
    """Makes generators warm-started from the tiny BERT, every one with the same weights: copies of one."""
    import torch

    from rag_lightning.config.generator import GeneratorConfig
    from rag_lightning.generator.seq2seq import Seq2SeqGenerator

    @cache
    def made(dropout: float, max_source_length: int) -> tuple[Seq2SeqGenerator, torch.Tensor]:
        torch.manual_seed(0)
        config = GeneratorConfig(
            decoder_layers=2, max_source_length=max_source_length, max_target_length=8, dropout=dropout
        )
        return Seq2SeqGenerator.create(config, bert_folder), torch.get_rng_state()

    def make(dropout: float = 0.0, max_source_length: int = 48) -> Seq2SeqGenerator:
        reader, state = made(dropout, max_source_length)
        torch.set_rng_state(state)
        return copy.deepcopy(reader)

    return make
