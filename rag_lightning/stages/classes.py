"""Labels of classification: the check of head and strategy, and the labels of a configuration."""

from __future__ import annotations

from rag_lightning.config.experiment import ExperimentConfig
from rag_lightning.config.registries import DECODINGS
from rag_lightning.core.errors import ConfigError
from rag_lightning.tasks.spec import get_task


def check(config: ExperimentConfig) -> None:
    """Check that task, generator.head and decoding.strategy agree.

    A baseline without a model uses no head, so that it goes with any.

    Raises:
        ConfigError: a head for a task without labels, strategy classify without a head, or a head without classify.
    """
    if config.decoding.made().from_train:
        return
    task, head = get_task(config.task.name), config.generator.head
    if head != "none" and not task.labels:
        raise ConfigError(f"generator.head={head!r}: task {task.name} has no labels; use none")
    if (head != "none") != config.decoding.made().labels:
        named = " or ".join(name for name in DECODINGS if DECODINGS.get(name).labels)
        hint = f"{named} needs label_token or class_head, which need {named}"
        raise ConfigError(f"generator.head={head!r} with decoding.strategy={config.decoding.strategy!r}: {hint}")


def labels(config: ExperimentConfig) -> tuple[str, ...]:
    """The labels that the generator predicts; empty if it writes free text.

    Raises:
        ConfigError: a head for a task without labels.
    """
    if config.generator.head == "none":
        return ()
    found = get_task(config.task.name).labels
    if not found:
        raise ConfigError(f"generator.head={config.generator.head!r}: task {config.task.name} has no labels; use none")
    return found
