"""The search: a budget of trials, the same after an interruption as without one."""

from __future__ import annotations

from dataclasses import replace
from itertools import groupby
from pathlib import Path
from typing import Any

import pytest

from rag_lightning.core.errors import DataError
from rag_lightning.runs.identity import shared_of
from rag_lightning.runs.system import System
from rag_lightning.sweep.sampling import planned
from rag_lightning.sweep.space import open_space
from rag_lightning.sweep.study import Found, open_study
from tests.searching import (
    INFINITE,
    SAMPLERS,
    completed,
    config,
    killed,
    points,
    run,
    space_of,
    study_of,
    two_values,
    value,
)


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


@pytest.mark.parametrize("sampler", ["random", "tpe"])
def test_points_that_depend_on_no_result_are_tried_in_an_order_that_shares_work(tmp_path: Path, sampler: str) -> None:
    swept = config(tmp_path, sampler, trials=7)
    space = space_of(swept)
    first = planned(space)
    keys = [key for key, _ in groupby(shared_of(space.system_of(point).lineage("dev")) for point in first)]
    assert 1 < len(keys) == len(set(keys)) < len(first), "the systems of one ranking follow each other"
    run(swept, value)
    assert points(swept)[: len(first)] == [tuple(sorted(point.items())) for point in first]


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
    with pytest.raises(DataError, match=r"study\.db: cannot be opened by Optuna: .*not a database; move it away"):
        open_study(open_space(config(tmp_path, "random")))
