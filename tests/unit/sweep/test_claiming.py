"""Trials that fail, are lost, or are open in other processes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from rag_lightning.core.errors import AssetError
from rag_lightning.runs.system import System
from rag_lightning.sweep.study import Found, claim, close, read_progress, search
from tests.searching import (
    SAMPLERS,
    config,
    killed,
    points,
    run,
    space_of,
    study_of,
    value,
)


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
