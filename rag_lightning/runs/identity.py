"""What makes two experiments the same. Run folders, sweeps, claims and the order of work ask here and nowhere else."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from rag_lightning.config.experiment import ExperimentConfig, to_dict
from rag_lightning.config.presets import UNSET
from rag_lightning.config.retriever import applied_rates, retriever_settings, training_kind
from rag_lightning.config.training import recipe_settings
from rag_lightning.core.files import digest
from rag_lightning.stages import classes

T = TypeVar("T")
MODEL = 6
"""Experiments that agree in the first six parts of their reuse keys share one trained model."""


def run_digest(config: ExperimentConfig, split: str) -> str:
    """8 hex digits, the same for two experiments exactly where their scores on the split are the same."""
    return digest([_settings(config), split])[:8]


def reuse_key(config: ExperimentConfig) -> tuple[str, ...]:
    """What is built for an experiment, the most shared first: corpus, questions, vectors, reader, query encoder,
    model, index. Experiments that agree in the first n parts share the first n results.
    """
    plain = to_dict(config)
    questions = config.task.seed if config.task.seed is not None else config.seed
    reader = config.warmup.seed
    parts = [
        plain["corpus"],
        [plain["task"], questions],
        [plain["encoder"], plain["biencoder"], config.seed if config.biencoder.steps else None],
        [classes.generator_settings(config), plain["warmup"], config.seed if reader is None else reader],
        [plain["retriever_warmup"], config.seed],
        [plain["formulation"], plain["train"], config.init_from, *_trained(config)],
        [plain["retriever"], plain["index"], plain["bm25"]],
    ]
    return tuple(digest(part) for part in parts)


def model_key(config: ExperimentConfig) -> tuple[str, ...]:
    """Equal for two experiments that share one trained model."""
    return reuse_key(config)[:MODEL]


def by_reuse(jobs: Sequence[T], config_of: Callable[[T], ExperimentConfig]) -> list[T]:
    """Jobs that share come after each other; otherwise the order is kept."""
    keys = [reuse_key(config_of(job)) for job in jobs]
    first: dict[tuple[str, ...], int] = {}
    for position, key in enumerate(keys):
        for length in range(1, len(key) + 1):
            first.setdefault(key[:length], position)
    order = [[first[key[:length]] for length in range(1, len(key) + 1)] for key in keys]
    return [jobs[i] for i in sorted(range(len(jobs)), key=lambda i: (order[i], i))]


def differing(old: Any, new: Any, where: str = "") -> list[str]:
    """Dotted names of what differs between two plain values.

    >>> differing({"a": {"b": 1, "c": 2}}, {"a": {"b": 1, "c": 3}, "d": 4})
    ['a.c', 'd']
    """
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        names = list(dict.fromkeys([*old, *new]))
        found = [differing(old.get(n), new.get(n), f"{where}.{n}" if where else str(n)) for n in names]
        return [name for names in found for name in names]
    return [] if old == new else [where]


def _trained(config: ExperimentConfig) -> list[Any]:
    """What else changes a trained model: what finds the passages of training, and what is updated."""
    retriever = config.retriever
    return [training_kind(retriever), retriever.train, retriever.null_document, classes.trained_part(config)]


def _settings(experiment: ExperimentConfig) -> dict[str, Any]:
    """All settings but where results are kept and shown, how much is kept, and what has no effect here."""
    kept = {name: value for name, value in to_dict(experiment).items() if name not in ("folder", "tracking_uri")}
    del kept["decoding"]["pair_store_mb"]
    if (
        experiment.formulation == "closed_book"
        or not applied_rates(experiment.train, experiment.retriever).retrieve_ahead
    ):
        kept["train"]["retrieve_ahead"] = False
    for section in ("biencoder", "retriever_warmup", "warmup", "train"):
        kept[section] = recipe_settings(kept[section])
    kept["retriever"] = retriever_settings(experiment.retriever)
    kept["generator"] = {n: v for n, v in kept["generator"].items() if n not in classes.OF_TRAINING}
    kept |= classes.trained_part(experiment)
    gone = [*UNSET] if experiment.init_from else [*UNSET, "init_from"]
    return {name: value for name, value in kept.items() if name not in gone}
