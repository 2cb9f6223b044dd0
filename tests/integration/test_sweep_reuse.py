"""A sweep generates every (question, passage) pair once, whatever its retrievers and k, and says so."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from rag_lightning.config.commands import SweepConfig
from rag_lightning.runs import track
from rag_lightning.stages import predict, retrieve
from rag_lightning.stages.workspace import Workspace
from rag_lightning.sweep import run as sweep
from tests.points import system
from tests.tiny_project import SPLITS

RETRIEVERS, KS = ("flat", "hnsw", "bm25"), (1, 2, 3, 4, 5, 6)


class NoMirror:
    """MLflow is tested elsewhere."""

    def __init__(self, *_: object) -> None: ...

    def __getattr__(self, name: str) -> Any:
        return lambda *_: None


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
        sampler="grid",
        trials=len(RETRIEVERS) * len(KS),
    )
    sweep.run(config)
    said = [
        tuple(map(int, found))
        for found in re.findall(r"reused (\d+) of (\d+) pair generations", capsys.readouterr().err)
    ]
    manifests = [json.loads(m.read_text()) for m in Path(base.folder).glob("artifacts/predictions/*/manifest.json")]
    dev = [m["info"] for m in manifests if m["config"]["split"] == "dev"]
    assert len(dev) == config.trials
    told = [(info["pairs_reused"], info["pairs_generated"] + info["pairs_reused"]) for info in dev]
    assert sorted(told) == sorted(said[: len(dev)]), "every trial says what it has reused"
    rows = {}
    for retriever in RETRIEVERS:
        workspace = Workspace(system(base, f"rag_sequence/thorough/{retriever}/{max(KS)}").config)
        rows[retriever] = {r.example_id: r.rows for r in retrieve.read(predict.rankings(workspace, "dev"))}
    distinct = {(name, row) for found in rows.values() for name, line in found.items() for row in line}
    generated = sum(info["pairs_generated"] for info in dev)
    assert generated == len(distinct)
    read = sum(len(line[:k]) for found, k in product(rows.values(), KS) for line in found.values())
    assert generated + sum(info["pairs_reused"] for info in dev) == read
    dearest = len(SPLITS["dev"]) * max(KS)
    assert generated < read / 2 and generated <= 2 * dearest, "of the dearest trial alone"
