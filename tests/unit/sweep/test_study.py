"""The search: a budget of trials, the same after an interruption as without one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import optuna
import pytest

from rag_lightning.config.commands import SweepConfig
from rag_lightning.config.experiment import ExperimentConfig
from rag_lightning.core.errors import AssetError, DataError
from rag_lightning.runs.system import System
from rag_lightning.sweep.space import open_space
from rag_lightning.sweep.study import Evaluate, claim, close, close_left, open_study, read_progress, search

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


def value(system: System) -> list[float]:
    """Unlike for every point."""
    config = system.config
    return [config.decoding.k + 10 * (config.retriever.kind == "dense") + 20 * (config.formulation == "rag_token")]


def killed(after: int) -> Callable[[System], list[float]]:
    """Evaluates `after` points, then is interrupted."""
    seen: list[System] = []

    def evaluate(system: System) -> list[float]:
        seen.append(system)
        if len(seen) > after:
            raise KeyboardInterrupt
        return value(system)

    return evaluate


def run(swept: SweepConfig, evaluate: Evaluate) -> int:
    """As the only process of the study."""
    space = open_space(swept)
    study = open_study(space)
    close_left(study)
    return search(space, study, evaluate)


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

    def evaluate(system: System) -> list[float]:
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


def failing(times: int, error: Exception) -> Callable[[System], list[float]]:
    """Fails at first, then has values."""
    left = [error] * times

    def evaluate(system: System) -> list[float]:
        if left:
            raise left.pop()
        return value(system)

    return evaluate


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_a_failed_point_is_tried_again_and_costs_no_budget_if_it_succeeds(tmp_path: Path, sampler: str) -> None:
    swept = config(tmp_path, sampler)
    assert run(swept, failing(1, MemoryError("no room"))) == 6
    study = open_study(open_space(swept))
    failed, again = study.get_trials(deepcopy=False)[:2]
    assert (failed.state.name, failed.user_attrs["reason"], failed.values) == ("FAIL", "MemoryError: no room", None)
    assert again.state.name == "COMPLETE" and again.params == failed.params
    assert len(points(swept)) == 6


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_a_point_that_always_fails_is_given_up_and_the_search_goes_on(tmp_path: Path, sampler: str) -> None:
    swept = config(tmp_path, sampler, trials=50)
    evaluate = failing(2, RuntimeError("out of memory at http://ann:secret@host/x"))
    assert run(swept, evaluate) == 7, "of 8 points"
    now = read_progress(open_space(swept), open_study(open_space(swept)))
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
    space = open_space(swept)
    study = open_study(space)
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
    space = open_space(config(tmp_path, "random"))
    study = open_study(space)
    study.ask()
    assert claim(space, study) is not None
    assert [trial.state.name for trial in study.get_trials()] == ["FAIL", "RUNNING"]
    assert not read_progress(space, study).failures


def test_a_trial_closed_by_another_keeps_its_outcome(tmp_path: Path) -> None:
    swept = config(tmp_path, "random", trials=1, retries=0)
    space = open_space(swept)
    study = open_study(space)

    def evaluate(system: System) -> list[float]:
        close(study, 0, "worker lost")
        return value(system)

    search(space, study, evaluate)
    close(study, 0, "something else")
    (trial,) = study.get_trials()
    assert (trial.state.name, trial.user_attrs["reason"]) == ("FAIL", "worker lost")
