"""Stage `predict`: rankings + model -> artifacts/predictions.

Predictions of one process are made with Lightning's Trainer, which handles interruptions and progress; those of several
are dealt out in parts (predict_parts.py). The models are on the device of the configuration already.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from torch.utils.data import DataLoader

from rag_lightning.config.experiment import ExperimentConfig
from rag_lightning.config.generator import check_generator
from rag_lightning.core.artifacts import PAIRS, Artifact
from rag_lightning.core.devices import device_class
from rag_lightning.core.errors import ConfigError
from rag_lightning.core.hardware import collect_memory, resolve_dtype
from rag_lightning.core.records import Prediction, write_jsonl
from rag_lightning.core.stage import Bound
from rag_lightning.decoding.encodings import Encodings, Loaded
from rag_lightning.decoding.pair_store import PairStore
from rag_lightning.decoding.predictor import Predictor
from rag_lightning.decoding.predictor import batches as batches_of
from rag_lightning.decoding.question import Question, questions
from rag_lightning.decoding.served import open_served
from rag_lightning.decoding.strategy import check_strategy
from rag_lightning.stages import beforehand, classes, corpus, examples, retrieve, together, train, trivial
from rag_lightning.stages.predict_parts import PARTS, missing, parts_of, take, write_part
from rag_lightning.stages.training_start import GENERATOR
from rag_lightning.stages.workspace import Workspace, config_stage
from rag_lightning.training.fitting import interruptible, quiet_trainer

VERSION = 3
PREDICTIONS = "predictions.jsonl"


def model_encodings(workspace: Workspace, model: Artifact) -> Encodings:
    """The encodings of a model; the model stays loaded for later predictions of the process."""
    if workspace.config.decoding.made().served:
        return open_served(model.path / GENERATOR, workspace.config.generator)
    device = workspace.device
    dtype = resolve_dtype(workspace.config.decoding.dtype, device_class(device))
    name = f"{model.path.resolve()} {device} {dtype}"
    return Loaded.encodings(name, lambda: Encodings(train.load_generator(workspace).to(device), dtype))


def build(workspace: Workspace, split: str) -> Artifact:
    """Predictions of one split under the configured decoding.

    Raises:
        ConfigError: a strategy that does not decode the formulation or the task, or k above retriever.k_max.
    """
    return STAGE.build(workspace.on(split))


def _check(workspace: Workspace) -> None:
    config = workspace.config
    check_generator(config.generator, config.formulation)
    classes.check(config)
    check_strategy(config.formulation, config.decoding.strategy)
    if config.formulation != "closed_book" and config.decoding.k > config.retriever.k_max:
        raise ConfigError(f"decoding.k={config.decoding.k} exceeds retriever.k_max={config.retriever.k_max}; raise it")


def _inputs(workspace: Workspace) -> dict[str, str | Bound[Workspace]]:
    if workspace.config.decoding.made().from_train:
        return {"examples": examples.STAGE.at(workspace)}
    found = {"model": train.STAGE.at(workspace), "examples": examples.STAGE.at(workspace)}
    if workspace.config.formulation != "closed_book":
        found["rankings"] = retrieve.stage().at(workspace)
    return {**found}


def _make(workspace: Workspace, folder: Path) -> dict[str, Any]:
    split = workspace.config.split
    if workspace.config.decoding.made().from_train:
        started = time.perf_counter()
        count = write_jsonl(folder / PREDICTIONS, trivial.predict(workspace, examples.read(workspace, split)))
        seconds = round(time.perf_counter() - started, 3)
        return {"questions": count, "seconds": seconds, "pairs_generated": 0, "pairs_reused": 0}
    if together.is_shared(workspace.config):
        return _make_together(workspace, folder)
    model = train.build(workspace)
    encodings = model_encodings(workspace, model)
    asked = asked_questions(workspace, split)
    with open_pairs(workspace, model) as pairs:
        predictor = make_predictor(workspace, encodings, pairs)
        before = _counts(pairs, encodings)
        started = time.perf_counter()
        predictions = predict_all(predictor, asked, progress=True)
        seconds = time.perf_counter() - started
        counts = _since(before, pairs, encodings)
    write_jsonl(folder / PREDICTIONS, predictions)
    _tell_reuse(workspace, counts)
    return {"questions": len(predictions), "seconds": round(seconds, 3), **counts}


def _tell_reuse(workspace: Workspace, counts: Mapping[str, int]) -> None:
    total = counts["pairs_generated"] + counts["pairs_reused"]
    if total:
        workspace.detail(f"reused {counts['pairs_reused']} of {total} pair generations")


def _make_together(workspace: Workspace, folder: Path) -> dict[str, Any]:
    """The predictions of several processes, which are those of one."""
    started = time.perf_counter()
    (folder / PARTS).mkdir()
    batches = _batches(workspace)
    parts = parts_of(batches)
    together.finish("predict", workspace, folder, lambda: missing(folder, len(parts)), {})
    predictions, counts = take(folder, parts)
    write_jsonl(folder / PREDICTIONS, predictions)
    _tell_reuse(workspace, counts)
    return {"questions": len(predictions), "seconds": round(time.perf_counter() - started, 3), **counts}


def _batches(workspace: Workspace) -> list[list[Question]]:
    config = workspace.config
    asked = asked_questions(workspace, config.split)
    return list(batches_of(asked, config.formulation, config.decoding))


def predict_share(rank: int, config: ExperimentConfig, folder: Path, values: Mapping[str, Any]) -> None:
    """Predict the parts of one of several processes.

    The stored pairs are those of the first machine: SQLite is not for network file systems.
    """
    workspace = together.quiet(config)
    model = train.build(workspace)
    encodings, batches = model_encodings(workspace, model), _batches(workspace)
    parts = parts_of(batches)
    with open_pairs(workspace, model) if os.environ["NODE_RANK"] == "0" else PairStore() as pairs:
        predictor = make_predictor(workspace, encodings, pairs)
        for number in together.share(rank, values):
            before = _counts(pairs, encodings)
            with torch.inference_mode():
                made = [predictor.predict(batches[batch]) for batch in parts[number]]
            counts = _since(before, pairs, encodings)
            found = [prediction for batch in made for prediction in batch]
            write_part(folder, number, found, counts | {"sizes": [len(batch) for batch in made]})


def _counts(pairs: PairStore, encodings: Encodings) -> dict[str, int]:
    """The counts of the info, since the beginning."""
    return {
        "pairs_generated": pairs.generated,
        "pairs_reused": pairs.reused,
        "pairs_damaged": pairs.damaged,
        "pairs_evicted": pairs.evicted,
        "pair_stores_rebuilt": pairs.rebuilt,
        "encoded": encodings.encoded,
        "encodings_reused": encodings.reused,
    }


def asked_questions(workspace: Workspace, split: str) -> list[Question]:
    """The split's examples with the first k passages of their rankings and scaled scores."""
    config = workspace.config
    asked = examples.read(workspace, split)
    if config.formulation == "closed_book":
        return questions(asked, None, 1.0, 0)
    artifact = retrieve.build(workspace, split)
    found, scale = retrieve.read(artifact), float(artifact.info["score_scale"])
    return questions(asked, found, scale, config.decoding.k, null_score(workspace))


