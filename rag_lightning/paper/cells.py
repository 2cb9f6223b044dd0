"""One cell of the paper's tables: the runs that measure it, its value over seeds, and what it is better than."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np

from rag_lightning.assess.answers import Assessment
from rag_lightning.config.commands import PaperConfig
from rag_lightning.core.records import Score
from rag_lightning.core.shipped import find_shipped
from rag_lightning.matrix.matrix import Cell as MatrixCell
from rag_lightning.matrix.matrix import Matrix, load_matrix
from rag_lightning.metrics.metric import Estimate, Metric, parse_metric
from rag_lightning.metrics.over_seeds import mean_over_seeds
from rag_lightning.metrics.paired import Pair, compare_pairs
from rag_lightning.metrics.statistics import Floats, effective_clusters
from rag_lightning.report.collect import Run, read_scores, read_stored
from rag_lightning.report.paper import (
    Compared,
    Paper,
    Where,
    compare,
    paper_dataset,
    paper_metric,
    paper_split,
    paper_system,
)
from rag_lightning.report.printed import Column
from rag_lightning.report.tables import Tone
from rag_lightning.runs import folders

SYSTEMS = {
    "BART": "closed_book",
    "RAG-Token": "rag_token",
    "RAG-Sequence": "rag_sequence",
    "RAG-Token-BM25": "rag_token_bm25_trained",
    "RAG-Sequence-BM25": "rag_sequence_bm25_trained",
    "RAG-Token-Frozen": "rag_token_frozen",
    "RAG-Sequence-Frozen": "rag_sequence_frozen",
}
"""The paper's name of a system -> its name in the matrix. Rows of other names are other papers' systems."""
HIDDEN = {
    ("triviaqa", "test-wiki"): "TriviaQA's Wikipedia test is hidden",
    ("msmarco", "test"): "the test set of MS MARCO is hidden: compare with Table 6, on dev",
}
"""(data set, split) that nobody can run on -> why."""
ANY_SPLIT = "not stated"
ALPHA = 0.05
TONES: dict[str, Tone] = {"reproduced": "good", "different": "bad", "not comparable": "quiet", "not run": "missing"}
PLACES = ("seed", "name", "split", "folder", "tracking_uri", "system", "train_preset")
"""Fields of a configuration that do not tell two systems apart."""


@dataclass(frozen=True)
class Measured:
    """A cell: a row and a column of a table of the paper, with what there is of ours.

    Args:
        system: The paper's name of the system.
        column: What the column was measured on.
        compared: Verdict, reason, and the paper's number.
        command: The command that makes it; empty if none can.
        estimate: Mean over seeds and questions with its interval; None if there is no run.
        runs: The runs, one per seed.
        spread: Standard deviation of the seeds' means; None for one seed.
        better_than: Names of the baselines it is significantly better than.
    """

    system: str
    column: Column
    compared: Compared
    command: str = ""
    estimate: Estimate | None = None
    runs: tuple[Run, ...] = ()
    spread: float | None = None
    better_than: tuple[str, ...] = ()

    @property
    def seeds(self) -> tuple[int, ...]:
        """Seeds of the runs."""
        return tuple(seed_of(run) for run in self.runs)


@dataclass(frozen=True)
class Results:
    """Everything stored at a scale, and the cells of the matrix there."""

    config: PaperConfig
    paper: Paper
    _scores: dict[str, list[Score] | None] = field(default_factory=dict, compare=False)

    @cached_property
    def runs(self) -> tuple[Run, ...]:
        """The finished and unfinished runs of the scale, of sweeps, matrix and claims.

        Raises:
            DataError: a damaged run folder.
        """
        found = folders.runs(self.config.folder).glob("*/*/run.json")
        return tuple(run for run in map(read_stored, sorted(found)) if scale_of(run) == self.config.scale)

    @cached_property
    def matrix(self) -> Matrix:
        """The matrix.

        Raises:
            DataError: an invalid matrix.
        """
        return load_matrix(find_shipped(self.config.file))

    @cached_property
    def cells(self) -> dict[tuple[str, str], MatrixCell]:
        """(task, system) -> the matrix's cell at the scale."""
        return {(cell.task, cell.system): cell for cell in self.matrix.cells(self.config.scale)}

    def scores(self, run: Run) -> list[Score] | None:
        """The per-example scores of a run, None if they are no longer stored."""
        if run.run_id not in self._scores:
            self._scores[run.run_id] = read_scores(run, folders.artifacts(self.config.folder))
        return self._scores[run.run_id]

    def measure(self, system: str, column: Column) -> Measured:
        """The cell of a system and a column, without the comparisons with baselines."""
        runs = self.find(system, column)
        scale, split = self.config.scale, "test" if column.split == ANY_SPLIT else column.split
        dataset = runs[0].dataset if runs else column.dataset
        if not runs:
            why = self._missing(system, column)
            where = Where(system, dataset, scale, split, column.metric)
            return Measured(system, column, compare(self.paper, where, None, why), self.command(system, column))
        estimate, spread = self.over_seeds(runs, metric_of(runs[0], column.metric))
        where = Where(system, dataset, runs[0].scale, runs[0].split, column.metric)
        compared = compare(self.paper, where, estimate)
        if column.split == ANY_SPLIT and compared.verdict != "not run":
            why = compared.why if compared.why.startswith(("mini", "corpus")) else "the paper does not state the split"
            value = self.paper.find(system, column.dataset, column.split, column.metric)
            compared = Compared("not comparable", why, value.value if value else None)
        return Measured(system, column, compared, self.command(system, column), estimate, tuple(runs), spread)

    def find(self, system: str, column: Column) -> list[Run]:
        """The runs of a system on a column, one per seed, all of one configuration; empty if there is none.

        Cells of the matrix go before systems that a sweep chose; of several configurations the one with the matrix's
        own number of passages, the most seeds, and the latest end is taken.
        """
        fitting = [
            run
            for run in self.runs
            if run.finished
            and run.role != "trial"
            and paper_dataset(run.dataset) == column.dataset
            and column.split in (ANY_SPLIT, paper_split(run.dataset, run.split))
            and paper_system(run.config) == system
            and metric_of(run, column.metric) in run.estimates
        ]
        groups: dict[str, dict[int, Run]] = defaultdict(dict)
        for run in fitting:
            groups[_alike(run)].setdefault(seed_of(run), run)
        cell = self.cells.get((column.dataset, SYSTEMS.get(system, "")))
        k = cell.values.get("decoding", {}).get("k") if cell else None
        order = sorted(groups.items(), key=lambda item: (*_preference(list(item[1].values()), k), item[0]))
        return [run for _, run in sorted(order[-1][1].items())] if order else []

    def command(self, system: str, column: Column) -> str:
        """The command that runs the cell; empty if none can."""
        cell = self.cells.get((column.dataset, SYSTEMS.get(system, "")))
        if cell is None or cell.skip or (column.dataset, column.split) in HIDDEN:
            return ""
        split = "dev" if column.split == "dev" else "test"
        files = " --corpus PASSAGES --train QUESTIONS" if self.matrix.scales[cell.scale].own_files else ""
        return f"rag-lightning matrix --scale {cell.scale} --only '[\"{cell.name}\"]' --split {split}{files}"

    def _missing(self, system: str, column: Column) -> str:
        if system not in SYSTEMS:
            return "another paper's system"
        if (column.dataset, column.split) in HIDDEN:
            return HIDDEN[column.dataset, column.split]
        cell = self.cells.get((column.dataset, SYSTEMS[system]))
        if cell is None:
            return f"the matrix has no {column.dataset} with this system at scale {self.config.scale}"
        if cell.skip:
            return f"cannot run: {cell.skip}"
        failed = [run for run in self.runs if not run.finished and run.config.get("name") == cell.name]
        return f"its run is marked {failed[-1].status}" if failed else "no finished run"

    def over_seeds(self, runs: Sequence[Run], metric: str) -> tuple[Estimate, float | None]:
        """(mean over seeds with its interval, spread of the seeds' means; None of one seed)."""
        estimates = [run.estimates[metric] for run in runs]
        means = [found.mean for found in estimates]
        if len(runs) == 1:
            return estimates[0], None
        spread = float(np.std(means, ddof=1))
        values = self.values(runs, metric)
        if values is None:
            return replace(estimates[0], mean=float(np.mean(means)), low=None, high=None), spread
        rows, entities = values
        scale = parse_metric(metric).scale
        over = mean_over_seeds(rows * scale, entities, seed=0)
        found = Estimate(over.mean, over.low, over.high, rows.shape[1], estimates[0].unit, effective_clusters(entities))
        return found, spread

    def values(self, runs: Sequence[Run], metric: str) -> tuple[Floats, list[str]] | None:
        """([S, n] values of a metric by seed, entities); None without stored scores of all, or of the same questions.

        A metric of all questions together has no values.
        """
        scores = [self.scores(run) for run in runs]
        if not isinstance(parse_metric(metric), Metric) or not runs:
            return None
        by_id = [
            {one.example_id: one for one in found if metric in one.values} for found in scores if found is not None
        ]
        if len(by_id) < len(runs) or any(set(found) != set(by_id[0]) for found in by_id) or not by_id[0]:
            return None
        ids = sorted(by_id[0])
        rows = np.array([[found[one].values[metric] for one in ids] for found in by_id], dtype=np.float64)
        return rows, [by_id[0][one].entity for one in ids]


