"""A model from outside that is damaged, huge or brings code is one line with its file: whatever it is opened as."""

from __future__ import annotations

import builtins
import json
import shutil
import struct
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from rag_lightning.checkpoints.architectures import shape_of
from rag_lightning.checkpoints.loading import question_tokenizer_of
from rag_lightning.config.generator import GeneratorConfig
from rag_lightning.config.retrieval import EncoderConfig
from rag_lightning.core.errors import RagLightningError
from rag_lightning.generator.heads import HEAD_FILE, ClassHead, holds_head
from rag_lightning.generator.opening import create_generator, load_generator
from rag_lightning.generator.seq2seq import Seq2SeqGenerator
from rag_lightning.retrieval.encoders import TextEncoder, encoder_width
from tests.rag_checkpoints import make_rag, save_rag

ENCODER = EncoderConfig(pooling="mean")
Open = Callable[[Path], object]
RAN = "ran"
"""File that the code of a model would write."""
CODE = f"open(__file__ + '.{RAN}', 'w').close()\nclass Evil:\n    pass\n"


def reader_of(template: str = "ours", **changes: Any) -> GeneratorConfig:
    return GeneratorConfig(template=template, max_source_length=32, max_target_length=3, **changes)  # type: ignore[arg-type]


OPENERS: Mapping[str, tuple[str, Open]] = {
    "generator": ("toy", lambda folder: create_generator(reader_of(init=str(folder)), folder)),
    "saved generator": ("toy", lambda folder: load_generator(folder, reader_of())),
    "decoder-only generator": ("llama", lambda folder: create_generator(reader_of("prompt", init=str(folder)), folder)),
    "warm start": ("bert", lambda folder: create_generator(reader_of(decoder_layers=2), folder)),
    "encoder": ("bert", lambda folder: TextEncoder(ENCODER, folder, "query")),
    "RAG's generator": ("rag", lambda folder: create_generator(reader_of("hf_rag", init=str(folder)), folder)),
    "RAG's encoder": (
        "rag",
        lambda folder: TextEncoder(EncoderConfig(pooling="pooler", normalize=False, score_scale=1.0), folder, "query"),
    ),
}
PLAIN = [name for name in OPENERS if not name.startswith("RAG")]


@pytest.fixture(scope="module")
def models(
    toy: Seq2SeqGenerator, toy_folder: Path, llama_folder: Path, bert_folder: Path, tmp_path_factory: Any
) -> dict[str, Path]:
    rag = save_rag(make_rag(toy, "rag_token"), toy.tokenizer, tmp_path_factory.mktemp("rag"))
    return {"toy": toy_folder, "llama": llama_folder, "bert": bert_folder, "rag": rag}


@pytest.fixture(autouse=True)
def nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody is there to be asked whether code may run."""

    def ask(*_: object) -> str:
        raise AssertionError("somebody was asked")

    monkeypatch.setattr(builtins, "input", ask)


def spoiled(models: Mapping[str, Path], name: str, place: Path) -> tuple[Path, Open]:
    kind, open_it = OPENERS[name]
    return Path(shutil.copytree(models[kind], place / "model")), open_it


def refuse(open_it: Callable[[], object], *files: str) -> None:
    """One line that names one of the files."""
    with pytest.raises(RagLightningError) as caught:
        open_it()
    said = str(caught.value)
    assert "\n" not in said and len(said) < 900, said
    assert any(file in said for file in files), said


def settings_of(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Change config.json, of a RAG checkpoint that of both parts."""
    found = json.loads((folder / "config.json").read_text())
    for part in [found.get("generator"), found.get("question_encoder")] if found["model_type"] == "rag" else [found]:
        change(part)
    (folder / "config.json").write_text(json.dumps(found))


def head(size: int, content: bytes = b"{}") -> bytes:
    return struct.pack("<Q", size) + content


WEIGHTS: Mapping[str, Callable[[bytes], bytes]] = {
    "cut in its tensors": lambda content: content[:-7],
    "cut in its head": lambda content: content[:100],
    "empty": lambda content: b"",
    "a head of 2**63": lambda content: head(2**63, content[8:]),
    "a head of 99 MB": lambda content: head(99_000_000, content[8:]),
    "no JSON": lambda content: head(8, b"{{{{{{{{" + content[8:]),
    "tensors beyond its end": lambda content: content.replace(b'"data_offsets":[0,', b'"data_offsets":[9,', 1),
    "text": lambda content: b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n",
}


@pytest.mark.parametrize("name", OPENERS)
@pytest.mark.parametrize("damage", [*WEIGHTS, "pickle"])
def test_damaged_weights(name: str, damage: str, models: dict[str, Path], tmp_path: Path) -> None:
    folder, open_it = spoiled(models, name, tmp_path)
    file = folder / "model.safetensors"
    if damage == "pickle":
        torch.save(load_file(file), tmp_path / "pickle")
        (tmp_path / "pickle").rename(file)
    else:
        file.write_bytes(WEIGHTS[damage](file.read_bytes()))
    refuse(lambda: open_it(folder), "model.safetensors")


