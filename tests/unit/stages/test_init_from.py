"""Training that starts from another model, and training of a part of the generator."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from rag_lightning.config.experiment import ExperimentConfig
from rag_lightning.core.errors import ConfigError, DataError
from rag_lightning.generator.seq2seq import Seq2SeqGenerator
from rag_lightning.stages import predict, reader, train
from rag_lightning.stages.workspace import Workspace
from tests.systems import inputs, of


def untrained(project: ExperimentConfig, init_from: str, **changes: Any) -> Workspace:
    """Starts from a model and leaves it as it is."""
    return of(project, init_from=init_from, train=True, **changes).with_config(train=replace(project.train, steps=0))


def weights(workspace: Workspace) -> dict[str, torch.Tensor]:
    found = train.load_generator(workspace).state_dict()
    return found | {f"q.{n}": v for n, v in train.load_query_encoder(workspace).state_dict().items()}


def test_training_starts_from_another_model(project: ExperimentConfig) -> None:
    source = train.build(of(project))
    by_digest, by_folder = (untrained(project, name) for name in (source.digest, str(source.path)))
    first, then = weights(of(project)), weights(by_digest)
    assert first.keys() == then.keys() and all(torch.equal(first[name], then[name]) for name in first)
    assert train.build(by_digest).digest == train.build(by_folder).digest != source.digest
    assert inputs(train.build(by_digest)) == {"init_from", "examples", "corpus", "vectors", "index", "query_model"}
    assert train.build(by_digest).info["score_scale"] == pytest.approx(source.info["score_scale"], rel=1e-6)
    further = of(project, init_from=source.digest, seed=7)
    changed = weights(further)
    assert any(not torch.equal(first[name], changed[name]) for name in first)
    assert predict.build(further, "dev").info["questions"] == 12


def test_a_model_of_another_kind_is_refused_with_both_named(
    project: ExperimentConfig, tmp_path: Path, bert_folder: Path
) -> None:
    source = train.build(of(project)).digest

    def refused(says: str, init_from: str = source, **changes: Any) -> None:
        with pytest.raises(ConfigError, match=rf"init_from={init_from}: {says}"):
            train.build(of(project, init_from=init_from, **changes))

    refused("its formulation is rag_token, the configuration's is rag_sequence", formulation="rag_sequence")
    refused(
        r"its generator is bart, width 32.*decoder layers 2.*, the configuration's is bart.*decoder layers 3",
        generator=replace(project.generator, decoder_layers=3),
    )
    refused(
        "its generator.template is ours, the configuration's is hf_rag",
        generator=replace(project.generator, template="hf_rag"),
    )
    refused(
        r"its encoder\.pooling is mean, the configuration's is cls", encoder=replace(project.encoder, pooling="cls")
    )
    other = tmp_path / "cased"
    retokenized(bert_folder, other)
    cased = replace(project.generator, encoder=str(other))
    refused(r"the tokenizer of its generator \(.*tokens\) is not the configuration's", generator=cased)
    without = train.build(of(project, kind="random"))
    refused("was trained with random retrieval and has no query encoder, which dense", without.digest)
    refused("is neither a folder nor the digest of a model", "0123456789abcdef")


def retokenized(source: Path, folder: Path) -> None:
    """The same model with a tokenizer of as many other words."""
    from transformers import BertModel, BertTokenizerFast

    from tests.conftest import BERT_VOCAB

    BertModel.from_pretrained(source).save_pretrained(folder)
    words = [*BERT_VOCAB[:-1], "lima"]
    BertTokenizerFast(vocab={word: i for i, word in enumerate(words)}, do_lower_case=True).save_pretrained(folder)


@pytest.mark.parametrize("content", [None, "{", "[]", '{"steps": 3}'])
def test_a_folder_that_is_no_trained_model_is_told(
    project: ExperimentConfig, tmp_path: Path, content: str | None
) -> None:
    if content is not None:
        (tmp_path / "rag.json").write_text(content)
    with pytest.raises(DataError, match=r"rag\.json.*init_from wants the folder of a trained model"):
        train.build(of(project, init_from=str(tmp_path)))


def test_only_the_decoder_changes(project: ExperimentConfig) -> None:
    workspace = of(project, generator=replace(project.generator, train="decoder"))
    model = train.build(workspace)
    before, after = reader.load(workspace).state_dict(), train.load_generator(workspace).state_dict()
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    of_decoder = (".decoder.layers.", ".decoder.layernorm_embedding.", ".decoder.embed_positions.")
    assert changed and all(any(part in name for part in of_decoder) for name in changed)
    assert 0 < model.info["trained_parameters"] < sum(value.numel() for value in before.values())
    assert model.digest != train.build(of(project)).digest
    assert model.manifest["inputs"]["reader"] == train.build(of(project)).manifest["inputs"]["reader"]


def test_lora_leaves_a_plain_folder(project: ExperimentConfig) -> None:
    pytest.importorskip("peft", reason="the extra `lora` is not installed")
    workspace = of(project, generator=replace(project.generator, train="lora", lora_rank=2))
    model = train.build(workspace)
    before, after = reader.load(workspace).state_dict(), train.load_generator(workspace).state_dict()
    assert before.keys() == after.keys()
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed and all(name.endswith(("q_proj.weight", "v_proj.weight")) for name in changed)
    plain = Seq2SeqGenerator.load(model.path / "generator", project.generator).state_dict()
    assert all(torch.equal(plain[name], after[name]) for name in plain)
    assert predict.build(workspace, "dev").info["questions"] == 12
    ranks = replace(workspace.config.generator, lora_rank=3)
    assert train.build(workspace.with_config(generator=ranks)).digest != model.digest
