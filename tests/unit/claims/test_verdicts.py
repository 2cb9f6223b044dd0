"""Verdicts of claims: paired tests by question, over trainings where there are several, by a metric that is fair."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from statsmodels.stats.multitest import multipletests

from rag_lightning.claims.claims import Comparison, Curve
from rag_lightning.claims.verdicts import Arm, judge, overall
from rag_lightning.core.errors import DataError
from rag_lightning.core.records import Score
from tests.claim_scores import LEFT, RIGHT, claim, scores


def test_scores_are_averaged_over_seeds_before_the_test() -> None:
    rng = np.random.default_rng(0)
    left, right = rng.integers(0, 2, (2, 40)), rng.integers(0, 2, (2, 40))
    found = judge(
        claim(), {LEFT: {s: scores(left[s]) for s in (0, 1)}, RIGHT: {s: scores(right[s]) for s in (0, 1)}}
    ).tested[0]
    assert (found.n, found.seeds, found.unit) == (40, 2, "%")
    assert found.mean == pytest.approx(100 * left.mean()) and found.baseline_mean == pytest.approx(100 * right.mean())
    assert found.difference == pytest.approx(100 * (left.mean(0) - right.mean(0)).mean())
    assert found.spreads[0] == pytest.approx(100 * np.std(left.mean(1), ddof=1))
    assert found.low < found.difference < found.high


@pytest.mark.parametrize(
    ("left", "right", "direction", "verdict"),
    [
        ([1] * 40, [0] * 40, "higher", "supported"),
        ([0] * 40, [1] * 40, "higher", "not supported"),
        ([0] * 40, [1] * 40, "lower", "supported"),
        ([0, 1] * 20, [1, 0] * 20, "higher", "null"),
    ],
)
def test_the_verdict_follows_the_declared_direction(left: Any, right: Any, direction: Any, verdict: str) -> None:
    part = replace(claim().comparisons[0], direction=direction, aim=10, reach=50)
    outcome = judge(claim(comparisons=(part,), seeds=(0,)), {LEFT: {0: scores(left)}, RIGHT: {0: scores(right)}})
    assert outcome.verdict == outcome.tested[0].verdict == verdict
    said = "met" if verdict == "supported" else "not met"
    assert outcome.tested[0].aims[0] == f"difference 10 {said}"
    if verdict != "null":
        assert outcome.tested[0].aims[1] == f"value 50 {said}"


def test_with_several_seeds_the_variance_of_training_is_in_the_test() -> None:
    """Gains of 1, 0 and 0.1 by seed: clear by question, not over trainings."""
    left = {LEFT: {s: scores([float(i < gain * 40) for i in range(40)]) for s, gain in enumerate((1.0, 0.0, 0.1))}}
    both = left | {RIGHT: {s: scores([0] * 40) for s in range(3)}}
    found = judge(claim(seeds=(0, 1, 2)), both).tested[0]
    assert (found.test, found.verdict) == ("t_over_seeds", "null") and 1.5 < (found.freedom or 0) < 3
    assert found.low < 0 < found.high and found.clusters == 20
    flips = judge(claim(seeds=(0, 1, 2), test="paired_permutation"), both).tested[0]
    assert (flips.test, flips.verdict, flips.freedom) == ("paired_permutation", "supported", None)


def test_a_degraded_metric_is_replaced_for_both_sides() -> None:
    """The baseline writes no capitals: both are compared in lower case, and the verdict says so."""
    part = Comparison("jeopardy", "q_bleu1", ("rag_token",), ("closed_book",))
    arms: tuple[Arm, Arm] = (("jeopardy", "rag_token", 0), ("jeopardy", "closed_book", 0))
    values = ({"q_bleu1": 0.9, "q_bleu1_uncased": 0.5}, {"q_bleu1": 0.5, "q_bleu1_uncased": 0.5})
    found = {arm: {0: [Score(f"q{i}", "", v) for i in range(40)]} for arm, v in zip(arms, values, strict=True)}
    silent = judge(claim(comparisons=(part,), seeds=(0,)), found)
    assert (silent.verdict, silent.tested[0].metric, silent.tested[0].note) == ("supported", "q_bleu1", "")
    outcome = judge(claim(comparisons=(part,), seeds=(0,)), found, {arms[1]: {"q_bleu1"}})
    assert (outcome.verdict, outcome.tested[0].metric) == ("null", "q_bleu1_uncased")
    said = "q_bleu1 of jeopardy_closed_book is degraded, so q_bleu1_uncased compares both sides"
    assert said in outcome.why and outcome.tested[0].note == said


def test_holm_is_over_all_comparisons_of_a_claim() -> None:
    rng = np.random.default_rng(1)
    tasks, by_arm = ("nq", "fever3", "jeopardy"), {}
    for task, gain in zip(tasks, (0.0, 0.1, 0.9), strict=True):
        base = rng.random(60) * 0.5
        by_arm[task, "closed_book", 0] = {0: scores(base)}
        by_arm[task, "rag_token", 0] = {0: scores(0.5 * rng.random(60) + gain * rng.random(60))}
    parts = tuple(Comparison(task, "em", ("rag_token",), ("closed_book",)) for task in tasks)
    tested = judge(claim(comparisons=parts, seeds=(0,)), by_arm).tested
    expected = multipletests([one.p for one in tested], method="holm")[1]
    assert [one.p_holm for one in tested] == pytest.approx(list(expected))
    assert len({one.p for one in tested}) > 1


def test_other_questions_in_one_seed_are_refused() -> None:
    with pytest.raises(DataError, match="ids differ"):
        judge(claim(), {LEFT: {0: scores([1, 0]), 1: scores([1])}, RIGHT: {0: scores([1, 0]), 1: scores([1, 0])}})


def test_the_same_system_is_compared_at_two_numbers_of_passages() -> None:
    part = Comparison("nq", "em", ("rag_token",), k=10, baseline_k=1)
    one = claim(comparisons=(part,), curves=(Curve("nq", "em", ("rag_token",), (1, 10)),), seeds=(0,))
    assert list(one.arms()) == [("nq", "rag_token", 10), ("nq", "rag_token", 1)]
    outcome = judge(
        one, {("nq", "rag_token", 10): {0: scores([1] * 20)}, ("nq", "rag_token", 1): {0: scores([0] * 20)}}
    )
    assert outcome.verdict == "supported" and outcome.tested[0].baseline == "nq_rag_token, k=1"
    assert [(point.k, point.mean) for point in outcome.points] == [(1, 0.0), (10, 100.0)]


def test_a_claim_is_as_good_as_its_comparisons() -> None:
    assert overall(["supported", "supported"])[0] == "supported"
    assert overall(["null", "null"])[0] == "null"
    assert overall(["null", "supported"])[0] == overall(["supported", "not supported"])[0] == "mixed"
    assert overall(["null", "not supported"])[0] == "not supported"
