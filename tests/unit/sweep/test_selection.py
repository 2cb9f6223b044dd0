"""Per formulation the cheapest of those not significantly worse than the best."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rag_lightning.config.commands import SweepConfig
from rag_lightning.config.experiment import ExperimentConfig
from rag_lightning.core.errors import DataError
from rag_lightning.core.files import write_sealed
from rag_lightning.core.records import Score
from rag_lightning.metrics.summary import summarise
from rag_lightning.runs.evaluate import folder_of, pairs
from rag_lightning.runs.system import System
from rag_lightning.sweep.selection import problems, select
from tests.points import system
from tests.run_folders import BLANK, keep

N = 60
BEST = [1.0] * 40 + [0.0] * 20
NEAR = [1.0] * 39 + [0.0] * 21
WORSE = [1.0] * 20 + [0.0] * 40


@pytest.fixture
def config(tmp_path: Path) -> SweepConfig:
    return SweepConfig(experiment=ExperimentConfig(folder=str(tmp_path)))


def write_run(config: SweepConfig, text: str, values: Sequence[float], seconds: float, **work: int) -> System:
    """A finished dev run with these per-example values."""
    made = system(config.experiment, text)
    scores = [Score(f"q{i}", f"e{i}", {"em": v}) for i, v in enumerate(values)]
    folder = folder_of(made, config.name, "dev")
    folder.mkdir(parents=True)
    digest = keep(Path(config.experiment.folder), "scores", text, {"scores": scores}, {})
    write_sealed(folder / "summary.json", summarise(scores, seed=0))
    record = BLANK | {
        "digests": {"scores": digest},
        "timings": {"seconds_per_query": seconds},
        "work": {"pairs": pairs(made.config), "beams": made.config.decoding.made().beams, "index_bytes": 0} | work,
    }
    write_sealed(folder / "run.json", record)
    return made


def written(config: SweepConfig) -> Any:
    return json.loads((Path(config.experiment.folder) / "runs" / "nq" / "selection.json").read_text())


def rows(config: SweepConfig) -> dict[str, Mapping[str, object]]:
    return {row["label"]: row for row in written(config)["candidates"]}


def test_the_cheapest_that_is_not_worse_is_chosen(config: SweepConfig) -> None:
    best = write_run(config, "rag_token/beam/flat/20", BEST, 1.0)
    near = write_run(config, "rag_token/greedy/flat/5", NEAR, 2.0)
    worse = write_run(config, "rag_token/greedy/flat/1", WORSE, 0.1)
    assert select(config, [best, near, worse]) == [near]
    found = rows(config)
    assert found[best.label]["within"] and found[near.label]["within"] and not found[worse.label]["within"]
    assert [row["chosen"] for row in found.values()] == [False, True, False]
    assert found[best.label]["mean"] == pytest.approx(100 * 40 / 60)
    assert found[worse.label]["difference"] == pytest.approx(-100 * 20 / 60)
    assert float(str(found[worse.label]["p"])) < 0.05
    assert found[near.label]["seconds_per_query"] == 2.0, "shown, but it decides nothing"


def test_of_equally_cheap_ones_the_best_is_chosen_before_the_smallest(config: SweepConfig) -> None:
    near = write_run(config, "rag_token/greedy/bm25/5", NEAR, 1.0, index_bytes=1)
    best = write_run(config, "rag_token/greedy/flat/5", BEST, 1.0, index_bytes=9)
    assert select(config, [near, best]) == [best]
    counted = replace(config, objectives=("em", "index_bytes"))
    assert select(counted, [near, best]) == [near], "a size that is an objective counts"


def test_work_is_pairs_times_beams_then_the_index_then_the_label(config: SweepConfig) -> None:
    beams = write_run(config, "rag_token/beam/flat/2", BEST, 1.0, index_bytes=1)
    large = write_run(config, "rag_token/greedy/flat/5", BEST, 1.0, index_bytes=9)
    small = write_run(config, "rag_token/greedy/hnsw/5", BEST, 9.0, index_bytes=3)
    twin = write_run(config, "rag_token/greedy/bm25/5", BEST, 9.0, index_bytes=3)
    assert select(config, [beams, large, small]) == [small], "8 pair searches cost more than 5"
    assert select(config, [small, twin]) == select(config, [twin, small]) == [twin]
    assert {name: rows(config)[twin.label][name] for name in ("pairs", "beams", "index_bytes")} == {
        "pairs": 5, "beams": 1, "index_bytes": 3,
    }  # fmt: skip


def test_formulations_do_not_compete(config: SweepConfig) -> None:
    token = write_run(config, "rag_token/greedy/flat/5", BEST, 1.0)
    sequence = write_run(config, "rag_sequence/fast/flat/5", WORSE, 5.0)
    assert select(config, [token, sequence]) == [token, sequence]


def test_the_best_goes_on_where_all_others_are_worse(config: SweepConfig) -> None:
    best = write_run(config, "rag_token/greedy/flat/5", BEST, 9.0)
    worse = write_run(config, "rag_token/greedy/flat/1", WORSE, 1.0)
    assert select(config, [worse, best]) == [best]


def test_runs_of_unlike_questions_are_not_compared(config: SweepConfig) -> None:
    first = write_run(config, "rag_token/greedy/flat/5", BEST, 1.0)
    other = write_run(config, "rag_token/greedy/flat/1", BEST[:-1], 1.0)
    with pytest.raises(DataError, match="1 ids differ"):
        select(config, [first, other])


def test_with_several_objectives_the_first_metric_chooses_and_the_front_is_told(config: SweepConfig) -> None:
    config = replace(config, objectives=("seconds_per_query", "em", "index_bytes"))
    best = write_run(config, "rag_token/beam/flat/20", BEST, 3.0, index_bytes=9)
    near = write_run(config, "rag_token/greedy/flat/5", NEAR, 1.0, index_bytes=9)
    slow = write_run(config, "rag_token/greedy/hnsw/5", NEAR, 2.0, index_bytes=9)
    small = write_run(config, "rag_token/greedy/bm25/1", WORSE, 9.0, index_bytes=1)
    assert select(config, [best, near, slow, small]) == [near]
    found = rows(config)
    assert {made.label: found[made.label]["pareto"] for made in (best, near, slow, small)} == {
        best.label: True, near.label: True, slow.label: False, small.label: True,
    }  # fmt: skip
    assert found[near.label]["values"] == {"seconds_per_query": 1.0, "em": 65.0, "index_bytes": 9.0}
    assert written(config)["objective"] == "em"
    assert written(config)["objectives"] == {
        "seconds_per_query": "minimize", "em": "maximize", "index_bytes": "minimize",
    }  # fmt: skip


def test_only_trials_that_meet_all_constraints_are_compared(config: SweepConfig) -> None:
    config = replace(config, constraints=("index_bytes <= 5", "em >= 30"))
    large = write_run(config, "rag_token/beam/flat/20", BEST, 1.0, index_bytes=9)
    small = write_run(config, "rag_token/greedy/flat/5", WORSE, 2.0, index_bytes=5)
    other = write_run(config, "rag_sequence/fast/flat/5", BEST, 2.0, index_bytes=8)
    assert select(config, [large, small, other]) == [small]
    assert rows(config)[large.label]["p"] is None and not rows(config)[large.label]["pareto"]
    missed = {"index_bytes <= 5": 4.0, "em >= 30": pytest.approx(30 - 200 / 3)}
    assert rows(config)[large.label]["constraints"] == missed
    (line,) = problems(config)
    assert line == (
        "RAG-Sequence: none of 1 trials meets all constraints, none is chosen: index_bytes <= 5 is missed by at least 3"
    )


def test_the_best_of_equal_systems_is_expected_to_flatter_itself(config: SweepConfig) -> None:
    draws = np.random.default_rng(0).random((4, N)) < 0.5
    names = [f"rag_token/greedy/flat/{k}" for k in range(1, 5)]
    made = [write_run(config, name, row.astype(float), 1.0) for name, row in zip(names, draws, strict=True)]
    select(config, made)
    (group,) = written(config)["formulations"]
    assert group["trials"] == group["feasible"] == group["within"] == 4 and 2 < group["optimism"] < 12