@pytest.mark.parametrize("name", OPENERS)
@pytest.mark.parametrize("shard", ["../model.safetensors", "/etc/passwd", 5, "pytorch_model.bin"])
def test_shards_of_the_folder_only(name: str, shard: Any, models: dict[str, Path], tmp_path: Path) -> None:
    folder, open_it = spoiled(models, name, tmp_path)
    weights = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").rename(tmp_path / "model.safetensors")
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": dict.fromkeys(weights, shard)}))
    refuse(lambda: open_it(folder), "model.safetensors.index.json")


@pytest.mark.parametrize("name", OPENERS)
def test_weights_that_are_missing_are_never_made_up(name: str, models: dict[str, Path], tmp_path: Path) -> None:
    folder, open_it = spoiled(models, name, tmp_path)
    weights = load_file(folder / "model.safetensors")
    kept = {key: value for key, value in weights.items() if "layers.1." not in key and "layer.1." not in key}
    assert len(kept) < len(weights)
    save_file(kept, folder / "model.safetensors", {"format": "pt"})
    refuse(lambda: open_it(folder), str(folder))


NO_SETTINGS = ["", "{", "[]", "5", "null", '"text"', "\xff", "[" * 5000, '{"a": ' + "9" * 5000 + "}", "{}"]


@pytest.mark.parametrize("name", OPENERS)
@pytest.mark.parametrize("content", NO_SETTINGS, ids=range(len(NO_SETTINGS)))
def test_settings_that_are_none(name: str, content: str, models: dict[str, Path], tmp_path: Path) -> None:
    folder, open_it = spoiled(models, name, tmp_path)
    (folder / "config.json").write_bytes(content.encode("latin-1"))
    refuse(lambda: open_it(folder), str(folder))


WRONG: list[dict[str, Any]] = [
    {"model_type": "of my own"},
    {"model_type": ["bert"]},
    {"vocab_size": "many"},
    {"vocab_size": None},
    {"vocab_size": 10**12},
    {"vocab_size": 3},
    {"hidden_size": [16], "d_model": [16]},
    {"hidden_size": 10**9, "d_model": 10**9},
    {"hidden_size": 48, "d_model": 48},
    {"num_hidden_layers": 10**9, "encoder_layers": 10**9},
    {"num_hidden_layers": 90, "encoder_layers": 90},
    {"num_hidden_layers": -1, "encoder_layers": -1},
    {"num_attention_heads": 3, "encoder_attention_heads": 3},
    {"num_attention_heads": 0, "encoder_attention_heads": 0},
    {"hidden_act": "no such function", "activation_function": "no such function"},
    {"transformers_weights": "../model.safetensors"},
    {"attn_implementation": "somebody/kernels"},
    {"num_labels": 10**9},
    {"auto_map": {"AutoModel": "evil.Evil", "AutoConfig": "evil.Evil"}},
]


@pytest.mark.parametrize("name", OPENERS)
@pytest.mark.parametrize("change", WRONG, ids=lambda change: "-".join(map(str, [*change, *change.values()]))[:40])
def test_settings_that_cannot_be(name: str, change: dict[str, Any], models: dict[str, Path], tmp_path: Path) -> None:
    folder, open_it = spoiled(models, name, tmp_path)
    settings_of(folder, lambda found: found.update(change))
    refuse(lambda: open_it(folder), str(folder))


@pytest.mark.parametrize("name", ["generator", "saved generator", "RAG's generator"])
@pytest.mark.parametrize("field", ["decoder_start_token_id", "eos_token_id", "pad_token_id"])
@pytest.mark.parametrize("value", [7000, -1, None, "a", [2]])
def test_tokens_that_the_model_does_not_have(
    name: str, field: str, value: Any, models: dict[str, Path], tmp_path: Path
) -> None:
    folder, open_it = spoiled(models, name, tmp_path)
    settings_of(folder, lambda found: found.update({field: value}))
    refuse(lambda: open_it(folder), field, str(folder))


