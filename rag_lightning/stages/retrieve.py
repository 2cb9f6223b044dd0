"""Stage `retrieve`: questions -> artifacts/rankings, once at the largest k; every smaller k is a prefix.

`learned` says whose query encoder asks: the trained model's, or the one training started from (frozen). BM25 asks with
words and needs neither; its score_scale is tuned on dev unless the configuration gives one.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from rag_lightning.core.artifacts import Artifact, Recipe
from rag_lightning.core.config import ExperimentConfig, to_dict
from rag_lightning.core.errors import ConfigError
from rag_lightning.core.records import Example, Passage, Ranking, read_jsonl, write_jsonl
from rag_lightning.corpus.store import PassageStore
from rag_lightning.index.index import check_k
from rag_lightning.metrics.pages import evidence_sets, normalize_title
from rag_lightning.retrieval.bm25 import BM25Retriever
from rag_lightning.retrieval.dense import DenseRetriever
from rag_lightning.retrieval.encoders import TextEncoder
from rag_lightning.retrieval.retriever import Retriever
from rag_lightning.stages import corpus, examples, index, train
from rag_lightning.stages.outcomes import make_matcher
from rag_lightning.stages.workspace import Workspace
from rag_lightning.tasks.spec import TaskSpec, get_task

VERSION = 1
RANKINGS = "rankings.jsonl"
BATCH = 256
SCALES = (0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1.0, 1.5, 2.0)
QUERY_FIELDS = ("pooling", "normalize", "query_prefix", "max_query_length")


def build(workspace: Workspace, split: str, learned: bool = True) -> Artifact:
    """Rankings of one split by the configured retriever.

    Raises:
        ConfigError: closed book has no rankings, or k_max exceeds the corpus.
    """
    config = workspace.config
    if config.retriever.kind == "none":
        raise ConfigError("retriever.kind=none retrieves nothing")
    settings, inputs = _recipe(workspace, learned)
    settings |= {"split": split, "k_max": config.retriever.k_max, "limit": config.task.limit}

    def make(folder: Path) -> dict[str, Any]:
        asked = examples.read(workspace, split)
        retriever, scale = open_retriever(workspace, learned)
        check_k(config.retriever.k_max, len(corpus.open_store(workspace)))
        rankings, seconds = rank(retriever, asked, config.retriever.k_max)
        write_jsonl(folder / RANKINGS, rankings)
        return {"questions": len(asked), "score_scale": scale, "seconds_per_query": seconds / max(len(asked), 1)}

    return workspace.store.build(Recipe("rankings", settings, inputs, VERSION), make)


def read(artifact: Artifact) -> list[Ranking]:
    """The rankings of an artifact."""
    return list(read_jsonl(artifact.path / RANKINGS, Ranking))


def _recipe(workspace: Workspace, learned: bool) -> tuple[dict[str, Any], dict[str, str]]:
    config = workspace.config
    inputs = {"examples": examples.build(workspace).digest}
    if config.retriever.kind == "bm25":
        inputs["bm25"] = index.build_bm25(workspace).digest
        return {"bm25": to_dict(config.bm25)}, inputs
    inputs["index"] = index.build(workspace).digest
    encoder = to_dict(config.encoder)
    settings: dict[str, Any] = {"index": to_dict(config.index), "query": {name: encoder[name] for name in QUERY_FIELDS}}
    if learned:
        inputs["model"] = train.build(workspace).digest
    else:
        inputs["query_model"] = workspace.model_digest(config.encoder.model)
        settings["score_scale"] = config.encoder.score_scale
    return settings, inputs


def open_retriever(workspace: Workspace, learned: bool) -> tuple[Retriever, float]:
    """The configured retriever and the score_scale of p(z|x) that goes with it."""
    config = workspace.config
    if config.retriever.kind == "bm25":
        lexical = BM25Retriever.load(index.build_bm25(workspace).path)
        return lexical, config.bm25.score_scale or tuned_scale(workspace, lexical)
    searched = index.open_index(workspace)
    if learned:
        scale = float(train.read_info(train.build(workspace))["score_scale"])
        return DenseRetriever(train.load_query_encoder(workspace), searched), scale
    encoder = TextEncoder(config.encoder, workspace.model_source(config.encoder.model), "query").eval()
    return DenseRetriever(encoder, searched), config.encoder.score_scale


def rank(retriever: Retriever, asked: Sequence[Example], k: int) -> tuple[list[Ranking], float]:
    """Rankings in the order of the examples, and the seconds they took."""
    started = time.perf_counter()
    rankings = []
    for start in range(0, len(asked), BATCH):
        batch = asked[start : start + BATCH]
        hits = retriever.retrieve([example.query for example in batch], k)
        rankings += [found.ranking(example.example_id) for found, example in zip(hits, batch, strict=True)]
    return rankings, time.perf_counter() - started


def tuned_scale(workspace: Workspace, retriever: Retriever) -> float:
    """The scale that gives the passages with an answer (or the evidence) the most log-probability on dev."""
    asked = examples.read(workspace, "dev")
    store = corpus.open_store(workspace)
    rankings, _ = rank(retriever, asked, min(workspace.config.retriever.k_max, len(store)))
    flags = evidence_hits(get_task(workspace.config.task.name), store, asked, rankings)
    pairs = [(np.array(r.scores), np.array(f)) for r, f in zip(rankings, flags, strict=True) if any(f)]
    if not pairs:
        return 1.0

    def mass(scale: float) -> float:
        return float(np.mean([_log_mass(scores * scale, hit) for scores, hit in pairs]))

    return max(SCALES, key=mass)


def _log_mass(logits: Any, hit: Any) -> float:
    shifted = logits - logits.max()
    return float(np.log(np.exp(shifted[hit]).sum()) - np.log(np.exp(shifted).sum()))


def evidence_hits(
    task: TaskSpec, store: PassageStore, asked: Sequence[Example], rankings: Sequence[Ranking]
) -> list[tuple[bool, ...]]:
    """Does each retrieved passage hold an answer (DPR's rule: passage text only).

    Where answers do not stand in passages: is it a gold passage, or of a gold article?
    """
    matcher = make_matcher(task, lambda row: store[row].text)
    pairs = zip(asked, rankings, strict=True)
    if task.extractive:
        return [matcher.hits(example.answers, ranking.rows) for example, ranking in pairs]
    return [tuple(_is_gold(example, store[row]) for row in ranking.rows) for example, ranking in pairs]


def _is_gold(example: Example, passage: Passage) -> bool:
    titles = frozenset().union(*evidence_sets(example))
    return passage.passage_id in example.gold_passage_ids or normalize_title(passage.title) in titles


def run(config: ExperimentConfig) -> None:
    """Retrieve for the configured split and say how well."""
    workspace = Workspace(config)
    artifact = build(workspace, config.split)
    workspace.announce(f"{artifact.info['questions']} rankings in {artifact.path}")
