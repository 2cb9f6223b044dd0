"""Stage `retriever`: the query encoder that RAG training starts from, trained on questions with known passages.

The paper starts from DPR, which was trained so (section 2.2); an encoder as it comes was not. Positive passages are the
gold ones; of a question without any, those among the first BM25 hits that hold an answer (or the evidence), as DPR does
for data sets without gold passages. Passage encoder and index are frozen. Files: `query_encoder/`, `history.jsonl`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from rag_lightning.config.experiment import to_dict
from rag_lightning.config.training import RetrieverWarmupConfig, check_retriever_training
from rag_lightning.core.artifacts import Artifact, Recipe
from rag_lightning.core.errors import ConfigError
from rag_lightning.core.records import Example
from rag_lightning.corpus.store import PassageStore
from rag_lightning.retrieval.bm25 import BM25Retriever
from rag_lightning.retrieval.encoders import TextEncoder
from rag_lightning.stages import biencoder, bm25, corpus, embed, examples, index, targets
from rag_lightning.stages.biencoder import CANDIDATES
from rag_lightning.stages.ranking import marked
from rag_lightning.stages.vectors import Start
from rag_lightning.stages.workspace import Workspace
from rag_lightning.tasks.spec import get_task
from rag_lightning.training.batches import Lesson
from rag_lightning.training.encoders import QueryEncoderModule, Sought
from rag_lightning.training.fitting import fit
from rag_lightning.training.live_retrieval import LiveRetrieval

VERSION = 1


def start(workspace: Workspace) -> Start:
    """What RAG training starts from: the query encoder of this stage, or of the one before where this has no steps."""
    _check(workspace.config.retriever_warmup)
    if workspace.config.retriever_warmup.steps == 0:
        return biencoder.query_start(workspace)
    built = build(workspace)
    return Start(built.path / "query_encoder", float(built.info["score_scale"]), built.digest)


def build(workspace: Workspace) -> Artifact:
    """The query encoder after the warm-up.

    Raises:
        ConfigError: no train question has a known passage, or settings under which nothing can be learned.
    """
    config = workspace.config
    _check(config.retriever_warmup)
    settings = {
        "train": biencoder.train_settings(config.retriever_warmup),
        "encoder": to_dict(config.encoder),
        "seed": config.seed,
    }
    inputs = {
        "examples": examples.build(workspace).digest,
        "vectors": embed.build(workspace).digest,
        "bm25": bm25.build(workspace).digest,
        "query_model": biencoder.query_start(workspace).digest,
    }
    if get_task(config.task.name).mine:
        inputs["targets"] = targets.build(workspace).digest
    recipe = Recipe("retriever", settings, inputs, VERSION)
    return workspace.store.build(recipe, lambda folder: _make(workspace, folder), resumable=True)


def _check(config: RetrieverWarmupConfig) -> None:
    check_retriever_training("retriever_warmup", config)
    if config.steps and config.retriever_lr == config.scale_lr == 0:
        raise ConfigError("retriever_warmup trains nothing with retriever_lr=0 and scale_lr=0; set its steps=0")


def _make(workspace: Workspace, folder: Path) -> dict[str, Any]:
    config = workspace.config
    store = corpus.open_store(workspace)
    asked = targets.training_examples(workspace)
    items = sought(workspace, store, asked)
    if not items:
        raise ConfigError(
            "the retriever warm-up has nothing to learn: no train question names a gold passage, and no answer stands "
            f"in the first {CANDIDATES} BM25 hits of its question; set retriever_warmup.steps=0"
        )
    before = biencoder.query_start(workspace)
    encoder = TextEncoder(config.encoder, before.source, "query")
    vectors = embed.open_vectors(workspace)
    live = LiveRetrieval(encoder, index.open_flat(workspace, vectors), vectors, store, before.score_scale)
    settings = replace(config.retriever_warmup, k=min(config.retriever_warmup.k, len(store)))
    module = QueryEncoderModule(live, settings, config.seed)
    lesson = Lesson(items, settings.batch_size)
    result = fit(module, [lesson], settings, folder, seed=config.seed, announce=workspace.announce)
    scale = live.learnt_scale("retriever_warmup.scale_lr")
    encoder.model.save_pretrained(folder / "query_encoder")
    encoder.tokenizer.save_pretrained(folder / "query_encoder")
    left_out = len(asked) - len(items)
    if left_out:
        workspace.announce(f"retriever warm-up: {left_out} of {len(asked)} train questions have no known passage")
    return {"steps": result["steps"], "score_scale": scale, "questions": len(items), "left_out": left_out}


def sought(workspace: Workspace, store: PassageStore, asked: Sequence[Example]) -> list[Sought]:
    """Questions with the rows of their positive passages; those without any are left out."""
    bare = [example for example in asked if not example.gold_passage_ids]
    mined: dict[str, tuple[int, ...]] = {}
    if bare:
        lexical = BM25Retriever.load(bm25.build(workspace).path)
        rankings, flags = marked(workspace, lexical, bare, CANDIDATES)
        for ranking, right in zip(rankings, flags, strict=True):
            mined[ranking.example_id] = tuple(r for r, hit in zip(ranking.rows, right, strict=True) if hit)
    items = [
        Sought(e.query, tuple(map(store.row, e.gold_passage_ids)) if e.gold_passage_ids else mined[e.example_id])
        for e in asked
    ]
    return [item for item in items if item.rows]
