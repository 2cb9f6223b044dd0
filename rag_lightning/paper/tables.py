"""The paper's tables: the published row above ours, then every cell with interval, n, seeds and verdict."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from rag_lightning.core.artifacts import open_artifact
from rag_lightning.paper.cells import SYSTEMS, TONES, Measured, Results, compare_with_baselines, declared, scale_of
from rag_lightning.report.answer import hint
from rag_lightning.report.paper import SPLITS, paper_dataset
from rag_lightning.report.printed import Column as PaperColumn
from rag_lightning.report.printed import PaperTable
from rag_lightning.report.tables import NOTHING, Cell, Column, Row, Table, estimated, number
from rag_lightning.runs import folders

BASELINES = {
    "table1": ("BART",),
    "table2": ("BART",),
    "table5": ("BART",),
    "table6": ("RAG-Token-BM25", "RAG-Sequence-BM25", "RAG-Token-Frozen", "RAG-Sequence-Frozen"),
}
"""Table -> the baselines that its other systems are tested against, declared here before any run."""
ADDED = {"table1": ("BART",)}
"""Table -> systems of ours that the paper's table lacks."""
CLOSED_BOOK = "closed book"
"""Name of BART in Table 1, where the paper has T5."""
QUESTIONS = ("nq", "triviaqa", "webquestions", "curatedtrec")
WIDEST = 6
"""Columns of one table; a wider one is split into question answering and the other tasks."""


def measure_table(results: Results, name: str) -> list[Measured]:
    """Every cell of one of Tables 1, 2, 5 and 6, row by row, with what it is better than."""
    printed = results.paper.tables[name]
    systems = [*ADDED.get(name, ()), *printed.rows]
    cells = [results.measure(system, column) for system in systems for column in printed.columns]
    return compare_with_baselines(results, cells, BASELINES.get(name, ()))


def tables_of(results: Results, name: str, cells: Sequence[Measured]) -> list[Table]:
    """The tables that are shown: the grid, in parts if it is wide, and every cell as a row, folded."""
    printed = results.paper.tables[name]
    parts: list[tuple[str, list[PaperColumn]]] = [("", list(printed.columns))]
    if len(printed.columns) > WIDEST:
        asked = [column for column in printed.columns if column.dataset in QUESTIONS]
        parts = [(", question answering", asked), (", other tasks", [c for c in printed.columns if c not in asked])]
    letters = declared(list(dict.fromkeys(cell.system for cell in cells)), BASELINES.get(name, ()))
    grids = [
        replace(
            _grid(printed, [cell for cell in cells if cell.column in columns], letters, results.config.scale),
            name=label,
        )
        for (ending, columns), label in zip(parts, (name, f"{name}-other"), strict=False)
    ]
    for place, (ending, _) in enumerate(parts):
        title = f"{printed.title}{ending}: the paper, and {results.config.scale} runs"
        notes = _notes(printed, letters) if place == len(parts) - 1 else ()
        grids[place] = replace(grids[place], title=title, notes=notes, lead=_lead(cells) if not place else "")
    return [*grids, _listed(printed, cells, name)]


def _grid(printed: PaperTable, cells: Sequence[Measured], letters: dict[str, str], scale: str) -> Table:
    columns = list(dict.fromkeys(cell.column for cell in cells))
    best = {column: _best([c for c in cells if c.column == column]) for column in columns}
    rows = []
    for system in dict.fromkeys(cell.system for cell in cells):
        mine = {cell.column: cell for cell in cells if cell.system == system}
        title = _title(system, printed)
        if system in printed.rows:
            values = dict(zip(printed.columns, printed.rows[system], strict=True))
            rows.append(Row((Cell(f"{title}, paper"), *(number(values[column]) for column in columns))))
        if system in SYSTEMS:
            letter = f" ({letters[system]})" if system in letters else ""
            found = [_ours(mine[column], letters, best[column] == system) for column in columns]
            rows.append(Row((Cell(f"{title}, {scale}{letter}"), *found), strong=True))
    heads = [Column("system", numeric=False), *(Column(column.head) for column in columns)]
    return Table(printed.title, tuple(heads), tuple(rows), ordered=True)


