"""Encoders of the shapes of all-MiniLM-L6-v2 and BERT-base with random weights, and passages of one-token words."""

from __future__ import annotations

import random
from collections.abc import Mapping
from pathlib import Path

import torch
from transformers import BertConfig, BertModel, BertTokenizerFast

from rag_lightning.core.records import Passage

SHAPE = {"num_hidden_layers": 6, "hidden_size": 384, "num_attention_heads": 12, "intermediate_size": 1536}
BASE = {"num_hidden_layers": 12, "hidden_size": 768, "num_attention_heads": 12, "intermediate_size": 3072}
VOCABULARY = 30522
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
WORDS = VOCABULARY - len(SPECIAL)


def save_encoder(folder: Path, shape: Mapping[str, int] = SHAPE) -> Path:
    """Model and tokenizer; on one thread from here on."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    BertModel(BertConfig(vocab_size=VOCABULARY, max_position_embeddings=512, **shape)).save_pretrained(folder)
    words = [*SPECIAL, *(f"w{number}" for number in range(WORDS))]
    BertTokenizerFast(vocab={word: i for i, word in enumerate(words)}).save_pretrained(folder)
    return folder


def words(draw: random.Random, count: int) -> str:
    """So many words."""
    return " ".join(f"w{draw.randrange(WORDS)}" for _ in range(count))


def random_passages(count: int) -> list[Passage]:
    """Of 50 to 130 tokens."""
    draw = random.Random(0)
    return [Passage(str(row), "w0", words(draw, draw.randint(47, 127))) for row in range(count)]
