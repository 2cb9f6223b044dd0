"""The table of trials: number, best so far, time left, failed ones."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

import pytest
from optuna.trial import FrozenTrial, TrialState, create_trial

from rag_lightning.config.commands import SweepConfig
from rag_lightning.config.experiment import ExperimentConfig
from rag_lightning.core.artifacts import ArtifactStore, Recipe
from rag_lightning.core.files import write_sealed
from rag_lightning.sweep.shown import Trials, _pairs
from rag_lightning.sweep.space import Space, open_space
from rag_lightning.sweep.study import Progress
from tests.run_folders import BLANK

BEGAN = datetime(2026, 1, 1)


@pytest.fixture
def space(tmp_path: Path) -> Space:
    experiment = ExperimentConfig(folder=str(tmp_path), formulation="rag_token")
    return open_space(
        SweepConfig(name="s", experiment=experiment, space={"k": (1, 2, 5, 10)}, always=(), trivial=False)
    )


def trial(number: int, value: float | None, seconds: float, point: str = "") -> FrozenTrial:
    """A finished trial; one without a value has failed."""
    made = create_trial(
        state=TrialState.FAIL if value is None else TrialState.COMPLETE,
        value=value,
        user_attrs={"digest": point or str(number), "system": "RAG-Token", "reason": "RuntimeError: no room"},
    )
    made.number, made.datetime_start = number, BEGAN
    made.datetime_complete = BEGAN + timedelta(seconds=seconds)
    return made


def progress(*known: FrozenTrial) -> Progress:
    values = {one.user_attrs["digest"]: (one.values, one.constraints) for one in known if one.values}
    return Progress(known, values, {}, {}, 1)


def test_a_new_best_is_marked_and_the_time_left_is_the_mean_of_those_done(
    space: Space, capsys: pytest.CaptureFixture[str]
) -> None:
    table, known = Trials(space, progress()), list[FrozenTrial]()
    for number, (value, seconds) in enumerate(((25.0, 2.0), (20.0, 4.0), (30.0, 6.0), (30.0, 4.0))):
        known.append(trial(number, value, seconds))
        assert table.update(progress(*known)) == known[-1:]
    assert table.update(progress(*known)) == []
    head, *rows = [line.split() for line in capsys.readouterr().err.splitlines() if line]
    assert head == ["trial", "system", "dev", "em", "seconds", "best", "time", "left"]
    assert rows == [
        ["1/4", "RAG-Token", "25.0", "2.0", "*", "25.0", "6.0", "s"],
        ["2/4", "RAG-Token", "20.0", "4.0", "25.0", "6.0", "s"],
        ["3/4", "RAG-Token", "30.0", "6.0", "*", "30.0", "4.0", "s"],
        ["4/4", "RAG-Token", "30.0", "4.0", "30.0"],
    ]


def test_trials_of_an_earlier_command_are_counted_but_not_timed(
    space: Space, capsys: pytest.CaptureFixture[str]
) -> None:
    before = [trial(0, 10.0, 1.0), trial(1, 40.0, 1.0)]
    Trials(space, progress(*before)).update(progress(*before, trial(2, 35.0, 5.0)))
    first, _, _, row = capsys.readouterr().err.splitlines()
    assert first == "trials            2 of 4 evaluated before, best dev em 40.0"
    assert row.split() == ["3/4", "RAG-Token", "35.0", "5.0", "40.0", "5.0", "s"]


def test_a_failed_trial_has_a_row_with_its_reason_and_no_value(
    space: Space, capsys: pytest.CaptureFixture[str]
) -> None:
    table = Trials(space, progress())
    table.update(progress(trial(0, None, 3.0, "a")))
    table.update(progress(trial(0, None, 3.0, "a"), trial(1, 20.0, 2.0, "a")))
    _, failed, again = (line for line in capsys.readouterr().err.splitlines() if line)
    assert failed.split() == ["failed", "RAG-Token:", "RuntimeError:", "no", "room", "3.0"]
    assert again.split() == ["1/4", "RAG-Token", "20.0", "2.0", "*", "20.0", "6.0", "s"]


def test_a_baseline_without_a_model_counts_no_pairs(tmp_path: Path) -> None:
    store, group = ArtifactStore(tmp_path / "artifacts"), tmp_path / "runs" / "s"
    counted = ({"pairs_generated": 3, "pairs_reused": 1}, {"pairs_generated": 0, "pairs_reused": 0})
    for number, info in enumerate(counted):
        made = store.build(Recipe("predictions", {"number": number}, {}, 1), lambda folder, info=info: info)
        (group / str(number)).mkdir(parents=True)
        write_sealed(group / str(number) / "run.json", BLANK | {"digests": {"predictions": made.digest}})
    assert _pairs(group, store.root) == (3, 1)
