"""Objectives and constraints: read strictly, with values from finished runs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from rag_lightning.config.commands import SweepConfig
from rag_lightning.config.data import CorpusConfig
from rag_lightning.config.experiment import ExperimentConfig
from rag_lightning.core.errors import ConfigError, DataError, UnknownNameError
from rag_lightning.core.files import write_sealed
from rag_lightning.sweep import objectives
from rag_lightning.sweep.space import open_space
from tests.run_folders import BLANK


def config(**changes: Any) -> SweepConfig:
    given: dict[str, Any] = {"space": {"decoding": ("rag_token/greedy",), "k": (1, 5)}, "always": (), "trivial": False}
    return SweepConfig("s", ExperimentConfig(), **(given | changes))


@pytest.mark.parametrize(
    ("changes", "error", "says"),
    [
        ({"objectives": ()}, ConfigError, r"objectives=\[\]: must have a metric, which selects systems; add em"),
        ({"objectives": ("index_bytes",)}, ConfigError, "must have a metric"),
        ({"objectives": ("em", "em")}, ConfigError, "objectives names one twice"),
        ({"objectives": ("em", "index_byte")}, UnknownNameError, "did you mean 'index_bytes'"),
        ({"objectives": ("em", "second_per_query")}, UnknownNameError, "did you mean 'seconds_per_query'"),
        ({"objectives": ("em", "answer_recall")}, ConfigError, "needs a cut-off"),
        ({"objectives": ("answer_recall@1",)}, UnknownNameError, r"unknown objective of nq 'answer_recall@1'"),
        ({"objectives": ("em", "answer_recall@5")}, UnknownNameError, r"value of RAG-Token · flat · k=1 · greedy 'ans"),
        ({"objectives": ("em", "label_accuracy")}, UnknownNameError, r"unknown value of RAG-Token .* 'label_accuracy'"),
        ({"constraints": ("index_bytes < 5",)}, ConfigError, r"'index_bytes < 5' must be `name <= number` or"),
        ({"constraints": ("index_bytes <= nan",)}, ConfigError, r"must be `name <= number` or"),
        ({"constraints": ("index_bytes <= 1e999",)}, ConfigError, "1e999': the bound must be a finite number"),
        ({"constraints": ("index_bytes <= 5 MB",)}, ConfigError, r"must be `name <= number` or"),
        ({"constraints": ("index_byte <= 5",)}, UnknownNameError, "did you mean 'index_bytes'"),
        ({"constraints": ("em >= 101",)}, ConfigError, "no trial can meet 'em >= 101': em is 0 to 100"),
        ({"constraints": ("peak_memory <= -1",)}, ConfigError, "no trial can meet 'peak_memory <= -1'"),
    ],
)
def test_they_are_checked_before_anything_runs(changes: dict[str, Any], error: type[Exception], says: str) -> None:
    with pytest.raises(error, match=says) as caught:
        open_space(config(**changes))
    assert "\n" not in str(caught.value)


def test_systems_of_a_language_without_spaces_may_be_selected_by_character() -> None:
    chosen = config(objectives=("em_char", "em"))
    with pytest.raises(UnknownNameError, match="unknown objective of nq 'em_char'"):
        open_space(chosen)
    chinese = replace(chosen, experiment=ExperimentConfig(corpus=CorpusConfig(language="chinese")))
    open_space(chinese)
    assert objectives.quality(chinese) == "em_char"


def test_values_and_constraints_are_those_of_the_run(tmp_path: Path) -> None:
    record = BLANK | {"timings": {"seconds_per_query": 0.5}, "work": {"index_bytes": 7}}
    write_sealed(tmp_path / "run.json", record)
    write_sealed(tmp_path / "summary.json", {"metrics": {"em": {"mean": 40.0}}})
    both = config(
        objectives=("em", "index_bytes", "seconds_per_query"),
        constraints=("index_bytes <= 1e1", "em>=.5e2", "em <= 40"),
    )
    open_space(both)
    assert objectives.directions(both) == ["maximize", "minimize", "minimize"]
    assert objectives.values_of(both, tmp_path) == [40.0, 7.0, 0.5]
    assert objectives.constraints_of(both, tmp_path) == [-3.0, 10.0, 0.0]
    assert [str(one) for one in objectives.constraints(both)] == ["index_bytes <= 10", "em >= 50", "em <= 40"]
    with pytest.raises(DataError, match=r"run\.json, field 'peak_memory': has no value; remove the folder and run"):
        objectives.values_of(config(objectives=("em", "peak_memory")), tmp_path)


def test_equal_rows_are_on_the_front_together() -> None:
    rows = [[1.0, 1.0], [1.0, 1.0], [1.0, 2.0], [0.0, 0.5]]
    assert objectives.pareto(rows, ["maximize", "minimize"]) == [True, True, False, True]
    assert objectives.pareto([], ["maximize"]) == []
