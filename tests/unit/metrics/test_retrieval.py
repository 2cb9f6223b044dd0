"""Ordered hit flags against ir_measures (trec_eval) and brute force."""

import ir_measures
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag_lightning.core.records import Example
from rag_lightning.metrics.metric import Outcome, parse_metric
from rag_lightning.metrics.retrieval import precision_at, recall_at, reciprocal_rank

FLAGS = st.lists(st.booleans(), min_size=1, max_size=12)


@given(flags=FLAGS.filter(any), k=st.integers(1, 12))
def test_they_equal_ir_measures(flags: list[bool], k: int) -> None:
    relevant = {"q": {str(place): int(hit) for place, hit in enumerate(flags)}}
    run = {"q": {str(place): 100.0 - place for place in range(len(flags))}}
    wanted = [ir_measures.RR, ir_measures.P @ k, ir_measures.Success @ k]
    expected = ir_measures.calc_aggregate(wanted, relevant, run)
    found = [reciprocal_rank(flags), precision_at(flags, k), recall_at(flags, k)]
    assert found == pytest.approx([expected[name] for name in wanted])


@given(flags=FLAGS, k=st.integers(1, 12))
def test_bounds_and_growth(flags: list[bool], k: int) -> None:
    assert 0 <= precision_at(flags, k) <= recall_at(flags, k) <= recall_at(flags, k + 1) <= 1


@given(flags=FLAGS, order=st.randoms())
def test_the_order_within_the_cut_does_not_matter(flags: list[bool], order: object) -> None:
    shuffled = sorted(flags)
    assert precision_at(flags, len(flags)) == precision_at(shuffled, len(flags))
    assert recall_at(flags, len(flags)) == recall_at(shuffled, len(flags))


@pytest.mark.parametrize(
    ("hits", "prediction", "value"),
    [
        ((False, False, True), "rome", 1.0),
        ((False, False, True), "paris", 0.0),
        ((False, True), "rome", None),
        ((), "rome", 1.0),
        (None, "rome", None),
        ((False,), None, None),
    ],
)
def test_em_where_no_passage_holds_the_answer(
    hits: tuple[bool, ...] | None, prediction: str | None, value: float | None
) -> None:
    outcome = Outcome(Example("e", "q", ("Rome",)), prediction, answer_hits=hits)
    assert parse_metric("em_unanswerable@2").score(outcome) == value
