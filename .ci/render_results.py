"""docs/results.yaml -> the tables between `<!-- results: NAME -->` and `<!-- end -->` of the documentation, and
reports/later.yaml -> those after `<!-- later: PART -->` in docs/later.md.

Without arguments the pages are rewritten; with `--check` nothing is written, and a page that differs is a problem.
`<!-- results: NAME brief -->` leaves out notes and provenance.
"""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from later_page import LATER_DATA, PART, line_of, render_later

from rag_lightning.config.yaml_files import build, read_yaml
from rag_lightning.core.errors import DataError, RagLightningError
from rag_lightning.core.registry import check_name
from rag_lightning.report.later import read_later

ROOT = Path(__file__).resolve().parent.parent
PAGES = (
    "README.md",
    "docs/results.md",
    "docs/claims.md",
    "docs/performance.md",
    "docs/reliability.md",
    "docs/indexes.md",
    "docs/hotswap.md",
    "docs/scale.md",
)
LATER = "docs/later.md"
BLOCK = re.compile(r"(<!-- results: (\w+)( brief)? -->\n).*?(<!-- end -->)", re.DOTALL)
CODE = re.compile(r"^```.*?^```|`[^`\n]+`", re.DOTALL | re.MULTILINE)
TARGET = re.compile(r"\]\([^)]*\)|https?://\S+")
VERSION = re.compile(r"(?:Python|Apache|BY|BY-SA|arXiv|transformers) \d+\.\d+")
DECIMAL = re.compile(r"\d+\.\d+")


@dataclass(frozen=True)
class Cell:
    """One place of a table.

    Args:
        value: The number; NaN where the cell holds text only.
        ci: The 95 % interval, low and high, or empty.
        digits: Digits after the point; -1 prints the number as the file has it.
        text: What stands after the number.
    """

    value: float = math.nan
    ci: tuple[float, ...] = ()
    digits: int = -1
    text: str = ""

    def __str__(self) -> str:
        number = "" if math.isnan(self.value) else self._shown(self.value)
        interval = f"[{', '.join(map(self._shown, self.ci))}]" if self.ci else ""
        return " ".join(filter(None, (number, interval, self.text)))

    def _shown(self, number: float) -> str:
        return str(number) if self.digits < 0 else f"{number:.{self.digits}f}"


@dataclass(frozen=True)
class Row:
    """One row of a table; n, seeds, dtype and commit are given where they differ from the table's.

    Args:
        label: First cell.
        cells: Column -> cell.
        n: Number of examples, 0 for the table's.
        seeds: Number of trainings averaged over, 0 for the table's.
        dtype: Number format, empty for the table's.
        commit: Commit in which the row was first written down, empty for the table's.
    """

    label: str
    cells: Mapping[str, Cell]
    n: int = 0
    seeds: int = 0
    dtype: str = ""
    commit: str = ""


@dataclass(frozen=True)
class Table:
    """Numbers of one measurement.

    Args:
        title: Printed above the table.
        head: Head of the first column.
        columns: Heads of the others, in order.
        rows: The rows.
        command: What measures it.
        commit: Commit in which the numbers were first written down.
        machine: What it ran on, as far as known.
        dtype: Number format.
        n: Number of examples.
        seeds: Number of trainings averaged over.
        notes: Sentences printed below the table.
    """

    title: str
    head: str
    columns: tuple[str, ...]
    rows: tuple[Row, ...]
    commit: str
    command: str = ""
    machine: str = ""
    dtype: str = ""
    n: int = 0
    seeds: int = 0
    notes: tuple[str, ...] = ()


def read_tables(path: Path) -> dict[str, Table]:
    """The tables of a results file by name.

    Raises:
        DataError: unreadable, a wrong type, an interval that does not hold its value, or no rows.
        UnknownNameError: a cell in a column that the table has not.
    """
    raw = read_yaml(path)
    if not isinstance(raw, Mapping):
        raise DataError(path, "must be a mapping of names to tables")
    tables = {str(name): build(Table, table, path, str(name)) for name, table in raw.items()}
    for name, table in tables.items():
        for i, row in enumerate(table.rows):
            _check_row(path, f"{name}.rows[{i}]", table, row)
    return tables


def _check_row(path: Path, where: str, table: Table, row: Row) -> None:
    for column, cell in row.cells.items():
        check_name(f"column in {where}.cells of {path}", column, table.columns)
        if cell.ci and not (len(cell.ci) == 2 and cell.ci[0] <= cell.value <= cell.ci[1]):
            problem = "must be [low, high] around the value"
            raise DataError(path, problem, field=f"{where}.cells.{column}.ci", value=list(cell.ci))


