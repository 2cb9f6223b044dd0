"""Importance of the searched fields for each objective, by Optuna's fANOVA."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import optuna
from optuna.importance import FanovaImportanceEvaluator
from optuna.trial import FrozenTrial

from rag_lightning.core import seeds
from rag_lightning.core.files import write_sealed
from rag_lightning.sweep.objectives import directions
from rag_lightning.sweep.space import Space

IMPORTANCES = "importances.json"
FEWEST = 4
"""Smallest number of distinct trials of which importances are computed."""


def write(space: Space, done: Sequence[FrozenTrial], folder: Path) -> None:
    """Write importances.json: objective -> field -> share of the variance that the field alone explains.

    Only fields that stand in every trial have one; the others are named.

    Args:
        space: The search space.
        done: The completed trials; a repeated point counts once.
        folder: Folder of the sweep.
    """
    first: dict[str, FrozenTrial] = {}
    for trial in done:
        first.setdefault(space.digest_of(trial.params), trial)
    trials = list(first.values())
    names = [axis.path for axis in space.axes]
    everywhere = [name for name in names if all(name in trial.params for trial in trials)]
    found: dict[str, Any] = {
        "method": "fANOVA",
        "trials": len(trials),
        "fields": everywhere,
        "left_out": [name for name in names if name not in everywhere],
        "objectives": {name: _shares(space, trials, i) for i, name in enumerate(space.config.objectives)},
    }
    write_sealed(folder / IMPORTANCES, found)


def _shares(space: Space, trials: Sequence[FrozenTrial], position: int) -> dict[str, float]:
    """Field -> share of the variance of one objective; empty where there is none, or too few trials."""
    if len(trials) < FEWEST or len({trial.values[position] for trial in trials}) < 2:
        return {}
    study = optuna.create_study(directions=directions(space.config))
    study.add_trials(trials)
    seed = seeds.derive_seed(space.config.seed, "importances") % 2**32
    evaluator = FanovaImportanceEvaluator(seed=seed)  # get_param_importances would scale the shares to a sum of 1
    found = evaluator.evaluate(study, target=lambda trial: float(trial.values[position]))
    return {name: float(share) for name, share in found.items()}
