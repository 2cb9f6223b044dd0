"""The search: a budget of trials, the same after an interruption as without one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import optuna
import pytest

from rag_lightning.config.commands import SweepConfig
from rag_lightning.config.experiment import ExperimentConfig
from rag_lightning.runs.system import System
from rag_lightning.sweep.study import open_study, search, space

SAMPLERS = ["tpe", "random", "grid"]


def config(folder: Path, sampler: str, **changes: object) -> SweepConfig:
    base = SweepConfig(
        name="s",
        experiment=ExperimentConfig(folder=str(folder)),
        k=(1, 5),
        retriever=("flat", "bm25"),
        decoding=("rag_token/greedy", "rag_sequence/fast"),
        trials=6,
        sampler=sampler,  # type: ignore[arg-type]
    )
    return replace(base, **changes)  # type: ignore[arg-type]


def value(system: System) -> float:
    """Unlike for every point."""
    return system.k + 10 * (system.retriever == "flat") + 20 * (system.formulation == "rag_token")


def killed(after: int) -> Callable[[System], float]:
    """Evaluates `after` points, then is interrupted."""
    seen: list[System] = []

    def evaluate(system: System) -> float:
        seen.append(system)
        if len(seen) > after:
            raise KeyboardInterrupt
        return value(system)

    return evaluate


def completed(swept: SweepConfig) -> list[tuple[dict[str, object], float | None]]:
    done = open_study(swept).get_trials(deepcopy=False, states=[optuna.trial.TrialState.COMPLETE])
    return [(trial.params, trial.value) for trial in done]


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_a_killed_search_goes_on_as_if_nothing_had_happened(tmp_path: Path, sampler: str) -> None:
    whole, cut = config(tmp_path / "whole", sampler), config(tmp_path / "cut", sampler)
    assert search(whole, open_study(whole), value) == 6
    for after in (1, 0, 3):
        with pytest.raises(KeyboardInterrupt):
            search(cut, open_study(cut), killed(after))
    assert search(cut, open_study(cut), value) == 2
    assert completed(cut) == completed(whole)
    assert len(completed(whole)) == 6
    assert search(cut, open_study(cut), killed(0)) == 0, "the budget is used"


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_a_larger_budget_goes_on_from_the_smaller(tmp_path: Path, sampler: str) -> None:
    small, large = config(tmp_path, sampler, trials=3), config(tmp_path, sampler, trials=7)
    search(small, open_study(small), value)
    before = completed(small)
    assert search(large, open_study(large), value) == 4
    assert completed(large)[:3] == before


def test_a_grid_has_every_point_once_and_ends(tmp_path: Path) -> None:
    swept = config(tmp_path, "grid", trials=50)
    assert search(swept, open_study(swept), value) == 8
    points = [tuple(sorted(params.items())) for params, _ in completed(swept)]
    assert len(set(points)) == len(points) == 8
    assert {params["k"] for params, _ in completed(swept)} == {1, 5}


def test_a_grid_ends_the_points_another_sampler_left(tmp_path: Path) -> None:
    first, then = config(tmp_path, "random", trials=2), config(tmp_path, "grid", trials=50)
    search(first, open_study(first), value)
    distinct = len({tuple(sorted(params.items())) for params, _ in completed(first)})
    search(then, open_study(then), value)
    points = {tuple(sorted(params.items())) for params, _ in completed(then)}
    assert len(points) == 8 - (2 - distinct)


def test_another_seed_searches_elsewhere(tmp_path: Path) -> None:
    found = []
    for seed in range(2):
        swept = config(tmp_path / str(seed), "random", seed=seed)
        search(swept, open_study(swept), value)
        found.append(str(completed(swept)))
    assert len(set(found)) > 1


def test_a_shared_storage_keeps_spaces_apart(tmp_path: Path) -> None:
    """Optuna refuses a study whose choices change."""
    storage = f"sqlite:///{tmp_path / 'shared.db'}"
    first = config(tmp_path, "random", storage=storage)
    other = replace(first, k=(1, 2, 5))
    search(first, open_study(first), value)
    assert search(other, open_study(other), value) == 6
    assert len(completed(first)) == 6


def decoding(base: SweepConfig, **changes: Any) -> SweepConfig:
    experiment = base.experiment
    return replace(base, experiment=replace(experiment, decoding=replace(experiment.decoding, **changes)))


def test_what_a_space_is(tmp_path: Path) -> None:
    base = config(tmp_path, "tpe")
    same = [
        replace(base, trials=99, seed=3, sampler="random", alpha=0.1, always=()),
        replace(base, experiment=replace(base.experiment, folder="elsewhere", tracking_uri="sqlite:///x.db")),
        decoding(base, pair_store_mb=9),
    ]
    assert all(space(other) == space(base) for other in same)
    unlike = [
        replace(base, k=(1,)),
        replace(base, objective="f1"),
        replace(base, experiment=replace(base.experiment, seed=1)),
        replace(
            base, experiment=replace(base.experiment, decoding=replace(base.experiment.decoding, length_penalty=1))
        ),
    ]
    assert all(space(other) != space(base) for other in unlike)
    assert "length_penalty" not in space(base)["experiment"]["decoding"], "sweeps begun before there was one go on"
