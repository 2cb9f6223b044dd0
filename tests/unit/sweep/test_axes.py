"""Axes of a space: choices, ranges and conditions, read strictly."""

from __future__ import annotations

import random
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from rag_lightning.config.commands import SweepConfig
from rag_lightning.config.experiment import ExperimentConfig
from rag_lightning.core.errors import ConfigError, UnknownNameError
from rag_lightning.sweep.axes import MOST_POINTS, Point, point_with, points_of, random_point, read_axes
from rag_lightning.sweep.space import open_space

IVF = {"retriever": ["ivf_flat", "ivf_pq"]}
TRADEOFF: dict[str, Any] = {
    "retriever": ["flat", "ivf_flat", "ivf_pq", "hnsw"],
    "index.nprobe": {"choices": [1, 8], "when": IVF},
    "index.nlist": {"choices": [16, 64], "when": {"index.nprobe": 8}},
    "index.ef_search": {"low": 16, "high": 128, "log": True, "when": {"retriever": "hnsw"}},
}


def listed(space: dict[str, Any]) -> list[Point]:
    return list(points_of(read_axes(space)))


def test_a_field_stands_only_in_points_that_meet_its_condition() -> None:
    found = listed({name: TRADEOFF[name] for name in ("retriever", "index.nprobe", "index.nlist")})
    probed = [{"index.nprobe": 1}, {"index.nprobe": 8, "index.nlist": 16}, {"index.nprobe": 8, "index.nlist": 64}]
    assert found == [
        {"retriever": "flat"},
        *({"retriever": kind} | more for kind in ("ivf_flat", "ivf_pq") for more in probed),
        {"retriever": "hnsw"},
    ]


@pytest.mark.parametrize(
    ("path", "given", "values"),
    [
        ("k", {"low": 2, "high": 5}, [2, 3, 4, 5]),
        ("k", {"low": 1, "high": 10, "step": 4}, [1, 5, 9]),
        ("seed", {"low": 3, "high": 3}, [3]),
        ("task.seed", {"low": 0, "high": 1}, [0, 1]),
        ("decoding.length_penalty", {"low": 0, "high": 0.3, "step": 0.1}, [0.0, 0.1, 0.2, 0.3]),
        ("k", {"low": 1, "high": 8, "log": True}, list(range(1, 9))),
    ],
)
def test_a_range_with_steps_is_a_list(path: str, given: dict[str, Any], values: list[float]) -> None:
    (axis,) = read_axes({path: given})
    assert list(axis.values or ()) == values
    assert {axis.draw(random.Random(seed)) for seed in range(99)} == set(values)
    assert [axis.value_of(value + 1e-12) for value in values] == values


def test_a_range_of_floats_has_no_end() -> None:
    (axis,) = read_axes({"train.lr": {"low": 1e-5, "high": 1e-3, "log": True}})
    drawn = [axis.draw(random.Random(seed)) for seed in range(200)]
    assert axis.values is None and axis.ends == [1e-5, 1e-3]
    assert all(1e-5 <= value <= 1e-3 and float(f"{value:.4g}") == value for value in drawn)
    assert 60 < sum(value < 1e-4 for value in drawn) < 140, "half of a logarithm"


def test_random_points_are_points_of_the_space() -> None:
    axes = read_axes(TRADEOFF)
    every = list(points_of(axes))
    drawn = [random_point(axes, random.Random(seed)) for seed in range(300)]
    assert all(point in every for point in drawn) and {str(p["retriever"]) for p in drawn} == set(TRADEOFF["retriever"])


def test_anchors_meet_the_conditions_of_their_field() -> None:
    axes = read_axes(TRADEOFF)
    assert point_with(axes, axes[2], 64) == {"retriever": "ivf_flat", "index.nprobe": 8, "index.nlist": 64}
    assert point_with(axes, axes[3], 128) == {"retriever": "hnsw", "index.ef_search": 128}


def test_conditions_that_exclude_each_other_are_found() -> None:
    never = {"choices": [1], "when": {"retriever": "hnsw", "index.nprobe": 8}}
    axes = read_axes({**TRADEOFF, "index.m": never})
    with pytest.raises(ConfigError, match=r"space\.index\.m: no point has it, its conditions exclude each other"):
        point_with(axes, axes[-1], 1)


