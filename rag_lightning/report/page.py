"""Writing of pages: tables and an optional figure become a folder of files, atomically."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined, TemplateNotFound
from markupsafe import Markup

from rag_lightning.core.errors import DataError
from rag_lightning.core.files import write_text
from rag_lightning.core.shipped import find_shipped
from rag_lightning.report.tables import Table, clean, escape_markdown, to_csv, to_html, to_latex, to_markdown

TEMPLATE = "reports/templates/report.html.j2"
INDEX, FIGURE = "index.html", "figure.svg"


@dataclass(frozen=True)
class Page:
    """The content of a page.

    Args:
        title: Title of the page.
        tables: At least one; the first is table.csv.
        closing: Tables at the page's end, which are no part of table.tex.
        lead: The sentence below the title.
        facts: Name -> value, shown above everything else.
        warnings: What the reader must know first.
        details: Group -> (name, value) rows, folded away at the end.
        draw: Writes figure.svg and other forms of it into a folder; None for no figure.
    """

    title: str
    tables: Sequence[Table]
    closing: Sequence[Table] = ()
    lead: str = ""
    facts: Mapping[str, str] = field(default_factory=dict)
    warnings: Sequence[str] = ()
    details: Mapping[str, Sequence[tuple[str, str]]] = field(default_factory=dict)
    draw: Callable[[Path], None] | None = None


def write_page(target: Path, page: Page) -> Path:
    """Write `<target>/{index.html, table.md, table.tex, table.csv}`, a CSV of each named table, and the figure.

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
        if page.draw is not None:
            page.draw(folder)
        everything = [*page.tables, *page.closing]
        texts = {
            "table.md": f"# {escape_markdown(page.title)}\n\n{to_markdown(everything)}",
            "table.tex": to_latex(page.tables),
            "table.csv": to_csv(page.tables[0]),
            INDEX: _html(folder, page),
        }
        texts |= {f"{table.name}.csv": to_csv(table) for table in everything if table.name}
        for name, text in texts.items():
            write_text(folder / name, text)
        _replace(folder, target, Path(made) / "old")
    return target / INDEX


def _html(folder: Path, page: Page) -> str:
    path = find_shipped(TEMPLATE)
    environment = Environment(loader=FileSystemLoader(path.parent), autoescape=True, undefined=StrictUndefined)
    try:
        template = environment.get_template(path.name)
    except TemplateNotFound as error:
        raise DataError(path, "is missing", hint="it comes with the package; install that again") from error
    # to_html escapes every text, matplotlib those of the figure; all others the template escapes.
    tables = [Markup(to_html(table)) for table in [*page.tables, *page.closing]]
    return template.render(
        title=clean(page.title),
        lead=page.lead,
        facts={name: clean(value) for name, value in page.facts.items()},
        warnings=[clean(warning) for warning in page.warnings],
        main=tables[0],
        figure=Markup(_inline(folder / FIGURE)) if page.draw is not None else "",
        others=tables[1:],
        details={clean(group): [(clean(n), clean(v)) for n, v in rows] for group, rows in page.details.items()},
    )


def _inline(svg: Path) -> str:
    text = svg.read_text(encoding="utf-8")
    return text[text.index("<svg") :]


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
