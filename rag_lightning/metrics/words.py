"""What the word rule of a metric does not see, counted and stated beside its values.

A rule may leave no word of an answer (ROUGE-L's knows ASCII letters only), or take text without spaces between words
for one word; a question may have no passage at all, which BM25 gives where no word is shared.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from rag_lightning.core.scripts import joins_words
from rag_lightning.metrics.metric import AnyMetric, Note, Outcome, WordRule


def unseen_notes(
    outcomes: Sequence[Outcome], metrics: Iterable[AnyMetric], patterns: bool = False
) -> dict[Note, list[str]]:
    """Notes with the counts -> the metrics that they are about; none where everything is seen.

    Args:
        outcomes: What the metrics see.
        metrics: The metrics.
        patterns: Whether answers are looked for in passages as patterns, so that no word rule applies there.
    """
    listed = list(metrics)
    hint = "" if any(metric.unspaced for metric in listed) else "; corpus.language can add em_char and f1_char"
    answers = Counter(answer for outcome in outcomes for answer in outcome.example.answers)
    bare = sum(outcome.titles == () or outcome.answer_hits == () for outcome in outcomes)
    known: dict[WordRule, list[Note]] = {}
    about: dict[Note, list[str]] = {}
    for metric in listed:
        notes = [Note(f"{bare} of {len(outcomes)} questions have no passage")] if bare and _reads(metric) else []
        if metric.words and not (patterns and "answers" in metric.needs):
            if metric.words not in known:
                known[metric.words] = _of_answers(answers, metric.words, hint)
            notes += known[metric.words]
        for note in notes:
            about.setdefault(note, []).append(metric.name)
    return about


def _reads(metric: AnyMetric) -> bool:
    return "passages" in metric.needs


def _of_answers(answers: Mapping[str, int], rule: WordRule, hint: str) -> list[Note]:
    """The notes on the answers, each counted as often as it occurs."""
    total, none, joined = sum(answers.values()), 0, 0
    for answer, count in answers.items():
        words = rule(answer)
        none += count * (not words)
        joined += count * joins_words(words)
    notes = [Note(f"{none} of {total} answers hold no word by this rule")] if none else []
    if joined:
        text = f"{joined} of {total} answers hold text without spaces between words, one word by this rule"
        notes.append(Note(text + hint))
    return notes
