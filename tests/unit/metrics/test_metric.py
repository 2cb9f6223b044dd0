"""Metric names, retrieval metrics and the values of one example."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag_lightning.config.registries import METRICS
from rag_lightning.core.errors import ConfigError, UnknownNameError
from rag_lightning.core.records import Example
from rag_lightning.metrics.metric import Estimate, Family, Outcome, parse_metric, score_outcome
from rag_lightning.metrics.retrieval import recall_at, reciprocal_rank

NAMES = ["em", "f1", "mrr", "answer_recall@5", "gold_recall@20"]
OTHERS = ["em_kilt", "em_lm_eval", "em_contains", "em_regex", "em_unanswerable@5", "success@1", "kilt_em"]
FLAGS = st.lists(st.booleans(), max_size=12)


@pytest.mark.parametrize("name", [*NAMES, *OTHERS])
def test_names_are_printed_and_parsed_alike(name: str) -> None:
    metric = parse_metric(name)
    assert str(metric) == metric.name == name
    assert metric.direction == "higher"


def test_every_registered_name_can_be_parsed() -> None:
    for family in METRICS:
        name = f"{family}@1" if isinstance(METRICS.get(family), Family) else family
        assert parse_metric(name).name == name


def test_a_typo_is_answered_with_the_nearest_name() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'answer_recall'"):
        parse_metric("anser_recall@5")


@pytest.mark.parametrize(
    "name", ["em@5", "answer_recall", "answer_recall@", "answer_recall@0", "gold_recall@-1", "gold_recall@²"]
)
def test_cutoffs_are_checked(name: str) -> None:
    with pytest.raises(ConfigError, match="cut-off"):
        parse_metric(name)


def test_an_outcome_is_scored_by_what_is_known() -> None:
    example = Example("1", "q", ("Paris",))
    metrics = [parse_metric(name) for name in [*NAMES, "answer_recall@1"]]
    full = Outcome(example, "paris", answer_hits=(False, True), gold_hits=(False, False))
    assert score_outcome(full, metrics) == {
        "em": 1.0,
        "f1": 1.0,
        "mrr": 0.5,
        "answer_recall@5": 1.0,
        "gold_recall@20": 0.0,
        "answer_recall@1": 0.0,
    }
    assert score_outcome(Outcome(example, "paris"), metrics) == {"em": 1.0, "f1": 1.0}
    nothing_found = score_outcome(Outcome(example, answer_hits=()), metrics)
    assert nothing_found == {"mrr": 0.0, "answer_recall@5": 0.0, "answer_recall@1": 0.0}


def test_estimates_print_in_their_unit() -> None:
    assert str(Estimate(51.25, 47.0, 55.3, 500, "%")) == "51.2 [47.0, 55.3]"
    assert str(Estimate(0.5, 0.25, 0.75, 9, "")) == "0.500 [0.250, 0.750]"


@given(FLAGS, st.integers(1, 12))
def test_recall_is_monotone_in_k(flags: list[bool], k: int) -> None:
    assert recall_at(flags, k) <= recall_at(flags, k + 1)
    assert recall_at(flags, k) == float(sum(flags[:k]) > 0)


@given(FLAGS)
def test_reciprocal_rank_equals_brute_force(flags: list[bool]) -> None:
    assert reciprocal_rank(flags) == max([1 / (i + 1) for i, hit in enumerate(flags) if hit], default=0)
    assert recall_at(flags, 1) <= reciprocal_rank(flags) <= recall_at(flags, 12)
