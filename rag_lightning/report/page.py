"""A sweep's run folders become `reports/out/<sweep>/`: the page, the tables and the figure, whole or not at all."""

from __future__ import annotations

import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, TemplateNotFound
from markupsafe import Markup

from rag_lightning.core.errors import DataError
from rag_lightning.core.files import write_text
from rag_lightning.core.shipped import find_shipped
from rag_lightning.report import sections
from rag_lightning.report.collect import Run, Sweep, collect, read_predictions, read_scores
from rag_lightning.report.figures import draw
from rag_lightning.report.paper import Paper, read_paper
from rag_lightning.report.tables import Cell, Column, Row, Table, clean, number, to_csv, to_html, to_latex, to_markdown

SAMPLES = 20
TEMPLATE = "reports/templates/report.html.j2"


@dataclass(frozen=True, slots=True)
class Content:
    """What is rendered: the main table, those after it in order, and those at the page's end."""

    main: Table
    others: tuple[Table, ...]
    closing: tuple[Table, ...]

    @property
    def all(self) -> tuple[Table, ...]:
        """Every table in the order of the page."""
        return (self.main, *self.others, *self.closing)


def render(sweep_dir: Path, artifacts: Path, out: Path, paper: Path) -> Path:
    """Write `<out>/<sweep>/{index.html, table.md, table.tex, table.csv, figure.svg, figure.png}`.

    A report that is already there is replaced only once the new one is complete.

    Args:
        sweep_dir: runs/<sweep>.
        artifacts: Root of the artifacts, for per-example scores and predictions; may lack them.
        out: Where reports go.
        paper: The published numbers, a file like reports/paper.yaml.

    Returns:
        The path of index.html.

    Raises:
        DataError: a damaged file of the sweep or of the published numbers, or no template.
        ArtifactError: stored scores or predictions were altered.
    """
    sweep = collect(sweep_dir)
    content = _content(sweep, artifacts, read_paper(paper))
    target = out / sweep_dir.resolve().name
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out, prefix=".report-") as made:
        folder = Path(made) / target.name
        folder.mkdir()
        draw(sweep, folder)
        _write(folder, sweep, content)
        _replace(folder, target, Path(made) / "old")
    return target / "index.html"


def _content(sweep: Sweep, artifacts: Path, paper: Paper) -> Content:
    on_test = sweep.on(sections.SPLIT, "final", "baseline")
    scores = {run.run_id: found for run in on_test if (found := read_scores(run, artifacts)) is not None}
    others = [
        sections.paper_table(sweep, paper),
        sections.pairs_table(sweep, scores),
        sections.trials_table(sweep),
        sections.retrieval_table(sweep),
        sections.slices_table(sweep),
        sections.definitions_table(sweep),
        sections.confusion_table(sweep),
    ]
    closing = [_samples(sweep, run, artifacts) for run in on_test if run.role == "final"]
    closing.append(sections.unfinished_table(sweep))
    kept = [table for table in closing if table.rows or table.notes]
    return Content(sections.main_table(sweep, paper), tuple(t for t in others if t.rows), tuple(kept))


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


def _write(folder: Path, sweep: Sweep, content: Content) -> None:
    texts = {
        "table.md": f"# Report of {clean(sweep.name)}: {clean(sweep.dataset)}\n\n" + to_markdown(content.all),
        "table.tex": to_latex((content.main, *content.others)),
        "table.csv": to_csv(content.main),
        "index.html": _page(folder, sweep, content),
    }
    for name, text in texts.items():
        write_text(folder / name, text)


def _page(folder: Path, sweep: Sweep, content: Content) -> str:
    path = find_shipped(TEMPLATE)
    environment = Environment(loader=FileSystemLoader(path.parent), autoescape=True, undefined=StrictUndefined)
    try:
        template = environment.get_template(path.name)
    except TemplateNotFound as error:
        raise DataError(path, "is missing", hint="it comes with the package; install that again") from error
    return template.render(
        title=clean(f"{sweep.name}: {sweep.dataset}"),
        facts={name: clean(str(value)) for name, value in _facts(sweep).items()},
        warnings=[clean(warning) for warning in sweep.warnings],
        finished=sweep.finished,
        # to_html escapes every text, matplotlib those of the figure.
        main=Markup(to_html(content.main)),
        figure=Markup(_inline(folder / "figure.svg")),
        others=[Markup(to_html(table)) for table in content.others],
        closing=[Markup(to_html(table)) for table in content.closing],
        provenance=_provenance(sweep),
    )


def _inline(svg: Path) -> str:
    text = svg.read_text(encoding="utf-8")
    return text[text.index("<svg") :]


def _facts(sweep: Sweep) -> dict[str, Any]:
    runs = sweep.runs
    commits = {_commit(run.record.get("git", {})) for run in runs}
    sizes = {estimate.n for run in sweep.on("test", "final", "baseline") for estimate in _objective(sweep, run)}
    return {
        "data set": sweep.dataset,
        "scale": sweep.scale,
        "test questions": _listed(sizes),
        "seed": _listed({run.record.get("seed", "?") for run in runs}),
        "runs": f"{sum(run.finished for run in runs)} of {len(runs)} finished",
        "code": _listed(commits),
    }


def _objective(sweep: Sweep, run: Run) -> list[Any]:
    return [run.estimates[sweep.objective]] if sweep.objective in run.estimates else []


def _commit(git: dict[str, Any]) -> str:
    return str(git.get("sha") or "unknown")[:12] + (" with local changes" if git.get("dirty") else "")


def _listed(values: set[Any]) -> str:
    return ", ".join(sorted(map(str, values))) or "none yet"


def _provenance(sweep: Sweep) -> list[tuple[str, list[tuple[str, str]]]]:
    """Group -> (name, value) rows; where runs differ all values are listed."""
    groups = []
    for group in ("packages", "hardware"):
        found: dict[str, set[str]] = {}
        for run in sweep.runs:
            for name, value in run.record.get(group, {}).items():
                found.setdefault(clean(str(name)), set()).add(clean(str(value)))
        groups.append((group, [(name, ", ".join(sorted(values))) for name, values in sorted(found.items())]))
    digests = []
    for run in sweep.on(sections.SPLIT, "final", "baseline"):
        parts = (f"{name} {value}" for name, value in run.record.get("digests", {}).items())
        digests.append((clean(run.label), clean(", ".join(parts))))
    return [*groups, ("artifacts of the runs on test", digests)]


def _replace(folder: Path, target: Path, aside: Path) -> None:
    if target.exists():
        os.replace(target, aside)
    try:
        os.replace(folder, target)
    except OSError:
        if aside.exists():
            os.replace(aside, target)
        raise
    shutil.rmtree(aside, ignore_errors=True)
