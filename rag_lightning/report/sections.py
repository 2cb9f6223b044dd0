"""The tables of a sweep's report. Titles name the data set, and whether numbers are the paper's."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from rag_lightning.core.records import Score
from rag_lightning.metrics.best import CORRECTION
from rag_lightning.metrics.em import EXACT_MATCHES
from rag_lightning.metrics.metric import Estimate, comparable, parse_metric
from rag_lightning.report.answer import difference, hint, obstacle
from rag_lightning.report.collect import Run, Sweep, found_family
from rag_lightning.report.paper import Compared, Paper, Where, compare, is_held_out, paper_dataset, paper_system
from rag_lightning.report.tables import NOTHING, Cell, Column, Row, Table, estimated, number

SPLIT = "test"
QA_OBJECTIVES = ("em", "em_regex", "f1")
SHOWN_CUTOFFS = (1, 5)
"""Cut-offs of retrieval metrics to show, in addition to the largest."""


def main_table(sweep: Sweep, paper: Paper, apart: Sequence[Run] = ()) -> Table:
    """Final systems and baselines on test, each beside the paper's number; those on other questions are marked."""
    runs = ranked(sweep, [run for run in sweep.runs if run.split == SPLIT and run.role != "trial"])
    metrics = _others(sweep, runs)
    family = found_family(run.estimates for run in runs)
    data = paper_dataset(sweep.dataset)
    columns = [Column("system", numeric=False), Column("role", numeric=False)]
    columns += [Column(sweep.objective, bar=True), Column(f"paper, {data} {SPLIT} {sweep.objective}")]
    columns += [Column("difference"), Column("verdict", numeric=False), *map(Column, metrics)]
    columns += [Column(f"{family.replace('_', ' ')}@k", bar=True), Column("n"), Column("s/query")]
    rows = []
    for run in runs:
        compared = compare_run(sweep, paper, run)
        ours = run.estimates.get(sweep.objective)
        mark = "scored on other questions" if run in apart else ""
        cells = [Cell(run.label, below=mark), Cell(run.role), *_estimates(run, (sweep.objective,))]
        cells += [number(compared.paper_value), number(compared.difference), Cell(str(compared))]
        cells += [*_estimates(run, (*metrics, f"{family}@{run.k}")), _count(ours)]
        rows.append(Row((*cells, number(run.seconds_per_query, 3)), run.role == "final", hint(run)))
    notes = ["Mean with its 95 % bootstrap interval; entities are resampled as clusters."]
    notes += _run_notes([run for run in runs if run.finished])
    notes += [] if rows else ["No run has reached test yet."]
    notes += _settings(paper, sweep, runs)
    return Table(f"Systems on {sweep.dataset} {SPLIT}", tuple(columns), tuple(rows), tuple(notes))


def definitions_table(sweep: Sweep) -> Table:
    """Exact match on test by each of its definitions."""
    runs = ranked(sweep, [run for run in sweep.runs if run.split == SPLIT and run.role != "trial"])
    names = [name for name in EXACT_MATCHES if any(name in run.estimates for run in runs)]
    rows = tuple(Row((Cell(run.label), *_estimates(run, names)), hint=hint(run)) for run in runs)
    rows = rows if len(names) > 1 else ()
    notes = tuple(f"{name}: {about}." for name in names if (about := parse_metric(name).about))
    columns = (Column("system", numeric=False), *map(Column, names))
    return Table(f"Exact match on {sweep.dataset} {SPLIT}, by definition", columns, rows, notes)


def compare_run(sweep: Sweep, paper: Paper, run: Run) -> Compared:
    """The verdict of one run on the sweep's objective."""
    name = paper_system(run.config)
    held_out = is_held_out(run.config, run.split)
    where = Where(name, run.dataset, run.scale, run.split, sweep.objective, held_out)
    why_not = f"the run is marked {run.status}" if not run.finished else f"the run has no {sweep.objective}"
    return compare(paper, where, run.estimates.get(sweep.objective), why_not)


