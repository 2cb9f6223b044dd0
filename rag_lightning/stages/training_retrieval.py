"""Retrieval in training: by retriever.kind, or by retriever.trained_with if that is another kind.

dense and oracle train the query encoder and score_scale, bm25 only bm25.score_scale, random nothing. In the BM25 row of
the paper's Table 6, BM25 scores are the logits in training: bm25.score_scale=1, retriever.train=false.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rag_lightning.config.retrieval import retriever_kind, training_kind, training_retriever
from rag_lightning.core.errors import ConfigError
from rag_lightning.core.files import file_digest
from rag_lightning.core.stage import Bound
from rag_lightning.corpus.store import PassageStore
from rag_lightning.index.index import Floats, Index
from rag_lightning.retrieval.bm25 import BM25Retriever
from rag_lightning.retrieval.encoders import TextEncoder
from rag_lightning.retrieval.given import GivenRetriever
from rag_lightning.retrieval.questions import gold_rows
from rag_lightning.retrieval.retriever import DenseRetriever, RetrieverKind
from rag_lightning.stages import bm25, bm25_scale, corpus, embed, given, index, training_start
from rag_lightning.stages.ranking import count_cut
from rag_lightning.stages.workspace import Workspace
from rag_lightning.training.batches import Item
from rag_lightning.training.live_retrieval import LiveRetrieval, OracleRetrieval
from rag_lightning.training.scaled_retrieval import FixedRetrieval, ScaledRetrieval

NULL_FITTED_ON = 64
"""Number of training questions whose mean doc_score initialises the logit of the null document."""


class BuiltParts:
    """The parts that retrievers are opened from, each built at its first use; without a query encoder."""

    def __init__(self, workspace: Workspace) -> None:
        self.workspace = workspace

    @property
    def seed(self) -> int:
        """Seed of the experiment."""
        return self.workspace.config.seed

    @property
    def device(self) -> str:
        """The device of all models."""
        return self.workspace.device

    @property
    def store(self) -> PassageStore:
        """The corpus."""
        return corpus.open_store(self.workspace)

    def dense(self) -> DenseRetriever:
        """Raise ConfigError: training uses its own query encoder."""
        raise ConfigError("a kind of retriever with a query encoder sets `encodes`")

    def vectors(self) -> Floats:
        """Vectors of the passages, [N, D] float32."""
        return embed.open_vectors(self.workspace)

    def index(self) -> Index:
        """Exact search, as in training."""
        return index.open_flat(self.workspace, self.vectors())

    def bm25(self) -> BM25Retriever:
        """The BM25 retriever."""
        return bm25.open_bm25(self.workspace)

    def given(self) -> GivenRetriever:
        """The passages of the question files."""
        return given.open_given(self.workspace)

    def model(self, name: str) -> Path:
        """The folder of a model beside the encoders."""
        return self.workspace.model_source(name)

    def bm25_weight(self) -> float:
        """Raise ConfigError: training fits no such weight."""
        raise ConfigError("a kind of retriever with a weight that is fitted on dev sets `trained_as`")


def inputs(workspace: Workspace) -> dict[str, str | Bound[Workspace]]:
    """The inputs of a training for its retrieval."""
    kind = training_retriever(workspace.config.retriever)
    found: dict[str, str | Bound[Workspace]] = {"corpus": corpus.STAGE.at(workspace)}
    if "index" in kind.searches:
        found |= {"vectors": embed.STAGE.at(workspace), "index": index.FLAT.at(workspace)}
    if kind.encodes:
        found["query_model"] = training_start.query(workspace).identity
    return found | searched_input(workspace, kind) | scale_input(workspace, kind) | file_inputs(workspace, kind)


def searched_input(workspace: Workspace, kind: RetrieverKind) -> dict[str, str | Bound[Workspace]]:
    """What a kind without a query encoder searches, as an input."""
    stages = {"bm25": bm25.STAGE, "given": given.STAGE}
    return {name: stages[name].at(workspace) for name in kind.searches if name in stages}


def file_inputs(workspace: Workspace, kind: RetrieverKind) -> dict[str, str]:
    """The digests of the user's files and models that decide the rankings of a kind."""
    files = {f"retriever file {place}": file_digest(Path(name)) for place, name in enumerate(kind.files)}
    models = {f"retriever model {place}": workspace.model_digest(name) for place, name in enumerate(kind.models)}
    return files | models


