"""Predictions of one RAG-Sequence model and retriever for several k and strategies in one pass."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from rag_lightning.config.fields import to_dict
from rag_lightning.core.console import within
from rag_lightning.core.files import digest
from rag_lightning.core.records import Prediction, write_jsonl
from rag_lightning.decoding.predictor import GridPredictor
from rag_lightning.decoding.question import Question
from rag_lightning.runs.system import System
from rag_lightning.stages import corpus, predict, train
from rag_lightning.stages.together import is_shared
from rag_lightning.stages.workspace import Workspace


def predict_together(systems: Sequence[System], split: str) -> None:
    """Predict systems that differ only in k and strategy in one pass with the largest k; others are not predicted.

    Each system gets the artifact that its own prediction would give.
    """
    with within(f"{split}: several systems"):
        _predict_groups(systems, split)


def _predict_groups(systems: Sequence[System], split: str) -> None:
    groups: dict[str, dict[tuple[int, str], Workspace]] = {}
    for system in systems:
        config = system.config
        strategy = config.decoding.made()
        if not strategy.marginal or config.formulation not in strategy.formulations:
            continue
        if is_shared(config):  # each prediction is dealt to the processes by itself
            continue
        if config.retriever.null_document != "none":  # it follows the last passage, so a smaller k is not a prefix
            continue
        workspace = Workspace(config).on(split)
        if predict.STAGE.open(workspace) is None:
            cell = (config.decoding.k, config.decoding.strategy)
            groups.setdefault(_shared(system), {}).setdefault(cell, workspace)
    for cells in groups.values():
        if len(cells) > 1:
            _predict(cells, split)


def _shared(system: System) -> str:
    """The digest of all fields but k and strategy, equal for the systems of one pass."""
    plain = to_dict(system.config)
    del plain["decoding"]["k"], plain["decoding"]["strategy"]
    return digest(plain)


def _predict(cells: dict[tuple[int, str], Workspace], split: str) -> None:
    widest = cells[max(cells)]
    model = train.build(widest)
    asked = predict.asked_questions(widest, split)
    encodings = predict.model_encodings(widest, model)
    before, started = (encodings.encoded, encodings.reused), time.perf_counter()
    with predict.open_pairs(widest, model) as pairs:
        predictor = GridPredictor(encodings, widest.config.decoding, corpus.open_store(widest), pairs, list(cells))
        predict.predict_all(predictor, asked, progress=True)
        generated = pairs.generated
        lost = {"pairs_damaged": pairs.damaged, "pairs_evicted": pairs.evicted, "pair_stores_rebuilt": pairs.rebuilt}
    encoded = {"encoded": encodings.encoded - before[0], "encodings_reused": encodings.reused - before[1]}
    shared = {"seconds": round((time.perf_counter() - started) / len(cells), 3), **lost, **encoded}
    read = {cell: _pairs(asked, cell[0]) for cell in cells}
    for cell, workspace in cells.items():
        own = generated if cell == max(cells) else 0
        counts = {"pairs_generated": own, "pairs_reused": read[cell] - own, "predicted_together": len(cells)}
        _publish(workspace, predictor.found[cell], counts | shared)
    names = ", ".join(f"k={k} {strategy}" for k, strategy in sorted(cells))
    total = sum(read.values())
    widest.announce(f"{split}: {names} in one pass: {generated} of {total} pairs generated, {total - generated} saved")


def _pairs(asked: Sequence[Question], k: int) -> int:
    """Number of question-passage pairs at k; a question without passages counts as one."""
    return sum(max(1, len(question.rows[:k])) for question in asked)


def _publish(workspace: Workspace, predictions: Sequence[Prediction], info: dict[str, Any]) -> None:
    def make(_: Workspace, folder: Path) -> dict[str, Any]:
        write_jsonl(folder / predict.PREDICTIONS, predictions)
        return {"questions": len(predictions), **info}

    replace(predict.STAGE, make=make).build(workspace)
