"""Stage `retrieve`: questions -> artifacts/rankings, once at the largest k; every smaller k is a prefix.

`asker` says which query encoder searches: the pretrained one, the one after the retriever warm-up, or the trained
model's. BM25 searches words and needs none; its score_scale is learnt where the model was trained with BM25, else tuned
on dev unless the configuration gives one. Another retriever than the model was trained with (retriever.trained_with)
is swapped in.
"""

from __future__ import annotations

from functools import lru_cache, partial
from pathlib import Path
from typing import Any, Literal

from rag_lightning.config.experiment import ExperimentConfig
from rag_lightning.config.retrieval import check_retriever, retriever_kind, training_kind, trains_encoder
from rag_lightning.core.artifacts import Artifact
from rag_lightning.core.errors import ConfigError
from rag_lightning.core.records import Ranking, read_jsonl, write_jsonl
from rag_lightning.core.stage import Bound, Stage
from rag_lightning.index.index import check_k
from rag_lightning.retrieval.encoders import TextEncoder
from rag_lightning.retrieval.retriever import DenseRetriever, QuestionRetriever, RetrieverKind
from rag_lightning.stages import biencoder, bm25, bm25_scale, corpus, examples, index, retriever_warmup, train
from rag_lightning.stages.ranking import rank
from rag_lightning.stages.training_retrieval import BuiltParts, count_gold, scale_input
from rag_lightning.stages.vectors import Start
from rag_lightning.stages.workspace import Workspace, config_stage

Asker = Literal["pretrained", "warmed_up", "trained"]
RANKINGS = "rankings.jsonl"


@lru_cache(maxsize=3)
def stage(asker: Asker = "trained") -> Stage[Workspace]:
    """Rankings of the workspace's split by the configured retriever, with that query encoder."""
    return config_stage("rankings", 2, partial(_inputs, asker=asker), partial(_make, asker=asker), check=_check)


def build(workspace: Workspace, split: str, asker: Asker = "trained") -> Artifact:
    """Rankings of one split by the configured retriever.

    Raises:
        ConfigError: closed book has no rankings, or k_max exceeds the corpus.
    """
    return stage(asker).build(workspace.on(split))


def _check(workspace: Workspace) -> None:
    config = workspace.config
    check_retriever(config.retriever, config.formulation)
    if config.retriever.kind == "none":
        raise ConfigError("retriever.kind=none retrieves nothing")


def _inputs(workspace: Workspace, asker: Asker) -> dict[str, str | Bound[Workspace]]:
    kind = retriever_kind(workspace.config.retriever.kind)
    found: dict[str, str | Bound[Workspace]] = {"examples": examples.STAGE.at(workspace)}
    found["corpus"] = corpus.STAGE.at(workspace)
    learnt = _is_learnt(workspace, asker)
    if learnt:
        found["model"] = train.STAGE.at(workspace)
    if kind.searches == "bm25":
        found["bm25"] = bm25.STAGE.at(workspace)
    if kind.encodes:
        searched = biencoder.with_pretrained(workspace) if asker == "pretrained" else workspace
        found["index"] = index.STAGE.at(searched)
        return found if learnt else found | {"query_model": _before_training(searched, asker).identity}
    return found if learnt else found | scale_input(workspace, kind)


def _make(workspace: Workspace, folder: Path, asker: Asker) -> dict[str, Any]:
    config, split = workspace.config, workspace.config.split
    asked = examples.read(workspace, split)
    retriever, scale = open_retriever(workspace, asker)
    check_k(config.retriever.k_max, len(corpus.open_store(workspace)))
    rankings, seconds = rank(retriever, asked, config.retriever.k_max)
    write_jsonl(folder / RANKINGS, rankings)
    info = {"questions": len(asked), "score_scale": scale, "seconds_per_query": seconds / max(len(asked), 1)}
    return info | ({"gold": count_gold(workspace, asked, split)} if config.retriever.made().gold_first else {})


def read(artifact: Artifact) -> list[Ranking]:
    """The rankings of an artifact."""
    return list(read_jsonl(artifact.path / RANKINGS, Ranking))


def _is_learnt(workspace: Workspace, asker: Asker) -> bool:
    """Whether the trained model brings query encoder and scale: it was trained with this kind, or with its encoder."""
    config = workspace.config.retriever
    kind = retriever_kind(config.kind)
    if asker != "trained" or not kind.scale:
        return False
    return config.kind == training_kind(config) or (kind.encodes and trains_encoder(config))


class _Parts(BuiltParts):
    """What a kind is opened from at prediction; the query encoder is the asker's."""

    def __init__(self, workspace: Workspace, asker: Asker) -> None:
        super().__init__(workspace)
        self._asker = asker

    def dense(self) -> DenseRetriever:
        """The query encoder with the configured index."""
        if _is_learnt(self.workspace, self._asker):
            encoder = train.load_query_encoder(self.workspace)
        else:
            start = _before_training(self.workspace, self._asker)
            encoder = TextEncoder(self.workspace.config.encoder, start.source, "query").eval()
        return DenseRetriever(encoder, index.open_index(self.workspace))


def open_retriever(workspace: Workspace, asker: Asker = "trained") -> tuple[QuestionRetriever, float]:
    """The configured retriever and the score_scale of p(z|x) that goes with it.

    Where the model was trained with another kind of retriever, a query encoder is as it was before training, and BM25's
    scale is tuned.
    """
    workspace = biencoder.with_pretrained(workspace) if asker == "pretrained" else workspace
    kind = workspace.config.retriever.made()
    return kind.open(_Parts(workspace, asker)), _scale(workspace, asker, kind)


def _scale(workspace: Workspace, asker: Asker, kind: RetrieverKind) -> float:
    if _is_learnt(workspace, asker):
        return float(train.read_info(train.build(workspace))["score_scale"])
    if kind.scale == "encoder":
        return _before_training(workspace, asker).score_scale
    return bm25_scale.score_scale(workspace) if kind.scale == "bm25" else 1.0


def _before_training(workspace: Workspace, asker: Asker) -> Start:
    return biencoder.query_start(workspace) if asker == "pretrained" else retriever_warmup.start(workspace)


def run(config: ExperimentConfig) -> None:
    """Retrieve for the configured split and say how well."""
    workspace = Workspace(config)
    artifact = build(workspace, config.split)
    workspace.announce(f"{artifact.info['questions']} rankings in {artifact.path}")