def compare_with_baselines(results: Results, cells: Sequence[Measured], baselines: Sequence[str]) -> list[Measured]:
    """The cells of one table, with the baselines that each is significantly better than.

    All comparisons of the table that can be made form one family (Holm); seeds that both have are compared.
    """
    pairs: list[tuple[int, Pair]] = []
    for place, cell in enumerate(cells):
        for other in cells:
            if other.system in baselines and other.system != cell.system and other.column == cell.column:
                pair = _pair(results, cell, other)
                pairs += [(place, pair)] if pair else []
    verdicts = compare_pairs([pair for _, pair in pairs], alpha=ALPHA) if pairs else []
    better: dict[int, list[str]] = defaultdict(list)
    for (place, pair), verdict in zip(pairs, verdicts, strict=True):
        if verdict.significant and verdict.difference > 0:
            better[place].append(pair.baseline)
    return [replace(cell, better_than=tuple(better[place])) for place, cell in enumerate(cells)]


def _pair(results: Results, cell: Measured, other: Measured) -> Pair | None:
    shared = sorted(set(cell.seeds) & set(other.seeds))
    left = [run for run in cell.runs if seed_of(run) in shared]
    right = [run for run in other.runs if seed_of(run) in shared]
    if not shared or left[0].split != right[0].split:
        return None
    metric = metric_of(left[0], cell.column.metric)
    ids = [{one.example_id for one in results.scores(run) or ()} for run in (*left, *right)]
    found, base = results.values(left, metric), results.values(right, metric)
    if found is None or base is None or any(one != ids[0] for one in ids):
        return None
    return Pair(cell.system, other.system, found[0], base[0], found[1])


