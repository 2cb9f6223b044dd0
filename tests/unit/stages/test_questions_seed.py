"""`task.seed` keeps the questions while the seed of training changes."""

from dataclasses import replace
from pathlib import Path

import pytest

from rag_lightning.config.experiment import ExperimentConfig
from rag_lightning.config.generator import GeneratorConfig
from rag_lightning.core.errors import ConfigError
from rag_lightning.stages import examples, fetch
from rag_lightning.stages.workspace import Workspace
from tests.tiny_project import experiment


def digest(config: ExperimentConfig) -> str:
    return examples.build(Workspace(config, lambda message: None)).digest


def test_the_questions_have_a_seed_of_their_own(tmp_path: Path, tiny_data: Path) -> None:
    plain = experiment(tmp_path, tiny_data, tmp_path)
    fixed = replace(plain, task=replace(plain.task, seed=0))
    assert digest(fixed) == digest(plain) == digest(replace(fixed, seed=5)) != digest(replace(plain, seed=5))


def test_fewer_training_examples_are_part_of_more(tmp_path: Path, tiny_data: Path) -> None:
    plain, told = experiment(tmp_path, tiny_data, tmp_path), list[str]()

    def splits(limit: int) -> list[list[str]]:
        workspace = Workspace(replace(plain, task=replace(plain.task, train_limit=limit)), detail=told.append)
        return [[e.example_id for e in examples.read(workspace, split)] for split in examples.SPLITS]

    whole, *held_out = splits(0)
    for smaller, larger in ((3, 5), (5, len(whole))):
        (few, *same), (more, *_) = splits(smaller), splits(larger)
        assert len(few) == smaller and set(few) <= set(more) and same == held_out
        assert few == [name for name in whole if name in few]
    assert any(f"{len(whole) - 3} training examples excluded by task.train_limit" in line for line in told)
    assert splits(len(whole) + 1) == [whole, *held_out]
    with pytest.raises(ConfigError, match=r"task\.train_limit=-1: must be at least 0"):
        splits(-1)


def test_models_of_the_hub_are_fetched_once_each(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    monkeypatch.setattr(Workspace, "model_source", lambda self, name: asked.append(name) or Path(name))
    config = ExperimentConfig(generator=GeneratorConfig(init="facebook/bart-large"))
    encoder = replace(config.encoder, model="facebook/dpr", passage_model="facebook/dpr")
    fetch.fetch_models(replace(config, encoder=encoder))
    assert asked == ["facebook/dpr", "facebook/bart-large"]
    asked.clear()
    fetch.fetch_models(ExperimentConfig())
    assert asked == []
