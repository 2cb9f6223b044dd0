"""The question encoder of a RAG checkpoint: settings it needs, and checkpoints that lack it."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import BertTokenizerFast

from rag_lightning.config.retrieval import EncoderConfig
from rag_lightning.core.errors import AssetError, ConfigError
from rag_lightning.generator.seq2seq import Seq2SeqGenerator
from rag_lightning.retrieval.encoders import TextEncoder
from rag_lightning.stages.export_model import write_rag
from tests.rag_checkpoints import make_rag, save_rag

DPR = EncoderConfig(pooling="pooler", normalize=False, score_scale=1.0)


@pytest.fixture
def folder(toy: Seq2SeqGenerator, tmp_path: Path) -> Path:
    return save_rag(make_rag(toy, "rag_sequence"), toy.tokenizer, tmp_path / "rag")


@pytest.mark.parametrize(("name", "value"), [("pooling", "mean"), ("normalize", True), ("score_scale", 20.0)])
def test_settings_that_would_give_other_scores_are_refused(folder: Path, name: str, value: object) -> None:
    with pytest.raises(ConfigError, match=rf"encoder\.{name} is {value!r}; .* needs"):
        TextEncoder(replace(DPR, **{name: value}), folder, "query")  # type: ignore[arg-type]


def test_it_has_no_passage_encoder(folder: Path) -> None:
    with pytest.raises(ConfigError, match=r"holds no passage encoder; set encoder\.passage_model"):
        TextEncoder(DPR, folder, "passage")


def test_tokenizer_and_weights_as_released(new_reader: Callable[..., Seq2SeqGenerator], tmp_path: Path) -> None:
    """Released files hold a vocabulary only, a pooler that DPR never asks, and a buffer of positions."""
    reader = new_reader()
    folder = save_rag(make_rag(reader, "rag_sequence"), reader.tokenizer, tmp_path)
    wanted = TextEncoder(DPR, folder, "query")
    place = folder / "question_encoder_tokenizer"
    vocabulary = sorted(wanted.tokenizer.get_vocab().items(), key=lambda item: item[1])
    shutil.rmtree(place)
    place.mkdir()
    (place / "vocab.txt").write_text("".join(f"{word}\n" for word, _ in vocabulary))
    weights = load_file(folder / "model.safetensors")
    inside = "rag.question_encoder.question_encoder.bert_model."
    weights[f"{inside}pooler.dense.weight"] = torch.zeros(8, 8)
    weights[f"{inside}embeddings.position_ids"] = torch.arange(16)
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    found = TextEncoder(DPR, folder, "query")
    np.testing.assert_array_equal(found.encode_texts(["the river"]), wanted.encode_texts(["the river"]))


def test_a_missing_tokenizer_folder(folder: Path) -> None:
    shutil.rmtree(folder / "question_encoder_tokenizer")
    with pytest.raises(AssetError, match="question_encoder_tokenizer is missing"):
        TextEncoder(DPR, folder, "query")


def test_a_tokenizer_that_cannot_be_loaded_or_is_larger_than_the_model(folder: Path) -> None:
    place = folder / "question_encoder_tokenizer"
    (place / "tokenizer.json").write_text("{")
    with pytest.raises(AssetError, match=r"question_encoder_tokenizer/tokenizer\.json: cannot be loaded"):
        TextEncoder(DPR, folder, "query")
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "b", "c"]
    BertTokenizerFast(vocab={word: i for i, word in enumerate(words)}).save_pretrained(place)
    with pytest.raises(ConfigError, match="question_encoder_tokenizer has 8 tokens, the question encoder only 7"):
        TextEncoder(DPR, folder, "query")


def test_a_checkpoint_without_it_says_why(toy: Seq2SeqGenerator, bert_folder: Path, tmp_path: Path) -> None:
    said = write_rag(tmp_path, "rag_token", toy, TextEncoder(EncoderConfig(), bert_folder, "query"), n_docs=2)
    toy.tokenizer.save_pretrained(tmp_path / "question_encoder_tokenizer")
    with pytest.raises(AssetError, match=r"lack question_encoder .*bert with mean pooling is no DPR"):
        TextEncoder(DPR, tmp_path, "query")
    assert said["question_encoder"].startswith("not exported")
