"""The order in which experiments share the most: what one has built, the next finds in the process and on disk."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from rag_lightning.config.experiment import ExperimentConfig, to_dict
from rag_lightning.core.files import digest
from rag_lightning.config.retriever import training_kind
from rag_lightning.stages import classes

T = TypeVar("T")


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


def _trained(config: ExperimentConfig) -> list[Any]:
    """What else changes a trained model: what finds the passages of training, and what is updated."""
    retriever = config.retriever
    return [training_kind(retriever), retriever.train, retriever.null_document, classes.trained_part(config)]


def by_reuse(jobs: Sequence[T], config_of: Callable[[T], ExperimentConfig]) -> list[T]:
    """Jobs that share come after each other; otherwise the order is kept."""
    keys = [reuse_key(config_of(job)) for job in jobs]
    first: dict[tuple[str, ...], int] = {}
    for position, key in enumerate(keys):
        for length in range(1, len(key) + 1):
            first.setdefault(key[:length], position)
    order = [[first[key[:length]] for length in range(1, len(key) + 1)] for key in keys]
    return [jobs[i] for i in sorted(range(len(jobs)), key=lambda i: (order[i], i))]
