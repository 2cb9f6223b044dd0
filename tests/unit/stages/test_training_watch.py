"""Training from stage to stage: what is watched, a collapse that is named, several processes, bad input."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from rag_lightning.config.experiment import ExperimentConfig
from rag_lightning.core.errors import ConfigError, TrainingError
from rag_lightning.runs import evaluate
from rag_lightning.runs.record import read_run
from rag_lightning.stages import train
from rag_lightning.stages.workspace import Workspace
from rag_lightning.training.module import TrainedModule
from rag_lightning.training.rag import RagModule
from tests.points import system
from tests.tiny_project import experiment, passages, questions, write_data, write_lines

pytestmark = [
    # Lightning 2.6 with torch 2.13
    pytest.mark.filterwarnings("ignore:`isinstance.treespec, LeafSpec.`:FutureWarning"),
    # the module moves its own batches, the data module has nothing to move
    pytest.mark.filterwarnings("ignore:You have overridden `transfer_batch_to_device`:UserWarning"),
]


@pytest.fixture
def project(tmp_path: Path, bert_folder: Path) -> ExperimentConfig:
    """Nothing is warmed up; dev questions are passages word for word, so that any encoder tells them apart."""
    data = tmp_path / "data"
    write_data(data)
    texts = {str(passage["id"]): f"{passage['title']} {passage['text']}" for passage in passages()}
    asked = [{**row, "question": texts[str(row["gold_passage_id"])]} for row in questions("dev")]
    write_lines(data / "dev.jsonl", asked)
    config = experiment(tmp_path, data, bert_folder)
    return replace(
        config,
        formulation="rag_sequence",
        encoder=replace(config.encoder, max_query_length=48),
        generator=replace(config.generator, max_source_length=120),
        retriever_warmup=replace(config.retriever_warmup, steps=0),
        reader=replace(config.reader, steps=2, batch_size=4),
    )


def history(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "history.jsonl").read_text().splitlines()]


def test_a_healthy_run_is_watched_and_raises_no_alarm(project: ExperimentConfig) -> None:
    told: list[str] = []
    model = train.build(Workspace(project, told.append))
    rows = [row for row in history(model.path) if "dev_score" in row]
    assert [row["step"] for row in rows] == [2, 4]
    for row in rows:
        assert row["frozen_overlap@2"] > 0.5 and row["unique_passage_ratio"] > 0.3 and row["collapse"] == 0
        assert 0 <= row["prior_entropy"] <= 0.6932 and 0 <= row["posterior_entropy"] <= 0.6932  # log 2
        assert 0.5 <= row["first_passage_mass"] <= 1
        assert row["answer_recall@1"] <= row["answer_recall@2"] <= 1 and row["worse_retrieval"] == 0
    info = train.read_info(model)
    assert info["alarms"] == {} and info["evaluation"]["step"] in (2, 4) and info["targets_cut"] == 0
    assert set(info["training"]) == {"padding_waste", "retrieval_share", "pairs_per_second"}
    assert train.alarms(info) == [] and not any("ALARM" in line for line in told)


def test_a_collapse_is_named_in_the_run(project: ExperimentConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    """A query encoder whose vectors have become constant: appendix H."""
    told: list[str] = []
    make = train.make_module

    def collapsing(*args: Any) -> TrainedModule:
        module = make(*args)
        assert isinstance(module, RagModule)
        with torch.no_grad():  # as training might have left it: the last layer says the same of every token
            module.retrieval.encoder.model.encoder.layer[-1].output.LayerNorm.weight.zero_()
        return module

    monkeypatch.setattr(train, "make_module", collapsing)
    frozen = replace(project, train=replace(project.train, retriever_lr=0.0))
    model = train.build(Workspace(frozen, told.append))
    info = train.read_info(model)
    assert info["alarms"]["collapse"] == [2, 4]
    rows = [row for row in history(model.path) if "dev_score" in row]
    assert [row["collapse"] for row in rows] == [1, 1]
    assert rows[0]["unique_passage_ratio"] == pytest.approx(1 / 12)
    assert rows[0]["frozen_unique_passage_ratio"] > 0.3
    assert [line for line in told if "ALARM collapse: at step 2 " in line]
    assert train.alarms(info)[0].startswith("ALARM collapse: at step 2, 4 different dev questions")
    run = read_run(evaluate.run(system(frozen, "rag_sequence/thorough/flat/2"), "tiny", "dev", "trial"))
    assert run["status"] == "finished" and run["notes"] == train.alarms(info)


def test_a_diverged_training_fails_its_run_and_leaves_no_model(
    project: ExperimentConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = RagModule.log_likelihood

    def diverges(module: RagModule, batch: Any) -> Any:
        likelihood, smooth = whole(module, batch)
        return likelihood * (torch.nan if module.global_step == 3 else 1), smooth

    monkeypatch.setattr(RagModule, "log_likelihood", diverges)
    diverging = system(project, "rag_sequence/thorough/flat/2")
    with pytest.raises(TrainingError, match=r"the loss is not finite at step 3; the batch is in .*failed_batch\.json"):
        evaluate.run(diverging, "tiny", "dev", "trial")
    run = read_run(evaluate.folder_of(diverging, "tiny", "dev"))
    assert run["status"] == "failed" and "not finite at step 3" in run["problem"]
    models = Path(project.folder) / "artifacts" / "model"
    assert [path.suffix for path in models.iterdir() if path.is_dir()] == [".partial"]
    assert json.loads(next(models.rglob("failed_batch.json")).read_text())["batch"]


def test_targets_that_are_too_long_are_counted(project: ExperimentConfig) -> None:
    told: list[str] = []
    short = replace(
        project,
        formulation="closed_book",
        generator=replace(project.generator, max_target_length=1),
        train=replace(project.train, eval_every=0, steps=1),
    )
    info = train.read_info(train.build(Workspace(short, told.append)))
    assert info["targets_cut"] == 40
    assert "40 of 40 training targets are truncated to generator.max_target_length=1" in told


def test_an_empty_training_split_is_refused(project: ExperimentConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(train, "training_items", lambda workspace: [])
    with pytest.raises(ConfigError, match="no training example to learn from"):
        train.build(Workspace(replace(project, formulation="closed_book")))


def test_the_reader_trains_in_one_process(project: ExperimentConfig) -> None:
    with pytest.raises(ConfigError, match=r"reader\.trainer\.devices, num_nodes: the reader trains in one process"):
        replace(project.reader, trainer={"devices": 2})


@pytest.mark.slow  # two processes import torch and Lightning anew
@pytest.mark.timeout(900)  # which takes minutes where others have the machine
def test_two_processes_make_one_model(project: ExperimentConfig, bert_folder: Path) -> None:
    still = Path(project.folder) / "no-dropout"  # dropout differs between the processes, as it must
    shutil.copytree(bert_folder, still)
    settings = json.loads((still / "config.json").read_text())
    settings |= {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    (still / "config.json").write_text(json.dumps(settings))
    encoder = replace(project.encoder, model=str(still))

    def trained(changes: dict[str, Any]) -> Any:
        section = replace(project.train, lr=1e-4, **changes)
        return train.build(Workspace(replace(project, encoder=encoder, train=section)))

    one = trained({"batch_size": 8})
    two = trained({"batch_size": 4, "trainer": {"devices": 2, "strategy": "ddp", "accelerator": "cpu"}})
    assert two.info["dev_score"] == one.info["dev_score"] and two.info["steps"] == 4
    for mine, whole in zip(history(two.path), history(one.path), strict=True):
        assert mine == {name: pytest.approx(value, abs=1e-4) for name, value in whole.items()}
    assert sorted(path.name for path in two.path.iterdir()) == sorted(path.name for path in one.path.iterdir())
