"""Table 3: outputs of several systems on the same inputs with the passages behind them; the paper's beside ours."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

from rag_lightning.core.artifacts import open_artifact
from rag_lightning.core.files import content_digest
from rag_lightning.core.plain import clean, shorten
from rag_lightning.core.records import Example, Prediction, Ranking, read_jsonl
from rag_lightning.corpus.store import PassageStore
from rag_lightning.paper.cells import Results
from rag_lightning.report.answer import hint
from rag_lightning.report.collect import Run
from rag_lightning.report.paper import paper_system
from rag_lightning.report.printed import Column as PaperColumn
from rag_lightning.report.tables import NOTHING, Cell, Column, Row, Table
from rag_lightning.runs import folders

R = TypeVar("R")
SYSTEMS = ("BART", "RAG-Token", "RAG-Sequence")
TABLES = ("table1", "table2", "table6")
"""Tables whose columns name data sets, those on test first."""
PASSAGES, LENGTH = 3, 180
"""Passages of an output, and characters of each."""


def example_tables(results: Results) -> list[Table]:
    """The paper's examples, then those of ours; without runs one row that says how to get them."""
    return [_printed(results), _ours(results)]


def _printed(results: Results) -> Table:
    columns = tuple(Column(head, numeric=False) for head in ("task", "input", "system", "output", "the paper's mark"))
    rows = []
    for one in results.paper.examples:
        texts = (one.task, one.input, one.system, one.output)
        rows.append(Row((*map(Cell, texts), Cell(one.mark or NOTHING, tone="bad" if one.mark else ""))))
    return Table("Table 3: examples of the paper", columns, tuple(rows), name="table3", ordered=True)


def _ours(results: Results) -> Table:
    heads = ("data", "input", "accepted answers", "system", "output", "passages read, best first")
    rows = [row for runs in _by_data(results) for row in _rows(results, runs)]
    if not rows:
        command = f"make matrix SCALE={results.config.scale}"
        missing = Cell("not run (no finished run with stored predictions)", hint=f"command: {command}", tone="missing")
        rows = [Row((missing, *(Cell(NOTHING) for _ in heads[1:])))]
    notes = ("The first questions by the digest of their ids, the same for every system: nobody chose them.",)
    title = f"Table 3: examples of {results.config.scale} runs, with the passages that led to them"
    return Table(
        title, tuple(Column(head, numeric=False) for head in heads), tuple(rows), notes, "table3-ours", ordered=True
    )


def _by_data(results: Results) -> list[list[Run]]:
    """Per data set and system the first run that has predictions, those of the tables' test columns first."""
    columns = [column for name in TABLES for column in results.paper.tables[name].columns]
    found: dict[str, list[Run]] = {}
    for column in columns:
        runs = [run for system in SYSTEMS if (run := _first(results, system, column))]
        if len(runs) > len(found.get(column.dataset, ())):
            found[column.dataset] = runs
    return list(found.values())


def _first(results: Results, system: str, column: PaperColumn) -> Run | None:
    stored = (run for run in results.find(system, column) if _folder(results, run, "predictions"))
    return next(stored, None)


def _rows(results: Results, runs: Sequence[Run]) -> list[Row]:
    asked = _folder(results, runs[0], "examples")
    if asked is None:
        return []
    examples = list(read_jsonl(asked / f"{runs[0].split}.jsonl", Example))
    chosen = sorted(examples, key=lambda one: content_digest(one.example_id))[: results.config.examples]
    outputs = [(run, _predictions(results, run), _passages(results, run, chosen)) for run in runs]
    rows = []
    for example in chosen:
        answers = Cell(shorten("; ".join(example.answers), 200))
        for run, predictions, passages in outputs:
            text = predictions.get(example.example_id, NOTHING)
            cells = (Cell(f"{run.dataset} {run.split}"), Cell(example.query), answers, _system(run), Cell(text))
            rows.append(Row((*cells, Cell(passages.get(example.example_id, NOTHING)))))
    return rows


def _system(run: Run) -> Cell:
    return Cell(paper_system(run.config), hint=hint(run))


def _begin(text: str) -> str:
    found = clean(text)
    return found if len(found) <= LENGTH else f"{found[:LENGTH]}…"


def _predictions(results: Results, run: Run) -> dict[str, str]:
    folder = _folder(results, run, "predictions")
    listed = read_jsonl(folder / "predictions.jsonl", Prediction) if folder else ()
    return {one.example_id: one.text for one in listed}


def _passages(results: Results, run: Run, examples: Sequence[Example]) -> dict[str, str]:
    """Example id -> its first passages as text; empty for closed book, or where they are no longer stored."""
    ranked, corpus = _folder(results, run, "rankings"), _folder(results, run, "corpus")
    if not run.k or ranked is None or corpus is None:
        return {}
    wanted, store, found = {one.example_id for one in examples}, PassageStore(corpus), {}
    for ranking in read_jsonl(ranked / "rankings.jsonl", Ranking):
        if ranking.example_id in wanted:
            passages = [store[row] for row in ranking.rows[: min(run.k, PASSAGES)]]
            texts = [f"{z}. {one.title}: {_begin(one.text)}" for z, one in enumerate(passages, 1)]
            found[ranking.example_id] = " ".join(texts)
    return found


def _folder(results: Results, run: Run, kind: str) -> Path | None:
    """The verified folder of an artifact of a run, None if it is no longer stored."""
    digest = run.record.get("digests", {}).get(kind)
    folder = folders.artifacts(results.config.folder) / kind / str(digest)
    return open_artifact(folder, kind).path if digest and folder.exists() else None
