"""Stage `retrieve`: questions -> artifacts/rankings, at retriever.k_max; a smaller k is a prefix of the ranking.

The state of the query encoder is one of: pretrained, warmed_up (after the retriever warm-up), or trained (with the
model). BM25 uses no query encoder; its score_scale comes from a model trained with BM25, else from the configuration,
else from a fit on dev. The retriever may differ from that of training (retriever.trained_with).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, Literal

from rag_lightning.config.digesting import settings
from rag_lightning.config.experiment import ExperimentConfig
from rag_lightning.config.retrieval import check_retriever, retriever_kind, training_kind, trains_encoder
from rag_lightning.core.artifacts import Artifact
from rag_lightning.core.errors import ConfigError
from rag_lightning.core.files import file_sha256
from rag_lightning.core.records import Ranking, read_checked, write_jsonl
from rag_lightning.core.stage import Bound, Stage
from rag_lightning.index.index import Index
from rag_lightning.metrics.outcomes import evidence_hits
from rag_lightning.retrieval.encoders import TextEncoder
from rag_lightning.retrieval.hybrid import HybridRetriever, fit_weight
from rag_lightning.retrieval.retriever import DenseRetriever, Hits, QuestionRetriever, RetrieverKind
from rag_lightning.stages import (
    beforehand,
    biencoder,
    corpus,
    examples,
    index,
    retriever_warmup,
    train,
)
from rag_lightning.stages.ranking import count_cut, rank
from rag_lightning.stages.training_retrieval import (
    BuiltParts,
    count_gold,
    file_inputs,
    fixed_scale,
    scale_input,
    searched_input,
)
from rag_lightning.stages.vectors import Start
from rag_lightning.stages.workspace import Workspace, config_stage
from rag_lightning.tasks.spec import get_task

EncoderState = Literal["pretrained", "warmed_up", "trained"]
"""State of the query encoder."""
RANKINGS = "rankings.jsonl"


@lru_cache(maxsize=3)
def stage(state: EncoderState = "trained") -> Stage[Workspace]:
    """The stage that ranks the workspace's split with the configured retriever and a state of the query encoder."""
    inputs, make = partial(_inputs, state=state), partial(_make, state=state)
    return config_stage("rankings", 2, inputs, make, check=_check, check_data=beforehand.check_retrieval)


@lru_cache(maxsize=3)
def weight_stage(state: EncoderState) -> Stage[Workspace]:
    """The stage that fits the weight of BM25 in the scores of a retriever on dev."""
    return Stage(
        "hybrid_weight",
        1,
        lambda workspace: settings(workspace.on("dev").config, "rankings"),
        lambda workspace: _searched(workspace.on("dev"), state),
        lambda workspace, folder: _fit(workspace.on("dev"), state),
    )


def build(workspace: Workspace, split: str, state: EncoderState = "trained") -> Artifact:
    """Rankings of one split by the configured retriever.

    Raises:
        ConfigError: no retriever (closed book), or k_max exceeds the corpus.
    """
    return stage(state).build(workspace.on(split))


def _check(workspace: Workspace) -> None:
    config = workspace.config
    check_retriever(config.retriever, config.formulation)
    if config.retriever.kind == "none":
        raise ConfigError("retriever.kind=none has no rankings; set another kind")


def _inputs(workspace: Workspace, state: EncoderState) -> dict[str, str | Bound[Workspace]]:
    fitted = workspace.config.retriever.made().fitted
    weight: dict[str, str | Bound[Workspace]] = {"hybrid_weight": weight_stage(state).at(workspace)} if fitted else {}
    return _searched(workspace, state) | weight


def _searched(workspace: Workspace, state: EncoderState) -> dict[str, str | Bound[Workspace]]:
    """Questions, model, and what is searched."""
    kind: RetrieverKind = workspace.config.retriever.made()
    found: dict[str, str | Bound[Workspace]] = {"examples": examples.STAGE.at(workspace)}
    found |= {**file_inputs(workspace, kind), "corpus": corpus.STAGE.at(workspace), **searched_input(workspace, kind)}
    learnt = _is_learnt(workspace, state)
    if learnt:
        found["model"] = train.STAGE.at(workspace)
    searched = biencoder.with_pretrained(workspace) if state == "pretrained" else workspace
    if "index" in kind.searches:
        found["index"] = index.STAGE.at(searched)
    if kind.encodes:
        return found if learnt else found | {"query_model": _before_training(searched, state).identity}
    return found if learnt else found | scale_input(workspace, kind)


def _make(workspace: Workspace, folder: Path, state: EncoderState) -> dict[str, Any]:
    config, split = workspace.config, workspace.config.split
    asked = examples.read(workspace, split)
    retriever, scale, encoder = _open(workspace, state)
    rankings, seconds = rank(retriever, asked, config.retriever.k_max)
    write_jsonl(folder / RANKINGS, rankings)
    info: dict[str, Any] = {
        "questions": len(asked),
        "score_scale": scale,
        "seconds_per_query": seconds / max(len(asked), 1),
        "without_passages": _count_bare(workspace, rankings),
    }
    info |= {"queries_cut": count_cut(workspace, encoder, asked)} if encoder else {}
    kind: RetrieverKind = config.retriever.made()
    if kind.files:
        info["files"] = [{"file": Path(name).name, "sha256": file_sha256(Path(name))} for name in kind.files]
    return info | ({"gold": count_gold(workspace, asked, split)} if kind.gold_first else {})


