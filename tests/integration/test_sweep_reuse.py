"""A sweep generates every (question, passage) pair once, whatever its retrievers and k, and says so."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from itertools import product
from pathlib import Path

import pytest

from rag_lightning.config.commands import SweepConfig
from rag_lightning.core.records import Prediction, read_jsonl
from rag_lightning.runs.together import predict_together
from rag_lightning.stages import predict, retrieve, train
from rag_lightning.stages.workspace import Workspace
from rag_lightning.sweep import run as sweep
from rag_lightning.tracking import track
from tests.points import system
from tests.run_folders import NoMirror
from tests.tiny_project import SPLITS

RETRIEVERS, KS = ("flat", "hnsw", "bm25"), (1, 2, 3, 4, 5, 6)


def test_three_retrievers_and_six_k_generate_every_pair_once(
    tiny_copy: SweepConfig, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(track, "Mirror", NoMirror)
    base = replace(tiny_copy.experiment, retriever=replace(tiny_copy.experiment.retriever, k_max=max(KS)))
    config = replace(
        tiny_copy,
        experiment=base,
        space={"decoding": ("rag_sequence/thorough",), "retriever": RETRIEVERS, "k": KS},
        always=(),
        trivial=False,
        sampler="grid",
        trials=len(RETRIEVERS) * len(KS),
        objectives=("em", "index_bytes", "build_seconds", "peak_memory"),
    )
    sweep.run(config)
    found = re.findall(r"dev: .* in one pass: (\d+) of (\d+) pairs generated, (\d+) saved", capsys.readouterr().err)
    passes = [tuple(map(int, numbers)) for numbers in found]
    manifests = [json.loads(m.read_text()) for m in Path(base.folder).glob("artifacts/predictions/*/manifest.json")]
    dev = [m["info"] for m in manifests if m["config"]["split"] == "dev"]
    assert len(dev) == config.trials
    assert {m["predicted_together"] for m in dev} == {len(KS)} and len(passes) == len(RETRIEVERS)
    assert sum(generated for generated, _, _ in passes) == sum(info["pairs_generated"] for info in dev)
    assert sum(saved for _, _, saved in passes) == sum(info["pairs_reused"] for info in dev)
    rows = {}
    for retriever in RETRIEVERS:
        workspace = Workspace(system(base, f"rag_sequence/thorough/{retriever}/{max(KS)}").config)
        rows[retriever] = {r.example_id: r.rows for r in retrieve.read(retrieve.build(workspace, "dev"))}
    distinct = {(name, row) for found in rows.values() for name, line in found.items() for row in line}
    generated = sum(info["pairs_generated"] for info in dev)
    assert generated == len(distinct)
    read = sum(len(line[:k]) for found, k in product(rows.values(), KS) for line in found.values())
    assert generated + sum(info["pairs_reused"] for info in dev) == read
    dearest = len(SPLITS["dev"]) * max(KS)
    assert generated < read / 2 and generated <= 2 * dearest, "of the dearest trial alone"
    check_objectives(Path(base.folder) / "runs" / "tiny", config)
    check_an_impossible_constraint(config)


def check_objectives(folder: Path, config: SweepConfig) -> None:
    selection, importances = (json.loads((folder / f"{n}.json").read_text()) for n in ("selection", "importances"))
    rows = selection["candidates"]
    assert len(rows) == config.trials and all(set(row["values"]) == set(config.objectives) for row in rows)
    assert all(row["values"]["peak_memory"] > 1e8 for row in rows), "at least the libraries"
    assert 0 < sum(row["pareto"] for row in rows) < len(rows) and [row["chosen"] for row in rows].count(True) == 1
    assert importances["fields"] == ["decoding", "retriever", "k"]
    assert 0.9 < sum(importances["objectives"]["index_bytes"].values()) < 1.001
    assert importances["objectives"]["index_bytes"]["retriever"] > 0.9


def check_an_impossible_constraint(config: SweepConfig) -> None:
    """Nothing is chosen, nothing is lost, and the reason stands in the report's warnings."""
    sweep.run(replace(config, space={**config.space, "k": (1, 2)}, constraints=("index_bytes <= 7",)))
    folder = Path(config.experiment.folder) / "runs" / "tiny"
    described = json.loads((folder / "sweep.json").read_text())
    assert described["finished"] and described["warnings"][0].startswith(
        "RAG-Sequence: none of 6 trials meets all constraints, none is chosen: index_bytes <= 7 is missed by at least "
    )
    roles = [json.loads(file.read_text())["role"] for file in folder.glob("*/run.json")]
    assert roles == ["trial"] * 6


def test_one_pass_predicts_what_each_system_alone_does(tiny_copy: SweepConfig) -> None:
    points = [f"rag_sequence/{strategy}/flat/{k}" for strategy in ("thorough", "fast") for k in (1, 2, 5)]
    systems = [system(tiny_copy.experiment, text) for text in points]
    alone = {}
    for one in systems:
        workspace = Workspace(one.config).on("dev")
        predictor = predict.make_predictor(
            workspace, predict.model_encodings(workspace, train.build(workspace)), predict.PairStore()
        )
        alone[one.label] = predict.predict_all(predictor, predict.asked_questions(workspace, "dev"))
    predict_together(systems, "dev")
    for one in systems:
        made = predict.STAGE.open(Workspace(one.config).on("dev"))
        assert made is not None and made.info["predicted_together"] == 6
        found = list(read_jsonl(made.path / predict.PREDICTIONS, Prediction))
        wanted = alone[one.label]
        assert [(p.example_id, p.text) for p in found] == [(p.example_id, p.text) for p in wanted]
        for left, right in zip(found, wanted, strict=True):
            assert [h.token_ids for h in left.hypotheses] == [h.token_ids for h in right.hypotheses]
            assert [h.log_prob for h in left.hypotheses] == pytest.approx(
                [h.log_prob for h in right.hypotheses], abs=1e-5
            )
