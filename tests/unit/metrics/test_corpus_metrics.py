"""Metrics of all examples together: statistics, estimates, intervals, notes."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag_lightning.core.records import Example, Score, read_jsonl, write_jsonl
from rag_lightning.metrics.metric import CorpusMetric, Estimate, Metric, Note, Outcome, parse_metric, statistics_of
from rag_lightning.metrics.statistics import bootstrap_interval, bootstrap_sums_interval
from rag_lightning.metrics.summary import estimate, notes_of, summarise

BLEU1, DISTINCT = parse_metric("bleu1"), parse_metric("distinct_trigrams")
TEXTS = ["the cat sat down", "the cat sat up", "a dog ran", "the dog sat", "rain in spain", "the cat"]
OUTCOMES = [
    Outcome(Example(str(i), "q", ("the cat sat down",), entity=f"e{i // 2}"), text) for i, text in enumerate(TEXTS)
]


def scores(outcomes: list[Outcome] = OUTCOMES) -> list[Score]:
    metrics = [BLEU1, DISTINCT]
    return [
        Score(o.example.example_id, o.example.entity, {}, {"half": str(i % 2)}, statistics_of(o, metrics))
        for i, o in enumerate(outcomes)
    ]


def mean(sums: np.ndarray) -> np.ndarray:
    return np.asarray(sums[..., 0] / sums[..., 1])


@given(
    st.lists(st.floats(0, 1), min_size=2, max_size=12).filter(lambda values: len(set(values)) > 1),
    st.booleans(),
)
def test_the_interval_of_a_mean_is_that_of_its_sums(values: list[float], clustered: bool) -> None:
    clusters = [f"e{i // 2}" for i in range(len(values))] if clustered else None
    parts = np.array([[value, 1.0] for value in values])
    expected = bootstrap_interval(values, clusters, seed=3)
    assert bootstrap_sums_interval(parts, mean, clusters, seed=3) == pytest.approx(expected)


def test_the_interval_holds_the_value_and_resamples_entities() -> None:
    found = estimate(scores(), BLEU1, seed=0)
    assert found.low is not None and found.high is not None
    assert 0 <= found.low <= found.mean <= found.high <= 100 and found.n == 6
    alone = [Score(s.example_id, "", s.values, s.tags, s.statistics) for s in scores()]
    assert estimate(alone, BLEU1, seed=0).mean == found.mean
    assert estimate(alone, BLEU1, seed=0) != found


def test_bad_statistics_are_refused() -> None:
    for parts in (np.zeros((0, 3)), np.zeros(3), np.array([[np.nan, 1.0]])):
        with pytest.raises(ValueError, match="finite and of at least one example"):
            bootstrap_sums_interval(parts, mean, seed=0)
    with pytest.raises(ValueError, match="2 clusters for 3 values"):
        bootstrap_sums_interval(np.ones((3, 2)), mean, ["a", "b"], seed=0)
    with pytest.raises(ValueError, match="no score has statistics of bleu1"):
        estimate([Score("1", "", {"em": 1.0})], BLEU1, seed=0)


def test_one_example_or_equal_ones_have_their_value_as_interval() -> None:
    same = [Outcome(Example(str(i), "q", ("a b c",)), "a b d") for i in range(3)]
    for outcomes in (same, same[:1]):
        found = estimate(scores(outcomes), BLEU1, seed=0)
        assert found.low == found.high == found.mean == pytest.approx(200 / 3)


def test_what_cannot_be_resampled_has_no_interval() -> None:
    found = estimate(scores(), DISTINCT, seed=0)
    assert (found.low, found.high, found.n, str(found)) == (None, None, 6, "85.7")
    assert str(Estimate(0.5, None, None, 3, "")) == "0.500"


def test_a_summary_holds_both_kinds_and_their_slices() -> None:
    listed = [Score(s.example_id, s.entity, {"em": 1.0}, s.tags, s.statistics) for s in scores()]
    found = json.loads(json.dumps(summarise(listed, seed=0), allow_nan=False))
    assert set(found["metrics"]) == {"em", "bleu1", "distinct_trigrams"}
    assert found["slices"]["half=0"]["bleu1"]["n"] == 3
    assert found["metrics"]["distinct_trigrams"]["low"] is None
    assert summarise(listed[::-1], seed=0)["metrics"]["bleu1"]["mean"] == found["metrics"]["bleu1"]["mean"]


def test_statistics_survive_the_file(tmp_path: object) -> None:
    path = tmp_path / "scores.jsonl"  # type: ignore[operator]
    write_jsonl(path, scores())
    assert summarise(list(read_jsonl(path, Score)), seed=0) == summarise(scores(), seed=0)


def test_notes_are_said_once_for_all_metrics_they_are_about() -> None:
    metrics = [parse_metric(name) for name in ("em", "q_bleu1", "q_bleu1_2018", "bleu1")]
    notes = notes_of([Outcome(Example("1", "q", ("Paris",)), "paris")], metrics)
    assert [(note["metrics"], note["degraded"]) for note in notes] == [
        (["q_bleu1", "q_bleu1_2018"], False),
        (["q_bleu1", "q_bleu1_2018"], True),
        (["bleu1"], False),
    ]
    assert Note("x") == Note("x", degraded=False)


def test_kinds_are_told_apart() -> None:
    assert isinstance(BLEU1, CorpusMetric) and isinstance(parse_metric("em"), Metric)
    assert str(BLEU1) == "bleu1" and BLEU1.scale == 100
