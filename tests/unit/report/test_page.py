"""The whole report of made-up sweeps."""

import csv
import json
import re
import shutil
import sys
from base64 import b64encode
from hashlib import sha256
from html.parser import HTMLParser
from pathlib import Path
from subprocess import run
from typing import Any

import pytest

from rag_lightning.core.errors import DataError
from rag_lightning.core.files import write_sealed
from rag_lightning.report import page
from rag_lightning.report.collect import collect
from rag_lightning.report.figures import objective_lines, recall_lines
from rag_lightning.report.paper import Paper
from rag_lightning.report.sections import (
    confusion_table,
    main_table,
    pairs_table,
    paper_table,
    trials_table,
)
from rag_lightning.report.slices import slices_table
from rag_lightning.report.sweep_page import render

FILES = {"index.html", "table.md", "table.tex", "table.csv", "retrieval.csv", "trials.csv", "errors.csv"}
CHARTS = {"systems.svg", "k.svg", "recall.svg", "errors.svg"}


def made(maker: Any, paper_path: Path) -> Path:
    return render(maker.folder, maker.artifacts, maker.root / "out", paper_path)


def column(table: Any, head: str) -> list[str]:
    place = [found.head for found in table.columns].index(head)
    return [row.cells[place].text for row in table.rows]


def test_all_files_are_written(filled: Any, full_page: Path) -> None:
    assert full_page == filled.root / "out" / "s1" / "index.html"
    assert {path.name for path in full_page.parent.iterdir()} == FILES | CHARTS
    assert [path.name for path in full_page.parent.parent.iterdir()] == ["s1"]
    rows = list(csv.DictReader((full_page.parent / "table.csv").read_text().splitlines()))
    assert [row["role"] for row in rows] == ["final", "baseline"]
    assert rows[0]["verdict"] == "not comparable (mini corpus)"
    assert float(rows[0]["em low"]) <= float(rows[0]["em"]) <= float(rows[0]["em high"])


def test_the_page_needs_nothing_else(full_page: Path) -> None:
    text = full_page.read_text()
    assert "<svg" in text and text.count("<script>") == 1 and "<link" not in text
    (script,) = re.findall(r"<script>(.*?)</script>", text, re.DOTALL)
    policy = re.search(r"script-src &#39;sha256-(.*?)&#39;", text)
    assert policy and policy[1] == b64encode(sha256(script.encode()).digest()).decode()
    ids = re.findall(r'\bid="(.*?)"', text)
    assert len(set(ids)) == len(ids) or {one for one in ids if ids.count(one) > 1} <= set(
        re.findall(r'id="(m\w+)"', text)
    )
    assert not re.search(r'(src|href)="(?!#)', text.replace("xlink:href", "href"))
    for part in ("score_scale is 21.3", "Systems on mini-nq test", "Retrieval on mini-nq", "abc123", "Provenance"):
        assert part in text, part
    assert "3 of" not in text and "6 of 8 finished" in text and "ran out of memory" in text


def test_every_table_of_ours_names_the_data_set(full_page: Path) -> None:
    lines = (full_page.parent / "table.md").read_text().splitlines()
    titles = [line for line in lines if line.startswith("## ")]
    assert len(titles) == 12
    for title in titles:
        assert "mini-nq" in title or title.startswith("## The paper's Table 1"), title


def test_the_main_table(filled: Any, paper: Paper) -> None:
    table = main_table(collect(filled.folder), paper)
    assert column(table, "paper, nq test em") == ["44.1", "\N{EN DASH}"]
    assert column(table, "n") == ["40", "40"] and column(table, "s/query") == ["0.050", "0.050"]
    assert table.notes.count("ceiling 99.6") == 1
    assert any("k = 15, greedy" in note for note in table.notes)


