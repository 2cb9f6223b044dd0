"""answer_recall@100 of 3,610 questions: AnswerMatcher against the rule written down straightforwardly."""

from __future__ import annotations

import random
import time
import unicodedata
from collections.abc import Sequence
from statistics import median
from typing import Any

import pytest
import regex

from rag_lightning.metrics.answers import AnswerMatcher

QUESTIONS, K, PASSAGES, WORDS, PAIRS, SAMPLE = 3610, 100, 200_000, 100, 5, 40
LIMIT = 20.0
"""Seconds the whole may take on one core."""
PATTERN = regex.compile(r"([\p{L}\p{N}\p{M}]+)|([^\p{Z}\p{C}])", regex.I | regex.U | regex.M)


def tokens(text: str) -> list[str]:
    return [found.group().lower() for found in PATTERN.finditer(unicodedata.normalize("NFD", text))]


def straightforward(answers: Sequence[str], texts: Sequence[str]) -> tuple[bool, ...]:
    """Every passage is tokenised for every question, sub-lists are compared (DPR `qa_validation.py`)."""
    hits = []
    for text in texts:
        words, wanted = tokens(text), [tokens(answer) for answer in answers]
        hits.append(any(words[i : i + len(w)] == w for w in wanted for i in range(len(words) - len(w) + 1)))
    return tuple(hits)


@pytest.fixture(scope="module")
def texts() -> list[str]:
    """Passages of 100 words, word frequencies as 1 / rank; one in five is not ASCII, as in Wikipedia."""
    draw = random.Random(0)
    vocabulary = ["".join(draw.choices("etaoinshrdlucmfwyp", k=draw.randint(2, 9))) for _ in range(30_000)]
    weights = [1 / rank for rank in range(1, len(vocabulary) + 1)]
    words = draw.choices(vocabulary, weights, k=2_000_000)
    made = []
    for row in range(PASSAGES):
        start = draw.randrange(len(words) - WORDS)
        made.append(" ".join(words[start : start + WORDS]) + (" São Tomé." if row % 5 == 0 else "."))
    return made


@pytest.mark.benchmark
def test_matching_against_the_straightforward_rule(
    texts: list[str], benchmark: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    """Median ratio of interleaved pairs on some questions; the hits agree; all questions within the limit."""
    draw = random.Random(1)
    rows = [draw.sample(range(PASSAGES), K) for _ in range(QUESTIONS)]
    answers = [[" ".join(draw.choice(texts).split()[i : i + 2]) for i in range(2)] for _ in range(QUESTIONS)]
    ratios = []
    for pair in range(PAIRS):
        chosen = range(pair * SAMPLE, (pair + 1) * SAMPLE)
        started = time.perf_counter()
        expected = [straightforward(answers[q], [texts[row] for row in rows[q]]) for q in chosen]
        middle = time.perf_counter()
        matcher = AnswerMatcher(texts.__getitem__)
        found = [matcher.hits(answers[q], rows[q]) for q in chosen]
        ratios.append((middle - started) / (time.perf_counter() - middle))
        assert found == expected

    def whole() -> float:
        fresh = AnswerMatcher(texts.__getitem__)
        return sum(any(fresh.hits(a, r)) for a, r in zip(answers, rows, strict=True)) / QUESTIONS

    started = time.process_time()
    benchmark.pedantic(whole, rounds=1)
    seconds = time.process_time() - started
    benchmark.extra_info["times_faster_than_straightforward"] = round(median(ratios), 1)
    with capsys.disabled():
        print(f"\nanswer_recall@{K}, {QUESTIONS} questions: {seconds:.1f} s, {median(ratios):.0f} times faster")
    assert seconds < LIMIT
