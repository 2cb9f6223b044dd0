"""Stage `score`: predictions -> artifacts/scores (per example, and their summary). No model is needed."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from rag_lightning.core.artifacts import Artifact, Recipe, write_json
from rag_lightning.core.config import ExperimentConfig
from rag_lightning.core.records import Example, Prediction, Ranking, Score, read_jsonl, write_jsonl
from rag_lightning.metrics.answers import AnswerMatcher
from rag_lightning.metrics.joining import join_by_id
from rag_lightning.metrics.metric import Outcome, parse_metric, score_outcome
from rag_lightning.metrics.summary import summarise
from rag_lightning.stages import corpus, examples
from rag_lightning.stages.workspace import Workspace

VERSION = 1
SCORES, SUMMARY = "scores.jsonl", "summary.json"
CUTOFFS = (1, 2, 5, 10, 20, 50)


def build(workspace: Workspace, split: str) -> Artifact:
    """Scores of the configured predictions, and of the passages they were made from."""
    from rag_lightning.stages import predict  # imported here: scoring stored predictions needs no torch

    config = workspace.config
    made = predict.build(workspace, split)
    if config.formulation == "closed_book":
        return of(workspace, split, made, None, 0)
    return of(workspace, split, made, predict.rankings(workspace, split), config.decoding.k)


def of(workspace: Workspace, split: str, predictions: Artifact | None, rankings: Artifact | None, k: int) -> Artifact:
    """Scores of predictions and of the first k of rankings; either may be left out."""
    inputs = {"examples": examples.build(workspace).digest}
    inputs |= {a.kind: a.digest for a in (predictions, rankings) if a is not None}
    settings = {"split": split, "k": k, "limit": workspace.config.task.limit, "seed": workspace.config.seed}

    def make(folder: Path) -> dict[str, Any]:
        asked = examples.read(workspace, split)
        outcomes = _outcomes(workspace, asked, predictions, rankings, k)
        names = metric_names(predictions is not None, k if rankings is not None else 0)
        scores = score_all(outcomes, names)
        write_jsonl(folder / SCORES, scores)
        write_json(folder / SUMMARY, summarise(scores, seed=workspace.config.seed))
        return {"examples": len(scores), "metrics": names}

    return workspace.store.build(Recipe("scores", settings, inputs, VERSION), make)


def metric_names(predicted: bool, k: int) -> list[str]:
    """EM and F1 of predictions; recall up to k and MRR of rankings."""
    cutoffs = sorted({cutoff for cutoff in (*CUTOFFS, k) if 0 < cutoff <= k})
    names = ["em", "f1"] if predicted else []
    names += [f"{family}@{cutoff}" for family in ("answer_recall", "gold_recall") for cutoff in cutoffs]
    return [*names, "mrr"] if k else names


def score_all(outcomes: Iterable[Outcome], names: Sequence[str]) -> list[Score]:
    """Per-example values of every metric that is defined for the example."""
    metrics = [parse_metric(name) for name in names]
    return [Score(o.example.example_id, o.example.entity, score_outcome(o, metrics), o.example.tags) for o in outcomes]


def _outcomes(
    workspace: Workspace,
    asked: Sequence[Example],
    predictions: Artifact | None,
    rankings: Artifact | None,
    k: int,
) -> list[Outcome]:
    texts: dict[str, str] = {}
    if predictions is not None:
        file = predictions.path / "predictions.jsonl"
        texts = {p.example_id: p.text for p, _ in join_by_id(read_jsonl(file, Prediction), asked, file)}
    if rankings is None:
        return [Outcome(example, texts.get(example.example_id)) for example in asked]
    file = rankings.path / "rankings.jsonl"
    found = [r for r, _ in join_by_id(read_jsonl(file, Ranking), asked, file)]
    return _with_hits(workspace, asked, [Ranking(r.example_id, r.rows[:k], r.scores[:k]) for r in found], texts)


def _with_hits(
    workspace: Workspace, asked: Sequence[Example], found: Sequence[Ranking], texts: dict[str, str]
) -> list[Outcome]:
    store = corpus.open_store(workspace)
    matcher = AnswerMatcher(lambda row: store[row].text)
    outcomes = []
    for example, ranking in zip(asked, found, strict=True):
        gold = set(example.gold_passage_ids)
        gold_hits = tuple(store[row].passage_id in gold for row in ranking.rows) if gold else None
        hits = matcher.hits(example.answers, ranking.rows)
        outcomes.append(Outcome(example, texts.get(example.example_id), hits, gold_hits))
    return outcomes


def run(config: ExperimentConfig) -> None:
    """Score the configured split and print the estimates."""
    workspace = Workspace(config)
    artifact = build(workspace, config.split)
    for line in lines(artifact):
        workspace.announce(line)
    workspace.announce(f"scores in {artifact.path}")


def lines(artifact: Artifact) -> list[str]:
    """One line per metric: mean, interval, n."""
    summary = json.loads((artifact.path / SUMMARY).read_text(encoding="utf-8"))
    return [
        f"{name:20} {e['mean']:8.2f}{e['unit']:1}  [{e['low']:.2f}, {e['high']:.2f}]  n={e['n']}"
        for name, e in summary["metrics"].items()
    ]
