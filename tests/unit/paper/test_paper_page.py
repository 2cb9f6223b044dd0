"""The paper's page from made-up runs, and from none."""

import csv
import json
import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rag_lightning.config.commands import PaperConfig, SweepConfig
from rag_lightning.config.experiment import ExperimentConfig
from rag_lightning.config.fields import to_dict
from rag_lightning.config.loading import experiment_of, merged
from rag_lightning.core.errors import ConfigError, DataError, UnknownNameError
from rag_lightning.core.files import write_sealed
from rag_lightning.core.records import Example, Prediction, Score
from rag_lightning.metrics.summary import summarise
from rag_lightning.paper import command
from rag_lightning.paper.cells import SYSTEMS, Measured, Results
from rag_lightning.paper.figures import figure3
from rag_lightning.paper.posterior import FILE, compute, stored
from rag_lightning.paper.tables import measure_table
from rag_lightning.report.paper import read_paper
from tests.run_folders import keep, svg_only

ROOT = Path(__file__).parents[3]
PUBLISHED = read_paper(ROOT / "reports" / "paper.yaml")
BAD = "<script>alert(1)</script> \\input{x} | ` \u202e\x00 & % # " + "x" * 50_000


@pytest.fixture(autouse=True)
def one_format(monkeypatch: pytest.MonkeyPatch) -> None:
    svg_only(monkeypatch)


def cell(root: Path, system: str, seed: int, rate: float, n: int = 60, **changes: Any) -> Path:
    """A finished run of a cell of the matrix on test."""
    dataset, scale, text = (
        changes.pop(name, other) for name, other in (("dataset", "mini-nq"), ("scale", "mini"), ("text", "yes"))
    )
    k, split = changes.pop("k", 1), changes.pop("split", "test")
    formulation = "closed_book" if system == "closed_book" else system.removesuffix("_frozen")
    values: dict[str, Any] = {"formulation": formulation, "decoding": {"k": k}, "name": f"nq_{system}"}
    values["retriever"] = (
        {"kind": "none"} if formulation == "closed_book" else {"train": not system.endswith("_frozen")}
    )
    hits = np.random.default_rng(seed).random(n) < rate
    more = {f"answer_recall@{cutoff}": value for cutoff, value in changes.pop("recall", {}).items()}
    scores = [Score(f"q{i}", f"e{i}", {"em": float(hit), "f1": float(hit), **more}) for i, hit in enumerate(hits)]
    name = f"{split}-{system}-{k}-{seed}"
    questions = [Example(f"q{i}", f"question {i} {text}", (text,)) for i in range(n)]
    asked = keep(root, "examples", dataset + text[:9], {"train": questions, "dev": questions, "test": questions}, {})
    answers = [Prediction(f"q{i}", text, text, -0.5) for i in range(n)]
    made = keep(root, "predictions", name + text[:9], {"predictions": answers}, {"examples": asked})
    digests = {"examples": asked, "predictions": made}
    digests["scores"] = keep(root, "scores", name + str(rate), {"scores": scores}, {"predictions": made})
    raw = {
        "run_id": name,
        "sweep": "experiments",
        "role": "cell",
        "split": split,
        "status": "finished",
        "label": system,
    }
    raw |= {"dataset": dataset, "scale": scale, "seed": seed, "digests": digests, "command": "rag-lightning matrix"}
    raw["config"] = merged(to_dict(experiment_of({}, "here")), values, {"seed": seed})
    folder = root / "runs" / "experiments" / name
    folder.mkdir(parents=True)
    write_sealed(folder / "run.json", raw | changes)
    write_sealed(folder / "summary.json", summarise(scores, seed=0))
    return folder


def results(root: Path, **changes: Any) -> Results:
    return Results(PaperConfig(folder=str(root), **changes), PUBLISHED)


def find(cells: list[Measured], system: str, head: str) -> Measured:
    (found,) = [one for one in cells if (one.system, one.column.head) == (system, head)]
    return found