def test_marks_missing_intervals_and_labels(full: Any, paper: Paper, paper_path: Path) -> None:
    path = full.folder / "final-token" / "summary.json"
    raw = json.loads(path.read_text())
    raw["metrics"]["q_bleu1"] = {"mean": 22.2, "low": 20.0, "high": 24.0, "n": 40, "unit": "%"}
    raw["metrics"]["distinct_trigrams"] = {"mean": 83.5, "low": None, "high": None, "n": 40, "unit": "%"}
    raw["notes"] = [{"metrics": ["q_bleu1"], "text": "no prediction is cased", "degraded": True}]
    raw["confusion"] = {"predicted": ["yes", "no"], "true": {"yes": [30, 2], "no": [5, 3]}}
    write_sealed(path, raw)
    sweep = collect(full.folder)
    table = main_table(sweep, paper)
    assert column(table, "q_bleu1") == ["22.2 (degraded)", "\N{EN DASH}"]
    assert table.rows[0].cells[[c.head for c in table.columns].index("distinct_trigrams")].interval == ""
    labels = confusion_table(sweep)
    assert column(labels, "label") == ["yes", "no"] and column(labels, "as no") == ["2", "3"]
    assert "83.5" in made(full, paper_path).read_text()


def test_where_no_answer_is_looked_for_articles_are(full: Any, paper: Paper) -> None:
    for path in [*full.folder.glob("*/summary.json"), full.folder / "sweep.json"]:
        write_sealed(path, json.loads(path.read_text().replace("answer_recall@", "gold_title@")))
    sweep = collect(full.folder)
    assert column(main_table(sweep, paper), "gold title@k")[0] == "100.0"
    assert column(trials_table(sweep), "gold title@k").count("100.0") == 2
    assert recall_lines(sweep)[0].points[20].mean == 70.0


def test_the_paper_s_table_has_a_verdict_per_row(filled: Any, paper: Paper) -> None:
    table = paper_table(collect(filled.folder), paper)
    verdicts = dict(zip(column(table, "paper's system"), column(table, "here, mini-nq"), strict=True))
    assert verdicts["T5-11B"] == "not run (another paper's system)"
    assert verdicts["RAG-Token"].startswith("not comparable (mini corpus)")
    assert verdicts["RAG-Sequence"] == "not run (no such run on test)"
    assert column(table, "NQ") == ["34.5", "36.6", "40.4", "41.5", "44.1", "44.5"]


def test_trials_are_sorted_and_marked(filled: Any) -> None:
    table = trials_table(collect(filled.folder))
    scores = [float(text) for text in column(table, "em")]
    assert scores == sorted(scores, reverse=True) and len(scores) == 4
    assert column(table, "to the best")[0] == "0.0"
    assert sorted(column(table, "chosen")) == ["", "", "", "yes"]
    assert column(table, "not worse").count("yes") == 2
    assert [row.strong for row in table.rows].count(True) == 1


def test_slices_have_a_column_per_system(filled: Any) -> None:
    sweep = collect(filled.folder)
    table = slices_table(sweep, sweep.on("test", "final", "baseline"), {})
    assert column(table, "slice") == ["family=x"] and len(table.columns) == 4


def test_differences_need_the_stored_scores(full: Any, full_page: Path, paper_path: Path) -> None:
    sweep = collect(full.folder)
    assert "Differences on mini-nq test" in full_page.read_text()
    empty = pairs_table(sweep, {})
    assert not empty.rows and "no longer stored" in empty.notes[1]
    assert "Differences" not in render(full.folder, full.root / "none", full.root / "out", paper_path).read_text()


def test_a_sweep_that_has_just_begun(maker: Any, paper_path: Path) -> None:
    maker.sweep(retrieval=[], finished=False)
    text = made(maker, paper_path).read_text()
    assert "No result yet" in text and "has not ended" in text and "0 of 0 finished" in text


def test_a_failed_final_is_shown_as_not_run(full: Any, paper: Paper) -> None:
    full.run("final-seq", "final", "test", 0.0, status="failed", system={"formulation": "rag_sequence"})
    table = main_table(collect(full.folder), paper)
    assert column(table, "verdict")[-1] == "not run (the run is marked failed)"
    assert column(table, "paper, nq test em")[-1] == "44.5"


def test_real_nq_at_paper_scale_gets_a_verdict(tmp_path: Path, maker: Any, paper: Paper) -> None:
    nq = type(maker)(tmp_path / "nq", "nq", "paper")
    nq.sweep()
    nq.run("final", "final", "test", 0.441, n=3610)
    (verdict,) = column(main_table(collect(nq.folder), paper), "verdict")
    assert verdict in ("reproduced", "different")