def paper_table(sweep: Sweep, paper: Paper) -> Table:
    """The paper's table for the data set on test, with our verdict for each row."""
    printed = paper.tables[paper.table_of(paper_dataset(sweep.dataset))]
    verdicts: dict[str, str] = {}
    for run in ranked(sweep, sweep.on(SPLIT, "final", "baseline")):
        name = paper_system(run.config)
        verdicts.setdefault(name, f"{compare_run(sweep, paper, run)}: {run.label}")
    columns = [Column("paper's system", numeric=False), *map(Column, printed.heads)]
    columns += [Column(f"here, {sweep.dataset}", numeric=False)]
    rows = []
    for name, values in printed.rows.items():
        ours = name.startswith(("RAG", "BART"))
        missing = "not run (no such run on test)" if ours else "not run (another paper's system)"
        cells = (Cell(name), *(number(value) for value in values), Cell(verdicts.get(name, missing)))
        rows.append(Row(cells, strong=ours))
    return Table(f"The paper's {printed.title} (its numbers)", tuple(columns), tuple(rows), printed.notes)


def trials_table(sweep: Sweep) -> Table:
    """All configurations evaluated on dev, best first, with the result of their test against the best."""
    runs = ranked(sweep, sweep.on("dev", "trial"))
    metrics = _others(sweep, runs)
    family = found_family(run.estimates for run in runs)
    columns = [Column("rank"), Column("system", numeric=False), Column(sweep.objective, bar=True)]
    columns += [
        *(Column(name, shown=False) for name in metrics),
        Column(f"{family.replace('_', ' ')}@k", bar=True),
        Column("n"),
        Column("pairs x beams"),
        Column("index MB"),
        Column("s/query"),
    ]
    columns += [Column("to the best"), Column("p"), Column("not worse", numeric=False), Column("chosen", numeric=False)]
    best = runs[0].estimates.get(sweep.objective) if runs else None
    rows = []
    for rank, run in enumerate(runs, 1):
        ours = run.estimates.get(sweep.objective)
        candidate = sweep.candidates.get(run.run_id)
        found = _estimates(run, (sweep.objective, *metrics, f"{family}@{run.k}"))
        cells = [number(rank, 0), Cell(run.label), *found, _count(ours)]
        cells += [number(_work(run), 0), number(_times(run.record.get("work", {}).get("index_bytes"), 1e-6))]
        cells += [number(run.seconds_per_query, 3), number(_minus(ours, best))]
        cells += [number(candidate.p if candidate else None, 4)]
        cells += [_mark(bool(candidate and candidate.within)), _mark(bool(candidate and candidate.chosen))]
        rows.append(Row(tuple(cells), bool(candidate and candidate.chosen), hint(run)))
    notes = [
        f"not worse: no significant difference from the best of its formulation, corrected: {CORRECTION}.",
        "The best of many trials on dev is biased upwards; only chosen systems and baselines are evaluated on test.",
        "chosen: of those not worse, the fewest pairs x beams (question-passage pairs generated per question times the "
        "beams of each), then the smallest index; s/query is measured, but not used.",
    ]
    if not sweep.candidates:
        notes.append("No selection has been made yet.")
    return Table(f"All configurations on {sweep.dataset} dev", tuple(columns), tuple(rows), tuple(notes), "trials")