def scale_of(run: Run | Assessment) -> str:
    """The scale of the matrix that a run belongs to, or the runs of an assessment."""
    return "nq-subset" if run.dataset.endswith("-subset") else run.scale


def seed_of(run: Run) -> int:
    """The seed of a run."""
    return int(run.record.get("seed", 0))


def metric_of(run: Run, metric: str) -> str:
    """Our name of a metric of the paper in a run: em_regex for the EM of regular expressions."""
    return next((name for name in run.estimates if paper_metric(name) == metric), metric)


def _preference(runs: Sequence[Run], k: Any) -> tuple[bool, bool, int, str]:
    """Larger is better."""
    of_cell = any(run.role == "cell" for run in runs)
    ended = max(str(run.record.get("ended") or "") for run in runs)
    return of_cell, k in (None, runs[0].k), len(runs), ended


def _alike(run: Run) -> str:
    """What runs of different seeds share."""
    config: Mapping[str, Any] = {name: value for name, value in run.config.items() if name not in PLACES}
    return json.dumps([run.role == "cell", run.dataset, run.split, config], sort_keys=True)


def declared(systems: Iterable[str], baselines: Sequence[str]) -> dict[str, str]:
    """Baseline -> its letter, in the order of the rows."""
    return {name: chr(ord("a") + place) for place, name in enumerate(s for s in systems if s in baselines)}
