"""How well each retriever finds passages by itself, for the query encoder as it came, warmed up and trained.

What EM cannot exceed: answers that tokenising and realising lose, whatever the model says.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from rag_lightning.config.commands import SweepConfig
from rag_lightning.config.retrieval import training_kind, trains_encoder
from rag_lightning.generator.surface import Surface
from rag_lightning.metrics.answers import em, has_answer
from rag_lightning.runs.system import System
from rag_lightning.stages import bm25, corpus, examples, index, retrieve, score, training_start
from rag_lightning.stages.workspace import Workspace

PRETRAINED, WARMED_UP = "pretrained", "warmed_up"
UNASKED = {"bm25": "words", "random": "chance"}
"""Retrievers without a query encoder, and what ranks in its place."""


def rows(config: SweepConfig, split: str = "dev") -> list[dict[str, Any]]:
    """One row per retriever and query encoder (frozen, warmed up, and of each trained formulation)."""
    return [row for retriever in config.retriever for row in _rows(config, retriever, split)]


def _rows(config: SweepConfig, retriever: str, split: str) -> Iterator[dict[str, Any]]:
    formulations = dict.fromkeys(decoding.partition("/")[0] for decoding in config.decoding)
    before = config.experiment.retriever_warmup.steps or config.experiment.biencoder.steps
    warmed_up = [WARMED_UP] if before else []
    base = config.experiment.retriever
    trained = trains_encoder(base) or training_kind(base) == "none"
    models = [PRETRAINED] if retriever in UNASKED else [PRETRAINED, *warmed_up, *(formulations if trained else ())]
    for model in models:
        decoding = next(d for d in config.decoding if model in (PRETRAINED, WARMED_UP) or d.startswith(model))
        system = System.make(decoding, retriever, 1)
        yield _row(Workspace(system.configure(config.experiment)), retriever, model, split)


def _asker(model: str) -> retrieve.Asker:
    if model == PRETRAINED:
        return "pretrained"
    return "warmed_up" if model == WARMED_UP else "trained"


def _row(workspace: Workspace, retriever: str, model: str, split: str) -> dict[str, Any]:
    ranked = retrieve.build(workspace, split, _asker(model))
    scored = score.of(workspace, split, None, ranked, workspace.config.retriever.k_max)
    built = _built(workspace, retriever)
    summary = json.loads((scored.path / score.SUMMARY).read_text(encoding="utf-8"))
    return {
        "retriever": retriever,
        "model": UNASKED.get(retriever, model),
        "split": split,
        "metrics": summary["metrics"],
        "score_scale": ranked.info["score_scale"],
        "index_bytes": built.get("bytes"),
        "build_seconds": built.get("build_seconds"),
        "seconds_per_query": ranked.info["seconds_per_query"],
    }


def _built(workspace: Workspace, retriever: str) -> Mapping[str, Any]:
    """What is known of the index that is searched; nothing of random, which searches none."""
    if retriever == "random":
        return {}
    return (bm25.build(workspace) if retriever == "bm25" else index.build(workspace)).info


GOLD = 5
"""Gold passages of a question that are looked at."""


def note(workspace: Workspace) -> str:
    """One sentence for the report: how many answers of dev and test survive."""
    survived, total = count(workspace)
    if not total:
        return "surface: no gold passages are known, so what tokenising and realising loses was not measured"
    return (
        f"surface: {survived} of {total} answers that stand in a gold passage ({100 * survived / total:.2f} %) "
        "survive tokenising and realising; EM cannot exceed it"
    )


def count(workspace: Workspace) -> tuple[int, int]:
    """(answers that survive, answers that stand in a gold passage)."""
    generator = training_start.generator(workspace)
    surface, store = Surface(generator.tokenizer), corpus.open_store(workspace)
    survived, total = 0, 0
    for example in [e for split in ("dev", "test") for e in examples.read(workspace, split)]:
        gold = [store[store.row(passage_id)] for passage_id in example.gold_passage_ids[:GOLD]]
        standing = [a for a in example.answers if any(has_answer([a], p.text) for p in gold)]
        for answer, ids in zip(standing, generator.target_ids(standing) if standing else [], strict=True):
            total += 1
            survived += em(surface.realise(ids, gold), [answer]) == 1.0
    return survived, total
