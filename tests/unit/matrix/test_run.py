"""Running the matrix and the claims, with stand-ins for the trainings: order, failures, resuming, test once."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from rag_lightning.claims import command as run_claims
from rag_lightning.config.commands import ClaimsConfig, MatrixConfig
from rag_lightning.config.fields import to_dict
from rag_lightning.config.loading import load_experiment
from rag_lightning.core.errors import ConfigError, DataError, RagLightningError, UnknownNameError
from rag_lightning.core.records import Score
from rag_lightning.matrix import cells as run_cell
from rag_lightning.matrix import command as run_matrix
from rag_lightning.matrix.matrix import load_matrix
from rag_lightning.runs import evaluate
from rag_lightning.runs import record as runs
from rag_lightning.tracking import track
from tests.run_folders import NoMirror, keep

FOLDER = Path(__file__).parents[3] / "experiments"
SYSTEMS = {
    "closed_book": {"row": "BART", "formulation": "closed_book", "values": {"retriever": {"kind": "none"}}},
    "rag_sequence": {"row": "RAG-Sequence", "formulation": "rag_sequence"},
    "rag_token": {"row": "RAG-Token", "formulation": "rag_token"},
    "oracle": {"row": "no row"},
}
DECODING = {
    "mini": {
        "qa": {
            "closed_book": {"strategy": "greedy"},
            "rag_token": {"strategy": "greedy"},
            "rag_sequence": {"strategy": "thorough"},
        }
    }
}
COMPARISON = {"task": "nq", "metric": "em", "systems": ["rag_token", "rag_sequence"], "baselines": ["closed_book"]}


class Trainings:
    """What stands for training and scoring: notes the order, writes scores, fails where it is told to."""

    def __init__(self) -> None:
        self.seen: list[str] = []
        self.failing: set[str] = set()

    def evaluate(self, workspace: Any, split: str, result: runs.RunResult) -> None:
        config = workspace.config
        self.seen.append(f"{split} {config.name} {config.seed}")
        if config.name in self.failing:
            raise RuntimeError("out of memory")
        right = {"nq_closed_book": 0.0, "nq_rag_sequence": 1.0}.get(config.name, 1.0)
        scores = [Score(f"q{i}", f"e{i}", {"em": right}) for i in range(40)]
        digest = keep(workspace.root, "scores", f"{config.name}-{config.seed}-{split}", {"scores": scores}, {})
        estimate = {"mean": 100 * right, "low": 100 * right, "high": 100 * right, "n": 40, "unit": "%"}
        result.summary, result.digests = {"metrics": {"em": estimate}, "slices": {}, "notes": []}, {"scores": digest}


@pytest.fixture
def trainings(monkeypatch: pytest.MonkeyPatch) -> Trainings:
    made = Trainings()
    monkeypatch.setattr(evaluate, "evaluate", made.evaluate)
    monkeypatch.setattr(track, "Mirror", NoMirror)
    monkeypatch.setattr(run_claims, "predict_together", lambda systems, split: None)
    return made


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """experiments/ with a matrix of one task and one claim."""
    folder = tmp_path / "experiments"
    folder.mkdir()
    matrix = {
        "seeds": [0, 1],
        "questions_seed": 0,
        "reader_seed": 0,
        "tasks": ["nq"],
        "systems": SYSTEMS,
        "scales": {"mini": {}, "own": {"own_files": True, "suffix": "_own"}},
    }
    matrix |= {"skips": [{"system": "oracle", "reason": "not yet"}]}
    one = {"name": "above", "says": "RAG is above.", "source": "Table 1", "seeds": [0, 1], "comparisons": [COMPARISON]}
    other = {**one, "name": "own", "scale": "own"}
    unable = {**one, "name": "unable", "comparisons": [{**COMPARISON, "systems": ["oracle"]}]}
    thorough = {"formulation": "rag_sequence", "decoding": {"strategy": "thorough"}}
    for name, values in {
        "matrix": matrix | {"decoding": DECODING},
        "claims": {"claims": [one, other, unable]},
        "nq_rag_sequence": {"name": "nq_rag_sequence", "train_preset": "plain", **thorough},
    }.items():
        (folder / f"{name}.yaml").write_text(yaml.safe_dump(values, sort_keys=False))
    return tmp_path


def matrix_config(project: Path, **changes: Any) -> MatrixConfig:
    return MatrixConfig(file=str(project / "experiments" / "matrix.yaml"), folder=str(project), **changes)


def claims_config(project: Path, **changes: Any) -> ClaimsConfig:
    folder = project / "experiments"
    files = {"file": str(folder / "claims.yaml"), "matrix": str(folder / "matrix.yaml")}
    return ClaimsConfig(**files, folder=str(project), **changes)


def change(project: Path, file: str, old: str, new: str) -> None:
    path = project / "experiments" / f"{file}.yaml"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def test_the_matrix_runs_every_cell_once(project: Path, trainings: Trainings) -> None:
    run_matrix.run(matrix_config(project))
    cells = ("nq_closed_book", "nq_rag_sequence", "nq_rag_token")
    assert sorted(trainings.seen) == sorted(f"dev {name} {seed}" for seed in (0, 1) for name in cells)
    assert trainings.seen[:2] == ["dev nq_closed_book 0", "dev nq_closed_book 1"], "both start from one reader"
    run_matrix.run(matrix_config(project))
    assert len(trainings.seen) == 6, "finished runs are found again"
    text = (project / "reports" / "out" / "matrix-mini-dev" / "table.md").read_text()
    assert "6 of 6 experiments finished; cells that cannot run here: 1\n" in text
    assert text.count("finished") == 1 + 6 + 3 and "cannot run here: not yet" in text
    folders = sorted((project / "runs" / "experiments").iterdir())
    record = runs.read_run(folders[0])
    assert (record["role"], record["split"], record["status"]) == ("cell", "dev", "finished")


def test_one_failure_is_told_and_the_rest_goes_on(project: Path, trainings: Trainings, capsys: Any) -> None:
    trainings.failing = {"nq_rag_sequence"}
    with pytest.raises(RagLightningError, match=r"2 of 6 experiments failed; nq_rag_sequence.*out of memory"):
        run_matrix.run(matrix_config(project))
    assert len(trainings.seen) == 6
    trainings.failing, trainings.seen = set(), []
    run_matrix.run(matrix_config(project))
    assert trainings.seen == ["dev nq_rag_sequence 0", "dev nq_rag_sequence 1"]


def test_experiments_are_run_by_name(project: Path, trainings: Trainings) -> None:
    run_matrix.run(matrix_config(project, only=("nq_rag_token",), seeds=(4,), split="test"))
    assert trainings.seen == ["test nq_rag_token 4"]
    with pytest.raises(UnknownNameError, match="did you mean 'nq_rag_token'"):
        run_matrix.run(matrix_config(project, only=("nq_rag_tokn",)))
    with pytest.raises(ConfigError, match="none of 1 experiments can run here: nq_oracle: not yet"):
        run_matrix.run(matrix_config(project, only=("nq_oracle",)))


def test_a_list_runs_nothing_and_writes_the_cells_as_files(project: Path, trainings: Trainings) -> None:
    run_matrix.run(matrix_config(project, list_only=True))
    assert trainings.seen == [] and not (project / "runs").exists()
    file = project / "reports" / "out" / "cells" / "nq_rag_token.yaml"
    config = load_experiment(file, {})
    assert (config.name, config.formulation, config.decoding.strategy) == ("nq_rag_token", "rag_token", "greedy")
    assert config.task.seed == 0 and to_dict(config)["seed"] == 0


def outcome(project: Path, split: str) -> Any:
    return json.loads((project / "runs" / "claims" / f"mini-{split}" / "above.json").read_text())["outcome"]


def test_claims_are_tested_and_reported(project: Path, trainings: Trainings) -> None:
    run_claims.run(claims_config(project))
    assert len(trainings.seen) == 6
    assert outcome(project, "dev")["verdict"] == "supported"
    assert [one["difference"] for one in outcome(project, "dev")["tested"]] == [100.0, 100.0]
    text = (project / "reports" / "out" / "claims" / "mini-dev" / "table.md").read_text()
    assert "only for scale own" in text and "nq\\_oracle: not yet" in text and "supported" in text
    run_matrix.run(matrix_config(project))
    assert len(trainings.seen) == 6, "the matrix finds the runs of the claims"


def test_a_claim_meets_test_once(project: Path, trainings: Trainings) -> None:
    run_claims.run(claims_config(project, split="test"))
    run_claims.run(claims_config(project, split="test"))
    assert len(trainings.seen) == 6, "the same again costs nothing"
    change(project, "nq_rag_sequence", "thorough", "fast")
    change(project, "matrix", "thorough", "fast")
    with pytest.raises(ConfigError, match=r"claim above was tested on test at .*decoding\.strategy.*another name"):
        run_claims.run(claims_config(project, split="test"))
    assert len(trainings.seen) == 6
    run_claims.run(claims_config(project))
    assert len(trainings.seen) > 6, "dev is for investigating"


def test_a_killed_run_on_test_counts(project: Path, trainings: Trainings, monkeypatch: pytest.MonkeyPatch) -> None:
    def kill(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(evaluate, "evaluate", kill)
    with pytest.raises(KeyboardInterrupt):
        run_claims.run(claims_config(project, split="test", only=("above",)))
    assert outcome(project, "test") is None
    change(project, "claims", "- 1\n", "- 2\n")
    with pytest.raises(ConfigError, match="was tested on test"):
        run_claims.run(claims_config(project, split="test", only=("above",)))


def test_a_failed_experiment_fails_its_claim_alone(project: Path, trainings: Trainings) -> None:
    trainings.failing = {"nq_rag_token"}
    with pytest.raises(RagLightningError, match="1 of 3 claims failed; above: RuntimeError: out of memory"):
        run_claims.run(claims_config(project))
    text = (project / "reports" / "out" / "claims" / "mini-dev" / "table.md").read_text()
    assert "failed: RuntimeError: out of memory" in text
    with pytest.raises(UnknownNameError, match="did you mean 'above'"):
        run_claims.run(claims_config(project, only=("abov",)))


def test_an_outcome_of_other_settings_counts_as_not_tested(project: Path, trainings: Trainings) -> None:
    run_claims.run(claims_config(project))
    change(project, "claims", "name: own", "name: other_own")
    run_claims.run(claims_config(project, only=("other_own",)))
    page = project / "reports" / "out" / "claims" / "mini-dev" / "table.md"
    assert "supported" in page.read_text()
    change(project, "claims", "metric: em", "metric: f1")
    run_claims.run(claims_config(project, only=("other_own",)))
    assert "not tested yet" in page.read_text()


def test_scores_of_a_run_that_is_gone_are_an_error(project: Path, trainings: Trainings) -> None:
    with pytest.raises(DataError, match="is missing"):
        evaluate.scores_of(project / "runs" / "experiments" / "gone", project)


def test_cells_of_the_papers_scale_need_the_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    matrix = load_matrix(FOLDER / "matrix.yaml")
    cells, config = matrix.cells("paper"), MatrixConfig(scale="paper")
    monkeypatch.setattr(run_cell, "hub_reachable", lambda: False)
    monkeypatch.setattr(run_cell, "cached_commit", lambda name, kind: None)
    assert all(cell.skip for cell in run_cell.reachable(matrix, cells, config))
    monkeypatch.setattr(run_cell, "cached_commit", lambda name, kind: "abc")
    assert run_cell.reachable(matrix, cells, config) == cells
    assert run_cell.reachable(matrix, matrix.cells("mini"), MatrixConfig()) == matrix.cells("mini")


def test_a_scale_of_the_users_files_runs_on_them() -> None:
    matrix = load_matrix(FOLDER / "matrix.yaml")
    cells = matrix.cells("nq-subset")
    without = run_cell.reachable(matrix, cells, MatrixConfig(scale="nq-subset", corpus="p.tsv"))
    assert all("give --corpus and --train" in cell.skip or "the same as" in cell.skip for cell in without)
    given = MatrixConfig(scale="nq-subset", corpus="p.tsv", train=("q.jsonl", "squad.json"))
    runnable = [cell for cell in run_cell.reachable(matrix, cells, given) if not cell.skip]
    assert {"nq_rag_sequence_subset", "nq_no_reader_subset"} <= {cell.name for cell in runnable}
    for cell in runnable:
        config = cell.experiment(0)
        assert (config.corpus.source, config.task.train) == ("p.tsv", ("q.jsonl", "squad.json"))
        assert config.task.dataset == "nq-subset"
    with pytest.raises(ConfigError, match="a scale that needs them: nq-subset"):
        run_cell.reachable(matrix, matrix.cells("mini"), ClaimsConfig(corpus="p.tsv"))