@pytest.mark.parametrize(
    ("space", "error", "says"),
    [
        ({"k": 3}, ConfigError, r"space\.k=3: must be a list, such as \[a, b\], a range"),
        ({"k": {"choices": 3}}, ConfigError, r"space\.k\.choices=3: must be a list"),
        ({"k": {"choices": []}}, ConfigError, r"space\.k is empty"),
        ({"k": {"lo": 1, "high": 3}}, UnknownNameError, r"unknown key of space\.k 'lo': did you mean 'low' or 'log'"),
        ({"k": {"low": 1}}, ConfigError, r"space\.k has no high; give low and high, or choices"),
        ({"k": {"choices": [1], "low": 1}}, ConfigError, r"space\.k has choices and low"),
        ({"k": {"low": 3, "high": 1}}, ConfigError, r"space\.k\.low=3: must be at most high=1"),
        ({"k": {"low": 1.5, "high": 3}}, ConfigError, r"space\.k\.low=1\.5: must be a whole number"),
        ({"k": {"low": True, "high": 3}}, ConfigError, r"space\.k\.low=True: must be a whole number"),
        ({"k": {"low": 1, "high": 3, "step": 0}}, ConfigError, r"space\.k\.step=0: must be above 0"),
        ({"train.lr": {"low": 0.0, "high": 1.0, "log": True}}, ConfigError, r"low=0\.0: must be above 0 where log is"),
        ({"train.lr": {"low": 0.1, "high": 1.0, "log": "yes"}}, ConfigError, r"log=yes: must be true or false"),
        ({"train.lr": {"low": 0.1, "high": 1.0, "log": True, "step": 0.1}}, ConfigError, "has no meaning where log is"),
        ({"train.lr": {"low": "1e-5", "high": 1.0}}, ConfigError, r"space\.train\.lr\.low='1e-5': must be a finite"),
        ({"train.lr": {"low": 0.1, "high": float("inf")}}, ConfigError, r"high=inf: must be a finite number"),
        ({"seed": {"low": 0, "high": 10**400}}, ConfigError, r"space\.seed\.high=1000.*: must be -1e\+15 to 1e\+15"),
        ({"train.lr": {"low": 0, "high": 1, "step": 1e-300}}, ConfigError, r"step=1e-300: must give at most 1e\+15"),
        ({"k": [date(2026, 1, 1)]}, ConfigError, r"space\.k\.choices=2026-01-01: must be a text, number, list or"),
        ({"k": [[{1: 2, "a": 3}]]}, ConfigError, r"space\.k\.choices=\{1: 2, 'a': 3\}: keys must be text"),
        ({"train.rl": {"low": 0.1, "high": 1.0}}, UnknownNameError, r"unknown key 'train\.rl'; did you mean 'tr"),
        ({"index.kind": {"low": 0, "high": 1}}, ConfigError, r"space\.index\.kind=a range: the field holds no number"),
        ({"retriever": {"low": 0, "high": 1}}, ConfigError, r"space\.retriever=a range: the field holds no number"),
        ({"k": {"choices": [1], "when": ["flat"]}}, ConfigError, r"space\.k\.when=\['flat'\]: must be a mapping"),
        (
            {"k": {"choices": [1], "when": {"retriever": "flat"}}},
            UnknownNameError,
            r"unknown field in space\.k\.when '",
        ),
        (
            {"k": {"choices": [1], "when": {"retriever": "flat"}}, "retriever": ["flat"]},
            ConfigError,
            r"space\.k\.when names 'retriever', which stands below it",
        ),
        (
            {"retriever": ["flat", "hnsw"], "k": {"choices": [1], "when": {"retriever": "flatt"}}},
            UnknownNameError,
            r"unknown value of space\.k\.when\.retriever 'flatt': did you mean 'flat'",
        ),
        ({"retriever": ["flat"], "k": {"choices": [1], "when": {"retriever": []}}}, ConfigError, "at least one value"),
        ({"k": [1, 5], "seed": {"choices": [1], "when": {"k": "5"}}}, ConfigError, "is not of the type of the choices"),
        ({"k": {"low": 1, "high": 4}, "seed": {"choices": [1], "when": {"k": 9}}}, ConfigError, "is no value of the"),
    ],
)
def test_a_space_is_read_strictly(space: dict[str, Any], error: type[Exception], says: str) -> None:
    with pytest.raises(error, match=says) as caught:
        read_axes(space)
    assert "\n" not in str(caught.value)


def config(folder: Path, space: dict[str, Any], **changes: Any) -> SweepConfig:
    return SweepConfig(
        "s", ExperimentConfig(folder=str(folder), formulation="rag_token"), space, always=(), trivial=False, **changes
    )


def test_closed_book_may_stand_in_a_space(tmp_path: Path) -> None:
    decodings = ["closed_book/greedy", "rag_token/greedy"]
    space = {"decoding": decodings, "k": {"choices": [1, 5], "when": {"decoding": decodings[1]}}}
    labels = [open_space(config(tmp_path, space)).system_of(point).label for point in listed(space)]
    assert labels == ["Closed book · greedy", "RAG-Token · flat · k=1 · greedy", "RAG-Token · flat · k=5 · greedy"]


@pytest.mark.parametrize(
    ("space", "says"),
    [
        ({"train.lr": {"low": -1.0, "high": 1.0}}, r"train\.lr=-1\.0: must be at least 0"),
        ({"k": {"low": 1, "high": 21}, "train.lr": {"low": 0.1, "high": 1.0}}, "k=21 must be 1 to"),
        ({"index.nprobe": {"low": 0, "high": 10**9}}, "nprobe=0: must be at least 1"),
    ],
)
def test_both_ends_of_a_range_are_checked_before_anything_runs(
    space: dict[str, Any], says: str, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=says):
        open_space(config(tmp_path, space))


def test_what_is_too_large_is_not_enumerated(tmp_path: Path) -> None:
    many: dict[str, Any] = {name: {"low": 1, "high": 100} for name in ("index.m", "index.nprobe", "index.ef_search")}
    many["index.m"] = {"low": 2, "high": 100}
    space = open_space(config(tmp_path, many, trials=7))
    assert space.points is None and space.budget == 7 and len(space.anchors) == 4
    with pytest.raises(ConfigError, match=rf"sampler=grid: needs a space of at most {MOST_POINTS:,} points"):
        open_space(config(tmp_path, many, sampler="grid"))
    with pytest.raises(ConfigError, match="trials=9: sampler=nsga2 needs at least 10"):
        open_space(config(tmp_path, many, sampler="nsga2", trials=9))
