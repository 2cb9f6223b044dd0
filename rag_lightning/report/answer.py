"""The first screen of a sweep's page: its result in words, and what to see when the pointer is on a row."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from rag_lightning.core.records import Score
from rag_lightning.metrics.metric import Estimate, comparable, parse_metric
from rag_lightning.metrics.statistics import bootstrap_interval, effective_clusters, paired_permutation
from rag_lightning.metrics.summary import align
from rag_lightning.report.collect import Run, Sweep
from rag_lightning.report.paper import Compared
from rag_lightning.report.search import Search

Scores = Mapping[str, Sequence[Score]]
FIELDS = (
    ("formulation",),
    ("decoding", "strategy"),
    ("decoding", "k"),
    ("decoding", "num_beams"),
    ("retriever", "kind"),
    ("retriever", "trained_with"),
    ("index", "kind"),
    ("encoder", "model"),
    ("generator", "init"),
    ("train", "steps"),
    ("train", "lr"),
    ("train", "k"),
    ("corpus", "source"),
)
"""Fields of a configuration that a hint shows."""
NAMES = {
    "em": "EM",
    "em_regex": "EM (regular expressions)",
    "f1": "F1",
    "q_bleu1": "Q-BLEU-1",
    "rouge_l_msmarco": "Rouge-L (MS MARCO)",
}
"""Metric -> its name in a sentence, where that is more than its words."""
MOST = 2
"""Systems that the sentence on differences names."""
LEVEL = 0.05
"""p from which the sentence calls a difference not significant."""


def headline(sweep: Sweep, runs: Sequence[Run], compared: Compared | None) -> tuple[str, list[str]]:
    """(the result in one line, sentences on what to make of it).

    Args:
        sweep: The sweep.
        runs: Its finished runs on test with the objective, best first.
        compared: The verdict of the first.
    """
    metric, where = name_of(sweep.objective), f"{sweep.dataset} test"
    if not runs:
        tried = [run for run in sweep.on("dev", "trial") if sweep.objective in run.estimates]
        if not tried:
            return "No result yet", [f"No run has reached test yet, and no trial has {metric} on dev."]
        best = max(tried, key=lambda run: run.estimates[sweep.objective].mean)
        text = f"No run has reached test yet; best so far on {sweep.dataset} dev: {best.label}, {metric} "
        return text + _value(best.estimates[sweep.objective]), [
            "The best of many trials on dev looks better than it is: wait for test."
        ]
    best = runs[0]
    found = best.estimates[sweep.objective]
    title = f"{best.label} has the highest {metric} on {where}: {found.mean:.{_digits(found)}f}"
    return title, [_interval(found), *_against_the_paper(compared)]


def differences(sweep: Sweep, runs: Sequence[Run], scores: Scores) -> str:
    """A sentence on the best system against those on test that it can be compared with; empty without scores."""
    parts = []
    for other in runs[1 : MOST + 1]:
        if {runs[0].run_id, other.run_id} <= set(scores):
            name = comparable(sweep.objective, (runs[0].degraded, other.degraded))
            if obstacle(scores[runs[0].run_id], scores[other.run_id], name):
                continue
            found, p = difference(scores[runs[0].run_id], scores[other.run_id], name, _seed(runs[0]))
            size = f"{found.mean:+.{_digits(found)}f}"
            parts.append(f"{size} to {other.label} ({p_text(p)}{', not significant' if p >= LEVEL else ''})")
    if not parts:
        return ""
    tail = "" if len(runs) <= MOST + 1 else "; more below"
    return f"Paired differences on the same questions: {'; '.join(parts)}{tail}."


def difference(left: Sequence[Score], right: Sequence[Score], objective: str, seed: int) -> tuple[Estimate, float]:
    """Mean of left - right with its interval, and p of the paired permutation test.

    Raises:
        DataError: the two were scored on different examples.
    """
    arrays, entities = align({"left": left, "right": right}, objective)
    metric = parse_metric(objective)
    mean, p = paired_permutation(arrays["left"], arrays["right"], entities, seed=seed)
    values = (arrays["left"] - arrays["right"]) * metric.scale
    low, high = bootstrap_interval(values, entities, seed=seed)
    return Estimate(mean * metric.scale, low, high, len(values), metric.unit, effective_clusters(entities)), p


def obstacle(left: Sequence[Score], right: Sequence[Score], metric: str) -> str:
    """Why two systems cannot be compared question by question; empty if they can."""
    asked = [{score.example_id for score in side} for side in (left, right)]
    if asked[0] != asked[1]:
        return f"different questions: {len(asked[0] ^ asked[1]):,} are of one only"
    lacking = sum(metric not in score.values for score in (*left, *right))
    return f"{metric} was not scored for {lacking:,} answers" if lacking else ""


def same_questions(sweep: Sweep, runs: Sequence[Run], scores: Scores) -> list[Run]:
    """The runs whose means can stand beside each other: those on the questions that most of them were scored on.

    Of two sets of as many runs the one with more questions counts. A run without stored scores is told by its n.
    """
    asked = {run.run_id: frozenset(score.example_id for score in scores.get(run.run_id, ())) for run in runs}
    by_size = {len(ids): ids for ids in asked.values()}
    groups: dict[frozenset[str] | int, list[Run]] = {}
    for run in runs:
        n = _n(sweep, run)
        groups.setdefault(asked[run.run_id] or by_size.get(n, n), []).append(run)
    return max(groups.values(), key=lambda group: (len(group), _n(sweep, group[0])), default=[])


def on_the_search(sweep: Sweep, search: Search) -> str:
    """A sentence on how the systems were chosen; empty before the selection."""
    trials = len(sweep.on("dev", "trial"))
    ties = sum(candidate.within for candidate in sweep.candidates.values())
    if not sweep.candidates:
        return ""
    text = f"{trials} configurations were tried on dev; {ties} of them are not significantly worse than the best there"
    front = sum(one.on_front for one in search.tried)
    if search.others:
        text += f", {front} are on the Pareto front of {', '.join(map(name_of, search.objectives))}"
    return f"{text}. Of those the cheapest of each formulation was run on test, once."


def hint(run: Run) -> str:
    """Lines on a run: its folder's name, the fields of its configuration that matter most, its command."""
    config, record = run.config, run.record
    parts = [
        f"{'.'.join(path)}={json.dumps(value)}" for path in FIELDS if (value := value_at(config, path)) is not None
    ]
    lines = [run.label, f"run {run.run_id}, seed {record.get('seed', '?')}, {run.status}", "  ".join(parts)]
    lines += [f"command: {record['command']}"] if record.get("command") else []
    lines += [f"scores {digest}"] if (digest := record.get("digests", {}).get("scores")) else []
    return "\n".join(map(str, lines))


