"""Titles, and page-level measures against KILT's definitions spelled out and against ir_measures."""

from collections import defaultdict

import ir_measures
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag_lightning.core.records import Example
from rag_lightning.metrics.metric import Outcome, parse_metric, score_outcome
from rag_lightning.metrics.pages import distinct_pages, evidence_sets, normalize_title, page_r_precision, success_at

PAGES = st.sampled_from("ABCDEFG")
RANK = st.lists(PAGES, max_size=10)
SETS = st.lists(st.frozensets(PAGES, min_size=1, max_size=3), min_size=1, max_size=3, unique=True)


@pytest.mark.parametrize(
    ("title", "normal"),
    [
        ("Harry_Potter_-LRB-film_series-RRB-", "Harry Potter (film series)"),
        ("Star_Trek-COLON-_Discovery", "Star Trek: Discovery"),
        ("iPhone", "IPhone"),
        ("  Simo\u0301n_Boli\u0301var ", "Simón Bolívar"),
        ("A-LSB-b-RSB-", "A[b]"),
        ("", ""),
    ],
)
def test_titles_have_one_spelling(title: str, normal: str) -> None:
    assert normalize_title(title) == normal


@given(st.text(max_size=12) | st.lists(st.sampled_from(["-LRB-", "_", "-COLON-", "a", "é", "-"])).map("".join))
def test_a_normal_title_is_normal(title: str) -> None:
    assert normalize_title(normalize_title(title)) == normalize_title(title)


def kilt_r_precision(titles: list[str], sets: list[frozenset[str]]) -> float:
    """KILT `_computeRprec`, after its removal of duplicates."""
    pages: list[str] = []
    for title in titles:
        if title not in pages:
            pages.append(title)
    return max(sum(page in gold for page in pages[: len(gold)]) / len(gold) for gold in sets)


def kilt_success(titles: list[str], sets: list[frozenset[str]], k: int) -> float:
    """KILT `get_rank` and `_success_rate_at_k`, step by step."""
    left, rank = [set(gold) for gold in sets], []  # type: ignore[var-annotated]
    for page in dict.fromkeys(titles):
        found = False
        for number, evidence in enumerate(left):
            name = f"evidence_set:{number}"
            if page in evidence:
                found = True
                if name in rank:
                    rank.remove(name)
                evidence.remove(page)
                rank.append(name if evidence else True)
        if not found:
            rank.append(False)
    return float(True in rank[:k])


@given(titles=RANK, sets=SETS)
def test_r_precision_is_kilt_s(titles: list[str], sets: list[frozenset[str]]) -> None:
    assert page_r_precision(titles, sets) == kilt_r_precision(titles, sets)


@given(titles=RANK, sets=SETS, k=st.integers(1, 6))
def test_success_is_kilt_s_and_monotone(titles: list[str], sets: list[frozenset[str]], k: int) -> None:
    assert success_at(titles, sets, k) == kilt_success(titles, sets, k)
    assert success_at(titles, sets, k) <= success_at(titles, sets, k + 1)


@given(titles=RANK.filter(bool), gold=st.frozensets(PAGES, min_size=1, max_size=4))
def test_r_precision_of_one_set_is_ir_measures(titles: list[str], gold: frozenset[str]) -> None:
    run: dict[str, dict[str, float]] = defaultdict(dict)
    for place, page in enumerate(distinct_pages(titles)):
        run["q"][page] = 100.0 - place
    expected = ir_measures.calc_aggregate([ir_measures.Rprec], {"q": dict.fromkeys(gold, 1)}, run)
    assert page_r_precision(titles, [gold]) == pytest.approx(expected[ir_measures.Rprec])


def outcome(titles: tuple[str, ...] | None, *gold: str, prediction: str | None = "Rome") -> Outcome:
    return Outcome(Example("e", "q", ("rome",), gold_titles=gold), prediction, titles=titles)


def values(found: Outcome, *names: str) -> list[float]:
    return list(score_outcome(found, [parse_metric(name) for name in names]).values())


def test_duplicate_pages_are_collapsed_in_page_metrics_only() -> None:
    found = outcome(("X", "x", "X", "rome_-LRB-city-RRB-"), "Rome (city)")
    assert values(found, "gold_title@1", "gold_title@3", "gold_title@4") == [0, 0, 1]
    assert values(found, "success@1", "success@2", "page_r_precision") == [0, 1, 0]


def test_a_set_of_several_pages_is_evidence_only_as_a_whole() -> None:
    assert evidence_sets(outcome((), "a|B", "B|A", "c").example) == (frozenset("AB"), frozenset("C"))
    found = outcome(("A", "X", "B"), "A|B")
    assert values(found, "page_r_precision", "success@1", "success@2", "gold_title@1") == [0.5, 0, 1, 1]


@pytest.mark.parametrize(("titles", "expected"), [(("Gold", "X"), [1, 1]), (("X", "Gold"), [0, 0])])
def test_combined_scores_count_where_r_precision_is_one(titles: tuple[str, ...], expected: list[float]) -> None:
    assert values(outcome(titles, "gold"), "kilt_em", "kilt_f1") == expected


def test_an_empty_prediction_has_no_kilt_f1() -> None:
    asked = Example("e", "q", ("the",), gold_titles=("gold",))
    found = [Outcome(asked, prediction, titles=("Gold",)) for prediction in ("", "the")]
    assert [values(one, "kilt_f1", "f1") for one in found] == [[0, 1], [0, 1]], "0 without a shared token"


def test_nothing_is_defined_without_titles_or_gold_titles() -> None:
    names = ["gold_title@1", "success@1", "page_r_precision", "kilt_em", "kilt_f1"]
    assert values(outcome(None, "A"), *names) == values(outcome(("A",)), *names) == []
    assert values(outcome(("A",), "A", prediction=None), *names) == [1, 1, 1]
