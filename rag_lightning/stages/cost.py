"""Stage `cost`: seconds per query and memory of a system, on a few dev questions without any stored results.

The time of a trial is no measure of this, because trials share work.
"""

from __future__ import annotations

import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from rag_lightning.core.hardware import collect_memory, describe, peak_memory, resolve_dtype
from rag_lightning.core.stage import Bound, Stage
from rag_lightning.decoding.encodings import Encodings
from rag_lightning.decoding.pair_store import PairStore
from rag_lightning.decoding.question import Question, questions
from rag_lightning.stages import examples, predict, retrieve, train, trivial
from rag_lightning.stages.ranking import rank
from rag_lightning.stages.workspace import Workspace

QUESTIONS = 8
PEAK = Path("/proc/self/clear_refs")
"""Linux forgets the peak memory of this process when a 5 is written here."""


def _make(workspace: Workspace, folder: Path) -> dict[str, Any]:
    config = workspace.config
    asked = examples.read(workspace, "dev")[:QUESTIONS]
    if config.decoding.made().from_train:
        _forget_peak()
        started = time.perf_counter()
        trivial.predict(workspace, asked)
        return _measured(len(asked), 0.0, time.perf_counter() - started)
    generator = predict.model_encodings(workspace, train.build(workspace)).generator
    encodings = Encodings(generator, resolve_dtype(config.decoding.dtype, generator.model.device.type))
    _forget_peak()
    found, seconds = [Question(example, (), ()) for example in asked], 0.0
    if config.formulation != "closed_book":
        retriever, scale = retrieve.open_retriever(workspace)
        rankings, seconds = rank(retriever, asked, config.decoding.k)
        found = questions(asked, rankings, scale, config.decoding.k, predict.null_score(workspace))
    predictor = predict.make_predictor(workspace, encodings, PairStore())
    started = time.perf_counter()
    for batch in predictor.batches(found):
        predictor.predict(batch)
    return _measured(len(asked), seconds, time.perf_counter() - started)


def _measured(count: int, retrieve_seconds: float, seconds: float) -> dict[str, Any]:
    return {
        "questions": count,
        "retrieve": retrieve_seconds / count,
        "generate": seconds / count,
        "peak_memory": peak_memory(),
        "hardware": describe(),
    }


def _forget_peak() -> None:
    """Free what earlier work left, and let the peak memory of the process begin anew where the system can."""
    collect_memory()
    if PEAK.exists():
        with suppress(OSError):  # a container may have it read-only
            PEAK.write_text("5", encoding="utf-8")


def _inputs(workspace: Workspace) -> dict[str, str | Bound[Workspace]]:
    """The model if there is one, and the digest of the predictions on dev, which need not exist and name the system."""
    found: dict[str, str | Bound[Workspace]] = {"predictions": predict.STAGE.digest(workspace.on("dev"))}
    return found if workspace.config.decoding.made().from_train else found | {"model": train.STAGE.at(workspace)}


def _settings(workspace: Workspace) -> dict[str, Any]:
    """Number of questions, and pairs per batch, which affects seconds but not predictions."""
    return {"questions": QUESTIONS, "decoding.pairs_per_batch": workspace.config.decoding.pairs_per_batch}


STAGE = Stage("cost", 3, _settings, _inputs, _make)
build = STAGE.build
"""Its info holds the seconds per query of retrieval and generation, the peak memory in bytes, and the hardware."""
