"""Stage `retrieve`: questions -> artifacts/rankings, once at the largest k; every smaller k is a prefix.

`asker` says whose query encoder asks: as it came (frozen), after the retriever warm-up, or the trained model's. BM25
asks with words and needs none; its score_scale is tuned on dev unless the configuration gives one, or learnt where the
model was trained with BM25. Another retriever than the model was trained with (retriever.trained_with) is swapped in.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from rag_lightning.config.experiment import ExperimentConfig, to_dict
from rag_lightning.config.retriever import ENCODING, check_retriever, training_kind
from rag_lightning.core.artifacts import Artifact, Recipe
from rag_lightning.core.errors import ConfigError
from rag_lightning.core.records import Ranking, read_jsonl, write_jsonl
from rag_lightning.index.index import check_k
from rag_lightning.retrieval.bm25 import BM25Retriever
from rag_lightning.retrieval.encoders import TextEncoder
from rag_lightning.retrieval.questions import ByText, OracleRetriever, QuestionRetriever, RandomRetriever
from rag_lightning.retrieval.retriever import DenseRetriever
from rag_lightning.stages import biencoder, bm25, corpus, embed, examples, index, retriever_warmup, train
from rag_lightning.stages.ranking import rank, tuned_scale
from rag_lightning.stages.training_retrieval import count_gold
from rag_lightning.stages.vectors import Start
from rag_lightning.stages.workspace import Workspace

VERSION = 1
Asker = Literal["frozen", "warmed up", "trained"]
RANKINGS = "rankings.jsonl"
QUERY_FIELDS = ("pooling", "normalize", "query_prefix", "max_query_length")


def build(workspace: Workspace, split: str, asker: Asker = "trained") -> Artifact:
    """Rankings of one split by the configured retriever.

    Raises:
        ConfigError: closed book has no rankings, or k_max exceeds the corpus.
    """
    workspace = biencoder.as_it_came(workspace) if asker == "frozen" else workspace
    config = workspace.config
    check_retriever(config.retriever, config.formulation)
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
        info = {"questions": len(asked), "score_scale": scale, "seconds_per_query": seconds / max(len(asked), 1)}
        return info | ({"gold": count_gold(workspace, asked, split)} if config.retriever.kind == "oracle" else {})

    return workspace.store.build(Recipe("rankings", settings, inputs, VERSION), make)


def read(artifact: Artifact) -> list[Ranking]:
    """The rankings of an artifact."""
    return list(read_jsonl(artifact.path / RANKINGS, Ranking))


def _recipe(workspace: Workspace, asker: Asker) -> tuple[dict[str, Any], dict[str, str]]:
    config = workspace.config
    kind, known = config.retriever.kind, _known(workspace, asker)
    inputs = {"examples": examples.build(workspace).digest}
    if kind == "random":
        return {"random": {"seed": config.seed}}, inputs | {"corpus": corpus.build(workspace).digest}
    if known:
        inputs["model"] = train.build(workspace).digest
    if kind == "bm25":
        inputs["bm25"] = bm25.build(workspace).digest
        return {"bm25": to_dict(config.bm25)}, inputs
    inputs["index"] = index.build(workspace).digest
    encoder = to_dict(config.encoder)
    settings: dict[str, Any] = {"index": to_dict(config.index), "query": {name: encoder[name] for name in QUERY_FIELDS}}
    if kind == "oracle":
        settings["oracle"] = True
    if not known:
        start = _before_training(workspace, asker)
        inputs["query_model"] = start.digest
        settings["score_scale"] = start.score_scale
    return settings, inputs


def _known(workspace: Workspace, asker: Asker) -> bool:
    """Whether the trained model says how to ask: it was trained with this retriever, or with the same encoder."""
    kind, trained = workspace.config.retriever.kind, training_kind(workspace.config.retriever)
    return asker == "trained" and (kind == trained or {kind, trained} <= set(ENCODING))


def open_retriever(workspace: Workspace, asker: Asker = "trained") -> tuple[QuestionRetriever, float]:
    """The configured retriever and the score_scale of p(z|x) that goes with it.

    Where the model was trained with another kind of retriever, a query encoder is as it was before training, and BM25's
    scale is tuned.
    """
    config, store = workspace.config, corpus.open_store(workspace)
    kind = config.retriever.kind
    if kind == "random":
        return RandomRetriever(config.seed, len(store)), 1.0
    learnt = float(train.read_info(train.build(workspace))["score_scale"]) if _known(workspace, asker) else 0.0
    if kind == "bm25":
        lexical = BM25Retriever.load(bm25.build(workspace).path)
        return ByText(lexical), learnt or config.bm25.score_scale or tuned_scale(workspace, lexical)
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
    return biencoder.query_start(workspace) if asker == "frozen" else retriever_warmup.start(workspace)


def run(config: ExperimentConfig) -> None:
    """Retrieve for the configured split and say how well."""
    workspace = Workspace(config)
    artifact = build(workspace, config.split)
    workspace.announce(f"{artifact.info['questions']} rankings in {artifact.path}")
