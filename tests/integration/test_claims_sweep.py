"""Classification from files to report, with both heads."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from rag_lightning.config.commands import SweepConfig
from rag_lightning.core.errors import ConfigError, UnknownNameError
from rag_lightning.core.records import Prediction, Score, read_jsonl
from rag_lightning.generator.heads import HEAD_FILE
from rag_lightning.report import command as report
from rag_lightning.stages import ask, predict, reader, train
from rag_lightning.stages.workspace import Workspace
from rag_lightning.sweep import run as sweep
from rag_lightning.sweep.space import open_space
from rag_lightning.tracking import track
from tests.points import system
from tests.run_folders import NoMirror, svg_only
from tests.tiny_claims import LABELS, registered, write_data
from tests.tiny_claims import sweep as tiny_sweep


@pytest.fixture(scope="module", params=["label_token", "class_head"])
def swept(request: pytest.FixtureRequest, bert_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    root = tmp_path_factory.mktemp("claims")
    write_data(root / "data")
    config = tiny_sweep(root, root / "data", bert_folder, request.param)
    with registered(), pytest.MonkeyPatch.context() as patch:
        patch.setattr(track, "Mirror", NoMirror)
        svg_only(patch)
        sweep.run(config)
        report.run(config)
        yield config


def at(config: SweepConfig, text: str) -> Workspace:
    return Workspace(system(config.experiment, text).config)


def test_every_run_names_a_label_and_is_scored_by_it(swept: SweepConfig) -> None:
    root = Path(swept.experiment.folder)
    runs = [json.loads(file.read_text()) for file in (root / "runs" / "tiny").glob("*/run.json")]
    assert {run["status"] for run in runs} == {"finished"}
    assert {run["role"] for run in runs} == {"trial", "baseline", "final"}
    for run in runs:
        folder = root / "artifacts" / "predictions" / run["digests"]["predictions"]
        made = list(read_jsonl(folder / predict.PREDICTIONS, Prediction))
        assert {p.example_id for p in made} and {p.text for p in made} <= set(LABELS)
        for prediction in made:
            assert {h.text for h in prediction.hypotheses} == set(LABELS)
            assert prediction.hypotheses[0].log_prob == prediction.log_prob
        scores = list(read_jsonl(root / "artifacts" / "scores" / run["digests"]["scores"] / "scores.jsonl", Score))
        names = {name.partition("@")[0] for score in scores for name in score.values}
        assert "tiny_accuracy" in names and "em" not in names
        assert ("gold_recall" in names) == (run["config"]["formulation"] != "closed_book")


def test_training_is_watched_by_the_objective(swept: SweepConfig) -> None:
    model = train.build(at(swept, "rag_sequence/classify/flat/2"))
    info = train.read_info(model)
    rows = [json.loads(line) for line in (model.path / "history.jsonl").read_text().splitlines()]
    scored = [row["dev_score"] for row in rows if "dev_score" in row]
    assert info["dev_score"] == max(scored) and len(scored) == 2
    assert info["items"] == 60
    described = json.loads((Path(swept.experiment.folder) / "runs" / "tiny" / "sweep.json").read_text())
    assert any("dev tiny_accuracy of its checkpoint" in note for note in described["warnings"])
    assert not any("surface" in note for note in described["warnings"])


def test_the_head_is_kept_beside_the_generator(swept: SweepConfig) -> None:
    workspace = at(swept, "rag_sequence/classify/flat/2")
    headed = swept.experiment.generator.head == "class_head"
    for artifact in (train.build(workspace), reader.build(workspace)):
        assert (artifact.path / "generator" / HEAD_FILE).exists() == headed
    classes = train.load_generator(workspace).classes
    assert classes is not None and classes.labels == LABELS


def test_a_smaller_k_is_a_prefix_and_pays_nothing(swept: SweepConfig) -> None:
    """Predictions of k=1 after those of k=5: every pair is known, and the numbers are those of k=1 alone."""
    five, one = (at(swept, f"rag_sequence/classify/flat/{k}") for k in (5, 1))
    model = train.build(one)
    encodings = predict.model_encodings(one, model)
    alone = predict.PairStore()
    asked = predict.asked_questions(one, "dev")
    wanted = predict.predict_all(predict.make_predictor(one, encodings, alone), asked)
    shared = predict.PairStore()
    wide = predict.predict_all(predict.make_predictor(five, encodings, shared), predict.asked_questions(five, "dev"))
    before = shared.generated
    found = predict.predict_all(predict.make_predictor(one, encodings, shared), asked)
    assert shared.generated == before > alone.generated and shared.reused >= len(asked)
    assert [p.text for p in found] == [p.text for p in wanted]
    assert [p.log_prob for p in found] == pytest.approx([p.log_prob for p in wanted], abs=1e-6)
    first = [{h.text: h.passage_log_probs[0] for h in p.hypotheses} for p in wide]
    assert first == [{h.text: h.passage_log_probs[0] for h in p.hypotheses} for p in found]


def test_one_claim_can_be_asked(swept: SweepConfig) -> None:
    found = ask.answer(at(swept, "rag_sequence/classify/bm25/2"), "the capital of b0a is paris")
    assert found.prediction.text in LABELS and len(found.passages) == 2


def test_the_report_shows_the_labels_accuracy(swept: SweepConfig) -> None:
    out = Path(swept.experiment.folder) / "reports" / "out" / "tiny"
    table = (out / "table.md").read_text(encoding="utf-8").replace("\\_", "_")
    assert "tiny_accuracy" in table and "classify" in table
    assert (out / "index.html").exists()


def test_a_search_space_must_fit_the_task(swept: SweepConfig) -> None:
    with pytest.raises(ConfigError, match="classify needs label_token or class_head"):
        open_space(replace(swept, always=({"decoding": "closed_book/greedy"},)))
    with pytest.raises(UnknownNameError, match="did you mean 'tiny_accuracy'"):
        open_space(replace(swept, objectives=("tiny_acuracy",)))
    nq = replace(swept.experiment, task=replace(swept.experiment.task, name="nq"))
    with pytest.raises(ConfigError, match="task nq has no labels"):
        open_space(replace(swept, experiment=nq, objectives=("em",)))
