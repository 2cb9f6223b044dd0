"""Words that stand for fields: `system` (what a system is made of) and `train_preset` (whose training values).

They are expanded where a file or the command line is read, here alone: fields that are given win. What makes a system
the one it is called cannot be given otherwise, that is a conflict.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from rag_lightning.core.errors import ConfigError

SystemName = Literal["custom", "rag", "frozen", "bm25", "closed_book", "oracle"]
TrainPreset = Literal["ours", "paper", "authors"]
UNSET: Mapping[str, str] = {"system": "custom", "train_preset": "ours"}
"""Words that stand for nothing: what is not given has its default."""


@dataclass(frozen=True)
class SystemPreset:
    """One system.

    Args:
        means: Field -> what it may be; the first is taken where none is given, anything else is a conflict.
        sets: Field -> value where none is given.
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
"""Table 6 of the paper: rag, frozen, bm25 (trained with BM25 too); Table 2's BART is closed_book. oracle is ours."""


@dataclass(frozen=True)
class Setting:
    """One training value.

    Args:
        value: As the field takes it.
        stated: Whether the paper states it.
        source: Where it is from.
    """

    value: Any
    stated: bool
    source: str


SCRIPT = "finetune_rag.sh of the authors' port"
TRAIN_PRESETS: Mapping[str, Mapping[str, Setting]] = {
    "ours": {},
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
"""What a preset does not name keeps its default. The paper states no learning rate, batch size, number of updates,
warm-up, label smoothing, dropout, clipping, lengths or stopping. Of the script, these have no field of ours: fp16,
attention dropout 0.1 (ours is 0), and 100 epochs, which are a number of steps only once the data is known."""
NEEDED: Mapping[str, str] = {"authors": "train.steps"}


def expand(given: Mapping[str, Any]) -> dict[str, Any]:
    """Fields that the words among the given ones stand for and that are not given themselves.

    Args:
        given: Dotted field of ExperimentConfig -> value, of those that a file or the command line names.

    Raises:
        ConfigError: a given field makes it another system, or one is missing that has no good default.
    """
    system, preset = given.get("system", UNSET["system"]), given.get("train_preset", UNSET["train_preset"])
    found = {name: setting.value for name, setting in TRAIN_PRESETS[preset].items()}
    if preset in NEEDED and NEEDED[preset] not in given:
        raise ConfigError(
            f"train_preset={preset} needs {NEEDED[preset]}: the authors trained for 100 epochs, "
            "100 * train questions / train.batch_size steps"
        )
    if system in SYSTEMS:
        found |= _of_system(system, given)
    return {name: value for name, value in found.items() if name not in given}


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
    """Raise ConfigError where an ExperimentConfig still holds a word, which would do nothing."""
    for name, unset in UNSET.items():
        if getattr(config, name) != unset:
            raise ConfigError(
                f"{name}={getattr(config, name)!r} stands for fields, and only a file or the command line expands it; "
                "set the fields that config/presets.py lists, or use Experiment.load"
            )


def _shown(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