def _fit(workspace: Workspace, state: EncoderState) -> dict[str, Any]:
    """Fit the weight on the questions of dev."""
    parts, asked = SystemParts(workspace, state), examples.read(workspace, "dev")
    config = workspace.config.retriever
    searching = HybridRetriever(parts.dense(), parts.bm25(), parts.vectors(), config.made().pool)
    pools = searching.pools([example.query for example in asked], config.k_max)
    rankings = [Hits(p.rows, p.products).ranking(one.example_id) for p, one in zip(pools, asked, strict=True)]
    flags = evidence_hits(get_task(workspace.config.task.name), parts.store, asked, rankings)
    weight, rank = fit_weight(pools, flags)
    return {"weight": weight, "questions": sum(map(any, flags)), "mean_reciprocal_rank": round(rank, 6)}


def _count_bare(workspace: Workspace, rankings: Sequence[Ranking]) -> int:
    """Announce how many questions have no passage, with BM25 because they share no word with any; returns it."""
    bare = sum(not ranking.rows for ranking in rankings)
    if bare:
        config, why = workspace.config, ""
        if config.retriever.made().searches == ("bm25",):
            why = f": they share no word with any by the rule of corpus.language={config.corpus.language}"
        workspace.announce(f"{bare} of {len(rankings)} questions have no passage{why}")
    return bare


def read(artifact: Artifact) -> list[Ranking]:
    """The rankings of an artifact.

    Raises:
        DataError: a line that is no ranking.
    """
    return read_checked(artifact.path / RANKINGS, Ranking)


def _is_learnt(workspace: Workspace, state: EncoderState) -> bool:
    """Whether query encoder and scale come from the trained model: it was trained with this kind or its encoder."""
    config = workspace.config.retriever
    kind = retriever_kind(config.kind)
    if state != "trained" or not (kind.encodes or kind.scale == "bm25"):
        return False
    return config.kind == training_kind(config) or (kind.encodes and trains_encoder(config))


class SystemParts(BuiltParts):
    """The parts that retrievers are opened from at prediction, with one state of the query encoder.

    Args:
        workspace: The workspace of corpus and index.
        state: State of the query encoder.
        encoder: The query encoder, if it is loaded already.

    Attributes:
        encoder: The query encoder, once it is opened.
    """

    def __init__(
        self, workspace: Workspace, state: EncoderState = "trained", encoder: TextEncoder | None = None
    ) -> None:
        super().__init__(workspace)
        self._state, self.encoder = state, encoder
        self._index: Index | None = None

    def dense(self) -> DenseRetriever:
        """The dense retriever: query encoder and configured index."""
        if self.encoder is None:
            self.encoder = self._load_encoder()
        return DenseRetriever(self.encoder, self.index())

    def _load_encoder(self) -> TextEncoder:
        if _is_learnt(self.workspace, self._state):
            return train.load_query_encoder(self.workspace).to(self.device)
        start = _before_training(self.workspace, self._state)
        return TextEncoder(self.workspace.config.encoder, start.source, "query").to(self.device).eval()

    def index(self) -> Index:
        """The configured index, opened once."""
        if self._index is None:
            self._index = index.open_searched(self.workspace)
        return self._index

    def bm25_weight(self) -> float:
        """The weight of BM25 that was fitted on dev."""
        return float(weight_stage(self._state).build(self.workspace).info["weight"])


def open_retriever(workspace: Workspace, state: EncoderState = "trained") -> tuple[QuestionRetriever, float]:
    """The configured retriever and its score_scale in p(z|x).

    If the model was trained with another kind of retriever, the query encoder is the warmed_up one, and BM25's scale is
    configured or fitted.
    """
    return _open(workspace, state)[:2]


def _open(workspace: Workspace, state: EncoderState) -> tuple[QuestionRetriever, float, TextEncoder | None]:
    """The retriever, its score_scale, and the query encoder if it has one."""
    workspace = biencoder.with_pretrained(workspace) if state == "pretrained" else workspace
    kind, parts = workspace.config.retriever.made(), SystemParts(workspace, state)
    retriever = kind.open(parts)
    return retriever, score_scale(workspace, state), parts.encoder


def score_scale(workspace: Workspace, state: EncoderState = "trained") -> float:
    """The score_scale of the configured retriever in p(z|x).

    If the model was trained with another kind of retriever, BM25's is configured or fitted.
    """
    kind: RetrieverKind = workspace.config.retriever.made()
    if kind.scale and _is_learnt(workspace, state):
        return float(train.read_info(train.build(workspace))["score_scale"])
    if kind.scale == "encoder":
        return _before_training(workspace, state).score_scale
    return fixed_scale(workspace, kind)


def _before_training(workspace: Workspace, state: EncoderState) -> Start:
    return biencoder.query_start(workspace) if state == "pretrained" else retriever_warmup.start(workspace)


def run(config: ExperimentConfig) -> None:
    """Rank the passages for the configured split and print the folder."""
    workspace = Workspace(config)
    artifact = build(workspace, config.split)
    workspace.announce(f"{artifact.info['questions']} rankings in {artifact.path}")
