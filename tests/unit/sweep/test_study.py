"""The search: a budget of trials, the same after an interruption as without one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import optuna
import pytest

from rag_lightning.config.commands import SweepConfig
from rag_lightning.config.experiment import ExperimentConfig
from rag_lightning.core.errors import AssetError, DataError
from rag_lightning.runs import folders
from rag_lightning.runs.system import System
from rag_lightning.sweep.objectives import directions
from rag_lightning.sweep.space import Space, open_space
from rag_lightning.sweep.study import Found, claim, close, close_left, open_study, read_progress, search

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


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_a_killed_search_goes_on_as_if_nothing_had_happened(tmp_path: Path, sampler: str) -> None:
    whole, cut = config(tmp_path / "whole", sampler), config(tmp_path / "stored", sampler)
    count = space_of(whole).budget
    assert run(whole, value) == count >= 6
    for after in (1, 0, 3):
        with pytest.raises(KeyboardInterrupt):
            run(cut, killed(after))
    assert run(cut, value) == count - 4
    assert completed(cut) == completed(whole)
    assert len(points(whole)) == count
    assert run(cut, killed(0)) == 0, "the budget is used"


@pytest.mark.parametrize("sampler", ["tpe", "nsga2"])
def test_a_killed_search_for_several_objectives_goes_on_too(tmp_path: Path, sampler: str) -> None:
    changes: dict[str, Any] = {"space": INFINITE, "trials": 20, "objectives": ("em", "seconds_per_query")}
    whole, cut = (config(tmp_path / name, sampler, **changes) for name in ("whole", "stored"))
    assert run(whole, two_values) == 20
    for after in (3, 9):
        with pytest.raises(KeyboardInterrupt):
            run(cut, killed(after, two_values))
    assert run(cut, two_values) == 8
    assert completed(cut) == completed(whole) and len(points(whole)) == 20
    fields = {tuple(params) for params, _ in completed(whole)}
    assert len(fields) == 2, "length_penalty is no part of the points of RAG-Token"
    study = study_of(whole)
    assert [d.name for d in study.directions] == ["MAXIMIZE", "MINIMIZE"]
    assert {str(trial.constraints) for trial in study.trials} == {"{'k <= 2': 3.0}"}


@pytest.mark.parametrize("sampler", ["random", "tpe"])
def test_a_space_without_end_whose_points_are_few_ends_the_search(tmp_path: Path, sampler: str) -> None:
    """A field without effect has many values, but no second point."""
    space: dict[str, Any] = {"decoding": ("rag_token/greedy", "rag_token/beam")}
    space["decoding.length_penalty"] = {"low": 0.0, "high": 1.0, "when": {"decoding": "rag_token/greedy"}}
    swept = config(tmp_path, sampler, space=space, trials=5)
    assert space_of(swept).points is None
    assert run(swept, value) == 2
    assert run(swept, killed(0)) == 0


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_a_larger_budget_goes_on_from_the_smaller(tmp_path: Path, sampler: str) -> None:
    count = 11 if sampler == "nsga2" else 3
    space = {**config(tmp_path, sampler).space, "k": (1, 2, 5, 10)}
    small, large = (config(tmp_path, sampler, space=space, trials=trials) for trials in (count, count + 4))
    run(small, value)
    before = completed(small)
    assert run(large, value) == 4
    assert completed(large)[: len(before)] == before


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_a_repeated_point_costs_no_budget(tmp_path: Path, sampler: str) -> None:
    space = {**config(tmp_path, sampler).space, "retriever": ("flat", "bm25", "hnsw", "sq8"), "k": (1, 2, 5, 10)}
    swept = config(tmp_path, sampler, space=space, trials=24)
    seen: list[str] = []

    def evaluate(system: System) -> Found:
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
    first = config(tmp_path / "stored", "random", storage=storage)
    other = replace(first, space={**first.space, "k": (1, 2, 5)})
    run(first, value)
    assert run(other, value) == 6
    assert len(points(first)) == 6


def test_a_folder_whose_name_means_something_in_a_url_keeps_its_study(tmp_path: Path) -> None:
    folder = tmp_path / "stored 50% {x} a?b#é"
    run(config(folder, "random"), value)
    assert (folder / "runs" / "s" / "study.db").is_file()
    assert len(points(config(folder, "random"))) == 6
    assert [path.name for path in tmp_path.iterdir()] == [folder.name]


@pytest.mark.parametrize(
    "storage",
    ["nothing", "nosql://u:secret@h/x", "postgresql://u:p@secret@h/x", "sqlite:////proc/nowhere/x.db", "sqlite:///{x}"],
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


def failing(times: int, error: Exception) -> Callable[[System], Found]:
    """Fails at first, then has values."""
    left = [error] * times

    def evaluate(system: System) -> Found:
        if left:
            raise left.pop()
        return value(system)

    return evaluate


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_a_failed_point_is_tried_again_and_costs_no_budget_if_it_succeeds(tmp_path: Path, sampler: str) -> None:
    swept = config(tmp_path, sampler)
    count = space_of(swept).budget
    assert run(swept, failing(1, MemoryError("no room"))) == count
    study = study_of(swept)
    failed, again = study.get_trials(deepcopy=False)[:2]
    assert (failed.state.name, failed.user_attrs["reason"], failed.values) == ("FAIL", "MemoryError: no room", None)
    assert again.state.name == "COMPLETE" and again.params == failed.params
    assert len(points(swept)) == count


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_a_point_that_always_fails_is_given_up_and_the_search_goes_on(tmp_path: Path, sampler: str) -> None:
    swept = config(tmp_path, sampler, trials=50)
    evaluate = failing(2, RuntimeError("out of memory at http://ann:secret@host/x"))
    assert run(swept, evaluate) == 7, "of 8 points"
    now = read_progress(space_of(swept), study_of(swept))
    (failed,) = now.given_up.values()
    assert failed.user_attrs["reason"] == "RuntimeError: out of memory at http://ann:***@host/x"
    assert now.spent == 8 and len(now.values) == 7
    assert run(swept, killed(0)) == 0
    assert run(replace(swept, retries=2), value) == 1, "more retries try it again"


def test_an_error_of_every_trial_ends_the_search(tmp_path: Path) -> None:
    swept = config(tmp_path, "random")
    with pytest.raises(AssetError):
        run(swept, failing(1, AssetError("no model")))
    assert run(swept, value) == 6


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_open_trials_of_others_are_neither_repeated_nor_closed(tmp_path: Path, sampler: str) -> None:
    swept = config(tmp_path, sampler, trials=50)
    space, study = space_of(swept), study_of(swept)
    open_ones = [claim(space, study) for _ in range(8)]
    digests = {trial.user_attrs["digest"] for trial in open_ones if trial is not None}
    assert len(digests) == 8, "every point of the space is in work"
    assert claim(space, study) is None
    assert [trial.state.name for trial in study.get_trials()].count("RUNNING") == 8
    lost = open_ones[3]
    assert lost is not None
    close(study, lost.number, "worker lost (SIGKILL)")
    again = claim(space, study)
    assert again is not None and again.params == lost.params
    close(study, again.number, "worker lost (SIGKILL)")
    assert claim(space, study) is None, "retried once"


def test_a_trial_that_died_while_it_was_claimed_is_closed_by_the_next(tmp_path: Path) -> None:
    swept = config(tmp_path, "random")
    space, study = space_of(swept), study_of(swept)
    study.ask()
    assert claim(space, study) is not None
    assert [trial.state.name for trial in study.get_trials()] == ["FAIL", "RUNNING"]
    assert not read_progress(space, study).failures


def test_a_trial_closed_by_another_keeps_its_outcome(tmp_path: Path) -> None:
    swept = config(tmp_path, "random", trials=1, retries=0)
    space, study = space_of(swept), study_of(swept)

    def evaluate(system: System) -> Found:
        close(study, 0, "worker lost")
        return value(system)

    search(space, study, evaluate)
    close(study, 0, "something else")
    (trial,) = study.get_trials()
    assert (trial.state.name, trial.user_attrs["reason"]) == ("FAIL", "worker lost")
