"""10,000 predictions by all of a task's metrics: score_all and summarise against the rules written down plainly."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Sequence
from statistics import median
from typing import Any

import psutil
import pytest

from rag_lightning.core.records import Example
from rag_lightning.metrics import bleu, qbleu, rouge, tokens
from rag_lightning.metrics.metric import Outcome, parse_metric
from rag_lightning.metrics.outcomes import Outcomes, score_all
from rag_lightning.metrics.qbleu import SQUAD
from rag_lightning.metrics.summary import notes_of, summarise

EXAMPLES, PAIRS, SAMPLE = 10_000, 5, 60
LIMIT, GIBIBYTE = 10.0, 1 << 30
"""Seconds of one core, and memory, the whole may take once spaCy is loaded."""
GOLD = [f"{family}@{k}" for family in ("gold_recall", "gold_title", "success") for k in (1, 2, 5, 10)]
TASKS = {
    "msmarco": ["rouge_l_msmarco", "bleu1_msmarco", "rouge_l", "bleu1", "distinct_trigrams", *GOLD],
    "jeopardy": ["q_bleu1", "q_bleu1_2018", "bleu1", "bleu1_sentence", "rouge_l", "distinct_trigrams", *GOLD],
}
CACHES = (tokens.english, tokens.treebank, rouge._words, bleu._counts, qbleu.split_parts, qbleu._compare)


def lcs(left: Sequence[str], right: Sequence[str]) -> int:
    row = [0] * (len(right) + 1)
    for a in left:
        above = row[:]
        for j, b in enumerate(right):
            row[j + 1] = above[j] + 1 if a == b else max(above[j + 1], row[j])
    return row[-1]


def plain_rouge(said: str, references: Sequence[str]) -> float:
    """Everything cut anew, the LCS by its table."""
    cut = tokens.english.__wrapped__
    pairs = [(lcs(cut(r).split(" "), cut(said).split(" ")), len(cut(r).split(" "))) for r in references]
    precision, recall = max(s for s, _ in pairs) / len(cut(said).split(" ")), max(s / n for s, n in pairs)
    return 2.44 * precision * recall / (recall + 1.44 * precision) if precision else 0.0


def plain_q_bleu(said: str, references: Sequence[str], both_empty: float) -> float:
    """Every part cut and counted anew for every reference, behaviour and direction."""

    def bleu1(left: Sequence[str], right: Sequence[str]) -> float:
        matched = (Counter(left) & Counter(right)).total()
        return float(bleu.coco_bleu1(bleu.np.array([matched, len(left), len(right)], dtype=float)))

    def agree(left: Sequence[str], right: Sequence[str]) -> float:
        if not left and not right:
            return both_empty
        p, r = bleu1(left, right), bleu1(right, left)
        return 2 * p * r / (p + r) if p + r else 0.0

    values = []
    for reference in references:
        a, b = qbleu.split_parts.__wrapped__(said), qbleu.split_parts.__wrapped__(reference)
        shares = [agree(getattr(a, kind), getattr(b, kind)) for kind in ("names", "content", "question", "stop")]
        mixed = sum(w * s for w, s in zip((SQUAD.names, SQUAD.content, SQUAD.question, 0.03), shares, strict=True))
        values.append(SQUAD.delta * mixed + (1 - SQUAD.delta) * bleu1(a.all, b.all))
    return max(values)


@pytest.fixture(scope="module")
def outcomes() -> list[Outcome]:
    """Two references of 8 to 24 words, word frequencies as 1 / rank; predictions are parts of one, or it shuffled."""
    draw = random.Random(0)
    vocabulary = ["".join(draw.choices("etaoinshrdlucmfwyp", k=draw.randint(2, 9))) for _ in range(30_000)]
    weights = [1 / rank for rank in range(1, len(vocabulary) + 1)]
    words = draw.choices(vocabulary, weights, k=500_000)

    def sentence() -> list[str]:
        start, length = draw.randrange(len(words) - 24), draw.randint(8, 24)
        return [word.capitalize() if draw.random() < 0.2 else word for word in words[start : start + length]]

    made = []
    for number in range(EXAMPLES):
        one, two = sentence(), sentence()
        said = draw.sample(one, len(one)) if number % 3 == 0 else one[: draw.randint(4, 20)]
        example = Example(
            str(number), "q", (" ".join(one), " ".join(two)), ("p",), f"e{number // 3}", gold_titles=("G",)
        )
        hits = tuple(draw.random() < 0.1 for _ in range(10))
        made.append(Outcome(example, " ".join(said), None, hits, tuple(draw.choices("GABCDEF", k=10))))
    return made


def forget() -> None:
    for cache in CACHES:
        cache.cache_clear()


@pytest.mark.benchmark
@pytest.mark.parametrize("task", sorted(TASKS))
def test_scoring_against_the_plain_rules(
    task: str, outcomes: list[Outcome], benchmark: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    """Median ratio of interleaved pairs on some examples; the values agree; the whole is within its limits."""
    tokens.english("load the tokeniser")
    metrics = [parse_metric(name) for name in TASKS[task]]
    measured = metrics[:1] if task == "msmarco" else metrics[:2]
    ratios = []
    for pair in range(PAIRS):
        chosen = outcomes[pair * SAMPLE : (pair + 1) * SAMPLE]
        forget()
        started = time.perf_counter()
        if task == "msmarco":
            expected = [[plain_rouge(o.prediction or "", o.example.answers)] for o in chosen]
        else:
            expected = [[plain_q_bleu(o.prediction or "", o.example.answers, e) for e in (1.0, 0.0)] for o in chosen]
        middle = time.perf_counter()
        found = [list(score.values.values()) for score in score_all(Outcomes(chosen), measured)]
        ratios.append((middle - started) / (time.perf_counter() - middle))
        assert found == [pytest.approx(values, abs=1e-9) for values in expected]
    forget()
    before = psutil.Process().memory_info().rss

    def whole() -> int:
        summary = summarise(score_all(Outcomes(outcomes), metrics), seed=0)
        return len(summary["metrics"]) + len(notes_of(outcomes, metrics))

    started = time.process_time()
    benchmark.pedantic(whole, rounds=1)
    seconds = time.process_time() - started
    taken = psutil.Process().memory_info().rss - before
    benchmark.extra_info["times_faster_than_plain"] = round(median(ratios), 1)
    with capsys.disabled():
        print(f"\n{task}: {EXAMPLES} predictions, {len(metrics)} metrics: {seconds:.1f} s, {taken >> 20} MiB", end="; ")
        print(f"{measured[0]} {median(ratios):.1f} times faster")
    assert seconds < LIMIT and taken < GIBIBYTE
