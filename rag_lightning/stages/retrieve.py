"""Stage `retrieve`: questions -> artifacts/rankings, once at the largest k; every smaller k is a prefix.

`asker` says which query encoder searches: the pretrained one, the one after the retriever warm-up, or the trained
model's. BM25 searches words and needs none; its score_scale is learnt where the model was trained with BM25, else tuned
on dev unless the configuration gives one. Another retriever than the model was trained with (retriever.trained_with)
is swapped in.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any, Literal

from rag_lightning.config.experiment import ExperimentConfig
from rag_lightning.config.retrieval import ENCODING, check_retriever, training_kind
from rag_lightning.core.artifacts import Artifact
from rag_lightning.core.errors import ConfigError
from rag_lightning.core.records import Ranking, read_jsonl, write_jsonl
from rag_lightning.core.stage import Bound, Stage
from rag_lightning.index.index import check_k
from rag_lightning.retrieval.encoders import TextEncoder
from rag_lightning.retrieval.questions import ByText, OracleRetriever, QuestionRetriever, RandomRetriever
from rag_lightning.retrieval.retriever import DenseRetriever
from rag_lightning.stages import biencoder, bm25, bm25_scale, corpus, embed, examples, index, retriever_warmup, train
from rag_lightning.stages.ranking import rank
from rag_lightning.stages.training_retrieval import count_gold
from rag_lightning.stages.vectors import Start
from rag_lightning.stages.workspace import Workspace, config_stage

Asker = Literal["pretrained", "warmed_up", "trained"]
RANKINGS = "rankings.jsonl"
ASKED = {"examples": examples, "corpus": corpus}


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
    kind = workspace.config.retriever.kind
    found: dict[str, str | Bound[Workspace]] = {n: s.STAGE.at(workspace) for n, s in ASKED.items()}
    if kind == "random":
        return found
    learnt = _is_learnt(workspace, asker)
    if learnt:
        found["model"] = train.STAGE.at(workspace)
    if kind == "bm25":
        tuned = not learnt and not workspace.config.bm25.score_scale
        found |= {"bm25_scale": bm25_scale.STAGE.at(workspace)} if tuned else {}
        return found | {"bm25": bm25.STAGE.at(workspace)}
    searched = biencoder.with_pretrained(workspace) if asker == "pretrained" else workspace
    found["index"] = index.STAGE.at(searched)
    return found if learnt else found | {"query_model": _before_training(searched, asker).identity}


def _make(workspace: Workspace, folder: Path, asker: Asker) -> dict[str, Any]:
    config, split = workspace.config, workspace.config.split
    asked = examples.read(workspace, split)
    retriever, scale = open_retriever(workspace, asker)
    check_k(config.retriever.k_max, len(corpus.open_store(workspace)))
    rankings, seconds = rank(retriever, asked, config.retriever.k_max)
    write_jsonl(folder / RANKINGS, rankings)
    info = {"questions": len(asked), "score_scale": scale, "seconds_per_query": seconds / max(len(asked), 1)}
    return info | ({"gold": count_gold(workspace, asked, split)} if config.retriever.kind == "oracle" else {})


def read(artifact: Artifact) -> list[Ranking]:
    """The rankings of an artifact."""
    return list(read_jsonl(artifact.path / RANKINGS, Ranking))


def _is_learnt(workspace: Workspace, asker: Asker) -> bool:
    """Whether the trained model brings query encoder and scale: it was trained with this retriever, or as encoder."""
    kind, trained = workspace.config.retriever.kind, training_kind(workspace.config.retriever)
    return asker == "trained" and (kind == trained or {kind, trained} <= set(ENCODING))


def open_retriever(workspace: Workspace, asker: Asker = "trained") -> tuple[QuestionRetriever, float]:
    """The configured retriever and the score_scale of p(z|x) that goes with it.

    Where the model was trained with another kind of retriever, a query encoder is as it was before training, and BM25's
    scale is tuned.
    """
    workspace = biencoder.with_pretrained(workspace) if asker == "pretrained" else workspace
    config, store = workspace.config, corpus.open_store(workspace)
    kind = config.retriever.kind
    if kind == "random":
        return RandomRetriever(config.seed, len(store)), 1.0
    learnt = float(train.read_info(train.build(workspace))["score_scale"]) if _is_learnt(workspace, asker) else 0.0
    if kind == "bm25":
        return ByText(bm25.open_bm25(workspace)), learnt or bm25_scale.score_scale(workspace)
    if learnt:
        encoder, scale = train.load_query_encoder(workspace), learnt
    else:
        start = _before_training(workspace, asker)
        encoder, scale = TextEncoder(config.encoder, start.source, "query").eval(), start.score_scale
    dense = DenseRetriever(encoder, index.open_index(workspace))
    if kind == "oracle":
        return OracleRetriever(dense, embed.open_vectors(workspace), store), scale
    return ByText(dense), scale


def _before_training(workspace: Workspace, asker: Asker) -> Start:
    return biencoder.query_start(workspace) if asker == "pretrained" else retriever_warmup.start(workspace)


def run(config: ExperimentConfig) -> None:
    """Retrieve for the configured split and say how well."""
    workspace = Workspace(config)
    artifact = build(workspace, config.split)
    workspace.announce(f"{artifact.info['questions']} rankings in {artifact.path}")
