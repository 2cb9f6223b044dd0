"""A claim on a user's own files through the real stages: trained, predicted, scored, tested, mirrored."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from mlflow.tracking import MlflowClient

from rag_lightning.claims import command
from rag_lightning.config.commands import ClaimsConfig
from rag_lightning.config.fields import to_dict
from rag_lightning.core.errors import ConfigError
from rag_lightning.runs.record import read_run, run_folders
from rag_lightning.tracking.store import default_uri
from tests import tiny_project
from tests.run_folders import svg_only


def test_a_claim_goes_through_the_stages(
    tmp_path: Path, tiny_data: Path, bert_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    svg_only(monkeypatch)
    folder = tmp_path / "experiments"
    folder.mkdir()
    plain = to_dict(tiny_project.experiment(tmp_path, tiny_data, bert_folder))
    base = {name: value for name, value in plain.items() if name not in ("folder", "tracking_uri", "seed", "split")}
    base |= {"name": "nq_rag_sequence", "formulation": "rag_sequence"}
    base["reader"] |= {"steps": 4, "warmup": 1}
    base["train"] |= {"steps": 2, "eval_every": 0}
    base["decoding"] |= {"strategy": "thorough", "k": 2}
    nothing = {"retriever": {"kind": "none"}, "decoding": {"strategy": "greedy"}}
    systems = {
        "rag_sequence": {"row": "RAG-Sequence"},
        "closed_book": {"row": "BART", "values": {"formulation": "closed_book", **nothing}},
    }
    part = {"task": "nq", "metric": "em", "systems": ["rag_sequence"], "baselines": ["closed_book"]}
    claim = {"name": "above", "says": "x", "source": "y", "seeds": [0, 1], "comparisons": [part]}
    matrix = {"seeds": [0], "questions_seed": 0, "reader_seed": 0, "tasks": ["nq"], "systems": systems, "decoding": {}}
    for name, values in {
        "matrix": matrix | {"scales": {"mini": {}}},
        "claims": {"claims": [claim]},
        "nq_rag_sequence": base,
    }.items():
        (folder / f"{name}.yaml").write_text(yaml.safe_dump(values, sort_keys=False))
    config = ClaimsConfig(str(folder / "claims.yaml"), str(folder / "matrix.yaml"), split="test", folder=str(tmp_path))
    command.run(config)

    (tested,) = json.loads((tmp_path / "runs/claims/mini-test/above.json").read_text())["outcome"]["tested"]
    assert (tested["n"], tested["seeds"]) == (12, 2)
    records = [read_run(path) for path in run_folders(tmp_path / "runs")]
    assert sorted((record["config"]["formulation"], record["seed"]) for record in records) == [
        ("closed_book", 0), ("closed_book", 1), ("rag_sequence", 0), ("rag_sequence", 1),
    ]  # fmt: skip
    assert len({record["digests"]["examples"] for record in records}) == 1, "all seeds are asked the same"
    assert len({record["digests"]["model"] for record in records}) == 4
    means: dict[str, list[float]] = {}
    for path, record in zip(run_folders(tmp_path / "runs"), records, strict=True):
        summary = json.loads((path / "summary.json").read_text())
        means.setdefault(record["config"]["formulation"], []).append(summary["metrics"]["em"]["mean"])
    assert tested["mean"] == pytest.approx(sum(means["rag_sequence"]) / 2)
    assert tested["baseline_mean"] == pytest.approx(sum(means["closed_book"]) / 2)
    client = MlflowClient(default_uri(tmp_path))
    names = {experiment.name for experiment in client.search_experiments()}
    assert {"nq", "claims"} <= names
    base["train"]["steps"] = 3
    (folder / "nq_rag_sequence.yaml").write_text(yaml.safe_dump(base, sort_keys=False))
    with pytest.raises(ConfigError, match=r"above was tested on test at .*train\.steps"):
        command.run(config)