def name_of(metric: str) -> str:
    """A metric in words of a sentence: EM for em, seconds per query for seconds_per_query."""
    return NAMES.get(metric, metric.replace("_", " "))


def _n(sweep: Sweep, run: Run) -> int:
    return run.estimates[sweep.objective].n


def _against_the_paper(compared: Compared | None) -> list[str]:
    if compared is None:
        return []
    if compared.verdict in ("reproduced", "different"):
        return [
            f"{compared.verdict.capitalize()}: the paper has {compared.paper_value:.1f}, "
            f"a difference of {compared.difference:+.1f} (tolerance {compared.tolerance:.1f})."
        ]
    value = "" if compared.paper_value is None else f" (its counterpart has {compared.paper_value:.1f})"
    return [f"Not comparable with the paper{value}: {compared.why}."]


def _interval(found: Estimate) -> str:
    where = f"n = {found.n:,}"
    if found.low is None or found.high is None:
        return f"{where}; no interval."
    digits = _digits(found)
    return f"95 % interval {found.low:.{digits}f} to {found.high:.{digits}f}, {where}."


def _value(found: Estimate) -> str:
    return f"{found.mean:.{_digits(found)}f}"


def _digits(found: Estimate) -> int:
    return 1 if found.unit == "%" else 3


def p_text(p: float) -> str:
    """A p value in words of a sentence."""
    return "p < 0.001" if p < 0.001 else f"p = {p:.3f}"


def _seed(run: Run) -> int:
    return int(run.record.get("seed", 0))


def value_at(config: Mapping[str, Any], path: Sequence[str]) -> Any:
    """The value of a field of a stored configuration, None where it has none."""
    value: Any = config
    for name in path:
        value = value.get(name) if isinstance(value, Mapping) else None
    return value