def _ours(cell: Measured, letters: dict[str, str], best: bool) -> Cell:
    verdict = cell.compared.verdict
    marks = "".join(sorted(letters[name] for name in cell.better_than))
    if cell.estimate is None:
        why = "\n".join(filter(None, (str(cell.compared), cell.command and f"command: {cell.command}")))
        return Cell("not run", hint=why, tone=TONES[verdict])
    seeds = f"{len(cell.seeds)} seed{'s' if len(cell.seeds) > 1 else ''}"
    below = f"n {cell.estimate.n:,}, {seeds}: {verdict}"
    lines = [
        f"{cell.system} on {cell.runs[0].dataset} {cell.runs[0].split}: {cell.compared}",
        *map(hint, cell.runs[:1]),
    ]
    lines += [f"command: {cell.command}"] if cell.command else []
    found = estimated(cell.estimate)
    return replace(found, marks=marks, hint="\n".join(lines), tone=TONES[verdict], best=best, below=below)


def _best(cells: Sequence[Measured]) -> str:
    """The system of ours with the highest value; empty with fewer than two."""
    found = [(cell.estimate.mean, cell.system) for cell in cells if cell.estimate is not None]
    return max(found)[1] if len(found) > 1 else ""


def _title(system: str, printed: PaperTable) -> str:
    return CLOSED_BOOK if system == "BART" and "BART" not in printed.rows else system


def _listed(printed: PaperTable, cells: Sequence[Measured], name: str) -> Table:
    """A row per cell of ours with all that there is to say of it; a column that is empty is shown in CSV only."""
    heads = (
        "system",
        "column",
        "ours",
        "n",
        "seeds",
        "spread",
        "better than",
        "paper",
        "difference",
        "verdict",
        "runs",
        "command",
    )
    texts = ("system", "column", "seeds", "better than", "verdict", "runs", "command")
    rows = []
    for cell in (one for one in cells if one.system in SYSTEMS):
        digits = 1 if cell.column.unit == "%" else 3
        found = [Cell(_title(cell.system, printed)), Cell(cell.column.head), estimated(cell.estimate)]
        found += [number(cell.estimate.n if cell.estimate else None, 0)]
        found += [Cell(", ".join(map(str, cell.seeds)) or NOTHING), number(cell.spread, digits + 1)]
        found += [Cell(", ".join(cell.better_than) or NOTHING), number(cell.compared.paper_value, digits)]
        found += [number(cell.compared.difference, digits), Cell(str(cell.compared), tone=TONES[cell.compared.verdict])]
        found += [Cell(", ".join(run.run_id for run in cell.runs) or NOTHING), Cell(cell.command or NOTHING)]
        rows.append(Row(tuple(found)))
    filled = [any(row.cells[place].text != NOTHING for row in rows) for place in range(len(heads))]
    columns = tuple(Column(h, numeric=h not in texts, shown=one) for h, one in zip(heads, filled, strict=True))
    title = f"{printed.title.partition(':')[0]}: every cell of ours, its verdict and command"
    return Table(title, columns, tuple(rows), name=f"{name}-cells", folded=True)


def _lead(cells: Sequence[Measured]) -> str:
    ours = [cell for cell in cells if cell.system in SYSTEMS]
    counts = {verdict: sum(cell.compared.verdict == verdict for cell in ours) for verdict in TONES}
    reasons = "; ".join(dict.fromkeys(one.compared.why for one in ours if one.compared.verdict == "not comparable"))
    why = {"not comparable": f" ({reasons})"} if reasons else {}
    text = ", ".join(f"{count} {verdict}{why.get(verdict, '')}" for verdict, count in counts.items() if count)
    return f"{len(ours)} cells of ours: {text}."


