"""Searches without any work: spaces, studies and values of their points."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import optuna

from rag_lightning.config.commands import SweepConfig
from rag_lightning.config.experiment import ExperimentConfig
from rag_lightning.runs import folders
from rag_lightning.runs.system import System
from rag_lightning.sweep.objectives import directions
from rag_lightning.sweep.space import Space, open_space
from rag_lightning.sweep.study import Found, close_left, open_study, search

SAMPLERS = ["tpe", "random", "grid", "nsga2"]
INFINITE = {
    "decoding": ("rag_token/greedy", "rag_sequence/fast"),
    "train.lr": {"low": 1e-5, "high": 1e-3, "log": True},
    "decoding.length_penalty": {"low": 0.0, "high": 1.0, "when": {"decoding": "rag_sequence/fast"}},
}


def config(folder: Path, sampler: str, **changes: object) -> SweepConfig:
    base = SweepConfig(
        name="s",
        experiment=ExperimentConfig(folder=str(folder)),
        space={"decoding": ("rag_token/greedy", "rag_sequence/fast"), "retriever": ("flat", "bm25"), "k": (1, 5)},
        trials=10 if sampler == "nsga2" else 6,
        sampler=sampler,  # type: ignore[arg-type]
    )
    return replace(base, **changes)  # type: ignore[arg-type]


def value(system: System) -> Found:
    """Unlike for every point."""
    config = system.config
    kinds = 10 * (config.retriever.kind == "dense") + 20 * (config.formulation == "rag_token")
    return (config.decoding.k + kinds + 1e4 * config.train.lr,), {}


def two_values(system: System) -> Found:
    """A second objective that contradicts the first, and a constraint."""
    (first,), _ = value(system)
    return (first, first**2), {"k <= 2": system.config.decoding.k - 2.0}


def killed(after: int, value: Callable[[System], Found] = value) -> Callable[[System], Found]:
    """Evaluates `after` points, then is interrupted."""
    seen: list[System] = []

    def evaluate(system: System) -> Found:
        seen.append(system)
        if len(seen) > after:
            raise KeyboardInterrupt
        return value(system)

    return evaluate


@lru_cache(maxsize=9)
def in_memory(folder: str, digest: str, aims: tuple[str, ...]) -> optuna.Study:
    """Optuna waits for the disk at each step; what is stored there is tested by few tests."""
    return optuna.create_study(directions=aims)


SPACES: dict[str, Space] = {}


def space_of(swept: SweepConfig) -> Space:
    """Opened once: digests take most of the time."""
    key = repr(swept)
    SPACES[key] = SPACES.get(key) or open_space(swept)
    return SPACES[key]


def study_of(swept: SweepConfig) -> optuna.Study:
    space = space_of(swept)
    if "stored" in swept.experiment.folder:
        return open_study(space)
    folders.run_group(swept.experiment.folder, swept.name).mkdir(parents=True, exist_ok=True)  # its lock
    return in_memory(swept.experiment.folder, space.digest, tuple(directions(swept)))


def run(swept: SweepConfig, evaluate: Callable[[System], Found]) -> int:
    """As the only process of the study."""
    study = study_of(swept)
    close_left(study)
    return search(space_of(swept), study, evaluate)


def completed(swept: SweepConfig) -> list[tuple[dict[str, object], list[float]]]:
    """Every completed trial, repeats included."""
    done = study_of(swept).get_trials(deepcopy=False, states=[optuna.trial.TrialState.COMPLETE])
    return [(trial.params, trial.values) for trial in done]


def points(swept: SweepConfig) -> list[tuple[tuple[str, object], ...]]:
    """The distinct points, in the order of their first trials."""
    return list(dict.fromkeys(tuple(sorted(params.items())) for params, _ in completed(swept)))
