"""Importances: of the fields in every trial, seeded, empty where nothing can be said."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import optuna
from optuna.distributions import CategoricalDistribution, FloatDistribution
from optuna.trial import FrozenTrial

from rag_lightning.config.commands import SweepConfig
from rag_lightning.config.experiment import ExperimentConfig
from rag_lightning.sweep import importances
from rag_lightning.sweep.space import open_space

SPACE: dict[str, Any] = {
    "decoding": ("rag_token/greedy", "rag_sequence/fast"),
    "k": (1, 2, 5),
    "decoding.length_penalty": {"low": 0.0, "high": 1.0, "when": {"decoding": "rag_sequence/fast"}},
}


def trial(decoding: str, k: int, values: list[float], penalty: float | None = None) -> FrozenTrial:
    params: dict[str, Any] = {"decoding": decoding, "k": k}
    kinds: dict[str, Any] = {name: CategoricalDistribution(SPACE[name]) for name in params}
    if penalty is not None:
        params["decoding.length_penalty"], kinds["decoding.length_penalty"] = penalty, FloatDistribution(0.0, 1.0)
    return optuna.trial.create_trial(params=params, distributions=kinds, values=values)


def written(folder: Path, trials: list[FrozenTrial]) -> Any:
    config = SweepConfig(
        "s", ExperimentConfig(folder=str(folder)), SPACE, objectives=("em", "index_bytes"), always=(), trivial=False
    )
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    importances.write(open_space(config), trials, folder)
    return json.loads((folder / "importances.json").read_text())


def test_the_field_that_decides_has_the_largest_share_and_conditional_ones_are_named(tmp_path: Path) -> None:
    trials = [trial("rag_token/greedy", k, [10.0 * k, 7.0]) for k in (1, 2, 5)]
    trials += [trial("rag_sequence/fast", k, [10.0 * k + 1, 7.0], penalty=0.1 * k) for k in (1, 2, 5)]
    found = written(tmp_path, trials)
    assert found["fields"] == ["decoding", "k"] and found["left_out"] == ["decoding.length_penalty"]
    assert found["objectives"]["em"]["k"] > 0.8 > 0.1 > found["objectives"]["em"]["decoding"]
    assert found["objectives"]["index_bytes"] == {}, "equal in all trials"
    assert written(tmp_path, trials) == found, "seeded"
    assert written(tmp_path, [*trials, *trials[:1] * 5]) == found, "a repeated point counts once"


def test_too_few_trials_have_none_and_a_field_with_one_value_has_0(tmp_path: Path) -> None:
    few = [trial("rag_token/greedy", k, [float(k), 1.0]) for k in (1, 2, 5)]
    assert written(tmp_path, few)["objectives"] == {"em": {}, "index_bytes": {}}
    alike = [trial("rag_sequence/fast", 1, [float(n), 1.0], penalty=n / 10) for n in range(6)]
    found = written(tmp_path, alike)
    assert found["left_out"] == [], "in every trial that was made"
    assert found["objectives"]["em"] == {"decoding.length_penalty": 1.0, "k": 0.0, "decoding": 0.0}