def _notes(printed: PaperTable, letters: dict[str, str]) -> tuple[str, ...]:
    notes = [*printed.notes]
    if letters:
        text = ", ".join(f"({letter}) {_title(name, printed)}" for name, letter in letters.items())
        notes.append(
            f"Letters: significantly better than the declared baselines {text}: two-sided paired test, Holm over all "
            "comparisons of the table at 0.05. Bold: the highest of ours."
        )
    return tuple(notes)


def sizes_table(results: Results) -> Table:
    """Table 7: instances as printed, as they truly are, and of the data of the stored runs."""
    columns = [Column("data set", numeric=False)]
    columns += [Column(f"{split}, {what}") for split in SPLITS for what in ("printed", "true", "ours")]
    rows: list[Row] = []
    slips: dict[str, list[str]] = {}
    sources: dict[str, list[str]] = {}
    for count in results.paper.counts:
        ours, dataset = _sizes(results, count.dataset)
        cells: list[Cell] = []
        for place, split in enumerate(SPLITS):
            missing = Cell("not run", hint=f"command: make matrix SCALE={results.config.scale}", tone="missing")
            mine = number(ours[split], 0) if split in ours else missing
            cells += [number(count.printed[place], 0), number(count.actual[place], 0), mine]
        rows.append(Row((Cell(f"{count.head} ({dataset})" if dataset else count.head), *cells)))
        slips.setdefault(count.slip, []).append(count.head)
        sources.setdefault(count.source, []).append(count.head)
    title = f"Table 7: sizes of the data sets: printed, true, and at scale {results.config.scale}"
    notes = [f"{', '.join(heads)}: {slip}" for slip, heads in slips.items() if slip]
    notes += [f"True sizes of {', '.join(heads)}: {source}" for source, heads in sources.items() if source]
    return Table(title, tuple(columns), tuple(rows), tuple(notes), "table7", ordered=True)


def slips_table(results: Results) -> Table:
    """What is wrong in the paper outside of its tables."""
    columns = (Column("place", numeric=False), Column("what is wrong", numeric=False))
    rows = tuple(Row((Cell(place), Cell(text))) for place, text in results.paper.slips.items())
    return Table("Slips in the paper outside of its tables", columns, rows, name="slips", folded=True)


def _sizes(results: Results, dataset: str) -> tuple[dict[str, int], str]:
    """(split -> examples, our name of the data) of the newest run on a data set whose examples are still stored."""
    runs = [run for run in results.runs if paper_dataset(run.dataset) == dataset and run.finished]
    for run in sorted(runs, key=lambda one: str(one.record.get("ended") or ""), reverse=True):
        folder = folders.artifacts(results.config.folder) / "examples" / str(run.record["digests"].get("examples"))
        if folder.exists():
            found: Any = open_artifact(folder, "examples").info.get("counts", {})
            return {split: int(value) for split, value in found.items()}, run.dataset
    return {}, ""


def as_json(cell: Measured) -> dict[str, Any]:
    """A cell as JSON values."""
    estimate = cell.estimate
    return {
        "system": cell.system,
        "column": cell.column.head,
        "dataset": cell.runs[0].dataset if cell.runs else cell.column.dataset,
        "split": cell.runs[0].split if cell.runs else cell.column.split,
        "metric": cell.column.metric,
        "unit": cell.column.unit,
        "value": estimate.mean if estimate else None,
        "low": estimate.low if estimate else None,
        "high": estimate.high if estimate else None,
        "n": estimate.n if estimate else None,
        "seeds": list(cell.seeds),
        "spread": cell.spread,
        "better_than": list(cell.better_than),
        "paper": cell.compared.paper_value,
        "difference": cell.compared.difference,
        "verdict": cell.compared.verdict,
        "why": cell.compared.why,
        "scale": scale_of(cell.runs[0]) if cell.runs else None,
        "runs": [run.run_id for run in cell.runs],
        "command": cell.command or None,
    }
