"""Encoders: pooling, padding, prefixes, lengths, roles, gradients, and models that cannot be loaded."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import BertModel, DPRContextEncoder

from rag_lightning.config.retrieval import EncoderConfig
from rag_lightning.core.errors import AssetError, ConfigError
from rag_lightning.core.records import Passage
from rag_lightning.retrieval.encoders import Role, TextEncoder

QUERIES = ["the capital", "red river in paris ?", "a"]


def encoder(folder: Path, role: Role = "query", **values: Any) -> TextEncoder:
    return TextEncoder(EncoderConfig(**values), folder, role)


@pytest.mark.parametrize("pooling", ["cls", "mean", "pooler"])
def test_pooling_equals_its_definition(tiny_bert: Path, pooling: str) -> None:
    vectors = encoder(tiny_bert, pooling=pooling, normalize=False).encode_texts(QUERIES)
    bert = BertModel.from_pretrained(tiny_bert).eval()
    tokens = encoder(tiny_bert).tokenizer
    for text, vector in zip(QUERIES, vectors, strict=True):
        with torch.no_grad():
            states = bert(**tokens(text, return_tensors="pt"))
        hidden = states.last_hidden_state[0]
        wanted = {"cls": hidden[0], "mean": hidden.mean(0), "pooler": states.pooler_output[0]}[pooling]
        np.testing.assert_allclose(vector, wanted.numpy(), atol=1e-5)


def test_padding_and_batching_change_nothing(tiny_bert: Path) -> None:
    model = encoder(tiny_bert)
    together = model.encode_texts(QUERIES)
    np.testing.assert_allclose(together, model.encode_texts(QUERIES, batch_size=1), atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(together, axis=1), 1, atol=1e-6)
    assert together.dtype == np.float32
    assert model.encode_texts([]).shape == (0, 16)


def test_prefixes_and_lengths(tiny_bert: Path) -> None:
    passage = Passage("1", "Rome", "is red")
    model = encoder(tiny_bert, query_prefix="query : ", passage_prefix="passage : ", max_query_length=4)
    assert model.tokenizer.decode(model.token_ids(["the city"])[0]["input_ids"]) == "[CLS] query : [SEP]"
    model = encoder(tiny_bert, "passage", passage_prefix="passage : ")
    assert model.tokenizer.decode(model.token_ids([passage])[0]["input_ids"]) == "[CLS] passage : rome is red [SEP]"
    assert model.max_length == 64


def test_what_is_longer_than_the_limit_is_counted(tiny_bert: Path) -> None:
    model = encoder(tiny_bert, query_prefix="query : ", max_query_length=5)
    assert [model.count_cut([text]) for text in ("city", "the city")] == [0, 1], "the prefix counts too"
    assert model.count_cut(["a", "the red city", "the city in france"]) == 2 and model.count_cut([]) == 0
    passages = [Passage("1", "Rome", "is red"), Passage("2", "Rome", "is red " * 40)]
    assert encoder(tiny_bert, "passage").count_cut(passages) == 1


def test_passage_encoder_wants_passages(tiny_bert: Path) -> None:
    with pytest.raises(TypeError, match="Passage records"):
        encoder(tiny_bert, "passage").token_ids(["rome"])


def test_gradients_reach_the_embeddings_and_output_is_float32(tiny_bert: Path) -> None:
    model = encoder(tiny_bert)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        vectors = model(**model.tokenize(QUERIES))
    assert vectors.dtype == torch.float32
    (vectors @ torch.ones(16)).sum().backward()
    assert all(parameter.grad is not None for parameter in model.parameters())


def test_encoding_leaves_training_mode(tiny_bert: Path) -> None:
    model = encoder(tiny_bert).train()
    np.testing.assert_array_equal(model.encode_texts(QUERIES), model.encode_texts(QUERIES))
    assert model.training and model.model.training


def test_bfloat16_weights_give_float32_vectors_near_the_exact_ones(tiny_bert: Path) -> None:
    model = encoder(tiny_bert)
    wanted = model.encode_texts(QUERIES)
    found = model.to(torch.bfloat16).encode_texts(QUERIES)
    assert found.dtype == np.float32
    assert ((found * wanted).sum(1) > 0.99).all()


def test_dpr_takes_title_and_text_as_a_pair(tiny_dpr: dict[str, Path]) -> None:
    model = encoder(tiny_dpr["passage"], "passage", pooling="pooler", normalize=False)
    passage = Passage("1", "Rome", "is red")
    assert model.tokenizer.decode(model.token_ids([passage])[0]["input_ids"]) == "[CLS] rome [SEP] is red [SEP]"
    reference = DPRContextEncoder.from_pretrained(tiny_dpr["passage"]).eval()
    with torch.no_grad():
        wanted = reference(**model.tokenizer("Rome", "is red", return_tensors="pt")).pooler_output
    np.testing.assert_allclose(model.encode_texts([passage]), wanted.numpy(), atol=1e-5)
    assert model.dim == encoder(tiny_dpr["query"], pooling="pooler").dim == 8
    with pytest.raises(ConfigError, match="needs 'pooler'"):
        encoder(tiny_dpr["query"], pooling="mean")


def test_models_that_cannot_be_loaded(tiny_bert: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(AssetError, match="does not exist"):
        encoder(tmp_path / "none")
    copied = Path(shutil.copytree(tiny_bert, tmp_path / "bert"))
    weights = copied / "model.safetensors"
    torch.save(BertModel.from_pretrained(tiny_bert).state_dict(), copied / "pytorch_model.bin")
    content = weights.read_bytes()
    weights.write_bytes(content[: len(content) // 2])
    with pytest.raises(AssetError, match="cannot be loaded"):
        encoder(copied)
    weights.unlink()
    with pytest.raises(AssetError, match="safetensors"):
        encoder(copied)


def test_checkpoint_without_the_weights_is_refused(tiny_bert: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    copied = Path(shutil.copytree(tiny_bert, tmp_path / "bert"))
    weights = load_file(copied / "model.safetensors")
    save_file({k: v for k, v in weights.items() if "layer.1" not in k}, copied / "model.safetensors", {"format": "pt"})
    with pytest.raises(AssetError, match="weights lack encoder"):
        encoder(copied)


def test_a_model_that_is_no_encoder_is_refused(llama_folder: Path, toy_folder: Path) -> None:
    for folder, kind in ((llama_folder, "llama"), (toy_folder, "bart")):
        with pytest.raises(ConfigError, match=f"is a {kind}, not a BERT-family encoder"):
            TextEncoder(EncoderConfig(), folder, "query")
