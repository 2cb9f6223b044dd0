"""The search: a budget of trials, the same after an interruption as without one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import optuna
import pytest

from rag_lightning.config.commands import SweepConfig
from rag_lightning.config.experiment import ExperimentConfig
from rag_lightning.core.errors import DataError
from rag_lightning.runs.system import System
from rag_lightning.sweep.space import open_space
from rag_lightning.sweep.study import open_study, search

SAMPLERS = ["tpe", "random", "grid"]


def config(folder: Path, sampler: str, **changes: object) -> SweepConfig:
    base = SweepConfig(
        name="s",
        experiment=ExperimentConfig(folder=str(folder)),
        space={"decoding": ("rag_token/greedy", "rag_sequence/fast"), "retriever": ("flat", "bm25"), "k": (1, 5)},
        trials=6,
        sampler=sampler,  # type: ignore[arg-type]
    )
    return replace(base, **changes)  # type: ignore[arg-type]


def value(system: System) -> float:
    """Unlike for every point."""
    config = system.config
    return config.decoding.k + 10 * (config.retriever.kind == "dense") + 20 * (config.formulation == "rag_token")


def killed(after: int) -> Callable[[System], float]:
    """Evaluates `after` points, then is interrupted."""
    seen: list[System] = []

    def evaluate(system: System) -> float:
        seen.append(system)
        if len(seen) > after:
            raise KeyboardInterrupt
        return value(system)

    return evaluate


def run(swept: SweepConfig, evaluate: Callable[[System], float]) -> int:
    space = open_space(swept)
    return search(space, open_study(space), evaluate)


def completed(swept: SweepConfig) -> list[tuple[dict[str, object], float | None]]:
    """Every completed trial, repeats included."""
    done = open_study(open_space(swept)).get_trials(deepcopy=False, states=[optuna.trial.TrialState.COMPLETE])
    return [(trial.params, trial.value) for trial in done]


def points(swept: SweepConfig) -> list[tuple[tuple[str, object], ...]]:
    """The distinct points, in the order of their first trials."""
    return list(dict.fromkeys(tuple(sorted(params.items())) for params, _ in completed(swept)))


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_a_killed_search_goes_on_as_if_nothing_had_happened(tmp_path: Path, sampler: str) -> None:
    whole, cut = config(tmp_path / "whole", sampler), config(tmp_path / "cut", sampler)
    assert run(whole, value) == 6
    for after in (1, 0, 3):
        with pytest.raises(KeyboardInterrupt):
            run(cut, killed(after))
    assert run(cut, value) == 2
    assert completed(cut) == completed(whole)
    assert len(points(whole)) == 6
    assert run(cut, killed(0)) == 0, "the budget is used"


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_a_larger_budget_goes_on_from_the_smaller(tmp_path: Path, sampler: str) -> None:
    small, large = config(tmp_path, sampler, trials=3), config(tmp_path, sampler, trials=7)
    run(small, value)
    before = completed(small)
    assert run(large, value) == 4
    assert completed(large)[: len(before)] == before


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_a_repeated_point_costs_no_budget(tmp_path: Path, sampler: str) -> None:
    space = {**config(tmp_path, sampler).space, "retriever": ("flat", "bm25", "hnsw", "sq8"), "k": (1, 2, 5, 10)}
    swept = config(tmp_path, sampler, space=space, trials=24)
    seen: list[str] = []

    def evaluate(system: System) -> float:
        seen.append(system.label)
        return value(system)

    assert run(swept, evaluate) == 24
    assert len(set(seen)) == len(seen) == len(points(swept)) == 24
    if sampler == "tpe":
        assert len(completed(swept)) > 24, "TPE repeats itself, which this test is about"


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_a_space_that_is_exhausted_ends_the_search(tmp_path: Path, sampler: str) -> None:
    swept = config(tmp_path, sampler, trials=50)
    assert run(swept, value) == 8
    assert len(points(swept)) == 8
    assert {params["k"] for params, _ in completed(swept)} == {1, 5}
    assert run(swept, killed(0)) == 0


def test_a_grid_ends_the_points_another_sampler_left(tmp_path: Path) -> None:
    run(config(tmp_path, "random", trials=2), value)
    then = config(tmp_path, "grid", trials=50)
    assert run(then, value) == 6
    assert len(points(then)) == 8


def test_another_seed_searches_elsewhere(tmp_path: Path) -> None:
    found = []
    for seed in range(2):
        swept = config(tmp_path / str(seed), "random", seed=seed)
        run(swept, value)
        found.append(str(completed(swept)))
    assert len(set(found)) > 1


def test_a_shared_storage_keeps_spaces_apart(tmp_path: Path) -> None:
    """Optuna refuses a study whose choices change."""
    storage = f"sqlite:///{tmp_path / 'shared.db'}"
    first = config(tmp_path, "random", storage=storage)
    other = replace(first, space={**first.space, "k": (1, 2, 5)})
    run(first, value)
    assert run(other, value) == 6
    assert len(points(first)) == 6


def test_a_folder_whose_name_means_something_in_a_url_keeps_its_study(tmp_path: Path) -> None:
    folder = tmp_path / "50% {x} a?b#é"
    run(config(folder, "random"), value)
    assert (folder / "runs" / "s" / "study.db").is_file()
    assert len(points(config(folder, "random"))) == 6
    assert [path.name for path in tmp_path.iterdir()] == [folder.name]


@pytest.mark.parametrize(
    "storage", ["nothing", "nosql://u:secret@h/x", "sqlite:////proc/nowhere/x.db", "sqlite:///{x}"]
)
def test_a_storage_that_cannot_be_opened_is_told_in_one_line(tmp_path: Path, storage: str) -> None:
    with pytest.raises(DataError, match=r"storage: cannot be opened by Optuna: .*; give another URL") as caught:
        open_study(open_space(config(tmp_path, "random", storage=storage)))
    assert "\n" not in str(caught.value) and "secret" not in str(caught.value)


def test_a_damaged_study_is_told_by_its_path(tmp_path: Path) -> None:
    file = tmp_path / "runs" / "s" / "study.db"
    file.parent.mkdir(parents=True)
    file.write_text("no database" * 100)
    with pytest.raises(DataError, match=r"study\.db: cannot be opened by Optuna: .*not a database; remove it"):
        open_study(open_space(config(tmp_path, "random")))
