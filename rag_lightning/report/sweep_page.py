"""The page of a sweep: its run folders become `reports/out/<sweep>/`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rag_lightning.core.records import Score
from rag_lightning.metrics.metric import Estimate
from rag_lightning.report import sections
from rag_lightning.report.answer import differences, headline, on_the_search, same_questions
from rag_lightning.report.attribution import Attribution, attributions
from rag_lightning.report.charts import Chart
from rag_lightning.report.collect import Run, Sweep, collect, read_predictions, read_scores
from rag_lightning.report.figures import cost_chart, k_chart, recall_chart, systems_chart
from rag_lightning.report.later import Later, later_tables, read_later
from rag_lightning.report.misses import misses_chart, misses_file, misses_table
from rag_lightning.report.page import Page, write_page
from rag_lightning.report.paper import Compared, Paper, read_paper
from rag_lightning.report.price import price_chart, price_table
from rag_lightning.report.search import Search, front_table, importances_table, ledger_fact, read_search
from rag_lightning.report.sections import ranked
from rag_lightning.report.slices import Slices, slice_scores, slices_chart, slices_file, slices_table
from rag_lightning.report.tables import Cell, Column, Row, Table, number
from rag_lightning.report.views import main_views, retrieval_views, trial_views

SAMPLES = 20
UNFINISHED = "The sweep has not ended: these are the results so far."


def render(sweep_dir: Path, artifacts: Path, out: Path, paper: Path, later: Path | None = None) -> Path:
    """Write `<out>/<sweep>/`; returns the path of its index.html.

    Args:
        sweep_dir: runs/<sweep>.
        artifacts: Root of the artifacts, for per-example scores, predictions and examples; may lack them.
        out: Where reports go.
        paper: The published numbers, a file like reports/paper.yaml.
        later: Numbers published after it, a file like reports/later.yaml; None for none.

    Raises:
        DataError: a damaged file of the sweep or of the published numbers, or no template.
        ArtifactError: stored scores, predictions or examples were altered.
    """
    sweep, published = collect(sweep_dir), read_paper(paper)
    stored = _stored(sweep, sweep_dir, artifacts)
    tested = stored.alike
    verdicts = {run.run_id: sections.compare_run(sweep, published, run) for run in tested}
    answer, lead = headline(sweep, tested, verdicts[tested[0].run_id] if tested else None)
    lead[1:1] = [differences(sweep, tested, stored.scores)] if tested else []
    lead += [on_the_search(sweep, stored.search)]
    page = Page(
        title=f"{sweep.name}: {sweep.dataset}",
        answer=answer,
        lead=[line for line in lead if line],
        chart=systems_chart(sweep, tested, _comparable(verdicts)),
        parts=_parts(sweep, stored, published, read_later(later) if later else None),
        closing=_closing(sweep, stored, artifacts),
        facts=_facts(sweep) | ledger_fact(stored.search),
        warnings=[*([] if sweep.finished else [UNFINISHED]), *_apart(stored), *sweep.warnings],
        details=_provenance(sweep),
        files=_files(sweep, stored, published),
    )
    return write_page(out / sweep_dir.resolve().name, page)


@dataclass(frozen=True)
class _Stored:
    """What is read for a page beside the sweep itself.

    Attributes:
        search: Outcome of the search.
        scores: Run id -> per-example scores of the runs on test.
        alike: Runs on test with the objective, on the same questions, best first.
        apart: Runs on test with the objective that were scored on other questions.
        misses: The wrong answers of those alike.
        left_out: Why others have none -> labels.
        slices: The objective of those alike by slice.
        price: The price of each approximate index.
    """

    search: Search
    scores: Mapping[str, Sequence[Score]]
    alike: Sequence[Run]
    apart: Sequence[Run]
    misses: Sequence[Attribution]
    left_out: Mapping[str, Sequence[str]]
    slices: Slices
    price: Table


def _stored(sweep: Sweep, sweep_dir: Path, artifacts: Path) -> _Stored:
    on_test = ranked(sweep, sweep.on(sections.SPLIT, "final", "baseline"))
    scores = {run.run_id: found for run in on_test if (found := read_scores(run, artifacts)) is not None}
    with_value = [run for run in on_test if sweep.objective in run.estimates]
    alike = same_questions(sweep, with_value, scores)
    misses, left_out = attributions(sweep, alike, scores, (sweep_dir, artifacts))
    return _Stored(
        search=read_search(sweep_dir, sweep.name),
        scores=scores,
        alike=alike,
        apart=[run for run in with_value if run not in alike],
        misses=misses,
        left_out=left_out,
        slices=slice_scores(sweep, alike, scores, artifacts),
        price=price_table(sweep, scores, artifacts),
    )


def _apart(stored: _Stored) -> list[str]:
    """A warning if systems were scored on different questions."""
    if not stored.apart:
        return []
    names = ", ".join(run.label for run in stored.apart)
    return [f"Scored on other questions than the rest, so not compared with it: {names}."]


def _comparable(verdicts: Mapping[str, Compared]) -> dict[str, float]:
    """Run id -> the paper's number, only where the two can be compared."""
    return {
        run_id: found.paper_value
        for run_id, found in verdicts.items()
        if found.paper_value is not None and found.verdict in ("reproduced", "different")
    }


