"""What every registered metric must do, whatever it measures; a new one is tested by being registered."""

from __future__ import annotations

import random
import time
from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rag_lightning.config.registries import METRICS
from rag_lightning.core.records import Example
from rag_lightning.metrics.metric import (
    AnyMetric,
    CorpusMetric,
    Family,
    Outcome,
    parse_metric,
)
from rag_lightning.metrics.outcomes import Outcomes, score_all
from rag_lightning.metrics.summary import notes_of, summarise

SECONDS = 20.0
"""For one example of 10,000 words on each side, by any metric, with room for a busy machine."""
NAMES = sorted(f"{family}@2" if isinstance(METRICS.get(family), Family) else family for family in METRICS)
EVERY = [parse_metric(name) for name in NAMES]
OF_TEXT = [
    metric for metric in EVERY if "@" not in metric.name and metric.name not in ("mrr", "page_r_precision", "em_regex")
]
ASKED = Example("e", "q", ("rome is the city",), ("p",), gold_titles=("Gold",))
GOOD = Outcome(ASKED, "Rome is the city", (False, True), (True, False), ("gold", "Other"))
BAD = Outcome(ASKED, "no no no no no", (False, False), (False, False), ("Other", "Third"))
TEXT = st.text(max_size=20) | st.lists(st.sampled_from(["the", "Cat", "cat,", "U.S.", "é", "What"]), max_size=6).map(
    " ".join
)
PAIRS = st.lists(st.tuples(TEXT, st.lists(TEXT, min_size=1, max_size=2)), min_size=1, max_size=6)
EDGES = [
    ("", [""]),
    ("", ["x"]),
    ("x", [""]),
    (" \n\t", [" ", "x"]),
    ("?!", ["…"]),
    ("\ud83d\ude00".encode("utf-16", "surrogatepass").decode("utf-16"), ["é\u0301 İ ß ﬁ 中文 العربية \u200b\x00"]),
    ("No Answer Present.", ["No Answer Present."]),
]


def value(metric: AnyMetric, outcomes: Sequence[Outcome]) -> float | None:
    """Of all outcomes, in [0, 1]."""
    if isinstance(metric, CorpusMetric):
        statistics = [found for outcome in outcomes if (found := metric.statistics(outcome)) is not None]
        return metric.combine(statistics) if statistics else None
    values = [found for outcome in outcomes if (found := metric.score(outcome)) is not None]
    return sum(values) / len(values) if values else None


def outcomes_of(pairs: Sequence[tuple[str, list[str]]]) -> list[Outcome]:
    return [Outcome(Example(str(i), "q", tuple(answers)), said) for i, (said, answers) in enumerate(pairs)]


@pytest.mark.parametrize("metric", EVERY, ids=str)
def test_it_tells_good_from_bad_and_has_the_name_it_is_asked_by(metric: AnyMetric) -> None:
    # what is defined only where no passage holds an answer is shown such an outcome
    shown = replace(GOOD, answer_hits=(False, False)) if metric.name.startswith("em_unanswerable") else GOOD
    good, bad = value(metric, [shown]), value(metric, [BAD])
    assert good is not None and bad is not None
    worse, better = (bad, good) if metric.direction == "higher" else (good, bad)
    assert 0 <= worse < better <= 1
    assert metric.unit in ("%", "") and parse_metric(str(metric)).name == metric.name


@pytest.mark.parametrize("metric", EVERY, ids=str)
def test_it_is_not_defined_without_prediction_or_passages(metric: AnyMetric) -> None:
    assert value(metric, [Outcome(ASKED)]) is None


@pytest.mark.parametrize("metric", EVERY, ids=str)
@pytest.mark.parametrize(("said", "answers"), EDGES)
def test_it_bears_any_text(metric: AnyMetric, said: str, answers: list[str]) -> None:
    asked = Example("e", "q", tuple(answers), ("p",), gold_titles=("Gold",))
    found = value(metric, [Outcome(asked, said, (), (), ()), Outcome(asked, said, (True,), (True,), ("Gold",))])
    assert found is None or 0 <= found <= 1 + 1e-9


@pytest.mark.parametrize("metric", EVERY, ids=str)
def test_it_bears_ten_thousand_words(metric: AnyMetric) -> None:
    words = random.Random(0).choices(["the", "Cat", "sat", "U.S.", "isn't", "1,234", "é", "well-known"], k=20_000)
    said, answer = " ".join(words[:10_000]), " ".join(words[10_000:])
    asked = Example("e", "q", (answer,), ("p",), gold_titles=("Gold",))
    started = time.process_time()
    found = value(metric, [Outcome(asked, said, (True,), (True,), ("Gold",))])
    assert time.process_time() - started < SECONDS
    assert found is None or 0 <= found <= 1 + 1e-9


@given(PAIRS, st.randoms(use_true_random=False))
@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.too_slow])
def test_bounds_and_order(pairs: list[tuple[str, list[str]]], draw: random.Random) -> None:
    outcomes = outcomes_of(pairs)
    shuffled = draw.sample(outcomes, len(outcomes))
    for metric in OF_TEXT:
        found = value(metric, outcomes)
        assert found is None or 0 <= found <= 1 + 1e-9, metric
        assert value(metric, shuffled) == (None if found is None else pytest.approx(found, abs=1e-9)), metric
        assert set(metric.notes(shuffled)) == set(metric.notes(outcomes))


@given(st.lists(st.lists(st.sampled_from(["Cat", "sat", "mat"]), min_size=1, max_size=6).map(" ".join), min_size=1))
@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.too_slow])
def test_identical_strings_are_the_maximum(texts: list[str]) -> None:
    outcomes = outcomes_of([(text, [text]) for text in texts])
    for metric in OF_TEXT:
        # components that are empty on both sides; a share of what was said, not of what is right
        if metric.name not in ("q_bleu1_2018", "distinct_trigrams"):
            found = value(metric, outcomes)
            assert found is None or found == pytest.approx(1, abs=1e-6), metric


def test_scores_are_summarised_whatever_the_order_of_ids() -> None:
    rows = [
        ("the Cat sat", ["the Cat sat down"]),
        ("a dog", ["the dog"]),
        ("", ["x"]),
        ("What is it?", ["It is what?"]),
    ]
    outcomes = outcomes_of(rows * 3)
    outcomes = [replace(o, example=replace(o.example, example_id=f"id{i * 7 % 12}")) for i, o in enumerate(outcomes)]
    shuffled = random.Random(1).sample(outcomes, len(outcomes))
    one, two = (summarise(score_all(Outcomes(listed), OF_TEXT), seed=0)["metrics"] for listed in (outcomes, shuffled))
    assert set(one) == {metric.name for metric in OF_TEXT if not metric.name.startswith("kilt")}
    assert {name: e["mean"] for name, e in one.items()} == pytest.approx({name: e["mean"] for name, e in two.items()})
    assert notes_of(outcomes, OF_TEXT) == notes_of(shuffled, OF_TEXT)


def test_a_missing_answer_is_the_worst_value() -> None:
    outcomes = outcomes_of([("the Cat sat", ["the Cat sat down"]), ("", ["the Cat sat down"])])
    missing = [outcomes[0], replace(outcomes[1], prediction=None)]
    given_, absent = (
        summarise(score_all(Outcomes(listed, frozenset(ids)), OF_TEXT), seed=0)["metrics"]
        for listed, ids in ((outcomes, ()), (missing, ("1",)))
    )
    assert set(given_) == set(absent)
    for name, estimate in absent.items():
        assert estimate["n"] == 2 and estimate["mean"] <= given_[name]["mean"] + 1e-9