def retrieval_table(sweep: Sweep) -> Table:
    """Each retriever alone; less important metrics are in the CSV only."""
    names = sorted({name for row in sweep.retrieval for name in row.estimates}, key=_metric_order)
    family = found_family(row.estimates for row in sweep.retrieval)
    cutoffs = [_metric_order(name)[1] for name in names if name.partition("@")[0] == family]
    shown = {f"{family}@{k}" for k in cutoffs if k in SHOWN_CUTOFFS or k == max(cutoffs)} | {"mrr"}
    columns = [Column("retriever", numeric=False), Column("query encoder", numeric=False)]
    columns += [Column("split", numeric=False, shown=False)]
    columns += [Column(name, bar="@" in name, shown=name in shown) for name in names]
    columns += [Column("n"), Column("index MB"), Column("build s"), Column("ms/query")]
    rows = []
    for row in sweep.retrieval:
        cells = [Cell(row.retriever), Cell(row.model or NOTHING), Cell(row.split or NOTHING)]
        cells += [estimated(row.estimates.get(name)) for name in names]
        cells += [_count(next(iter(row.estimates.values()), None)), number(_times(row.index_bytes, 1e-6))]
        cells += [number(row.build_seconds), number(_times(row.seconds_per_query, 1e3), 2)]
        rows.append(Row(tuple(cells)))
    notes = [
        "Query encoder: pretrained, not trained by us; warmed_up, after the retriever warm-up; trained, after RAG "
        "training of that model; frozen, not updated by RAG training.",
        "All metrics are in retrieval.csv.",
    ]
    splits = ", ".join(dict.fromkeys(row.split for row in sweep.retrieval if row.split))
    title = f"Retrieval on {sweep.dataset} {splits}".strip()
    return Table(title, tuple(columns), tuple(rows), tuple(notes), name="retrieval")


def pairs_table(sweep: Sweep, scores: Mapping[str, Sequence[Score]]) -> Table:
    """Each final system against each baseline on the same test questions.

    Args:
        sweep: Its runs.
        scores: Run id -> per-example scores; runs without are left out and named.
    """
    runs = ranked(sweep, sweep.on(SPLIT, "final", "baseline"))
    finals, baselines = ([run for run in runs if run.role == role] for role in ("final", "baseline"))
    both = [(left, right) for left in finals for right in baselines if {left.run_id, right.run_id} <= set(scores)]
    rows = [_pair(sweep, left, right, scores) for left, right in both]
    columns = [Column(head, numeric=False) for head in ("system", "baseline", "metric")]
    columns += map(Column, ("difference", "p", "n"))
    lost = [run.label for run in runs if run.run_id not in scores]
    notes = ["Paired permutation test with 9,999 sign flips by entity: p is at least 0.0001; not corrected."]
    if any(row.cells[2].text != sweep.objective for row in rows):
        notes.append(f"Where {sweep.objective} of one is degraded, both are compared by the metric named.")
    notes += [f"Per-example scores are no longer stored for: {', '.join(lost)}."] if lost else []
    return Table(f"Differences on {sweep.dataset} {SPLIT}", tuple(columns), tuple(rows), tuple(notes))


def confusion_table(sweep: Sweep) -> Table:
    """Confusion of labels of each system on test; no rows if the task has no labels."""
    runs = [run for run in ranked(sweep, sweep.on(SPLIT, "final", "baseline")) if run.confusion]
    heads = list(dict.fromkeys(head for run in runs for counts in run.confusion.values() for head in counts))
    columns = (Column("system", numeric=False), Column("label", numeric=False), *(Column(f"as {h}") for h in heads))
    rows = []
    for run in runs:
        for label, counts in run.confusion.items():
            rows.append(Row((Cell(run.label), Cell(label), *(number(counts.get(head), 0) for head in heads))))
    return Table(f"Labels on {sweep.dataset} {SPLIT}: true, and as predicted", columns, tuple(rows))


def unfinished_table(sweep: Sweep) -> Table:
    """Runs that failed or have not ended: counted and listed; nothing where all have finished."""
    runs = sweep.unfinished()
    columns = tuple(Column(head, numeric=False) for head in ("run", "system", "split", "role", "status", "notes"))
    rows = []
    for run in runs:
        texts = (run.run_id, run.label, run.split, run.role, run.status, "; ".join(run.notes) or NOTHING)
        rows.append(Row(tuple(map(Cell, texts))))
    counts = {status: sum(run.status == status for run in sweep.runs) for status in ("finished", "failed", "running")}
    note = f"{counts['finished']} finished, {counts['failed']} failed, {counts['running']} running or cut off."
    return Table(f"Unfinished runs on {sweep.dataset}", columns, tuple(rows), (note,) if rows else ())


