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

from rag_lightning.config.yaml_files import build, read_yaml
from rag_lightning.core.errors import DataError, RagLightningError
from rag_lightning.core.registry import check_name
from rag_lightning.report.later import Block, Later, LaterRow, read_later

ROOT = Path(__file__).resolve().parent.parent
PAGES = ("README.md", "docs/results.md", "docs/claims.md", "docs/performance.md")
LATER, LATER_DATA = "docs/later.md", "reports/later.yaml"
PART = re.compile(r"(<!-- later: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)
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
    lines = [f"**{table.title}**{_measured_on(table)}", "", _line([table.head, *table.columns, *extra])]
    lines.append("|" + "---|" * (1 + len(table.columns) + len(extra)))
    for i, row in enumerate(table.rows):
        cells = [str(row.cells.get(column, "")) for column in table.columns]
        lines.append(_line([row.label, *cells, *(_plain(values[i]) for values in extra.values())]))
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


def _line(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


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


def render_later(page: str, later: Later) -> str:
    """The page of later numbers with every marked part as the data has it.

    Raises:
        UnknownNameError: a marker names no part.
    """
    parts = {
        "retrieval": lambda: "\n".join(_block(later, block) for block in later.blocks if block.task == "retrieval"),
        "answers": lambda: "\n".join(_block(later, block) for block in later.blocks if block.task == "answers"),
        "metrics": lambda: _definitions(("metric", "means"), later.metrics),
        "corpora": lambda: _definitions(("corpus", "is"), later.corpora),
        "sources": lambda: _sources(later),
        "unread": lambda: "".join(f"- {gap.what}: {gap.why}.\n" for gap in later.unread),
    }

    def replaced(match: re.Match[str]) -> str:
        check_name(f"part of {LATER_DATA}", match[2], list(parts))
        return f"{match[1]}{parts[match[2]]()}{match[3]}"

    return PART.sub(replaced, page)


def _block(later: Later, block: Block) -> str:
    """The table of a block under its title, with what its rows share; of a row's fields only those that one row has."""
    fields = ("encoder", "settings", "k", "size", "training")
    own = [name for name in fields if any(getattr(row, name) for row in block.rows)]
    shared = [f"`{block.dataset}`, {block.split}", block.topics, f"n = {block.n:,}" if block.n else ""]
    shared.append(f"corpus `{block.corpus}`" if block.corpus else "")
    lines = [f"#### {block.title}", "", f"{'; '.join(filter(None, shared))}. {block.caution}".strip(), ""]
    lines.append(_line(["system", *own, *block.metrics, "source"]))
    lines.append("|" + "---|" * (2 + len(own) + len(block.metrics)))
    for row in block.rows:
        numbers = [_number(row, name) for name in block.metrics]
        source = f"[{row.source}](#sources), {row.place}"
        lines.append(_line([_cell(part) for part in (row.system, *_fields(row, own), *numbers, source)]))
    notes = [f"- {row.system}{f', {row.encoder}' if row.encoder else ''}: {row.note}" for row in block.rows if row.note]
    return "\n".join([*lines, *(["", *notes] if notes else [])]) + "\n"


def _fields(row: LaterRow, names: list[str]) -> list[str]:
    return [str(getattr(row, name) or "") for name in names]


def _number(row: LaterRow, metric: str) -> str:
    """A number with two digits at most; bold in a row that a correct index reaches."""
    if metric not in row.values:
        return ""
    shown = f"{row.values[metric]:.2f}".removesuffix("0")
    return f"**{shown}**" if row.must_reach else shown


def _cell(text: str) -> str:
    return text.replace("|", r"\|")


def _definitions(heads: tuple[str, str], known: Mapping[str, str]) -> str:
    rows = [_line([f"`{name}`", _cell(text)]) for name, text in known.items()]
    return "\n".join([_line(list(heads)), "|---|---|", *rows]) + "\n"


def _sources(later: Later) -> str:
    lines = [_line(["id", "page", "kind", "as of"]), "|---|---|---|---|"]
    for name, source in later.sources.items():
        lines.append(_line([f"`{name}`", f"[{_cell(source.title)}]({source.url})", source.kind, source.revision]))
    return "\n".join(lines) + "\n"


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
