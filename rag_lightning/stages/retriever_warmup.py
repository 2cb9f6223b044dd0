"""Stage `retriever_warmup`: training of the query encoder on questions with known passages, before RAG training.

The paper starts from DPR, which was trained this way (section 2.2). Positives are the gold passages; for a question
without any, or for all (`positives: bm25`), the first BM25 hits that contain an answer (or the evidence), as in DPR.
Passage encoder and index stay fixed. Files: `query_encoder/`, `history.jsonl`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from rag_lightning.config.experiment import ExperimentConfig
from rag_lightning.core.errors import ConfigError
from rag_lightning.core.records import Example
from rag_lightning.core.stage import Bound
from rag_lightning.corpus.store import PassageStore
from rag_lightning.retrieval.encoders import TextEncoder
from rag_lightning.stages import beforehand, biencoder, bm25, corpus, embed, examples, index, targets
from rag_lightning.stages.ranking import CANDIDATES, rows_with_answers
from rag_lightning.stages.vectors import Start
from rag_lightning.stages.workspace import Workspace, config_stage
from rag_lightning.training.batches import Lesson
from rag_lightning.training.encoders import QueryEncoderModule, Sought
from rag_lightning.training.fitting import fit
from rag_lightning.training.live_retrieval import LiveRetrieval


def start(workspace: Workspace) -> Start:
    """The query encoder that RAG training starts from: of this stage, or of stage biencoder if this has no steps."""
    if workspace.config.retriever_warmup.steps == 0:
        return biencoder.query_start(workspace)

    def trained() -> tuple[Path, float]:
        built = STAGE.build(workspace)
        return built.path / "query_encoder", float(built.info["score_scale"])

    return Start(STAGE.at(workspace), trained)


def _inputs(workspace: Workspace) -> dict[str, str | Bound[Workspace]]:
    found: dict[str, str | Bound[Workspace]] = {
        "examples": examples.STAGE.at(workspace),
        "vectors": embed.STAGE.at(workspace),
        "index": index.FLAT.at(workspace),
        "bm25": bm25.STAGE.at(workspace),
        "query_model": biencoder.query_start(workspace).identity,
    }
    return found | targets.mined(workspace)


def _make(workspace: Workspace, folder: Path) -> dict[str, Any]:
    config = workspace.config
    store = corpus.open_store(workspace)
    asked = targets.training_examples(workspace)
    items = sought(workspace, store, asked)
    if not items:
        raise ConfigError(
            "the retriever warm-up has no training data: no train question has a gold passage or an answer in its "
            f"first {CANDIDATES} BM25 hits; set retriever_warmup.steps=0"
        )
    before = biencoder.query_start(workspace)
    encoder = TextEncoder(config.encoder, before.source, "query")
    vectors = embed.open_vectors(workspace)
    live = LiveRetrieval(encoder, index.open_flat(workspace, vectors), vectors, store, before.score_scale)
    settings = config.retriever_warmup.training()
    settings = replace(settings, k=min(settings.k, len(store)))
    module = QueryEncoderModule(live, settings, config.seed)
    lesson = Lesson(items, settings.batch_size)
    result = fit(
        module, [lesson], settings, folder, seed=config.seed, device=workspace.device, announce=workspace.announce
    )
    scale = live.learnt_scale("retriever_warmup.scale_lr")
    encoder.model.save_pretrained(folder / "query_encoder")
    encoder.tokenizer.save_pretrained(folder / "query_encoder")
    left_out = len(asked) - len(items)
    if left_out:
        workspace.detail(f"retriever warm-up: {left_out} of {len(asked)} train questions have no known passage")
    return {"steps": result["steps"], "score_scale": scale, "questions": len(items), "left_out": left_out}


def sought(workspace: Workspace, store: PassageStore, asked: Sequence[Example]) -> list[Sought]:
    """Questions with the rows of their positive passages, without the questions that have none."""
    labelled = workspace.config.retriever_warmup.positives == "gold"
    unlabelled = [example for example in asked if not (labelled and example.gold_passage_ids)]
    mined = rows_with_answers(workspace, unlabelled)
    items = [
        Sought(e.query, mined[e.example_id] if e.example_id in mined else tuple(map(store.row, e.gold_passage_ids)))
        for e in asked
    ]
    return [item for item in items if item.rows]


STAGE = config_stage("retriever_warmup", 2, _inputs, _make, resumable=True, check_data=beforehand.check)
build = STAGE.build


def run(config: ExperimentConfig) -> None:
    """Train the query encoder and print its folder."""
    workspace = Workspace(config)
    artifact = build(workspace)
    workspace.announce(f"{artifact.info['steps']} steps on {artifact.info['questions']} questions: {artifact.path}")
