"""The page of a sweep: its run folders become `reports/out/<sweep>/`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from rag_lightning.metrics.metric import Estimate
from rag_lightning.report import sections
from rag_lightning.report.collect import Run, Sweep, collect, read_predictions, read_scores
from rag_lightning.report.figures import draw
from rag_lightning.report.page import Page, write_page
from rag_lightning.report.paper import Paper, read_paper
from rag_lightning.report.search import Search, front_table, importances_table, ledger_fact, read_search
from rag_lightning.report.tables import Cell, Column, Row, Table, number

SAMPLES = 20
LEAD = (
    "Each number of ours stands beside the paper's (Lewis et al. 2020) with a verdict that says whether the two can be "
    "compared."
)
UNFINISHED = "The sweep has not ended: these are the results so far."


def render(sweep_dir: Path, artifacts: Path, out: Path, paper: Path) -> Path:
    """Write `<out>/<sweep>/`; returns the path of its index.html.

    Args:
        sweep_dir: runs/<sweep>.
        artifacts: Root of the artifacts, for per-example scores and predictions; may lack them.
        out: Where reports go.
        paper: The published numbers, a file like reports/paper.yaml.

    Raises:
        DataError: a damaged file of the sweep or of the published numbers, or no template.
        ArtifactError: stored scores or predictions were altered.
    """
    sweep, published = collect(sweep_dir), read_paper(paper)
    search = read_search(sweep_dir, sweep.name)
    page = Page(
        title=f"{sweep.name}: {sweep.dataset}",
        tables=_tables(sweep, search, artifacts, published),
        closing=_closing(sweep, artifacts),
        lead=LEAD,
        facts=_facts(sweep) | ledger_fact(search),
        warnings=[*([] if sweep.finished else [UNFINISHED]), *sweep.warnings],
        details=_provenance(sweep),
        draw=lambda folder: draw(sweep, folder, search),
    )
    return write_page(out / sweep_dir.resolve().name, page)


def _tables(sweep: Sweep, search: Search, artifacts: Path, paper: Paper) -> list[Table]:
    on_test = sweep.on(sections.SPLIT, "final", "baseline")
    scores = {run.run_id: found for run in on_test if (found := read_scores(run, artifacts)) is not None}
    trials = sections.trials_table(sweep)
    others = [
        sections.paper_table(sweep, paper),
        sections.pairs_table(sweep, scores),
        front_table(search, sweep.dataset),
        replace(trials, notes=(*search.ties, *trials.notes)),
        importances_table(search, sweep.dataset),
        sections.retrieval_table(sweep),
        sections.slices_table(sweep),
        sections.definitions_table(sweep),
        sections.confusion_table(sweep),
    ]
    return [sections.main_table(sweep, paper), *(table for table in others if table.rows)]


def _closing(sweep: Sweep, artifacts: Path) -> list[Table]:
    tables = [_samples(sweep, run, artifacts) for run in sweep.on(sections.SPLIT, "final")]
    return [table for table in [*tables, sections.unfinished_table(sweep)] if table.rows or table.notes]


def _samples(sweep: Sweep, run: Run, artifacts: Path) -> Table:
    """The first predictions of a run, right or wrong, by id: no choice is made."""
    predictions = sorted(read_predictions(run, artifacts) or [], key=lambda found: found.example_id)[:SAMPLES]
    scores = {score.example_id: score.values for score in read_scores(run, artifacts) or []}
    texts = ("question id", "prediction", "as decoded")
    columns = (*(Column(head, numeric=False) for head in texts), Column("log p(y|x)"), Column(sweep.objective))
    rows = []
    for found in predictions:
        cells = map(Cell, (found.example_id, found.text, found.raw_text))
        value = scores.get(found.example_id, {}).get(sweep.objective)
        rows.append(Row((*cells, number(found.log_prob, 2), number(value, 2))))
    return Table(f"First {len(rows)} predictions on {sweep.dataset} test: {run.label}", columns, tuple(rows))


def _facts(sweep: Sweep) -> dict[str, str]:
    runs = sweep.runs
    sizes = {estimate.n for run in sweep.on("test", "final", "baseline") for estimate in _objective(sweep, run)}
    return {
        "data set": sweep.dataset,
        "scale": sweep.scale,
        "test questions": _listed(sizes),
        "seed": _listed({run.record.get("seed", "?") for run in runs}),
        "runs": f"{sum(run.finished for run in runs)} of {len(runs)} finished",
        "code": _listed({_commit(run.record.get("git", {})) for run in runs}),
    }


def _objective(sweep: Sweep, run: Run) -> list[Estimate]:
    return [run.estimates[sweep.objective]] if sweep.objective in run.estimates else []


def _commit(git: Mapping[str, Any]) -> str:
    return str(git.get("sha") or "unknown")[:12] + (" with local changes" if git.get("dirty") else "")


def _listed(values: set[Any]) -> str:
    return ", ".join(sorted(map(str, values))) or "none yet"


def _provenance(sweep: Sweep) -> dict[str, list[tuple[str, str]]]:
    """Group -> (name, value) rows; where runs differ all values are listed."""
    groups = {}
    for group in ("packages", "hardware"):
        found: dict[str, set[str]] = {}
        for run in sweep.runs:
            for name, value in run.record.get(group, {}).items():
                found.setdefault(str(name), set()).add(str(value))
        groups[group] = [(name, ", ".join(sorted(values))) for name, values in sorted(found.items())]
    groups["artifacts of the runs on test"] = [
        (run.label, ", ".join(f"{name} {value}" for name, value in run.record.get("digests", {}).items()))
        for run in sweep.on(sections.SPLIT, "final", "baseline")
    ]
    return groups
