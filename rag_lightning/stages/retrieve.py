"""Stage `retrieve`: questions -> artifacts/rankings, once at the largest k; every smaller k is a prefix.

`asker` says whose query encoder asks: as it came (frozen), after the retriever warm-up, or the trained model's. BM25
asks with words and needs none; its score_scale is tuned on dev unless the configuration gives one.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from rag_lightning.core.artifacts import Artifact, Recipe
from rag_lightning.core.config import ExperimentConfig, to_dict
from rag_lightning.core.errors import ConfigError
from rag_lightning.core.records import Example, Ranking, read_jsonl, write_jsonl
from rag_lightning.index.index import check_k
from rag_lightning.retrieval.bm25 import BM25Retriever
from rag_lightning.retrieval.dense import DenseRetriever
from rag_lightning.retrieval.encoders import TextEncoder
from rag_lightning.retrieval.retriever import Retriever
from rag_lightning.stages import biencoder, bm25, corpus, examples, index, retriever_warmup, train
from rag_lightning.stages.evidence import evidence_hits
from rag_lightning.stages.vectors import Start
from rag_lightning.stages.workspace import Workspace
from rag_lightning.tasks.spec import get_task

VERSION = 1
Asker = Literal["frozen", "warmed up", "trained"]
RANKINGS = "rankings.jsonl"
BATCH = 256
SCALES = (0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1.0, 1.5, 2.0)
QUERY_FIELDS = ("pooling", "normalize", "query_prefix", "max_query_length")


def build(workspace: Workspace, split: str, asker: Asker = "trained") -> Artifact:
    """Rankings of one split by the configured retriever.

    Raises:
        ConfigError: closed book has no rankings, or k_max exceeds the corpus.
    """
    workspace = biencoder.as_it_came(workspace) if asker == "frozen" else workspace
    config = workspace.config
    if config.retriever.kind == "none":
        raise ConfigError("retriever.kind=none retrieves nothing")
    settings, inputs = _recipe(workspace, asker)
    settings |= {"split": split, "k_max": config.retriever.k_max, "limit": config.task.limit}

    def make(folder: Path) -> dict[str, Any]:
        asked = examples.read(workspace, split)
        retriever, scale = open_retriever(workspace, asker)
        check_k(config.retriever.k_max, len(corpus.open_store(workspace)))
        rankings, seconds = rank(retriever, asked, config.retriever.k_max)
        write_jsonl(folder / RANKINGS, rankings)
        return {"questions": len(asked), "score_scale": scale, "seconds_per_query": seconds / max(len(asked), 1)}

    return workspace.store.build(Recipe("rankings", settings, inputs, VERSION), make)


def read(artifact: Artifact) -> list[Ranking]:
    """The rankings of an artifact."""
    return list(read_jsonl(artifact.path / RANKINGS, Ranking))


def _recipe(workspace: Workspace, asker: Asker) -> tuple[dict[str, Any], dict[str, str]]:
    config = workspace.config
    inputs = {"examples": examples.build(workspace).digest}
    if config.retriever.kind == "bm25":
        inputs["bm25"] = bm25.build(workspace).digest
        return {"bm25": to_dict(config.bm25)}, inputs
    inputs["index"] = index.build(workspace).digest
    encoder = to_dict(config.encoder)
    settings: dict[str, Any] = {"index": to_dict(config.index), "query": {name: encoder[name] for name in QUERY_FIELDS}}
    if asker == "trained":
        inputs["model"] = train.build(workspace).digest
    else:
        start = _before_training(workspace, asker)
        inputs["query_model"] = start.digest
        settings["score_scale"] = start.score_scale
    return settings, inputs


def open_retriever(workspace: Workspace, asker: Asker = "trained") -> tuple[Retriever, float]:
    """The configured retriever and the score_scale of p(z|x) that goes with it."""
    config = workspace.config
    if config.retriever.kind == "bm25":
        lexical = BM25Retriever.load(bm25.build(workspace).path)
        return lexical, config.bm25.score_scale or tuned_scale(workspace, lexical)
    searched = index.open_index(workspace)
    if asker == "trained":
        scale = float(train.read_info(train.build(workspace))["score_scale"])
        return DenseRetriever(train.load_query_encoder(workspace), searched), scale
    start = _before_training(workspace, asker)
    encoder = TextEncoder(config.encoder, start.source, "query").eval()
    return DenseRetriever(encoder, searched), start.score_scale


def _before_training(workspace: Workspace, asker: Asker) -> Start:
    return biencoder.query_start(workspace) if asker == "frozen" else retriever_warmup.start(workspace)


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


def run(config: ExperimentConfig) -> None:
    """Retrieve for the configured split and say how well."""
    workspace = Workspace(config)
    artifact = build(workspace, config.split)
    workspace.announce(f"{artifact.info['questions']} rankings in {artifact.path}")
