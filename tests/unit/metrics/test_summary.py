"""The content of summary.json."""

import json

import pytest

from rag_lightning.core.errors import DataError, UnknownNameError
from rag_lightning.core.records import Example, Score
from rag_lightning.metrics.metric import parse_metric
from rag_lightning.metrics.summary import align, estimate, summarise

EXAMPLES = [Example(name, "q", ("a",)) for name in "abc"]


def scores(values: list[float], metric: str = "em") -> list[Score]:
    return [
        Score(str(i), f"entity{i // 2}", {metric: value}, {"family": "x" if i % 2 else "y"})
        for i, value in enumerate(values)
    ]


def test_an_estimate_is_in_the_unit_of_its_metric() -> None:
    found = estimate(scores([1, 0, 1, 1]), parse_metric("em"), seed=0)
    assert (found.mean, found.n, found.unit) == (75.0, 4, "%")
    assert 0 <= found.low <= 75 <= found.high <= 100
    assert estimate(scores([1, 0.5], "mrr"), parse_metric("mrr"), seed=0).mean == 0.75


def test_a_summary_has_metrics_and_slices_and_is_json() -> None:
    listed = scores([1, 0, 1, 1, 0, 1])
    listed[0] = Score("0", "", {"em": 1.0, "mrr": 0.5}, {"family": "y", "hop": "two"})
    found = json.loads(json.dumps(summarise(listed, seed=0), allow_nan=False))
    assert found["metrics"]["em"]["mean"] == pytest.approx(66.67, abs=0.01)
    assert found["metrics"]["mrr"] == {"mean": 0.5, "low": 0.5, "high": 0.5, "n": 1, "unit": "", "clusters": 1.0}
    assert set(found["slices"]) == {"family=x", "family=y", "hop=two"}
    assert found["slices"]["family=y"]["em"]["n"] == 3
    assert summarise(listed, seed=0) == summarise(listed, seed=0)


def test_the_order_of_scores_does_not_change_the_mean() -> None:
    listed = scores([1, 0, 0, 1, 1])
    forward, backward = (summarise(order, seed=0)["metrics"]["em"]["mean"] for order in (listed, listed[::-1]))
    assert forward == backward


def test_bad_scores_are_refused() -> None:
    with pytest.raises(ValueError, match="no scores"):
        summarise([], seed=0)
    with pytest.raises(ValueError, match="not finite"):
        summarise(scores([float("nan")]), seed=0)
    with pytest.raises(UnknownNameError):
        summarise(scores([1.0], "emm"), seed=0)


def test_systems_are_aligned_by_id() -> None:
    arrays, entities = align({"one": scores([1, 0, 0]), "two": scores([0, 0, 1])[::-1]}, "em")
    assert arrays["one"].tolist() == [1, 0, 0] and arrays["two"].tolist() == [0, 0, 1]
    assert entities == ["entity0", "entity0", "entity1"]
    with pytest.raises(DataError, match="1 ids differ"):
        align({"one": scores([1, 0]), "two": scores([0])}, "em")
    with pytest.raises(DataError, match="have no em"):
        align({"one": scores([1, 0]), "two": scores([0, 1], "f1")}, "em")
