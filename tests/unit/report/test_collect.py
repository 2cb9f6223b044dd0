"""Reading run folders, whole and damaged."""

import json
from pathlib import Path
from typing import Any

import pytest

from rag_lightning.core.errors import ArtifactError, DataError
from rag_lightning.core.files import write_sealed
from rag_lightning.report.collect import collect, read_predictions, read_scores


def edit(path: Path, **changes: Any) -> None:
    raw = json.loads(path.read_text())
    write_sealed(path, raw | changes)


SWEEP = dict.fromkeys(("name", "dataset", "scale", "objective"), "em")
ROW = {"retriever": "flat", "metrics": {}, "index_bytes": "many"}


def test_everything_is_read(full: Any) -> None:
    sweep = collect(full.folder)
    assert (sweep.name, sweep.dataset, sweep.objective, sweep.finished) == ("s1", "mini-nq", "em", True)
    assert len(sweep.runs) == 8 and len(sweep.on("dev", "trial")) == 4
    assert [run.run_id for run in sweep.unfinished()] == ["broken", "cut"]
    assert sweep.candidates["trial-5"].chosen and not sweep.candidates["trial-20"].chosen
    (final,) = sweep.on("test", "final")
    assert final.estimates["em"].n == 40 and final.slices["family=x"]["em"].n == 40
    assert final.seconds_per_query == 0.05 and final.notes == ("ceiling 99.6",)


def test_scores_and_predictions_are_read_and_may_be_gone(full: Any) -> None:
    (final,) = collect(full.folder).on("test", "final")
    scores, predictions = read_scores(final, full.artifacts), read_predictions(final, full.artifacts)
    assert scores and predictions and len(scores) == len(predictions) == 40
    assert read_scores(final, full.root / "elsewhere") is None


def test_altered_scores_are_refused(full: Any) -> None:
    (final,) = collect(full.folder).on("test", "final")
    path = full.artifacts / "scores" / final.record["digests"]["scores"] / "scores.jsonl"
    path.write_text(path.read_text().replace("1.0", "0.0"))
    with pytest.raises(ArtifactError, match=r"scores\.jsonl: was altered"):
        read_scores(final, full.artifacts)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("sweep.json", None, r"sweep\.json: is missing"),
        ("sweep.json", '{"name": "s1"', r"sweep\.json: is cut short"),
        ("sweep.json", "[]", r"sweep\.json: is not a JSON object"),
        ("sweep.json", json.dumps(SWEEP | {"spec": []}), r"sweep\.json, field 'spec': has the wrong type"),
        ("sweep.json", json.dumps(SWEEP | {"retrieval": [ROW]}), r"'retrieval\.index_bytes': has the wrong type"),
        ("selection.json", '{"candidates": [{}]}', r"selection\.json, field 'run_id': is missing"),
        ("closed/run.json", "\x00", r"closed/run\.json: is cut short"),
        ("closed/summary.json", None, r"closed/summary\.json: is missing"),
        ("closed/summary.json", '{"metrics": {"em": {"mean": "x"}}, "slices": {}}', r"summary.*metrics\.em\.mean"),
        ("closed/summary.json", '{"metrics": {"em": 3}, "slices": {}}', r"summary.*'em': has the wrong type"),
        (
            "closed/summary.json",
            json.dumps({"metrics": {"em": dict.fromkeys(("mean", "low", "high", "n"), 10**400)}, "slices": {}}),
            r"'metrics\.em\.mean': is too large a number",
        ),
        ("closed/summary.json", '{"metrics": {}, "slices": {}, "notes": 3}', r"'notes': has the wrong type"),
        (
            "closed/summary.json",
            '{"metrics": {}, "slices": {}, "confusion": {}}',
            r"'confusion\.predicted': is missing",
        ),
        (
            "closed/summary.json",
            '{"metrics": {}, "slices": {}, "confusion": {"predicted": ["a", "b"], "true": {"a": [1]}}}',
            r"'confusion\.true\.a': is not a count per predicted label",
        ),
        (
            "closed/summary.json",
            '{"metrics": {"em": {"mean": 1, "low": null, "high": 2, "n": 3}}, "slices": {}}',
            r"metrics\.em\.low",
        ),
    ],
)
def test_damaged_files_are_named(full: Any, name: str, text: str | None, message: str) -> None:
    path = full.folder / name
    path.unlink() if text is None else path.write_text(text)
    if text and text.startswith('{"') and text.endswith("}"):
        write_sealed(path, json.loads(text))
    with pytest.raises(DataError, match=message):
        collect(full.folder)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"status": "done"}, "field 'status': is none of finished, failed, running"),
        ({"role": "extra"}, "field 'role'"),
        ({"label": None}, "field 'label': is missing"),
        ({"timings": 3}, "field 'timings': has the wrong type"),
        ({"seed": "x"}, "field 'seed': has the wrong type"),
        ({"config": "rag"}, "field 'config': has the wrong type"),
        ({"config": {"formulation": "rag_token"}}, "field 'config.decoding': is missing"),
    ],
)
def test_wrong_values_of_a_run_are_named(full: Any, changes: dict[str, Any], message: str) -> None:
    edit(full.folder / "closed" / "run.json", **changes)
    with pytest.raises(DataError, match=message):
        collect(full.folder)


def test_what_a_run_may_leave_out(full: Any) -> None:
    edit(full.folder / "closed" / "run.json", git=None, timings={}, notes=None)
    (run,) = collect(full.folder).on("test", "baseline")
    assert run.seconds_per_query is None and run.notes == ()


def test_no_folder(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="run the sweep first"):
        collect(tmp_path / "nothing")