@pytest.mark.parametrize("scale", ["mini", "nq-subset", "paper"])
def test_without_runs_every_cell_says_what_it_needs(tmp_path: Path, scale: Any) -> None:
    cells = [one for name in command.MEASURED for one in measure_table(results(tmp_path, scale=scale), name)]
    assert {one.compared.verdict for one in cells} == {"not run"}
    assert all(one.compared.why for one in cells)
    ours = [one for one in cells if one.system in SYSTEMS]
    found = results(tmp_path, scale=scale)
    for one in ours:
        known = found.cells.get((one.column.dataset, SYSTEMS[one.system]))
        if known is not None and not known.skip and "hidden" not in one.compared.why:
            assert f'"{known.name}"' in one.command, one
            assert one.command.endswith("--corpus PASSAGES --train QUESTIONS") == (scale == "nq-subset")
        else:
            assert not one.command


def test_seeds_are_averaged_and_their_spread_is_given(tmp_path: Path) -> None:
    for seed, rate in ((0, 0.5), (1, 0.6), (2, 0.7)):
        cell(tmp_path, "rag_token", seed, rate, k=5)
        cell(tmp_path, "closed_book", seed, 0.05)
    cell(tmp_path, "rag_token", 3, 0.99, k=1)  # another number of passages than the cell's own
    cells = measure_table(results(tmp_path), "table1")
    one = find(cells, "RAG-Token", "NQ")
    assert one.seeds == (0, 1, 2) and one.spread and one.estimate and one.estimate.n == 60
    means = [run.estimates["em"].mean for run in one.runs]
    assert one.estimate.mean == pytest.approx(np.mean(means)) and one.spread == pytest.approx(np.std(means, ddof=1))
    assert one.estimate.low is not None and one.estimate.low < one.estimate.mean
    assert one.better_than == ("BART",) and find(cells, "BART", "NQ").better_than == ()
    assert str(one.compared) == "not comparable (mini corpus)" and one.compared.paper_value == 44.1


def test_a_small_difference_gets_no_letter(tmp_path: Path) -> None:
    cell(tmp_path, "rag_token", 0, 0.5)
    cell(tmp_path, "closed_book", 0, 0.5)
    assert find(measure_table(results(tmp_path), "table1"), "RAG-Token", "NQ").better_than == ()


def test_only_all_of_the_paper_s_data_gets_a_verdict(tmp_path: Path) -> None:
    cell(tmp_path, "rag_token", 0, 0.441, n=3610, dataset="nq", scale="paper")
    cell(tmp_path, "rag_sequence", 0, 0.2, n=3610, dataset="nq", scale="paper")
    cells = measure_table(results(tmp_path, scale="paper"), "table1")
    assert find(cells, "RAG-Token", "NQ").compared.verdict == "reproduced"
    assert find(cells, "RAG-Sequence", "NQ").compared.verdict == "different"
    assert find(cells, "RAG-Token", "WQ").compared.why == "no finished run"


def test_a_failed_run_and_a_damaged_one(tmp_path: Path) -> None:
    folder = cell(tmp_path, "rag_token", 0, 0.5, status="failed")
    assert (
        find(measure_table(results(tmp_path), "table1"), "RAG-Token", "NQ").compared.why == "its run is marked failed"
    )
    (folder / "run.json").write_text('{"run_id": "x"')
    with pytest.raises(DataError, match=r"run\.json"):
        measure_table(results(tmp_path), "table1")


def test_mini_is_never_drawn_beside_the_paper(tmp_path: Path) -> None:
    for k in (1, 5):
        cell(tmp_path, "rag_token", 0, 0.5, k=k, split="dev")
    chart = figure3(results(tmp_path))
    assert [panel.title for panel in chart.panels][-1] == "mini-nq: exact match" and len(chart.panels) == 4
    assert any("cannot be compared" in note for note in chart.notes)
    for k in (1, 5):
        cell(tmp_path, "rag_token", 1, 0.5, k=k, split="dev", dataset="nq", scale="paper")
    beside = figure3(results(tmp_path, scale="paper"))
    assert len(beside.panels) == 3 and "at k=5" in beside.panels[0].words


def test_a_curve_is_the_mean_over_seeds(tmp_path: Path) -> None:
    for seed, rate in ((0, 0.5), (1, 0.7)):
        for k in (1, 5):
            cell(tmp_path, "rag_token", seed, rate, k=k, split="dev")
    words = figure3(results(tmp_path)).panels[-1].words
    runs = [run.estimates["em"].mean for run in results(tmp_path).runs if run.k == 5]
    assert len(runs) == 2 and f"{np.mean(runs):.1f} at k=5" in words