@pytest.mark.parametrize("name", OPENERS)
@pytest.mark.parametrize("model_type", ["known", "of my own"])
@pytest.mark.parametrize("file", ["config.json", "tokenizer_config.json"])
def test_code_of_a_model_never_runs(
    name: str, model_type: str, file: str, models: dict[str, Path], tmp_path: Path
) -> None:
    folder, open_it = spoiled(models, name, tmp_path)
    parts = {"RAG's generator": "generator_tokenizer", "RAG's encoder": "question_encoder_tokenizer"}
    place = folder / parts.get(name, "") if file.startswith("tokenizer") else folder
    found = json.loads((place / file).read_text())
    classes = ("AutoConfig", "AutoModel", "AutoModelForCausalLM", "AutoModelForSeq2SeqLM", "AutoTokenizer")
    found["auto_map"] = {one: ["evil.Evil", None] if one == "AutoTokenizer" else "evil.Evil" for one in classes}
    if model_type != "known":
        found |= {"model_type": model_type, "tokenizer_class": "Evil"}
    (place / file).write_text(json.dumps(found))
    for where in {folder, place}:
        (where / "evil.py").write_text(CODE)
    refuse(lambda: open_it(folder), file)
    assert not list(tmp_path.rglob(f"*{RAN}"))


TOKENIZERS: Mapping[str, list[str]] = {
    "tokenizer.json": ["", "{", "[]", "null", "{}", '{"model": {"type": "WordPiece"}}', '{"model": 5}', "\xff"],
    "tokenizer_config.json": ["{", "[]", '{"tokenizer_class": 5}', '{"tokenizer_class": ["Bert"]}', "\xff"],
}


@pytest.mark.parametrize("name", OPENERS)
@pytest.mark.parametrize(("file", "content"), [(file, text) for file, texts in TOKENIZERS.items() for text in texts])
def test_broken_tokenizers(name: str, file: str, content: str, models: dict[str, Path], tmp_path: Path) -> None:
    folder, open_it = spoiled(models, name, tmp_path)
    parts = {"RAG's generator": "generator_tokenizer", "RAG's encoder": "question_encoder_tokenizer"}
    place = folder / parts.get(name, "")
    (place / file).write_bytes(content.encode("latin-1"))
    refuse(lambda: open_it(folder), str(place))


@pytest.mark.parametrize("name", PLAIN)
def test_a_tokenizer_that_is_cut_or_missing(name: str, models: dict[str, Path], tmp_path: Path) -> None:
    folder, open_it = spoiled(models, name, tmp_path)
    content = (folder / "tokenizer.json").read_text()
    (folder / "tokenizer.json").write_text(content[: len(content) // 2])
    refuse(lambda: open_it(folder), "tokenizer.json")
    (folder / "tokenizer.json").unlink()
    refuse(lambda: open_it(folder), "lacks its vocabulary")


def test_fields_of_a_rag_checkpoint(models: dict[str, Path], tmp_path: Path) -> None:
    for number, change in enumerate(
        (
            {"architectures": 5},
            {"max_combined_length": "long"},
            {"rag_lightning": ["template"]},
            {"title_sep": [" / "]},
            {"generator": "bart"},
        )
    ):
        folder = Path(shutil.copytree(models["rag"], tmp_path / str(number)))
        file = folder / "config.json"
        file.write_text(json.dumps(json.loads(file.read_text()) | change))
        refuse(lambda folder=folder: OPENERS["RAG's generator"][1](folder), str(folder))  # type: ignore[misc]


def test_what_only_looks_into_a_model(models: dict[str, Path], tmp_path: Path) -> None:
    folder, _ = spoiled(models, "encoder", tmp_path)
    settings_of(folder, lambda found: found.update(auto_map={"AutoConfig": "evil.Evil"}, model_type="of my own"))
    refuse(lambda: encoder_width(folder), "config.json")
    refuse(lambda: shape_of(str(folder), "encoder"), "config.json")
    (folder / "config.json").write_text("[" * 5000)
    refuse(lambda: shape_of(str(folder), "encoder"), "config.json")
    folder = Path(shutil.copytree(models["rag"], tmp_path / "rag"))
    (folder / "question_encoder_tokenizer" / "tokenizer.json").write_text("{}")
    refuse(lambda: question_tokenizer_of(folder), "question_encoder_tokenizer")


@pytest.mark.parametrize("content", [b"", b"\x80\x04.", head(8, b"{{{{{{{{")])
def test_a_damaged_head_of_classes(content: bytes, tmp_path: Path) -> None:
    (tmp_path / HEAD_FILE).write_bytes(content)
    refuse(lambda: holds_head(tmp_path, ("a", "b")), HEAD_FILE)
    refuse(lambda: ClassHead.load(tmp_path, ("a", "b"), 4), HEAD_FILE)
    weights = {"linear.weight": torch.zeros(2, 4), "linear.bias": torch.zeros(2)}
    save_file(weights, tmp_path / HEAD_FILE, {"labels": "5"})
    assert not holds_head(tmp_path, ("a", "b"))
    refuse(lambda: ClassHead.load(tmp_path, ("a", "b"), 4), HEAD_FILE)


def test_models_as_they_were_are_opened(models: dict[str, Path], tmp_path: Path) -> None:
    for name in OPENERS:
        folder, open_it = spoiled(models, name, tmp_path / name.replace(" ", "-"))
        open_it(folder)
