"""RAG checkpoints of transformers that are whole, old, in shards, or wrong."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import BertTokenizerFast

from rag_lightning.checkpoints.loading import generator_of, unpack_gguf
from rag_lightning.checkpoints.rag_layout import check_use, is_rag, open_rag
from rag_lightning.config.generator import GeneratorConfig
from rag_lightning.core.errors import AssetError, ConfigError, DataError
from rag_lightning.generator.seq2seq import Seq2SeqGenerator
from tests.rag_checkpoints import make_rag, save_rag


@pytest.fixture(scope="module")
def whole(toy: Seq2SeqGenerator, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_rag(make_rag(toy, "rag_token"), toy.tokenizer, tmp_path_factory.mktemp("rag"))


@pytest.fixture
def folder(whole: Path, tmp_path: Path) -> Path:
    """A copy to spoil."""
    return Path(shutil.copytree(whole, tmp_path / "rag"))


def change(folder: Path, edit: Callable[[dict[str, Any]], object]) -> None:
    file = folder / "config.json"
    settings = json.loads(file.read_text())
    edit(settings)
    file.write_text(json.dumps(settings))


def keep(folder: Path, kept: Callable[[str], bool]) -> None:
    weights = load_file(folder / "model.safetensors")
    save_file({k: v for k, v in weights.items() if kept(k)}, folder / "model.safetensors", {"format": "pt"})


def same(model: Any, toy: Seq2SeqGenerator) -> bool:
    wanted = toy.model.state_dict()
    return all(torch.equal(value, wanted[name]) for name, value in model.state_dict().items())


def test_what_is_a_rag_checkpoint(whole: Path, toy_folder: Path, tmp_path: Path) -> None:
    assert is_rag(whole) and is_rag(str(whole))
    assert not is_rag(toy_folder) and not is_rag("facebook/rag-token-nq") and not is_rag(tmp_path)
    (tmp_path / "config.json").write_text("[]")
    assert not is_rag(tmp_path)


def test_weights_in_shards(toy: Seq2SeqGenerator, tmp_path: Path) -> None:
    save_rag(make_rag(toy, "rag_token"), toy.tokenizer, tmp_path, max_shard_size="2KB")
    assert len(list(tmp_path.glob("*.safetensors"))) > 1
    assert same(generator_of(tmp_path, 0.0)[0], toy)


def test_a_bare_rag_model_says_no_formulation(toy: Seq2SeqGenerator, tmp_path: Path) -> None:
    save_rag(make_rag(toy, "rag_token").rag, toy.tokenizer, tmp_path)
    assert same(generator_of(tmp_path, 0.0)[0], toy)
    assert open_rag(tmp_path).formulation is None
    check_use(open_rag(tmp_path), "rag_sequence", "hf_rag")


def test_old_weights_and_settings(toy: Seq2SeqGenerator, folder: Path) -> None:
    """Released files hold the tied copies of the embeddings and settings of generation among those of the model."""
    weights = load_file(folder / "model.safetensors")
    for name in ("model.encoder.embed_tokens", "model.decoder.embed_tokens", "lm_head"):
        weights[f"rag.generator.{name}.weight"] = weights["rag.generator.model.shared.weight"].clone()
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    change(folder, lambda settings: settings["generator"].update(num_beams=4, max_length=20, early_stopping=False))
    model, tokenizer = generator_of(folder, 0.0)
    assert same(model, toy) and model.lm_head.weight is model.model.shared.weight
    Seq2SeqGenerator(model, tokenizer, GeneratorConfig()).save(folder / "again")


def test_opened_as_what_it_was_trained_as(whole: Path) -> None:
    checkpoint = open_rag(whole)
    assert (checkpoint.formulation, checkpoint.template, checkpoint.max_length) == ("rag_token", "hf_rag", 300)
    check_use(checkpoint, "rag_token", "hf_rag")
    for formulation in ("rag_sequence", "closed_book"):
        with pytest.raises(ConfigError, match=rf"trained as rag_token, .* is {formulation}; generator\.mismatch=allow"):
            check_use(checkpoint, formulation, "hf_rag")
    with pytest.raises(ConfigError, match=r"template hf_rag, generator\.template is ours"):
        check_use(checkpoint, "rag_token", "ours")


def test_a_missing_tokenizer_folder(folder: Path) -> None:
    shutil.rmtree(folder / "generator_tokenizer")
    with pytest.raises(AssetError, match="generator_tokenizer is missing"):
        generator_of(folder, 0.0)


@pytest.mark.parametrize("file", ["tokenizer_config.json", "vocab.json"])
def test_a_tokenizer_without_its_vocabulary(folder: Path, file: str) -> None:
    """transformers makes an empty tokenizer of such a folder."""
    shutil.rmtree(folder / "generator_tokenizer")
    (folder / "generator_tokenizer").mkdir()
    (folder / "generator_tokenizer" / file).write_text("{}")
    with pytest.raises(AssetError, match=r"generator_tokenizer lacks its vocabulary, .* vocab\.json with merges\.txt"):
        generator_of(folder, 0.0)


def test_tokenizer_files_as_released(toy: Seq2SeqGenerator, tmp_path: Path) -> None:
    """Released folders hold vocabulary and merges only, no name of a class."""
    model = make_rag(toy, "rag_token")
    model.config.generator.vocab_size = 300
    folder = save_rag(type(model)(model.config), toy.tokenizer, tmp_path)
    shutil.rmtree(folder / "generator_tokenizer")
    (folder / "generator_tokenizer").mkdir()
    words = ["<s>", "<pad>", "</s>", "<unk>", "<mask>", "a", "b", "Ġ", "ab", "Ġab"]
    (folder / "generator_tokenizer" / "vocab.json").write_text(json.dumps({word: i for i, word in enumerate(words)}))
    (folder / "generator_tokenizer" / "merges.txt").write_text("#version: 0.2\na b\nĠ ab\n")
    _, tokenizer = generator_of(folder, 0.0)
    assert tokenizer.convert_ids_to_tokens(tokenizer("ab ab")["input_ids"]) == ["<s>", "ab", "Ġab", "</s>"]


def test_a_damaged_tokenizer(folder: Path) -> None:
    (folder / "generator_tokenizer" / "tokenizer.json").write_text("{")
    with pytest.raises(AssetError, match=r"generator_tokenizer/tokenizer\.json: cannot be loaded"):
        generator_of(folder, 0.0)


def test_missing_weights(folder: Path) -> None:
    keep(folder, lambda key: "decoder.layers.1" not in key)
    with pytest.raises(AssetError, match=r"weights lack model\.decoder\.layers\.1\..* more"):
        generator_of(folder, 0.0)
    keep(folder, lambda key: "generator" not in key)
    with pytest.raises(AssetError, match=r"weights lack generator$"):
        generator_of(folder, 0.0)


def test_weights_of_another_shape(folder: Path) -> None:
    change(folder, lambda settings: settings["generator"].update(decoder_ffn_dim=8))
    with pytest.raises(AssetError, match=r"generator of the RAG checkpoint .*: cannot be loaded"):
        generator_of(folder, 0.0)


def test_pickle_is_never_opened(folder: Path) -> None:
    weights = folder / "model.safetensors"
    weights.rename(folder / "pytorch_model.bin")
    with pytest.raises(AssetError, match=r"only pytorch_model\.bin, which is pickle and can run code"):
        generator_of(folder, 0.0)
    (folder / "pytorch_model.bin").unlink()
    with pytest.raises(AssetError, match="has no safetensors"):
        generator_of(folder, 0.0)


def test_damaged_weights(folder: Path) -> None:
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:100])
    with pytest.raises(AssetError, match=r"model\.safetensors: cannot be read as safetensors"):
        generator_of(folder, 0.0)


def test_a_damaged_or_missing_shard(toy: Seq2SeqGenerator, tmp_path: Path) -> None:
    save_rag(make_rag(toy, "rag_token"), toy.tokenizer, tmp_path, max_shard_size="2KB")
    next(tmp_path.glob("*.safetensors")).unlink()
    with pytest.raises(AssetError, match="cannot be read"):
        generator_of(tmp_path, 0.0)
    (tmp_path / "model.safetensors.index.json").write_text("{}")
    with pytest.raises(AssetError, match="weight_map"):
        generator_of(tmp_path, 0.0)


def test_another_kind_of_model(toy_folder: Path, folder: Path) -> None:
    with pytest.raises(ConfigError, match="is a 'bart' checkpoint, not a RAG checkpoint"):
        open_rag(toy_folder)
    change(folder, lambda settings: settings["generator"].update(model_type="t5"))
    with pytest.raises(ConfigError, match="its generator is 't5', only 'bart' is read"):
        generator_of(folder, 0.0)
    change(folder, lambda settings: settings.pop("generator"))
    with pytest.raises(ConfigError, match="its generator is None"):
        generator_of(folder, 0.0)


@pytest.mark.parametrize(("text", "problem"), [("{", "is cut short"), ("[]", "is not a JSON object")])
def test_a_broken_configuration(folder: Path, text: str, problem: str) -> None:
    (folder / "config.json").write_text(text)
    with pytest.raises(DataError, match=problem):
        open_rag(folder)
    (folder / "config.json").unlink()
    with pytest.raises(DataError, match="is missing"):
        open_rag(folder)


@pytest.mark.parametrize(("name", "value"), [("prefix", "question: "), ("title_sep", " - "), ("doc_sep", "")])
def test_another_input_text_is_refused(folder: Path, name: str, value: str) -> None:
    change(folder, lambda settings: settings.update({name: value}))
    with pytest.raises(ConfigError, match=f"{name} is '{value}'; only"):
        open_rag(folder)


def test_a_tokenizer_larger_than_the_model(folder: Path) -> None:
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "b", "c"]
    BertTokenizerFast(vocab={word: i for i, word in enumerate(words)}).save_pretrained(folder / "generator_tokenizer")
    with pytest.raises(ConfigError, match="its tokenizer has 8 tokens, the model only 7"):
        Seq2SeqGenerator.create(GeneratorConfig(init=str(folder), template="hf_rag"), folder)


@pytest.mark.parametrize("content", [b"", b"GGUF", b"GGUF, but no more than that", b"no such file at all" * 99])
def test_what_is_no_model_is_told_with_the_file(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "model.gguf"
    file.write_bytes(content)
    with pytest.raises(AssetError, match=r"model\.gguf: (cannot be read as a Llama|reading GGUF needs)"):
        unpack_gguf(file, tmp_path / "there")
    assert not (tmp_path / "there").exists()
