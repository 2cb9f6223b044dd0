"""Single real steps of a plan: each kind of work is done, and hours follow from its seconds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from rag_lightning.config.commands import SweepConfig
from rag_lightning.config.experiment import ExperimentConfig
from rag_lightning.core.errors import ConfigError
from rag_lightning.plan import command, steps
from rag_lightning.plan.steps import Steps, fastest
from rag_lightning.stages.workspace import Workspace
from tests.tiny_project import experiment, write_data

POINTS = (
    {"decoding": "rag_token/beam", "k": 2},
    {"decoding": "rag_sequence/thorough", "k": 5},
    {"decoding": "closed_book/greedy"},
)


@pytest.fixture
def project(tmp_path: Path, bert_folder: Path) -> ExperimentConfig:
    write_data(tmp_path / "data")
    return experiment(tmp_path, tmp_path / "data", bert_folder)


def test_each_kind_of_step_is_done_and_timed(project: ExperimentConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[Callable[[], object]] = []

    def once(step: Callable[[], object]) -> float:
        step()
        done.append(step)
        return 0.5

    monkeypatch.setattr(steps, "fastest", once)
    lines = {line.what: line for line in command.plan(Workspace(project), True, POINTS)}
    assert len(done) == 2 + len(POINTS)
    assert lines["training"].basis == "derived: 16 questions, 8 questions/s, one step measured on this machine"
    assert lines["embedding"].basis.startswith("derived: 64 passages, ")
    points = {what: line for what, line in lines.items() if what.startswith("point ")}
    assert len(points) == 3 and all(what.split(" ", 1)[1] for what in points)
    (sequence,) = [line for what, line in points.items() if "RAG-Sequence" in what]
    rate = project.decoding.pairs_per_batch // 5 / 0.5
    assert sequence.value == f"{1000 / rate / 3600:,.3f} h"
    assert sequence.basis.endswith("one step measured on this machine, a generator not trained yet, so at most")
    assert not (Path(project.folder) / "artifacts").exists(), "nothing is built"


def test_without_the_flag_nothing_is_measured(project: ExperimentConfig) -> None:
    assert not [line for line in command.plan(Workspace(project)) if "one step measured" in line.basis]


def test_models_that_are_not_here_are_named(project: ExperimentConfig) -> None:
    away = replace(project, encoder=replace(project.encoder, model="facebook/dpr-question_encoder-single-nq-base"))
    assert not Steps(Workspace(away)).has_models
    with pytest.raises(ConfigError, match="needs the models, which are not on this machine; run `rag-lightning fetch`"):
        command.plan(Workspace(away), measure=True)


def test_points_of_a_sweep(project: ExperimentConfig) -> None:
    space = {"decoding": ("rag_token/greedy", "closed_book/greedy"), "k": (1, 5), "retriever": ("flat", "bm25")}
    found = command.points_of(SweepConfig(experiment=project, space=space))
    listed = [{"decoding": "rag_token/greedy", "k": 1}, {"decoding": "rag_token/greedy", "k": 5}]
    assert found == [*listed, {"decoding": "closed_book/greedy"}]
    ranged = command.points_of(SweepConfig(experiment=project, space={"k": {"low": 1, "high": 50}}))
    assert ranged == [{"k": 1}, {"k": 50}]


def test_the_fastest_of_several_calls_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    times = iter([0.0, 9.0, 9.0, 12.0, 12.0, 13.5])
    monkeypatch.setattr(steps.time, "perf_counter", lambda: next(times))
    assert fastest(lambda: None) == 1.5, "the first call is not counted"