def test_without_a_sweep_recall_is_that_of_the_dev_runs_with_most_passages(tmp_path: Path) -> None:
    for system, recall in (("rag_sequence", 0.75), ("rag_sequence_frozen", 0.5)):
        cell(tmp_path, system, 0, 0.5, k=1, split="dev", recall={1: recall})
        cell(tmp_path, system, 0, 0.5, k=5, split="dev", recall={1: recall, 5: 1.0})
    (panel,) = [one for one in figure3(results(tmp_path)).panels if one.title == "mini-nq: answer recall@k"]
    assert "RAG-Sequence" in panel.words and "75.0 at k=1" in panel.words and "100.0 at k=5" in panel.words
    assert "Fixed encoder" in panel.words and "50.0 at k=1" in panel.words


def test_the_whole_page_of_hostile_runs(tmp_path: Path) -> None:
    for system in ("closed_book", "rag_token", "rag_sequence"):
        cell(tmp_path, system, 0, 0.5, text=BAD, label=BAD, command=BAD)
    shown: dict[str, Any] = {
        "run_id": "r",
        "label": BAD,
        "example_id": BAD,
        "query": BAD,
        "text": BAD,
        "tokens": [BAD, "b"],
    }
    shown |= {"tokens": [BAD, "b"], "passages": [BAD], "values": [[1.0], [0.2]]}
    write_sealed(tmp_path / "runs" / "experiments" / "test-rag_token-1-0" / FILE, shown)
    command.run(PaperConfig(folder=str(tmp_path)))
    out = tmp_path / "reports" / "out" / "paper-mini"
    tags: list[str] = []

    class Parser(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            tags.append(tag)

    page = (out / "index.html").read_text()
    Parser().feed(page)
    assert tags.count("script") == 1 and "\x00" not in page and len(page) < 2_000_000
    assert (
        "\\input{" not in (out / "table.tex").read_text()
        and r"\label{tab:table6-other}" in (out / "table.tex").read_text()
    )
    assert "<script>" not in (out / "table.md").read_text()
    found = json.loads((out / "paper.json").read_text())
    assert found["scale"] == "mini" and len(found["tables"]["table1"]) == 35
    rows = list(csv.DictReader((out / "table1-cells.csv").read_text().splitlines()))
    (ours,) = [row for row in rows if row["system"] == "RAG-Token" and row["column"] == "NQ"]
    assert ours["verdict"] == "not comparable (mini corpus)" and ours["seeds"] == "0" and float(ours["ours low"]) > 0
    assert "3 not comparable (mini corpus), 12 not run." in page
    for part in ("Table 7", "Figure 2, ours", "Figure 3", "Table 4", "Slips in the paper", "BART, mini (a)"):
        assert part in page, part


def test_a_prediction_of_no_run_and_a_damaged_file(tmp_path: Path) -> None:
    folder = cell(tmp_path, "rag_token", 0, 0.5)
    with pytest.raises(UnknownNameError, match="no run 'gone'"):
        compute(results(tmp_path), "gone/q1")
    with pytest.raises(ConfigError, match="has no question 'dev/year/q99'"):  # as those of mini are called
        compute(results(tmp_path), f"{folder.name}/dev/year/q99")
    for text in ("{", {"values": [[1.0]]}, "[]"):
        (folder / FILE).write_text(text) if isinstance(text, str) else write_sealed(folder / FILE, text)
        with pytest.raises(DataError, match=re.escape(FILE)):
            stored(results(tmp_path))


def test_one_table_needs_neither_torch_nor_a_checkout(tmp_path: Path) -> None:
    code = (
        "import sys; from rag_lightning.cli import main; code = main(['report', '--table', '1', '--fragment']); "
        "heavy = {'torch', 'mlflow'} & set(sys.modules); print(heavy, file=sys.stderr); "
        "sys.exit(code or bool(heavy))"
    )
    env = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count(r"\begin{tabular}") == 1 and "44.1" in done.stdout and "not run" in done.stdout


def test_report_prints_tables_or_writes_the_sweep_s(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    config = SweepConfig(experiment=ExperimentConfig(folder=str(tmp_path)))
    for number in command.NUMBERS:
        command.report(config, number)
    assert capsys.readouterr().out.count("\n## Table") >= 6
    with pytest.raises(UnknownNameError, match="table"):
        command.report(config, "9")
    with pytest.raises(ConfigError, match="--fragment needs --table"):
        command.report(config, "", True)
