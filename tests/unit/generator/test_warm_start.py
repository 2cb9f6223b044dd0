"""A BART made of a BERT, saved and loaded; the generator around it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from transformers import AutoModel, AutoTokenizer, DistilBertConfig, DistilBertModel

from rag_lightning.config.generator import GeneratorConfig
from rag_lightning.core.errors import AssetError, ConfigError
from rag_lightning.generator.seq2seq import Seq2SeqGenerator, load_bart, token_batches
from rag_lightning.generator.warm_start import bart_from_bert, spaced_layers

IDS = torch.tensor([[2, 5, 6, 7, 3, 8, 3], [2, 9, 3, 0, 0, 0, 0]])
MASK = (IDS != 0).long()


@pytest.fixture(scope="module")
def bert(bert_folder: Path) -> Any:
    return AutoModel.from_pretrained(bert_folder).eval()


@pytest.fixture(scope="module")
def bart(bert_folder: Path) -> Any:
    return bart_from_bert(bert_folder, AutoTokenizer.from_pretrained(bert_folder), 2, 0.1).eval()


def encoder_gap(bert: Any, bart: Any) -> float:
    with torch.inference_mode():
        wanted = bert(input_ids=IDS, attention_mask=MASK).last_hidden_state
        found = bart.model.encoder(input_ids=IDS, attention_mask=MASK).last_hidden_state
    return float((wanted - found)[MASK.bool()].abs().max())


def test_with_berts_epsilon_the_encoder_is_the_bert(bert: Any, bert_folder: Path) -> None:
    bart: Any = bart_from_bert(bert_folder, AutoTokenizer.from_pretrained(bert_folder), 2, 0.1).eval()
    assert all(norm.eps == 1e-5 for norm in bart.modules() if isinstance(norm, nn.LayerNorm))
    own = encoder_gap(bert, bart)
    for norm in bart.modules():
        if isinstance(norm, nn.LayerNorm):
            norm.eps = bert.config.layer_norm_eps
    assert bert.config.layer_norm_eps == 1e-12
    assert encoder_gap(bert, bart) < 1e-5
    assert own < 1e-2


def same(source: Any, target: Any) -> bool:
    return torch.equal(source.weight, target.weight) and torch.equal(source.bias, target.bias)


def test_decoder_layers_are_evenly_spaced_encoder_layers(bert: Any, bart: Any) -> None:
    for target, at in zip(bart.model.decoder.layers, [1, 3], strict=True):
        source = bert.encoder.layer[at]
        own = source.attention
        for attention in (target.self_attn, target.encoder_attn):
            assert same(own.self.query, attention.q_proj)
            assert same(own.self.key, attention.k_proj)
            assert same(own.self.value, attention.v_proj)
            assert same(own.output.dense, attention.out_proj)
        assert same(own.output.LayerNorm, target.self_attn_layer_norm)
        assert same(own.output.LayerNorm, target.encoder_attn_layer_norm)
        assert same(source.intermediate.dense, target.fc1)
        assert same(source.output.dense, target.fc2)
        assert same(source.output.LayerNorm, target.final_layer_norm)


def test_word_vectors_are_shared_by_both_sides_and_the_output(bert: Any, bart: Any) -> None:
    words = bart.model.shared.weight
    assert torch.equal(words, bert.embeddings.word_embeddings.weight)
    for tied in (bart.model.encoder.embed_tokens, bart.model.decoder.embed_tokens, bart.lm_head):
        assert tied.weight is words or tied.weight.data_ptr() == words.data_ptr()


def test_special_tokens_and_dropout_come_from_the_bert_and_the_config(bart: Any) -> None:
    config = bart.config
    assert (config.pad_token_id, config.bos_token_id, config.eos_token_id) == (0, 2, 3)
    assert config.decoder_start_token_id == 2
    assert (config.dropout, config.attention_dropout) == (0.1, 0.0)


@pytest.mark.parametrize(
    ("total", "count", "wanted"),
    [(6, 3, [1, 3, 5]), (6, 1, [5]), (6, 6, [0, 1, 2, 3, 4, 5]), (12, 4, [2, 5, 8, 11]), (4, 2, [1, 3])],
)
def test_spaced(total: int, count: int, wanted: list[int]) -> None:
    assert spaced_layers(total, count) == wanted


def test_spaced_is_strictly_rising_and_ends_with_the_last() -> None:
    for total in range(1, 25):
        for count in range(1, total + 1):
            found = spaced_layers(total, count)
            assert found == sorted(set(found)) and len(found) == count and found[-1] == total - 1 and found[0] >= 0


def test_two_models_of_one_encoder_are_bit_for_bit_the_same(bert_folder: Path) -> None:
    """Also in the rows that no position reads, whatever numbers were drawn before."""
    made = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        made.append(Seq2SeqGenerator.create(GeneratorConfig(decoder_layers=2), bert_folder).state_dict())
    assert all(torch.equal(value, made[1][name]) for name, value in made[0].items())


@pytest.mark.parametrize("layers", [0, 5])
def test_more_decoder_layers_than_the_encoder_has_are_refused(bert_folder: Path, layers: int) -> None:
    with pytest.raises(ConfigError, match=rf"decoder_layers={layers}: the encoder has 4 layers"):
        bart_from_bert(bert_folder, AutoTokenizer.from_pretrained(bert_folder), layers, 0.0)


def test_another_family_is_refused(bert_folder: Path, tmp_path: Path) -> None:
    config = DistilBertConfig(vocab_size=20, dim=8, n_layers=1, n_heads=1, hidden_dim=8)
    DistilBertModel(config).save_pretrained(tmp_path)
    with pytest.raises(ConfigError, match="distilbert cannot warm-start"):
        bart_from_bert(tmp_path, AutoTokenizer.from_pretrained(bert_folder), 1, 0.0)


def test_a_saved_generator_gives_the_same_logits(new_reader: Callable[..., Seq2SeqGenerator], tmp_path: Path) -> None:
    reader = new_reader().eval()
    with torch.no_grad():
        reader.model.final_logits_bias.normal_()
    reader.save(tmp_path)
    again = Seq2SeqGenerator.load(tmp_path, reader.config).eval()
    targets = torch.tensor([[5, 6, 3]])
    with torch.inference_mode():
        wanted = reader.token_log_probs([[2, 5, 3]], targets)
        torch.testing.assert_close(again.token_log_probs([[2, 5, 3]], targets), wanted, rtol=0, atol=0)
    assert again.tokenizer("Porto-Novo")["input_ids"] == reader.tokenizer("Porto-Novo")["input_ids"]
    assert not list(tmp_path.glob("*.bin"))


def test_the_start_token_is_fed_and_not_scored(new_reader: Callable[..., Seq2SeqGenerator]) -> None:
    reader = new_reader()
    assert reader.start_id == reader.tokenizer.cls_token_id
    assert reader.target_ids(["rome"])[0][-1] == reader.tokenizer.sep_token_id
    assert reader.start_id not in reader.target_ids(["rome"])[0]
    assert reader.decoder_inputs(torch.tensor([[7, 8, 3]])).tolist() == [[reader.start_id, 7, 8]]


def test_a_tokenizer_larger_than_the_model_is_refused(bert_folder: Path, toy_folder: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(bert_folder)
    with pytest.raises(ConfigError, match=rf"tokenizer has {len(tokenizer)} tokens, the model only 7"):
        Seq2SeqGenerator(load_bart(toy_folder, 0.0), tokenizer, GeneratorConfig())


def test_a_folder_without_weights_is_an_asset_error(toy_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_bytes((toy_folder / "config.json").read_bytes())
    with pytest.raises(AssetError, match="cannot be loaded: has no safetensors"):
        load_bart(tmp_path, 0.0)


def test_token_batches_hold_every_position_once_within_the_budget() -> None:
    lengths = [3, 9, 1, 4, 4, 20, 2, 7]
    groups = list(token_batches(lengths, budget=16))
    assert sorted(i for group in groups for i in group) == list(range(len(lengths)))
    for group in groups:
        assert len(group) == 1 or max(lengths[i] for i in group) * len(group) <= 16
    assert [5] in groups, "a row above the budget goes alone"


def test_at_most_half_of_a_token_batch_is_padding() -> None:
    assert list(token_batches([90, 20, 80, 17, 45, 1], budget=1000)) == [[0, 2, 4], [1, 3], [5]]
