"""A BERT small enough to be made in a test."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from transformers import BertConfig, BertModel, BertTokenizer, DPRConfig, DPRContextEncoder, DPRQuestionEncoder

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
PLAIN = ["the", "a", "of", "in", "capital", "river", "city", "is", "red", "blue", "paris", "rome"]
WORDS = [*SPECIAL, *PLAIN, "query", "passage", ":", ".", "?"]
SIZES = {
    "vocab_size": len(WORDS),
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "max_position_embeddings": 64,
}


def _tokenizer(folder: Path) -> None:
    BertTokenizer(vocab={word: i for i, word in enumerate(WORDS)}, do_lower_case=True).save_pretrained(folder)


@pytest.fixture(scope="session")
def tiny_bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bert")
    torch.manual_seed(0)
    BertModel(BertConfig(**SIZES, initializer_range=0.5)).save_pretrained(folder)
    _tokenizer(folder)
    return folder


@pytest.fixture(scope="session")
def tiny_dpr(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folders = {}
    torch.manual_seed(0)
    for role, cls in (("query", DPRQuestionEncoder), ("passage", DPRContextEncoder)):
        folders[role] = tmp_path_factory.mktemp(role)
        cls(DPRConfig(**SIZES, projection_dim=8)).save_pretrained(folders[role])
        _tokenizer(folders[role])
    return folders