def test_hostile_text_stays_text(maker: Any, paper_path: Path) -> None:
    bad = "<script>alert(1)</script>$\\frac{|"
    maker.dataset = bad
    maker.sweep(name=bad, dataset=bad, warnings=[bad])
    system = {"retriever": bad, "formulation": bad}
    maker.run("t", "trial", "dev", 0.5, system=system, label=bad)
    changes = {"label": bad, "notes": [bad], "packages": {bad: bad}, "git": {"sha": bad}, "hardware": {bad: [bad]}}
    maker.run("f", "final", "test", 0.5, system=system, answer=bad, **changes)
    found: list[str] = []

    class Parser(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            found.append(tag)

    index = made(maker, paper_path)
    Parser().feed(index.read_text())
    assert found.count("script") == 1 and "td" in found and "text" in found
    assert "\\frac" not in (index.parent / "table.tex").read_text()


def test_the_same_runs_give_the_same_bytes(full: Any, full_page: Path, paper_path: Path) -> None:
    first = {path.name: path.read_bytes() for path in full_page.parent.iterdir()}
    again = {path.name: path.read_bytes() for path in made(full, paper_path).parent.iterdir()}
    assert first == again


def test_an_old_report_survives_a_failure(
    full: Any, full_page: Path, paper_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    index = Path(shutil.copytree(full_page.parent, full.root / "out" / "s1")) / "index.html"
    before = index.read_bytes()

    def fail(*args: object) -> str:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(page, "to_csv", fail)
    with pytest.raises(OSError, match="No space"):
        made(full, paper_path)
    assert index.read_bytes() == before
    assert [path.name for path in (full.root / "out").iterdir()] == ["s1"]


def test_a_missing_template_is_named(full: Any, paper_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page, "TEMPLATE", "reports/templates/gone.html.j2")
    with pytest.raises(DataError, match=r"reports/templates/gone\.html\.j2: is missing; it comes with the package"):
        made(full, paper_path)
    assert not list((full.root / "out").iterdir())


def test_a_template_in_the_working_folder_wins(
    full: Any, paper_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = tmp_path / "reports" / "templates" / "report.html.j2"
    own.parent.mkdir(parents=True)
    own.write_text("mine: {{ title }}")
    monkeypatch.chdir(tmp_path)
    assert made(full, paper_path).read_text().startswith("mine: s1")


def test_lines_of_the_figures(filled: Any) -> None:
    sweep = collect(filled.folder)
    lines = {(line.panel, line.label): sorted(line.points) for line in objective_lines(sweep)}
    assert lines == {("flat", "Token, greedy"): [1, 5, 20], ("bm25", "Token, greedy"): [5]}
    (recall,) = recall_lines(sweep)
    assert (recall.panel, recall.label, sorted(recall.points)) == ("flat", "pretrained", [1, 5, 20])


def test_the_first_screen_is_the_answer(full_page: Path) -> None:
    text = full_page.read_text()
    head = text[text.index("<header") : text.index("</header>")]
    assert re.search(r"<h1>rag_token · flat · 5 · greedy has the highest EM on mini-nq test: [\d.]+</h1>", head)
    assert "Not comparable with the paper (its counterpart has 44.1): mini corpus." in head
    assert re.search(r"Paired differences on the same questions: \+[\d.]+ to closed_book · none · 0 · greedy \(p", head)
    assert "4 configurations were tried on dev; 2 of them" in head and "<svg" in head


def test_a_row_says_how_it_was_run(full: Any, paper_path: Path) -> None:
    path = full.folder / "final-token" / "run.json"
    write_sealed(path, json.loads(path.read_text()) | {"command": "rag-lightning sweep --name <s1>"})
    text = made(full, paper_path).read_text()
    (row,) = {found for found in re.findall(r'<tr[^>]*data-hint="(.*?)"', text) if "final-token" in found}
    assert "decoding.k=5" in row and "command: rag-lightning sweep --name &lt;s1&gt;" in row


def test_reports_need_no_torch(paper_path: Path) -> None:
    code = "import sys, rag_lightning.report.sweep_page; sys.exit('torch' in sys.modules or 'mlflow' in sys.modules)"
    assert run([sys.executable, "-c", code], check=False, cwd=paper_path.parents[1]).returncode == 0
