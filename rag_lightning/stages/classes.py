"""Whether a configuration classifies, and how: checked before anything is built, and what of it goes into digests."""

from __future__ import annotations

from typing import Any

from rag_lightning.config.experiment import ExperimentConfig, to_dict
from rag_lightning.core.errors import ConfigError
from rag_lightning.tasks.spec import get_task

CLASSIFY = "classify"
HEAD_FIELDS = ("head", "verbalisers")
OF_TRAINING = ("train", "lora_rank", "lora_alpha")
"""What stage train updates, which the reader does not depend on."""


def check(config: ExperimentConfig) -> None:
    """Task, generator.head and decoding.strategy must agree.

    Raises:
        ConfigError: labels are asked of a task that has none, or classify without a head, or a head without classify.
    """
    task, head = get_task(config.task.name), config.generator.head
    if head != "none" and not task.labels:
        raise ConfigError(f"generator.head={head!r}: task {task.name} has no labels; use none")
    if (head != "none") != (config.decoding.strategy == CLASSIFY):
        hint = "classify needs label_token or class_head, which need classify"
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


def generator_settings(config: ExperimentConfig) -> dict[str, Any]:
    """The generator's section for a digest; a head and its labels are part of it only where there is one."""
    settings = {name: value for name, value in to_dict(config.generator).items() if name not in OF_TRAINING}
    del settings["mismatch"]  # whether it may be opened changes no result
    if config.generator.head == "none":
        return {name: value for name, value in settings.items() if name not in HEAD_FIELDS}
    return settings | {"labels": list(labels(config))}


def trained_part(config: ExperimentConfig) -> dict[str, Any]:
    """What stage train updates of the generator, for a digest; nothing where it is all."""
    settings = to_dict(config.generator)
    fields = {"all": (), "decoder": ("train",), "lora": OF_TRAINING}[config.generator.train]
    found = {name: settings[name] for name in fields}
    return {"generator_train": found} if found else {}