def null_score(workspace: Workspace) -> float | None:
    """The trained logit of the null document, None without one."""
    if workspace.config.retriever.null_document == "none":
        return None
    return float(train.read_info(train.build(workspace))["null_bias"])


def make_predictor(workspace: Workspace, encodings: Encodings, pairs: PairStore) -> Predictor:
    """The predictor of the configured formulation and decoding."""
    config = workspace.config
    store = None if config.formulation == "closed_book" else corpus.open_store(workspace)
    return Predictor(config.formulation, encodings, config.decoding, store, pairs)


def open_pairs(workspace: Workspace, model: Artifact) -> PairStore:
    """The pair store of the model and decoding; in memory only if its results cannot be shared."""
    decoding = workspace.config.decoding
    stored, kind = decoding.made().stored, device_class(workspace.device)
    dtype = resolve_dtype(decoding.dtype, kind)
    if workspace.config.formulation == "closed_book" or not stored:
        return PairStore()
    on = {} if kind == "cpu" else {"device": kind}
    name = "-".join([model.digest, stored, dtype, *on.values()])
    path = workspace.root / "artifacts" / PAIRS / f"{name}.sqlite"
    owner = {"generator": model.digest, "decoding": stored, "dtype": dtype, "code": str(VERSION), **on}
    return PairStore(path, owner, decoding.pair_store_mb * 10**6, workspace.announce)


def predict_all(predictor: Predictor, asked: Sequence[Question], progress: bool = False) -> list[Prediction]:
    """All predictions in the order of the questions; first frees memory of a training in this process."""
    collect_memory()
    loader: DataLoader[list[Question]] = DataLoader(list(predictor.batches(asked)), batch_size=None)  # type: ignore[arg-type]
    module = PredictionModule(predictor)
    with interruptible():
        quiet_trainer(enable_progress_bar=progress).predict(module, loader, return_predictions=False)
    return module.predictions


def _since(before: Mapping[str, int], pairs: PairStore, encodings: Encodings) -> dict[str, int]:
    return {name: value - before[name] for name, value in _counts(pairs, encodings).items()}


def _check_data(workspace: Workspace) -> None:
    together.check(workspace)
    beforehand.check(workspace)


STAGE = config_stage("predictions", VERSION, _inputs, _make, check=_check, check_data=_check_data)


def run(config: ExperimentConfig) -> None:
    """Predict the configured split and print the folder."""
    workspace = Workspace(config)
    artifact = build(workspace, config.split)
    workspace.announce(f"{artifact.info['questions']} predictions in {artifact.path}")


class PredictionModule(pl.LightningModule):
    """Wraps a Predictor; a batch is a list of questions.

    Attributes:
        predictions: Predictions of this process, kept here because Lightning cannot collect frozen records.
    """

    def __init__(self, predictor: Predictor) -> None:
        super().__init__()
        self._predictor = predictor
        self.predictions: list[Prediction] = []

    def transfer_batch_to_device(self, batch: list[Question], device: Any, index: int) -> list[Question]:
        """Return the batch unchanged: it is text."""
        return batch

    def predict_step(self, batch: list[Question], *args: Any) -> int:
        """Predict a batch; returns its size, because Lightning warns about a step without a result."""
        made = self._predictor.predict(batch)
        self.predictions += made
        return len(made)
