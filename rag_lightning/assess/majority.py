"""What the annotators of an assessment say together: the share of each judgement, and how far they agree."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import krippendorff
import numpy as np

from rag_lightning.assess.answers import Assessment
from rag_lightning.metrics.metric import Estimate
from rag_lightning.metrics.statistics import bootstrap_interval, effective_clusters

OPTIONS = ("A", "B", "both", "neither")
NO_MAJORITY = "no majority"
JUDGEMENTS = (*OPTIONS, NO_MAJORITY)


@dataclass(frozen=True, slots=True)
class Judged:
    """The answers to one question.

    Args:
        shares: Judgement -> share of the judged pairs, %, with its interval; empty if none was judged.
        n: Judged pairs.
        alone: Judged pairs that only one annotator answered.
        alpha: Krippendorff's alpha over the pairs, nominal; None where it is not defined.
    """

    shares: Mapping[str, Estimate]
    n: int
    alone: int
    alpha: float | None


def judge(assessment: Assessment, question: str) -> Judged:
    """The majority of every pair: the option that more than half of its counted annotators chose."""
    pairs = assessment.pairs
    answers = [one.answers[question] for one in assessment.counted]
    votes = {place: [given[place] for given in answers if place in given] for place in pairs}
    judged = {place: found for place, found in votes.items() if found}
    majorities = [_majority(found) for found in judged.values()]
    entities = [pairs[place].entity for place in judged]
    table = [[given.get(place, "") for place in judged] for given in answers]
    alone = sum(len(found) == 1 for found in judged.values())
    return Judged(share_of_each(majorities, JUDGEMENTS, entities), len(judged), alone, agreement(table))


def share_of_each(found: Sequence[str], options: Sequence[str], entities: Sequence[str]) -> dict[str, Estimate]:
    """Option -> its share in %, with a bootstrap interval that resamples entities; empty for nothing found."""
    if not found:
        return {}
    shares = {}
    for option in options:
        values = np.array([100.0 * (one == option) for one in found])
        low, high = bootstrap_interval(values, entities, seed=0)
        mean = float(values.mean())
        shares[option] = Estimate(mean, low, high, len(found), "%", effective_clusters(entities))
    return shares


def agreement(table: Sequence[Sequence[str]]) -> float | None:
    """Krippendorff's alpha of nominal answers.

    Args:
        table: Per annotator an answer per pair, "" for none.

    Returns:
        None where no pair has two answers, or where all answers are the same, so that there is nothing to agree about.
    """
    codes = np.array([[OPTIONS.index(one) if one else np.nan for one in row] for row in table], dtype=np.float64)
    if len(table) < 2:
        return None
    pairable = codes[:, (~np.isnan(codes)).sum(axis=0) > 1]
    if len(np.unique(pairable[~np.isnan(pairable)])) < 2:
        return None
    return float(krippendorff.alpha(reliability_data=codes, level_of_measurement="nominal"))


def _majority(votes: Sequence[str]) -> str:
    option, count = Counter(votes).most_common(1)[0]
    return option if 2 * count > len(votes) else NO_MAJORITY
