"""Table 4 of the paper's page: without runs, without annotators, and with them."""

import json
from pathlib import Path
from typing import Any

import pytest

from rag_lightning.assess import command
from rag_lightning.config.commands import AssessConfig, PaperConfig
from rag_lightning.core.errors import DataError
from rag_lightning.core.shipped import find_shipped
from rag_lightning.paper.assessment import as_json, assessment_tables
from rag_lightning.paper.cells import Results
from rag_lightning.report.html import to_html
from rag_lightning.report.latex import to_latex
from rag_lightning.report.paper import read_paper
from rag_lightning.report.tables import Table
from tests.assessing import assess, make_runs, save

PUBLISHED = read_paper(find_shipped("reports/paper.yaml"))


def results(root: Path, scale: Any = "mini") -> Results:
    return Results(PaperConfig(folder=str(root), scale=scale), PUBLISHED)


def tables(root: Path, scale: Any = "mini") -> dict[str, Table]:
    return {table.name: table for table in assessment_tables(results(root, scale))}


def texts(table: Table) -> list[list[str]]:
    return [[cell.text for cell in row.cells] for row in table.rows]


def test_without_runs_it_says_what_it_needs(tmp_path: Path) -> None:
    found = tables(tmp_path)
    assert list(found) == ["table4", "table4-proxy"]
    assert texts(found["table4"])[0] == ["BART better", "7.1", "not run", "16.8", "not run"]
    assert '"jeopardy_rag_token"' in found["table4"].lead and '"jeopardy_closed_book"' in found["table4"].lead
    assert "no human assessment" in found["table4-proxy"].title and "no human assessment" in found["table4-proxy"].lead
    assert texts(found["table4-proxy"])[0] == ["BART higher", "not run", "not run"]
    assert tables(tmp_path, "nq-subset")["table4"].lead.endswith("with stored outputs)")  # no command can


def test_without_annotators_the_command_names_the_runs(tmp_path: Path) -> None:
    make_runs(tmp_path)
    lead = "Ours: not run (nobody has assessed pairs of ours); command: rag-lightning assess --runs "
    assert tables(tmp_path)["table4"].lead == f"{lead}experiments/bart experiments/rag"
    assess(tmp_path)
    found = tables(tmp_path)
    assert found["table4"].lead.startswith(lead) and texts(found["table4-ours"])[0][2:] == ["–"] * 6
    assert texts(found["table4-proxy"])[1] == ["RAG-Token higher", "100.0", "100.0"]


def test_with_annotators_the_shares_stand_beside_the_paper_s(tmp_path: Path) -> None:
    make_runs(tmp_path)
    folder = assess(tmp_path)
    for name in ("ann", "bob"):
        save(folder, name)
    save(folder, "careless", lambda item, question: "neither")
    found = tables(tmp_path)
    assert texts(found["table4"])[:2] == [
        ["BART better", "7.1", "0.0", "16.8", "0.0"],
        ["RAG better", "42.7", "100.0", "37.4", "100.0"],
    ]
    assert "2 annotators counted and 1 excluded" in found["table4"].lead
    ours = found["table4"].rows[1].cells[2]
    assert ours.below == "n 30: not comparable" and "mini corpus" in ours.hint
    assert [row[-1] for row in texts(found["table4-annotators"])] == ["yes", "yes", "no (failed the control items)"]
    (one,) = as_json(results(tmp_path))
    assert (one["annotators"], one["excluded"], one["questions"]["factuality"]["shares"]["B"]) == (2, 1, 100.0)
    assert not any("ann" in row[1].split() for row in texts(found["table4-annotators"]))
    assert "table4-ours" not in tables(tmp_path, "paper")


def test_systems_are_told_by_name_not_by_their_order(tmp_path: Path) -> None:
    make_runs(tmp_path)
    command.run(AssessConfig(folder=str(tmp_path), name="ours", pairs=30), ["rag", "bart"])
    save(tmp_path / "reports" / "assessments" / "ours", "ann")  # prefers B, which is BART here
    assert texts(tables(tmp_path)["table4"])[0] == ["BART better", "7.1", "100.0", "16.8", "100.0"]


def test_hostile_labels_and_a_foreign_file(tmp_path: Path) -> None:
    bad = "<script>alert(1)</script> \\input{x} | \u202e\x00"
    make_runs(tmp_path, label=bad)
    folder = assess(tmp_path)
    save(folder, bad, file="bad.json")
    shown = assessment_tables(results(tmp_path))
    assert "<script>" not in "".join(map(to_html, shown)) and "\\input{" not in to_latex(shown)
    (folder / "notes.json").write_text(json.dumps({"hello": 1}))
    with pytest.raises(
        DataError, match=r"notes\.json: is not a file that an assessment page saved; keep in the folder"
    ):
        assessment_tables(results(tmp_path))
