"""The page of a sweep: its run folders become `reports/out/<sweep>/`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from rag_lightning.core.records import Score
from rag_lightning.metrics.metric import Estimate
from rag_lightning.report import sections
from rag_lightning.report.answer import differences, headline, on_the_search
from rag_lightning.report.charts import Chart
from rag_lightning.report.collect import Run, Sweep, collect, read_predictions, read_scores
from rag_lightning.report.figures import cost_chart, k_chart, recall_chart, systems_chart
from rag_lightning.report.page import Page, write_page
from rag_lightning.report.paper import Compared, Paper, read_paper
from rag_lightning.report.search import Search, front_table, importances_table, ledger_fact, read_search
from rag_lightning.report.sections import ranked
from rag_lightning.report.tables import Cell, Column, Row, Table, number
from rag_lightning.report.views import main_views, retrieval_views, trial_views

SAMPLES = 20
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
    on_test = ranked(sweep, sweep.on(sections.SPLIT, "final", "baseline"))
    with_value = [run for run in on_test if sweep.objective in run.estimates]
    scores = {run.run_id: found for run in on_test if (found := read_scores(run, artifacts)) is not None}
    verdicts = {run.run_id: sections.compare_run(sweep, published, run) for run in with_value}
    answer, lead = headline(sweep, with_value, verdicts[with_value[0].run_id] if with_value else None)
    lead += [differences(sweep, with_value, scores)] if with_value else []
    lead += [on_the_search(sweep, search)]
    page = Page(
        title=f"{sweep.name}: {sweep.dataset}",
        answer=answer,
        lead=[line for line in lead if line],
        chart=systems_chart(sweep, with_value, _comparable(verdicts)),
        parts=_parts(sweep, search, scores, published),
        closing=_closing(sweep, artifacts),
        facts=_facts(sweep) | ledger_fact(search),
        warnings=[*([] if sweep.finished else [UNFINISHED]), *sweep.warnings],
        details=_provenance(sweep),
        files=_files(sweep, published),
    )
    return write_page(out / sweep_dir.resolve().name, page)


def _comparable(verdicts: Mapping[str, Compared]) -> dict[str, float]:
    """Run id -> the paper's number, only where the two can be compared."""
    return {
        run_id: found.paper_value
        for run_id, found in verdicts.items()
        if found.paper_value is not None and found.verdict in ("reproduced", "different")
    }


def _files(sweep: Sweep, paper: Paper) -> dict[str, Table]:
    """The CSV files of whole tables."""
    found = {"trials.csv": sections.trials_table(sweep), "retrieval.csv": sections.retrieval_table(sweep)}
    return {"table.csv": sections.main_table(sweep, paper)} | {
        name: table for name, table in found.items() if table.rows
    }


def _parts(sweep: Sweep, search: Search, scores: Mapping[str, Sequence[Score]], paper: Paper) -> list[Table | Chart]:
    """Tables and charts in the order of the questions: what is best, what it reads, what it costs, where it fails."""
    trials = sections.trials_table(sweep)
    trials = replace(trials, notes=(*search.ties, *trials.notes))
    first, *measures = main_views(sections.main_table(sweep, paper), sweep)
    found: list[Table | Chart | None] = [
        sections.pairs_table(sweep, scores),
        *measures,
        k_chart(sweep),
        *trial_views(trials, sweep),
        cost_chart(search, sweep.dataset),
        front_table(search, sweep.dataset),
        importances_table(search, sweep.dataset),
        recall_chart(sweep),
        *retrieval_views(sweep),
        sections.slices_table(sweep),
        sections.definitions_table(sweep),
        sections.confusion_table(sweep),
        replace(sections.paper_table(sweep, paper), folded=True),
    ]
    return [first, *(part for part in found if part and (isinstance(part, Chart) or part.rows))]


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
    title = f"First {len(rows)} predictions on {sweep.dataset} test: {run.label}"
    return Table(title, columns, tuple(rows), folded=True)


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
