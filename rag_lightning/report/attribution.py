"""Why answers are wrong: each wrong answer of a system is one of four misses, and what repairing retrieval could gain.

A prediction that a more lenient exact match accepts is an answer-variant miss, whatever was read. Of the others, those
with an answer passage (or evidence, where answers stand in no passage) among the first k are reader misses; without one
it is a miss of the index if exact search had one, else of the retriever.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from rag_lightning.config.registries import RETRIEVERS
from rag_lightning.core.records import Score
from rag_lightning.metrics.em import EXACT_MATCHES
from rag_lightning.metrics.metric import Estimate, comparable
from rag_lightning.metrics.statistics import bootstrap_interval, effective_clusters
from rag_lightning.report.answer import Scores, difference, obstacle
from rag_lightning.report.collect import Run, Sweep, found_family, read_records, read_scores, read_stored
from rag_lightning.runs.folders import EXPERIMENTS

EXACT = "flat"
"""The kind of index that searches exactly."""
INDEX, RETRIEVER, EITHER = "index miss", "retriever miss", "index or retriever miss"
READER, VARIANT = "reader miss", "answer-variant miss"
CLASSES = (INDEX, RETRIEVER, EITHER, READER, VARIANT)
"""Classes of wrong answers; EITHER only where the ranking of exact search is not stored."""


@dataclass(frozen=True)
class Attribution:
    """The wrong answers of one system.

    Attributes:
        run: The system.
        n: Questions.
        entities: Entity of each question.
        classes: Class of each question in the same order, "" for a right answer.
        lenient: Exact match -> answer-variant misses that it counts as right.
        unjudged: Reader misses on examples that name no evidence.
        oracle: The measured difference to the same system with a gold passage first, None where there is none.
    """

    run: Run
    n: int
    entities: Sequence[str]
    classes: Sequence[str]
    lenient: Mapping[str, int]
    unjudged: int
    oracle: Estimate | None

    @property
    def counts(self) -> Mapping[str, int]:
        """Class -> number of wrong answers."""
        return Counter(filter(None, self.classes))

    @property
    def wrong(self) -> int:
        """Wrong answers."""
        return sum(self.counts.values())

    def share(self, *names: str) -> Estimate:
        """The share of all questions that are of these classes, in %, with its interval."""
        values = np.array([100.0 * (name in names) for name in self.classes])
        low, high = bootstrap_interval(values, self.entities, seed=int(self.run.record.get("seed", 0)))
        return Estimate(float(values.mean()), low, high, self.n, "%", effective_clusters(self.entities))


def attributions(
    sweep: Sweep, runs: Sequence[Run], scores: Scores, folders: tuple[Path, Path]
) -> tuple[list[Attribution], dict[str, list[str]]]:
    """The wrong answers of each system that reads passages; why others have none -> their labels.

    Args:
        sweep: The sweep.
        runs: Its runs on test, best first.
        scores: Run id -> per-example scores.
        folders: The sweep's folder in runs/, and the root of the artifacts.

    Raises:
        ArtifactError, DataError: stored scores are damaged.
    """
    oracles = _oracles(sweep, folders[0])
    found: list[Attribution] = []
    left_out: dict[str, list[str]] = {}
    for run in runs:
        if reason := _unfit(run, sweep.objective, scores):
            left_out.setdefault(reason, []).append(run.label)
            continue
        exact = _exact_hits(run, runs, scores, folders[1])
        oracle = _oracle(run, oracles, scores, folders[1], sweep.objective)
        found.append(_attribute(run, sweep.objective, scores[run.run_id], exact, oracle))
    return found, left_out


def _evidence(run: Run) -> str:
    return f"{found_family([run.estimates])}@{run.k}"


def _unfit(run: Run, objective: str, scores: Scores) -> str:
    """Why the wrong answers of a run cannot be attributed; empty if they can."""
    if run.k == 0 or run.retriever == "none":
        return "reads no passages"
    listed = scores.get(run.run_id)
    if listed is None:
        return "per-example scores are no longer stored"
    if any(score.values.get(objective) not in (0.0, 1.0) for score in listed):
        return f"{objective} does not say of each answer whether it is right"
    if not any(_evidence(run) in score.values for score in listed):
        return f"no {_evidence(run)} was scored"
    return ""


def _attribute(
    run: Run, objective: str, scores: Sequence[Score], exact: Mapping[str, float] | None, oracle: Estimate | None
) -> Attribution:
    evidence, lenient, classes, unjudged = _evidence(run), Counter[str](), [], 0
    for score in scores:
        values = score.values
        accepted = [name for name in EXACT_MATCHES if name != objective and values.get(name) == 1.0]
        if values[objective] == 1.0:
            classes.append("")
        elif accepted:
            lenient.update(accepted)
            classes.append(VARIANT)
        elif values.get(evidence, 1.0) == 1.0:
            unjudged += evidence not in values
            classes.append(READER)
        elif exact is None:
            classes.append(EITHER)
        else:
            classes.append(INDEX if exact.get(score.example_id) == 1.0 else RETRIEVER)
    return Attribution(run, len(scores), [score.entity for score in scores], classes, lenient, unjudged, oracle)


def _exact_hits(run: Run, runs: Sequence[Run], scores: Scores, artifacts: Path) -> Mapping[str, float] | None:
    """Example id -> whether exact search with its query encoder had evidence at its k; None: unknown."""
    kind, evidence = str(run.config["retriever"]["kind"]), _evidence(run)
    approximate = kind not in RETRIEVERS or "index" in RETRIEVERS.get(kind).searches
    if not approximate or run.config["index"]["kind"] == EXACT:
        return {}  # what it did not find, exact search has not found either
    stored = read_records(artifacts, "scores", run.exact, Score)
    alike = [other for other in runs if other.retriever == EXACT and _model(other) == _model(run)]
    twins = [stored] if stored else [scores[other.run_id] for other in alike if other.run_id in scores]
    for listed in twins:
        hits = {score.example_id: score.values[evidence] for score in listed if evidence in score.values}
        if all(score.example_id in hits for score in scores[run.run_id] if evidence in score.values):
            return hits
    return None


def _model(run: Run) -> str:
    """What decides model and query encoder: all of the configuration but index and decoding."""
    return json.dumps({name: value for name, value in run.config.items() if name not in ("index", "decoding")})


def _oracles(sweep: Sweep, sweep_dir: Path) -> list[Run]:
    """Finished runs on the same test with a gold passage first, of the sweep and of the matrix."""
    folder = sweep_dir.parent / EXPERIMENTS
    beside = [] if folder == sweep_dir else map(read_stored, sorted(folder.glob("test-*oracle*/run.json")))
    found = [*sweep.on("test", "baseline", "final", "cell"), *beside]
    where = "oracle", "test", sweep.dataset, sweep.scale
    return [run for run in found if run.finished and (run.retriever, run.split, run.dataset, run.scale) == where]


def _oracle(run: Run, oracles: Sequence[Run], scores: Scores, artifacts: Path, objective: str) -> Estimate | None:
    """The difference of the same formulation, strategy and k with the oracle to a run; the run's own model first."""

    def model(one: Run) -> object:
        return one.record.get("digests", {}).get("model")

    alike = [one for one in oracles if one is not run]
    alike = [one for one in alike if (one.formulation, one.strategy, one.k) == (run.formulation, run.strategy, run.k)]
    for one in sorted(alike, key=lambda one: model(one) != model(run)):
        theirs = scores.get(one.run_id) or read_scores(one, artifacts)
        metric = comparable(objective, (one.degraded, run.degraded))
        if theirs and not obstacle(theirs, scores[run.run_id], metric):
            return difference(theirs, scores[run.run_id], metric, int(run.record.get("seed", 0)))[0]
    return None