def _pair(sweep: Sweep, left: Run, right: Run, scores: Mapping[str, Sequence[Score]]) -> Row:
    name, seed = comparable(sweep.objective, (left.degraded, right.degraded)), int(left.record.get("seed", 0))
    texts = (Cell(left.label), Cell(right.label), Cell(name))
    if why := obstacle(scores[left.run_id], scores[right.run_id], name):
        return Row((*texts, Cell(f"not comparable ({why})", tone="missing"), Cell(NOTHING), Cell(NOTHING)))
    estimate, p = difference(scores[left.run_id], scores[right.run_id], name, seed)
    return Row((*texts, estimated(estimate), number(p, 4), _count(estimate)))


def ranked(sweep: Sweep, runs: Iterable[Run]) -> list[Run]:
    """Best first; runs without the objective last."""

    def key(run: Run) -> tuple[bool, float, str]:
        mean = _mean(run, sweep.objective)
        return mean is None, -(mean or 0.0), run.label

    return sorted(runs, key=key)


def _mean(run: Run, metric: str) -> float | None:
    found = run.estimates.get(metric)
    return found.mean if found else None


def _estimates(run: Run, names: Iterable[str]) -> list[Cell]:
    return [estimated(run.estimates.get(name), name in run.degraded) for name in names]


def _others(sweep: Sweep, runs: Iterable[Run]) -> list[str]:
    """Metrics without cut-off, except the objective and the definitions of exact match, which have their own table."""
    elsewhere = (sweep.objective, *EXACT_MATCHES[1:])
    return [name for name in _names(runs) if "@" not in name and name not in elsewhere]


def _names(runs: Iterable[Run]) -> list[str]:
    return sorted({name for run in runs for name in run.estimates}, key=_metric_order)


def _metric_order(name: str) -> tuple[str, int]:
    family, _, cutoff = name.partition("@")
    return family, int(cutoff) if cutoff.isdigit() else 0


def _count(estimate: Estimate | None) -> Cell:
    return number(estimate.n if estimate else None, 0)


def _times(value: float | None, factor: float) -> float | None:
    return None if value is None else value * factor


def _minus(left: Estimate | None, right: Estimate | None) -> float | None:
    return None if left is None or right is None else left.mean - right.mean


def _work(run: Run) -> float | None:
    work = run.record.get("work", {})
    return work["pairs"] * work["beams"] if {"pairs", "beams"} <= set(work) else None


def _mark(holds: bool) -> Cell:
    return Cell("yes" if holds else "")


def _run_notes(runs: Sequence[Run]) -> list[str]:
    """Each note once, with its systems unless it is about all systems."""
    labels: dict[str, list[str]] = {}
    for run in runs:
        for note in run.notes:
            labels.setdefault(note, []).append(run.label)
    return [note if len(about) == len(runs) > 1 else f"{', '.join(about)}: {note}" for note, about in labels.items()]


def _settings(paper: Paper, sweep: Sweep, runs: Iterable[Run]) -> list[str]:
    """Notes on k and decoding of the paper's systems; for classification the paper does not state k."""
    names = dict.fromkeys(paper_system(run.config) for run in runs)
    if sweep.objective == "label_accuracy":
        return ["The paper does not state the number of passages in classification."] if names else []
    kind = "qa" if sweep.objective in QA_OBJECTIVES else "generation"
    found = [(name, paper.settings[name][kind]) for name in names if name in paper.settings]
    return [f"The paper ran {name} with {setting}." for name, setting in found]
