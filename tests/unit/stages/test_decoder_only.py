"""A decoder-only generator goes through every stage that a seq2seq one goes through."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from rag_lightning.config.experiment import ExperimentConfig
from rag_lightning.config.generator import GeneratorConfig
from rag_lightning.core.errors import ConfigError
from rag_lightning.generator.causal import CausalGenerator
from rag_lightning.stages import export_model, predict, reader, score, train
from rag_lightning.stages.workspace import Workspace
from tests.tiny_project import experiment, write_data


@pytest.fixture
def project(tmp_path: Path, bert_folder: Path, llama_folder: Path) -> ExperimentConfig:
    write_data(tmp_path / "data")
    base = experiment(tmp_path, tmp_path / "data", bert_folder)
    return replace(
        base,
        generator=GeneratorConfig(init=str(llama_folder), template="prompt", max_source_length=48, max_target_length=4),
        reader=replace(base.reader, steps=2, window_share=0.0),
        train=replace(base.train, steps=2, eval_every=2),
    )


@pytest.mark.parametrize(
    ("formulation", "strategy"),
    [("rag_token", "beam"), ("rag_sequence", "thorough"), ("rag_sequence", "fast"), ("closed_book", "greedy")],
)
def test_it_is_warmed_up_trained_and_decoded(project: ExperimentConfig, formulation: Any, strategy: Any) -> None:
    kind: Any = "none" if formulation == "closed_book" else "dense"
    workspace = Workspace(
        replace(
            project,
            formulation=formulation,
            retriever=replace(project.retriever, kind=kind),
            decoding=replace(project.decoding, strategy=strategy, k=2),
        )
    )
    assert isinstance(reader.load(workspace), CausalGenerator)
    assert isinstance(train.load_generator(workspace), CausalGenerator)
    assert predict.build(workspace, "dev").info["questions"] == 12
    assert score.build(workspace, "dev").path.is_dir()


def test_zero_shot_it_says_what_the_model_says(project: ExperimentConfig) -> None:
    untrained = replace(
        project,
        reader=replace(project.reader, steps=0),
        train=replace(project.train, steps=0),
        formulation="closed_book",
    )
    workspace = Workspace(replace(untrained, retriever=replace(project.retriever, kind="none")))
    before = CausalGenerator.load(project.generator.init, project.generator).model.state_dict()
    after = train.load_generator(workspace).model.state_dict()
    assert all((before[name] == after[name]).all() for name in before)


def test_it_has_no_head_and_no_other_template(project: ExperimentConfig) -> None:
    workspace = Workspace(replace(project, generator=replace(project.generator, template="ours")))
    with pytest.raises(ConfigError, match="decoder-only generator reads `prompt`"):
        reader.build(workspace)


def test_it_is_not_exported_as_a_rag_of_transformers(project: ExperimentConfig, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="decoder-only one cannot be exported"):
        export_model.run(project, str(tmp_path / "there"))
    assert not (tmp_path / "there").exists()
