"""Presets of several fields at once: `system` (formulation, retriever, decoding) and `train_preset` (training).

Presets are expanded when a file or the command line is read. Fields that are given take precedence, but a field that
contradicts the definition of the system is an error.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from rag_lightning.config.registries import TASKS
from rag_lightning.core.errors import ConfigError

SystemName = Literal["custom", "rag", "frozen", "bm25", "closed_book", "oracle"]
TrainPreset = Literal["ours", "recipe", "plain", "paper", "authors"]
UNSET: Mapping[str, str] = {"system": "custom", "train_preset": "ours"}
"""The values that set nothing: fields that are not given have their defaults."""


@dataclass(frozen=True)
class SystemPreset:
    """The fields of one system.

    Args:
        means: Field -> allowed values; the first is the default, and any other value is an error.
        sets: Field -> default.
    """

    means: Mapping[str, tuple[Any, ...]]
    sets: Mapping[str, Any] = field(default_factory=dict)


WITH_PASSAGES = ("rag_sequence", "rag_token")
SYSTEMS: Mapping[str, SystemPreset] = {
    "rag": SystemPreset(
        {
            "formulation": WITH_PASSAGES,
            "retriever.kind": ("dense",),
            "retriever.trained_with": ("same", "dense"),
            "retriever.train": (True,),
        }
    ),
    "frozen": SystemPreset(
        {
            "formulation": WITH_PASSAGES,
            "retriever.kind": ("dense",),
            "retriever.trained_with": ("same", "dense"),
            "retriever.train": (False,),
        }
    ),
    "bm25": SystemPreset(
        {"formulation": WITH_PASSAGES, "retriever.kind": ("bm25",), "retriever.trained_with": ("same", "bm25")}
    ),
    "closed_book": SystemPreset(
        {"formulation": ("closed_book",), "retriever.kind": ("none",)}, {"decoding.strategy": "greedy"}
    ),
    "oracle": SystemPreset({"formulation": WITH_PASSAGES, "retriever.kind": ("oracle",)}),
}
"""Table 6 of the paper has rag, frozen and bm25 (trained with BM25); closed_book is BART in Table 2; oracle is ours."""


@dataclass(frozen=True)
class Setting:
    """The value of one training field.

    Args:
        value: Value of the field.
        stated: Whether the paper states it.
        source: Source of the value.
    """

    value: Any
    stated: bool
    source: str


SCRIPT = "finetune_rag.sh of the authors' port"
ON_DEV = "ours, chosen on half of mini-nq dev"
RECIPE: Mapping[str, Setting] = {
    "reader.steps": Setting(800, False, ON_DEV),
    "reader.window_share": Setting(0.65, False, f"{ON_DEV}: 520 steps with windows"),
    "reader.cloze": Setting("windows", False, f"{ON_DEV}: half of what windows show, none of the whole passages"),
    "reader.distractors": Setting(0.5, False, f"{ON_DEV}: half of the questions"),
    "reader.distractor_retriever": Setting("dense", False, f"{ON_DEV}: as hard as those of RAG training"),
    "reader.distractor_loss": Setting("spread_first", False, f"{ON_DEV}: AUC 0.71 for passages with the answer"),
    "retriever_warmup.steps": Setting(0, False, "the paper's retriever learns from answers alone (section 2.4)"),
}
"""A reader that tells passages with the answer from others, and no gold passages for the retriever."""
RECIPE_COPIED: Mapping[str, Setting] = {
    "train.targets": Setting("first", False, ON_DEV),
    "train.answerable_only": Setting(True, False, ON_DEV),
    "train.distractor_loss": Setting("spread_first", False, ON_DEV),
    "train.distractor_weight": Setting(2.0, False, "ours, chosen on mini-nq dev from 0, 0.5, 1 and 2"),
    "train.k": Setting(5, True, "the paper: 5 or 10, no significant difference"),
    "train.steps": Setting(80, False, ON_DEV),
    "train.batch_size": Setting(12, False, ON_DEV),
    "train.lr": Setting(3e-5, False, f"{ON_DEV}; {SCRIPT} has the same"),
    "train.retriever_lr": Setting(1e-4, False, ON_DEV),
    "train.scale_lr": Setting(6e-2, False, ON_DEV),
    "train.eval_every": Setting(80, False, f"{ON_DEV}: the last step's checkpoint, with an evaluation"),
    "train.checkpoint_encoder": Setting(True, False, "ours: the same result in less memory"),
}
"""RAG training of the recipe, for tasks whose answers are copied from passages: the paper's likelihood beside an
auxiliary loss of ours."""
TRAIN_PRESETS: Mapping[str, Mapping[str, Setting]] = {
    "ours": {},
    "recipe": RECIPE,
    "plain": {},
    "paper": {
        "train.k": Setting(5, True, "the paper: 5 or 10, no significant difference"),
        "train.weight_decay": Setting(0.0, True, "the paper: Adam, which AdamW is without decay"),
        "train.scale_lr": Setting(0.0, True, "the paper: inner products are the logits, no temperature"),
    },
    "authors": {
        "train.k": Setting(5, True, "the paper: 5 or 10"),
        "train.scale_lr": Setting(0.0, True, "the paper: no temperature"),
        "train.lr": Setting(3e-5, False, SCRIPT),
        "train.retriever_lr": Setting(3e-5, False, f"{SCRIPT}, one rate for all"),
        "train.batch_size": Setting(64, False, f"{SCRIPT}, 8 on each of 8 GPUs"),
        "train.warmup": Setting(500, False, SCRIPT),
        "train.weight_decay": Setting(0.001, False, SCRIPT),
        "train.clip": Setting(0.1, False, SCRIPT),
        "train.label_smoothing": Setting(0.1, False, SCRIPT),
        "train.eval_limit": Setting(0, False, f"{SCRIPT}, EM on all of dev"),
        "generator.dropout": Setting(0.1, False, SCRIPT),
        "generator.max_source_length": Setting(300, False, "max_combined_length of the authors' port"),
        "generator.max_target_length": Setting(25, False, SCRIPT),
    },
}
"""Fields that a preset does not name keep their defaults; `paper` and `authors` keep the paper's likelihood alone. The
paper states no learning rate, batch size, number of
updates, warm-up, label smoothing, dropout, clipping, lengths or stopping criterion. Settings of the script without a
field of ours: fp16, attention dropout 0.1 (ours is 0), and 100 epochs, whose number of steps depends on the data."""
OURS_AT: Mapping[str, TrainPreset] = {"mini": "recipe", "mini-long": "recipe"}
"""Scale -> the preset that `ours` is there; elsewhere it is plain: the defaults of the sections."""
COPIED: Mapping[str, Mapping[str, Setting]] = {"recipe": RECIPE_COPIED}
"""Preset -> its further fields for tasks whose answers are copied from passages."""
NEEDED: Mapping[str, str] = {"authors": "train.steps"}


def expand(given: Mapping[str, Any]) -> dict[str, Any]:
    """The fields that the given presets set, except those that are given themselves.

    Args:
        given: Dotted field of ExperimentConfig -> value, for the fields that a file or the command line names.

    Raises:
        ConfigError: a given field contradicts the system, or a field is missing that has no useful default.
    """
    system, preset = given.get("system", UNSET["system"]), given.get("train_preset", UNSET["train_preset"])
    found = {name: setting.value for name, setting in settings_of(preset, given).items()}
    if preset in NEEDED and NEEDED[preset] not in given:
        raise ConfigError(
            f"train_preset={preset} needs {NEEDED[preset]}: the authors trained for 100 epochs, "
            "100 * train questions / train.batch_size steps"
        )
    if system in SYSTEMS:
        found |= _of_system(system, given)
    return {name: value for name, value in found.items() if name not in given}


def settings_of(preset: str, given: Mapping[str, Any]) -> Mapping[str, Setting]:
    """The fields that a training preset sets, given the scale and the task of an experiment.

    Args:
        preset: Value of train_preset.
        given: Dotted field of ExperimentConfig -> value.
    """
    if preset == UNSET["train_preset"]:
        preset = OURS_AT.get(given.get("scale", "mini"), preset)
    task = given.get("task.name", "nq")
    copied = task in TASKS and TASKS.get(task).extractive
    return {**TRAIN_PRESETS[preset], **(COPIED.get(preset, {}) if copied else {})}


def _of_system(system: str, given: Mapping[str, Any]) -> dict[str, Any]:
    made = SYSTEMS[system]
    for name, allowed in made.means.items():
        if name in given and given[name] not in allowed:
            wanted = " or ".join(_shown(value) for value in allowed)
            raise ConfigError(
                f"system={system} means {name}={wanted}, but {name}={_shown(given[name])} is given; remove one of them"
            )
    return {name: allowed[0] for name, allowed in made.means.items()} | dict(made.sets)


def check_expanded(config: Any) -> None:
    """Raise ConfigError if an ExperimentConfig still holds a preset, which would have no effect."""
    for name, unset in UNSET.items():
        if getattr(config, name) != unset:
            raise ConfigError(
                f"{name}={getattr(config, name)!r} is a preset, which only a file or the command line expands; "
                "set the fields that config/presets.py lists, or use Experiment.load"
            )


def _shown(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
