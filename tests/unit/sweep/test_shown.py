"""The table of trials: number, best so far, time left."""

from __future__ import annotations

import pytest

from rag_lightning.sweep.shown import Trials


def test_a_new_best_is_marked_and_the_time_left_is_the_mean_of_those_done(capsys: pytest.CaptureFixture[str]) -> None:
    trials = Trials("em", 4, ())
    for value, seconds in ((25.0, 2.0), (20.0, 4.0), (30.0, 6.0), (30.0, 4.0)):
        trials.add("RAG-Token", value, seconds)
    head, *rows = [line.split() for line in capsys.readouterr().err.splitlines() if line]
    assert head == ["trial", "system", "dev", "em", "seconds", "best", "time", "left"]
    assert rows == [
        ["1/4", "RAG-Token", "25.0", "2.0", "*", "25.0", "6.0", "s"],
        ["2/4", "RAG-Token", "20.0", "4.0", "25.0", "6.0", "s"],
        ["3/4", "RAG-Token", "30.0", "6.0", "*", "30.0", "4.0", "s"],
        ["4/4", "RAG-Token", "30.0", "4.0", "30.0"],
    ]


def test_trials_of_an_earlier_command_are_counted_but_not_timed(capsys: pytest.CaptureFixture[str]) -> None:
    trials = Trials("em", 4, (10.0, 40.0))
    trials.add("RAG-Token", 35.0, 5.0)
    first, _, _, row = capsys.readouterr().err.splitlines()
    assert first == "trials            2 of 4 evaluated before, best dev em 40.0"
    assert row.split() == ["3/4", "RAG-Token", "35.0", "5.0", "40.0", "5.0", "s"]
