"""Retrieval of gold articles: FEVER's gold articles, and KILT's page-level measures.

An article is identified by its title. `Example.gold_titles` holds alternative evidence sets: each entry is one title,
or several joined by `|` (no Wikipedia title holds one) where only all of them together are evidence, as in HotpotQA.

Sources: Lewis et al. 2020, section 4.4 (top-1 and top-10 passage from a gold article); KILT `eval_retrieval.py`
(Petroni et al. 2021) for R-precision, success rate and the combined scores.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Sequence
from functools import lru_cache

from rag_lightning.core.records import Example
from rag_lightning.metrics.em import EM_KILT, F1_KILT
from rag_lightning.metrics.labels import LABEL_ACCURACY
from rag_lightning.metrics.metric import EVERY_TASK, Family, Metric, Need, Outcome

TOGETHER = "|"
"""Separator of the titles of one evidence set."""
_ESCAPES = {"-LRB-": "(", "-RRB-": ")", "-LSB-": "[", "-RSB-": "]", "-LCB-": "{", "-RCB-": "}", "-COLON-": ":"}
_WHOLE, _OTHER = -1, -2
OF_PAGES: tuple[Need, ...] = ("passages", "gold")
EvidenceSets = Sequence[frozenset[str]]


@lru_cache(maxsize=200_000)
def normalize_title(title: str) -> str:
    """One spelling of an article's title: NFC, FEVER's escapes and underscores undone, first letter in upper case.

    >>> normalize_title("harry_Potter_-LRB-film_series-RRB-")
    'Harry Potter (film series)'
    """
    text = unicodedata.normalize("NFC", title)
    for escape, sign in _ESCAPES.items():
        text = text.replace(escape, sign)
    text = " ".join(text.replace("_", " ").split())
    return unicodedata.normalize("NFC", text[:1].upper() + text[1:])


def evidence_sets(example: Example) -> tuple[frozenset[str], ...]:
    """The alternatives of normalised titles, without repetitions, in their order."""
    return _evidence_sets(example.gold_titles)


@lru_cache(maxsize=256)  # the metrics of one example ask for the same
def _evidence_sets(gold_titles: tuple[str, ...]) -> tuple[frozenset[str], ...]:
    return tuple(dict.fromkeys(frozenset(map(normalize_title, entry.split(TOGETHER))) for entry in gold_titles))


def distinct_pages(titles: Sequence[str]) -> tuple[str, ...]:
    """Normalised titles, each kept where it comes first."""
    return _distinct_pages(tuple(titles))


@lru_cache(maxsize=256)
def _distinct_pages(titles: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(map(normalize_title, titles)))


def page_r_precision(titles: Sequence[str], sets: EvidenceSets) -> float:
    """Share of the R pages of an evidence set among the first R distinct pages; the best of the sets (KILT)."""
    pages = distinct_pages(titles)
    return max(len(gold.intersection(pages[: len(gold)])) / len(gold) for gold in sets)


def success_at(titles: Sequence[str], sets: EvidenceSets, k: int) -> float:
    """1 if a whole evidence set is found within the first k places of KILT's rank, else 0.

    A place is a distinct page; the pages of one set share the place of the last of them.
    """
    return float(_WHOLE in _rank(distinct_pages(titles), tuple(sets))[:k])


@lru_cache(maxsize=256)
def _rank(pages: tuple[str, ...], sets: tuple[frozenset[str], ...]) -> tuple[int, ...]:
    """KILT's rank: _WHOLE, _OTHER, or the number of a set that is found in part."""
    left = [set(gold) for gold in sets]
    rank: list[int] = []
    for page in pages:
        holders = [number for number, wanted in enumerate(left) if page in wanted]
        for number in holders:
            left[number].discard(page)
            rank = [place for place in rank if place != number]
            rank.append(number if left[number] else _WHOLE)
        if not holders:
            rank.append(_OTHER)
    return tuple(rank)


def gold_title_at(titles: Sequence[str], sets: EvidenceSets, k: int) -> float:
    """1 if one of the top k passages is from any gold article, else 0."""
    gold = frozenset().union(*sets)
    return float(any(normalize_title(title) in gold for title in titles[:k]))


def where_page_found(metric: Metric, name: str, beside: str) -> Metric:
    """KILT's combined score: the metric's value where page R-precision is 1, else 0; scored beside a task's metric."""

    def score(outcome: Outcome) -> float | None:
        value, found = metric.score(outcome), PAGE_R_PRECISION.score(outcome)
        return None if value is None or found is None else value * (found == 1.0)

    needs: tuple[Need, ...] = ("prediction", *OF_PAGES)
    return Metric(name, metric.unit, metric.direction, score, needs=needs, beside=(beside,), words=metric.words)


def _paged(measure: Callable[..., float]) -> Callable[..., float | None]:
    """A measure of (titles, evidence sets, …) as a score of (outcome, …)."""

    def score(outcome: Outcome, *cutoff: int) -> float | None:
        if outcome.titles is None or not outcome.example.gold_titles:
            return None
        return measure(outcome.titles, evidence_sets(outcome.example), *cutoff)

    return score


GOLD_TITLE = Family("gold_title", "%", "higher", _paged(gold_title_at), needs=OF_PAGES, beside=(EVERY_TASK,))
"""Share of the queries that have gold articles with one of the top k passages from any of them."""
PAGE_R_PRECISION = Metric(
    "page_r_precision", "%", "higher", _paged(page_r_precision), needs=OF_PAGES, beside=(EVERY_TASK,)
)
SUCCESS = Family("success", "%", "higher", _paged(success_at), needs=OF_PAGES, beside=(EVERY_TASK,))
"""KILT's success rate at k."""
KILT_EM = where_page_found(EM_KILT, "kilt_em", "em")
KILT_F1 = where_page_found(F1_KILT, "kilt_f1", "em")
KILT_ACCURACY = where_page_found(LABEL_ACCURACY, "kilt_accuracy", "label_accuracy")