def scale_input(workspace: Workspace, kind: RetrieverKind) -> dict[str, str | Bound[Workspace]]:
    """The fitted score_scale as an input, if BM25 has no configured one."""
    tuned = kind.scale == "bm25" and not workspace.config.bm25.score_scale
    return {"bm25_scale": bm25_scale.STAGE.at(workspace)} if tuned else {}


def open_retrieval(workspace: Workspace, items: Sequence[Item]) -> ScaledRetrieval:
    """The retrieval of a training.

    Args:
        workspace: Workspace of a formulation with passages.
        items: Training examples, for the initial logit of a null document.

    Raises:
        ConfigError: a score_scale that has no logarithm.
    """
    config = workspace.config
    kind = training_retriever(config.retriever)
    made = _encoding(workspace, kind) if kind.encodes else _fixed(workspace, kind, training_kind(config.retriever))
    if config.retriever.null_document == "bias":
        made.add_null_document(items[:NULL_FITTED_ON], config.train.k)
    return made


def _encoding(workspace: Workspace, kind: RetrieverKind) -> ScaledRetrieval:
    start = training_start.query(workspace)
    encoder = TextEncoder(workspace.config.encoder, start.source, "query")
    family = OracleRetrieval if kind.gold_first else LiveRetrieval
    store, vectors = corpus.open_store(workspace), embed.open_vectors(workspace)
    return family(encoder, index.open_flat(workspace, vectors), vectors, store, start.score_scale)


def _fixed(workspace: Workspace, kind: RetrieverKind, name: str) -> ScaledRetrieval:
    parts = BuiltParts(workspace)
    return FixedRetrieval(kind.open(parts), parts.store, fixed_scale(workspace, kind), f"{name}.score_scale")


def fixed_scale(workspace: Workspace, kind: RetrieverKind) -> float:
    """The factor of the scores of a kind without a query encoder, before any training."""
    if kind.scale == "configured":
        return workspace.config.encoder.score_scale
    return bm25_scale.score_scale(workspace) if kind.scale == "bm25" else 1.0


def describe(workspace: Workspace, retrieval: ScaledRetrieval, items: Sequence[Item]) -> dict[str, Any]:
    """The part of a model's info about its retrieval."""
    kind = training_kind(workspace.config.retriever)
    info: dict[str, Any] = {"score_scale": retrieval.learnt_scale("train.scale_lr")}
    if kind != "dense":
        info["retriever"] = kind
    asked = list({item.example_id: item for item in items}.values())
    if isinstance(retrieval, LiveRetrieval):
        info["queries_cut"] = count_cut(workspace, retrieval.encoder, asked, "training questions")
    if retriever_kind(kind).gold_first:
        info["gold"] = count_gold(workspace, asked, "training")
    if retrieval.null_score is not None:
        info["null_bias"] = retrieval.null_score
    return info


def count_gold(workspace: Workspace, asked: Sequence[Any], what: str) -> dict[str, int]:
    """Counts of the questions with and without a known gold passage, also shown as details."""
    known = int((gold_rows(corpus.open_store(workspace), asked) >= 0).sum())
    unknown = len(asked) - known
    workspace.detail(
        f"oracle, {what}: {known} of {len(asked)} questions have a known gold passage"
        + (f"; the other {unknown} use plain dense retrieval" if unknown else "")
    )
    return {"questions": len(asked), "with_gold": known, "without_gold": unknown}
