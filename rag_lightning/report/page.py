"""Writing of pages: tables and charts become a folder of files, atomically."""

from __future__ import annotations

import base64
import hashlib
import os
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, TemplateNotFound
from markupsafe import Markup

from rag_lightning.core.errors import DataError
from rag_lightning.core.files import write_text
from rag_lightning.core.plain import clean
from rag_lightning.core.shipped import HOME, find_shipped
from rag_lightning.report.charts import Chart
from rag_lightning.report.html import to_html
from rag_lightning.report.latex import to_latex
from rag_lightning.report.tables import Table, escape_markdown, to_csv, to_markdown

TEMPLATE = "reports/templates/report.html.j2"
INDEX = "index.html"


@dataclass(frozen=True)
class Page:
    """The content of a page.

    Args:
        title: Title of the page.
        parts: Tables and charts in their order; at least one table.
        closing: Tables at the page's end, which are no part of table.tex.
        answer: The result in one line, the page's headline; the title stands there without one.
        lead: Sentences below the headline.
        chart: The chart beside the headline.
        facts: Name -> value.
        warnings: What the reader must know.
        details: Group -> (name, value) rows, folded away at the end.
        files: Name of a CSV file -> its table, for tables that the page shows in part.
        texts: Name of a further file -> its text.
    """

    title: str
    parts: Sequence[Table | Chart]
    closing: Sequence[Table] = ()
    answer: str = ""
    lead: Sequence[str] = ()
    chart: Chart | None = None
    facts: Mapping[str, str] = field(default_factory=dict)
    warnings: Sequence[str] = ()
    details: Mapping[str, Sequence[tuple[str, str]]] = field(default_factory=dict)
    files: Mapping[str, Table] = field(default_factory=dict)
    texts: Mapping[str, str] = field(default_factory=dict)

    @property
    def tables(self) -> list[Table]:
        """Its tables without the closing ones."""
        return [part for part in self.parts if isinstance(part, Table)]

    @property
    def charts(self) -> list[Chart]:
        """All of its charts."""
        return [part for part in (self.chart, *self.parts) if isinstance(part, Chart)]


def write_page(target: Path, page: Page) -> Path:
    """Write `<target>/{index.html, table.md, table.tex, table.csv}`, a CSV of each named table, and the charts.

    A page that is already there is replaced only once the new one is complete. Every text is escaped for where it goes.

    Returns:
        The path of index.html.

    Raises:
        DataError: the template is missing.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".page-") as made:
        folder = Path(made) / target.name
        folder.mkdir()
        for chart in page.charts:
            chart.save(folder)
        everything = [*page.tables, *page.closing]
        intro = "".join(f"{escape_markdown(line)}\n\n" for line in (page.answer, *page.lead) if line)
        texts = {
            "table.md": f"# {escape_markdown(page.title)}\n\n{intro}{to_markdown(everything)}",
            "table.tex": to_latex(page.tables),
            "table.csv": to_csv(page.tables[0]),
            INDEX: to_text(page),
        }
        texts |= {f"{table.name}.csv": to_csv(table) for table in everything if table.name}
        texts |= {name: to_csv(table) for name, table in page.files.items()} | dict(page.texts)
        for name, text in texts.items():
            write_text(folder / name, text)
        _replace(folder, target, Path(made) / "old")
    return target / INDEX


def render(template: str, **values: Any) -> str:
    """The HTML of a template, every value escaped.

    Raises:
        DataError: the template, or one that it includes, is missing.
    """
    path = find_shipped(template)
    folders = (path.parent, HOME / Path(TEMPLATE).parent)
    environment = Environment(loader=FileSystemLoader(folders), autoescape=True, undefined=StrictUndefined)
    environment.filters["policy"] = _policy
    try:
        return environment.get_template(path.name).render(values)
    except TemplateNotFound as error:
        hint = "it comes with the package; install that again"
        raise DataError(path.with_name(str(error.name)), "is missing", hint=hint) from error


def to_text(page: Page) -> str:
    """The page as the text of one HTML file, with its tables and charts.

    Raises:
        DataError: the template is missing.
    """
    parts = [*page.parts, *page.closing]
    return render(
        TEMPLATE,
        title=clean(page.title),
        answer=clean(page.answer),
        lead=[clean(line) for line in page.lead],
        facts={clean(name): clean(value) for name, value in page.facts.items()},
        warnings=[clean(warning) for warning in dict.fromkeys(page.warnings)],
        chart=_chart(page.chart, "first") if page.chart else None,
        links=[(f"part-{place}", clean(part.title)) for place, part in enumerate(parts)],
        parts=[_part(part, f"part-{place}") for place, part in enumerate(parts)],
        details={clean(group): [(clean(n), clean(v)) for n, v in rows] for group, rows in page.details.items()},
    )


def _part(part: Table | Chart, anchor: str) -> dict[str, object]:
    # to_html escapes every text of a table; those of a chart the template escapes.
    if isinstance(part, Table):
        return {"table": Markup(to_html(part, anchor)), "chart": None, "anchor": anchor}
    return {"table": "", "chart": _chart(part, anchor), "anchor": anchor}


def _chart(chart: Chart, anchor: str) -> dict[str, object]:
    # matplotlib escapes the texts in its drawings.
    drawn = [Markup(text) for text in chart.inline(anchor)]
    return {
        "title": clean(chart.title),
        "lead": clean(chart.lead),
        "notes": [clean(note) for note in chart.notes],
        "panels": [(clean(panel.words), text) for panel, text in zip(chart.panels, drawn, strict=True)],
        "width": round(chart.width * 96),
        "folded": chart.folded,
    }


def _policy(script: str) -> str:
    """The source expression of a content security policy that allows exactly this script."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"


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