def markdown(table: Table, brief: bool = False) -> str:
    """A table with its title; unless brief, with its notes and how it was measured."""
    names = ("n", "seeds", "dtype") if brief else ("n", "seeds", "dtype", "commit")
    own = [name for name in names if any(getattr(row, name) for row in table.rows)]
    extra = {name: [getattr(row, name) or getattr(table, name) for row in table.rows] for name in own}
    lines = [f"**{table.title}**{_measured_on(table)}", "", line_of([table.head, *table.columns, *extra])]
    lines.append("|" + "---|" * (1 + len(table.columns) + len(extra)))
    for i, row in enumerate(table.rows):
        cells = [str(row.cells.get(column, "")) for column in table.columns]
        lines.append(line_of([row.label, *cells, *(_plain(values[i]) for values in extra.values())]))
    if not brief:
        lines += [part for note in table.notes for part in ("", note)]
        lines += ["", f"<sub>{_provenance(table, 'commit' not in own)}</sub>"]
    return "\n".join(lines) + "\n"


def _measured_on(table: Table) -> str:
    """n, seeds and number format that all rows share."""
    seeds = f"{table.seeds} seed{'s' if table.seeds > 1 else ''}" if table.seeds else ""
    shared = [f"n = {table.n:,}" if table.n else "", seeds, table.dtype]
    return f" ({', '.join(filter(None, shared))})" if any(shared) else ""


def _provenance(table: Table, with_commit: bool) -> str:
    commit = f"commit {table.commit}" if with_commit else ""
    parts = [f"`{table.command}`" if table.command else "", table.machine, commit]
    return "; ".join(filter(None, parts)) + "."


def _plain(value: int | str) -> str:
    return f"{value:,}" if value and isinstance(value, int) else str(value or "")


def render(page: str, tables: Mapping[str, Table]) -> str:
    """A page with every marked table as the data has it.

    Raises:
        UnknownNameError: a marker names no table.
    """

    def replaced(match: re.Match[str]) -> str:
        check_name("table of docs/results.yaml", match[2], list(tables))
        return f"{match[1]}{markdown(tables[match[2]], bool(match[3]))}{match[4]}"

    return BLOCK.sub(replaced, page)


def problems(root: Path) -> Iterator[str]:
    """Pages that differ from the data, decimals that stand outside of it, and tables that no page shows."""
    try:
        tables = read_tables(root / "docs" / "results.yaml")
        shown: set[str] = set()
        for name in PAGES:
            page = (root / name).read_text(encoding="utf-8")
            shown |= {match[2] for match in BLOCK.finditer(page)}
            if render(page, tables) != page:
                yield f"{name}: differs from docs/results.yaml; run `make docs`"
            for number in loose_decimals(page):
                yield f"{name}: {number} stands outside of the tables of docs/results.yaml"
        yield from (f"docs/results.yaml: no page shows table {name}" for name in tables if name not in shown)
    except (RagLightningError, OSError) as error:
        yield str(error)


def later_problems(root: Path) -> Iterator[str]:
    """What is wrong with the page of later numbers: it differs from the data, or decimals stand outside of it."""
    try:
        page = (root / LATER).read_text(encoding="utf-8")
        if render_later(page, read_later(root / LATER_DATA)) != page:
            yield f"{LATER}: differs from {LATER_DATA}; run `make docs`"
        yield from (
            f"{LATER}: {number} stands outside of the tables of {LATER_DATA}" for number in loose_decimals(page)
        )
    except (RagLightningError, OSError) as error:
        yield str(error)


def loose_decimals(page: str) -> list[str]:
    """Decimals of a page's prose: a measured number belongs into the data. Code, links and versions do not count."""
    prose = page
    for pattern in (BLOCK, PART, CODE, TARGET, VERSION):
        prose = pattern.sub("", prose)
    return DECIMAL.findall(prose)


def main(arguments: list[str]) -> int:
    """Write the pages, or with --check only print what is wrong with them; 1 if something is."""
    if arguments == ["--check"]:
        found = [*problems(ROOT), *later_problems(ROOT)]
        for problem in found:
            print(problem, file=sys.stderr)
        print(f"render_results: {len(PAGES) + 1} pages, {len(found)} problems")
        return 1 if found else 0
    try:
        tables = read_tables(ROOT / "docs" / "results.yaml")
        for name in PAGES:
            path = ROOT / name
            path.write_text(render(path.read_text(encoding="utf-8"), tables), encoding="utf-8")
        page, later = ROOT / LATER, read_later(ROOT / LATER_DATA)
        page.write_text(render_later(page.read_text(encoding="utf-8"), later), encoding="utf-8")
    except RagLightningError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
