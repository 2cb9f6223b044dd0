"""Whether a configuration classifies, and which labels: checked before anything is built."""

from __future__ import annotations

from rag_lightning.config.experiment import ExperimentConfig
from rag_lightning.config.registries import DECODINGS
from rag_lightning.core.errors import ConfigError
from rag_lightning.tasks.spec import get_task


def check(config: ExperimentConfig) -> None:
    """Task, generator.head and decoding.strategy must agree.

    Raises:
        ConfigError: labels are asked of a task that has none, or classify without a head, or a head without classify.
    """
    task, head = get_task(config.task.name), config.generator.head
    if head != "none" and not task.labels:
        raise ConfigError(f"generator.head={head!r}: task {task.name} has no labels; use none")
    if (head != "none") != config.decoding.made().labels:
        named = " or ".join(name for name in DECODINGS if DECODINGS.get(name).labels)
        hint = f"{named} needs label_token or class_head, which need {named}"
        raise ConfigError(f"generator.head={head!r} with decoding.strategy={config.decoding.strategy!r}: {hint}")


def labels(config: ExperimentConfig) -> tuple[str, ...]:
    """The labels that the generator says, none where it writes text.

    Raises:
        ConfigError: a head for a task without labels.
    """
    if config.generator.head == "none":
        return ()
    found = get_task(config.task.name).labels
    if not found:
        raise ConfigError(f"generator.head={config.generator.head!r}: task {config.task.name} has no labels; use none")
    return found
