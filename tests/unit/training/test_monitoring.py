"""What an evaluation sees of retrieval, against direct computation; a collapse is named, health is not."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pytest

from rag_lightning.core.records import Example, Hypothesis, Prediction, Ranking
from rag_lightning.decoding.question import Question
from rag_lightning.training.callbacks import History
from rag_lightning.training.watch import (
    ALARMS,
    RetrievalMonitor,
    entropy,
    got_worse,
    has_collapsed,
    overlap,
    spread,
    summarise,
    unique_passage_ratio,
)

APART = [(3 * i, 3 * i + 1, 3 * i + 2) for i in range(20)]
SAME = [(0, 1, 2)] * 20
N = 1000


def test_entropy_is_in_nats() -> None:
    assert entropy((0.25,) * 4) == pytest.approx(math.log(4))
    assert entropy((1.0, 0.0)) == 0.0
    assert entropy((0.5, 0.25, 0.25)) == pytest.approx(1.5 * math.log(2))


def test_the_ratio_counts_distinct_passages_of_those_shown() -> None:
    assert unique_passage_ratio(APART) == 1.0
    assert unique_passage_ratio(SAME) == pytest.approx(1 / 20)
    assert unique_passage_ratio([(0, 1), (1, 2)]) == 0.75


def test_spread_goes_from_the_same_passages_to_as_many_as_there_could_be() -> None:
    assert spread(SAME, N) == 0.0
    assert spread(APART, N) == 1.0
    assert spread([(0, 1), (0, 2)], passages=3) == 1.0  # more there are not
    assert spread([(0, 1)], N) == 1.0  # one question alone cannot collapse


@pytest.mark.parametrize(
    ("now", "before", "passages", "collapsed"),
    [
        (SAME, APART, N, True),
        (APART, APART, N, False),
        (SAME, SAME, N, False),  # so it was before training
        ([(0, 1, 2)] * 19 + [(0, 1, 3)], APART, N, True),  # nearly the same
        ([(3 * (i % 7), 3 * (i % 7) + 1, 3 * (i % 7) + 2) for i in range(20)], APART, N, False),
        ([(0, 1)], [(2, 3)], N, False),
    ],
)
def test_collapse_is_the_same_passages_where_they_were_not(
    now: Sequence[tuple[int, ...]], before: Sequence[tuple[int, ...]], passages: int, collapsed: bool
) -> None:
    assert has_collapsed(now, before, passages) == collapsed


def test_overlap_is_the_share_of_the_frozen_encoders_passages() -> None:
    assert overlap((1, 2, 3), (3, 4, 1)) == pytest.approx(2 / 3)
    assert overlap((), ()) == 1.0


def question(name: str, rows: tuple[int, ...], scores: tuple[float, ...]) -> Question:
    return Question(Example(name, name, ("x",)), rows, scores)


def prediction(name: str, passage_log_probs: tuple[float, ...]) -> Prediction:
    return Prediction(name, "x", "x", -1.0, (Hypothesis("x", -1.0, (1,), passage_log_probs),))


def evidence(examples: Sequence[Example], rankings: Sequence[Ranking]) -> list[tuple[bool, ...] | None]:
    """Row 7 is right; of question c nothing is known."""
    return [None if r.example_id == "c" else tuple(row == 7 for row in r.rows) for r in rankings]


def monitor(told: list[str], frozen: dict[str, tuple[int, ...]]) -> RetrievalMonitor:
    return RetrievalMonitor(frozen, 2, N, evidence, told.append)


def test_a_row_holds_what_was_seen() -> None:
    told: list[str] = []
    watching = monitor(told, {"a": (7, 1), "b": (2, 3), "c": (4, 5)})
    asked = [question("a", (7, 2), (0.0, 0.0)), question("b", (3, 7), (math.log(3), 0.0))]
    watching.observe(asked, [prediction("a", (math.log(0.9), math.log(0.1))), prediction("b", (-2.0, -2.0))])
    watching.observe([question("c", (), ())], [prediction("c", ())])
    row = watching.close(step=4)
    assert row == {
        "unique_passage_ratio": 3 / 4,
        "frozen_unique_passage_ratio": 1.0,
        "frozen_overlap@2": pytest.approx((0.5 + 0.5 + 0.0) / 3),
        "prior_entropy": pytest.approx((math.log(2) + entropy((0.75, 0.25)) + 0.0) / 3),
        "posterior_entropy": pytest.approx((entropy((0.9, 0.1)) + entropy((0.75, 0.25))) / 2, abs=1e-6),
        "first_passage_mass": pytest.approx((0.5 + 0.75) / 2),
        "answer_recall@1": 0.5,
        "frozen_answer_recall@1": 0.5,
        "answer_recall@2": 1.0,
        "collapse": 0,
        "worse_retrieval": 0,
    }
    assert told == [] and watching.close(step=5) == {}


def test_rag_token_has_no_posterior_of_a_whole_output() -> None:
    watching = monitor([], {"a": (7, 1)})
    watching.observe([question("a", (7, 1), (1.0, 0.0))], [prediction("a", ())])
    assert "posterior_entropy" not in watching.close(step=1)


def test_a_collapse_is_announced_once() -> None:
    told: list[str] = []
    names = [str(i) for i in range(20)]
    watching = monitor(told, dict(zip(names, APART, strict=True)))
    for step in (2, 4):
        watching.observe([question(n, (0, 1), (0.0, 0.0)) for n in names], [prediction(n, ()) for n in names])
        assert watching.close(step)["collapse"] == 1
    assert len(told) == 1 and told[0].startswith("ALARM collapse: at step 2 ")


@pytest.mark.parametrize(
    ("lost", "won", "worse"),
    [(6, 0, True), (5, 0, False), (30, 10, True), (30, 25, False), (0, 6, False), (0, 0, False)],
)
def test_retrieval_got_worse_where_more_is_lost_than_chance_would_have_it(lost: int, won: int, worse: bool) -> None:
    """Five lost questions of five are not enough: p = 2 / 32."""
    frozen = [1.0] * lost + [0.0] * won + [1.0, 0.0] * 40
    assert got_worse([0.0] * lost + [1.0] * won + [1.0, 0.0] * 40, frozen) == worse


def test_worse_retrieval_is_announced_once() -> None:
    told: list[str] = []
    names = [f"q{i}" for i in range(8)]
    watching = monitor(told, {name: (7, 100 + i) for i, name in enumerate(names)})
    for step in (2, 4):
        asked = [question(name, (100 + i, 7), (0.0, 0.0)) for i, name in enumerate(names)]
        watching.observe(asked, [prediction(name, ()) for name in names])
        row = watching.close(step)
        assert (row["worse_retrieval"], row["collapse"]) == (1, 0)
        assert (row["frozen_answer_recall@1"], row["answer_recall@1"], row["answer_recall@2"]) == (1, 0, 1)
    assert len(told) == 1 and told[0].startswith("ALARM worse_retrieval: at step 2 ")


def test_alarms_name_their_steps() -> None:
    assert all(text([2, 40]).startswith(f"ALARM {name}: at step 2, 40 ") for name, text in ALARMS.items())


def test_no_questions_no_row() -> None:
    assert summarise([], {}, 2, N) == {}


def test_a_history_from_before_there_was_an_alarm_is_summarised() -> None:
    kept = History()
    kept.rows = [
        {"step": 2, "dev_score": 0.9, "answer_recall@1": 0.5, "collapse": 1},
        {"step": 4, "dev_score": 0.1, "answer_recall@1": 0.4, "collapse": 0, "worse_retrieval": 1},
    ]
    assert kept.summary() == {
        "evaluation": {"step": 2, "answer_recall@1": 0.5},
        "alarms": {"collapse": [2], "worse_retrieval": [4]},
    }
