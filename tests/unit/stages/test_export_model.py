"""From a RAG checkpoint of transformers through the stages to a RAG checkpoint of transformers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import DPRConfig, DPRContextEncoder, RagTokenForGeneration

from rag_lightning.cli import main
from rag_lightning.config.experiment import ExperimentConfig
from rag_lightning.core.errors import ConfigError
from rag_lightning.generator.seq2seq import Seq2SeqGenerator
from rag_lightning.stages import export_model, predict, reader, train, workspace
from rag_lightning.stages.workspace import Workspace
from tests.rag_checkpoints import make_rag, save_rag
from tests.tiny_project import experiment, write_data


@pytest.fixture
def checkpoint(new_reader: Callable[..., Seq2SeqGenerator], tmp_path: Path) -> Path:
    reader = new_reader()
    return save_rag(make_rag(reader, "rag_token"), reader.tokenizer, tmp_path / "checkpoint")


@pytest.fixture
def project(
    checkpoint: Path, new_reader: Callable[..., Seq2SeqGenerator], bert_folder: Path, tmp_path: Path
) -> ExperimentConfig:
    """The tiny project with the models of the checkpoint, nothing trained."""
    write_data(tmp_path / "data")
    reader, passages = new_reader(), tmp_path / "passages"
    sizes = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1, "intermediate_size": 8}
    torch.manual_seed(4)
    config = DPRConfig(vocab_size=len(reader.tokenizer), max_position_embeddings=64, pad_token_id=0, **sizes)
    DPRContextEncoder(config).save_pretrained(passages)
    reader.tokenizer.save_pretrained(passages)
    base = experiment(tmp_path / "work", tmp_path / "data", bert_folder)
    models = {"model": str(checkpoint), "passage_model": str(passages)}
    return replace(
        base,
        encoder=replace(base.encoder, pooling="pooler", normalize=False, score_scale=1.0, **models),
        generator=replace(base.generator, init=str(checkpoint), template="hf_rag"),
        retriever_warmup=replace(base.retriever_warmup, steps=0),
        reader=replace(base.reader, steps=0),
        train=replace(base.train, steps=0),
    )


def weights(folder: Path) -> Any:
    return RagTokenForGeneration.from_pretrained(folder).state_dict()


def test_a_checkpoint_goes_through_all_stages_and_comes_out_the_same(
    project: ExperimentConfig, checkpoint: Path, tmp_path: Path
) -> None:
    said: list[str] = []
    work = Workspace(project, said.append)
    assert predict.build(work, "dev").info["questions"] == 12
    assert any("reads up to 300 tokens, generator.max_source_length is 60" in line for line in said)
    export_model.run(project, str(tmp_path / "out" / "rag"))
    found, wanted = weights(tmp_path / "out" / "rag"), weights(checkpoint)
    assert found.keys() == wanted.keys()
    assert all(torch.equal(value, wanted[name]) for name, value in found.items())
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["rag"], "nothing temporary is left"


def test_a_model_that_was_trained_is_exported_as_trained(project: ExperimentConfig, tmp_path: Path) -> None:
    trained = replace(project, train=replace(project.train, steps=2, retriever_lr=1e-3))
    export_model.run(trained, str(tmp_path / "rag"))
    theirs = RagTokenForGeneration.from_pretrained(tmp_path / "rag")
    ours = train.load_generator(Workspace(trained)).model
    assert all(torch.equal(v, ours.state_dict()[n]) for n, v in theirs.rag.generator.state_dict().items())
    assert theirs.config.n_docs == trained.decoding.k and theirs.config.max_combined_length == 60
    scale = train.read_info(train.build(Workspace(trained)))["score_scale"]
    assert scale != 1.0
    tokens = train.load_query_encoder(Workspace(trained)).tokenize(["the capital"])
    with torch.no_grad():
        wanted = scale * train.load_query_encoder(Workspace(trained))(**tokens)
        found = theirs.rag.question_encoder(tokens["input_ids"], tokens["attention_mask"]).pooler_output
    torch.testing.assert_close(found, wanted, atol=1e-5, rtol=0)


def test_another_formulation_is_refused_even_where_the_reader_is_kept(project: ExperimentConfig) -> None:
    reader.build(Workspace(project))
    other = replace(project, formulation="rag_sequence")
    with pytest.raises(ConfigError, match=r"trained as rag_token, the formulation is rag_sequence"):
        reader.build(Workspace(other))
    asked_for = replace(other, generator=replace(other.generator, mismatch="allow"))
    assert reader.build(Workspace(asked_for)).digest == reader.build(Workspace(project)).digest


def test_another_template_is_refused(project: ExperimentConfig) -> None:
    with pytest.raises(ConfigError, match=r"template hf_rag, generator\.template is ours"):
        train.build(Workspace(replace(project, generator=replace(project.generator, template="ours"))))


def test_a_name_of_the_hub(project: ExperimentConfig, checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Such a name is downloaded at one commit when it is used, not for a digest, then read and checked as a folder."""
    asked: list[tuple[str, str]] = []

    def download(name: str, commit: str) -> Path:
        asked.append((name, commit))
        return checkpoint

    monkeypatch.setattr(workspace, "download_model", download)
    monkeypatch.setattr(workspace, "_commit", lambda name, kind: "abc")
    monkeypatch.setattr(workspace, "downloaded_model", lambda name, commit: checkpoint if asked else None)
    named = replace(project, generator=replace(project.generator, init="someone/rag-token"))
    other = replace(named, generator=replace(named.generator, template="ours"))
    assert len({reader.STAGE.digest(Workspace(config)) for config in (named, other)}) == 2 and not asked
    generator = reader.load(Workspace(named))
    with pytest.raises(ConfigError, match=r"template hf_rag, generator\.template is ours"):
        reader.build(Workspace(other))
    assert set(asked) == {("someone/rag-token", "abc")}
    wanted = RagTokenForGeneration.from_pretrained(checkpoint).rag.generator.state_dict()
    assert all(torch.equal(value, wanted[name]) for name, value in generator.model.state_dict().items())


@pytest.mark.parametrize(
    ("changes", "said"),
    [({"formulation": "closed_book"}, "closed_book is no RAG model"), ({"head": "class_head"}, "has no class head")],
)
def test_what_transformers_does_not_have_is_refused_before_training(
    project: ExperimentConfig, tmp_path: Path, changes: dict[str, Any], said: str
) -> None:
    head = {"generator": replace(project.generator, head=changes["head"])} if "head" in changes else changes
    with pytest.raises(ConfigError, match=said):
        export_model.run(replace(project, **head), str(tmp_path / "rag"))
    assert not (Path(project.folder) / "artifacts" / "model").exists()


def test_a_folder_that_holds_something_is_left_alone(project: ExperimentConfig, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="exists already"):
        export_model.run(project, str(tmp_path))
    with pytest.raises(ConfigError, match="needs --to FOLDER"):
        export_model.run(project, "")


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["export_model", "--to", str(tmp_path / "rag"), "--formulation", "closed_book"]) == 2
    assert "closed_book is no RAG model" in capsys.readouterr().err
    assert main(["export_model"]) == 2
    assert "export_model needs --to FOLDER" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["file/x", "n" * 300])
def test_a_place_that_cannot_be_is_named(project: ExperimentConfig, tmp_path: Path, name: str) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match=r"--to .*cannot be written"):
        export_model.run(project, str(tmp_path / name))


def test_a_link_is_not_written_through(project: ExperimentConfig, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    with pytest.raises(ConfigError, match="exists already"):
        export_model.run(project, str(tmp_path / "link"))
