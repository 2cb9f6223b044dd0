"""Pareto front, tie sets, importances and the ledger in a report."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from rag_lightning.core.errors import DataError
from rag_lightning.core.files import write_sealed
from rag_lightning.report.search import front_table, importances_table, ledger_fact, read_search
from rag_lightning.report.sweep_page import render
from rag_lightning.runs import ledger

AIMS = {"em": "maximize", "index_bytes": "minimize"}


def write(maker: Any, **changes: Any) -> None:
    def row(label: str, em: float, size: float, *marks: str) -> dict[str, Any]:
        marked = {name: name in marks for name in ("feasible", "pareto", "chosen", "within")}
        values = {"em": em, "index_bytes": size}
        return {"run_id": label, "label": label, "formulation": "rag_token", "p": None, "values": values, **marked}

    rows = [
        row("small", 40.0, 3e6, "feasible", "pareto"),
        row("<best>", 50.0, 9e6, "feasible", "pareto", "within"),
        row("cheap", 49.0, 9e6, "feasible", "within", "chosen"),
        row("huge", 60.0, 900e6),
    ]
    group = {"formulation": "rag_token", "trials": 4, "feasible": 3, "within": 2, "optimism": 1.26}
    none = {"formulation": "rag_sequence", "trials": 1, "feasible": 0}
    raw = {"objective": "em", "objectives": AIMS, "constraints": ["index_bytes <= 50e6"], "candidates": rows}
    write_sealed(maker.folder / "selection.json", raw | {"formulations": [group, none]} | changes)


def test_the_front_shows_the_chosen_beside_it(maker: Any) -> None:
    write(maker)
    table = front_table(read_search(maker.folder, "s1"), "mini-nq")
    assert [column.head for column in table.columns] == ["system", "em", "index MB", "on the front", "chosen"]
    assert [[cell.text for cell in row.cells] for row in table.rows] == [
        ["<best>", "50.0", "9.0", "yes", ""],
        ["cheap", "49.0", "9.0", "", "yes"],
        ["small", "40.0", "3.0", "yes", ""],
    ]
    assert table.notes[0].startswith("On the front: 2 of 3 trials")
    assert "3 of 4 trials meet index_bytes <= 50e6." in table.notes
    write(maker, objectives={"em": "maximize"})
    assert not front_table(read_search(maker.folder, "s1"), "mini-nq").rows, "one objective has no front"


def test_ties_and_optimism_are_one_sentence(maker: Any) -> None:
    write(maker)
    (line,) = read_search(maker.folder, "s1").ties
    assert line == (
        "rag_token: 2 of 3 trials are not significantly worse than the best, corrected for the search (the tie set); "
        "its dev em is expected to be 1.3 too high, because it is the best of 3 (bootstrap)."
    )


def test_importances_name_the_fields_without_one(maker: Any) -> None:
    shares = {"em": {"k": 0.25, "retriever": 0.75}, "index_bytes": {}}
    raw = {"objectives": shares, "left_out": ["index.nprobe"]}
    write_sealed(maker.folder / "importances.json", raw)
    table = importances_table(read_search(maker.folder, "s1"), "mini-nq")
    assert [[cell.text for cell in row.cells] for row in table.rows] == [["retriever", "75.0"], ["k", "25.0"]]
    assert table.notes[-1] == "Not in every trial, so without a share: index.nprobe."


def test_the_ledger_counts_the_evaluations_of_this_sweep_on_test(maker: Any) -> None:
    assert ledger_fact(read_search(maker.folder, "s1")) == {}
    for number, (sweep, label) in enumerate((("s1", "a"), ("s1", "a"), ("s1", "b"), ("s2", "a"))):
        ledger.append(maker.root, ledger.Evaluation(sweep, "r", label, "final", "test", "mini-nq", str(number)))
    assert ledger_fact(read_search(maker.folder, "s1")) == {"evaluations on test": "3 (2 systems)"}


def test_all_of_it_is_on_the_page(full: Any, paper_path: Path) -> None:
    write(full)
    page = render(full.folder, full.artifacts, full.root / "out", paper_path).read_text()
    for part in ("Pareto front on mini-nq dev", "&lt;best&gt;", "the tie set", "em against index MB"):
        assert part in page, part
    assert "<best>" not in page and "mathdefault" not in page
    assert (full.root / "out" / "s1" / "pareto.csv").exists()


@pytest.mark.parametrize(
    ("name", "raw", "says"),
    [
        ("selection.json", {"objectives": 3}, "field 'objectives': has the wrong type"),
        (
            "selection.json",
            {"objective": "em", "objectives": AIMS, "candidates": [{"values": {}, "label": "x"}]},
            "candidates.formulation",
        ),
        ("importances.json", {"objectives": {"em": {"k": "x"}}}, "field 'objectives.em.k': has the wrong type"),
        ("importances.json", {"objectives": {}}, "field 'left_out': is missing"),
        ("selection.json", {"constraints": 5}, "field 'constraints': has the wrong type"),
        ("selection.json", {"objective": "em", "objectives": {"f1": "maximize"}}, "field 'objectives.em': is missing"),
    ],
)
def test_damage_is_told_by_file_and_field(maker: Any, name: str, raw: dict[str, Any], says: str) -> None:
    write_sealed(maker.folder / name, raw)
    with pytest.raises(DataError, match=says):
        read_search(maker.folder, "s1")