def _files(sweep: Sweep, stored: _Stored, paper: Paper) -> dict[str, Table]:
    """The CSV files of whole tables."""
    found = {
        "trials.csv": sections.trials_table(sweep),
        "retrieval.csv": sections.retrieval_table(sweep),
        "errors.csv": misses_file(stored.misses),
        "slices.csv": slices_file(sweep, stored.alike, stored.slices),
    }
    main = sections.main_table(sweep, paper, stored.apart)
    return {"table.csv": main} | {name: table for name, table in found.items() if table.rows}


def _parts(sweep: Sweep, stored: _Stored, paper: Paper, later: Later | None) -> list[Table | Chart]:
    """Tables and charts in the order of the questions: what is best, what it reads, what it costs, where it fails."""
    trials, search = sections.trials_table(sweep), stored.search
    trials = replace(trials, notes=(*search.ties, *trials.notes))
    first, *measures = main_views(sections.main_table(sweep, paper, stored.apart), sweep)
    found: list[Table | Chart | None] = [
        sections.pairs_table(sweep, stored.scores),
        *measures,
        misses_chart(sweep.objective, sweep.dataset, stored.misses),
        misses_table(sweep.objective, sweep.dataset, stored.misses, stored.left_out),
        slices_chart(sweep, stored.alike, stored.slices),
        slices_table(sweep, stored.alike, stored.slices),
        k_chart(sweep),
        *trial_views(trials, sweep),
        price_chart(sweep),
        stored.price,
        cost_chart(search, sweep.dataset),
        front_table(search, sweep.dataset),
        importances_table(search, sweep.dataset),
        recall_chart(sweep),
        *retrieval_views(sweep),
        sections.definitions_table(sweep),
        sections.confusion_table(sweep),
        replace(sections.paper_table(sweep, paper), folded=True),
        *(later_tables(later, sweep, stored.alike) if later else ()),
    ]
    return [first, *(part for part in found if part and (isinstance(part, Chart) or part.rows))]


def _closing(sweep: Sweep, stored: _Stored, artifacts: Path) -> list[Table]:
    finals = sweep.on(sections.SPLIT, "final")
    tables = [_samples(sweep, run, stored.scores.get(run.run_id, ()), artifacts) for run in finals]
    return [table for table in [*tables, sections.unfinished_table(sweep)] if table.rows or table.notes]


def _samples(sweep: Sweep, run: Run, scores: Sequence[Score], artifacts: Path) -> Table:
    """The first predictions of a run, right or wrong, by id: no choice is made."""
    predictions = sorted(read_predictions(run, artifacts) or [], key=lambda found: found.example_id)[:SAMPLES]
    values = {score.example_id: score.values for score in scores}
    texts = ("question id", "prediction", "as decoded")
    columns = (*(Column(head, numeric=False) for head in texts), Column("log p(y|x)"), Column(sweep.objective))
    rows = []
    for found in predictions:
        cells = map(Cell, (found.example_id, found.text, found.raw_text))
        value = values.get(found.example_id, {}).get(sweep.objective)
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
