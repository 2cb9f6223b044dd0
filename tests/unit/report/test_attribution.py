"""Why answers are wrong, where they are right, and what an index costs: on scores written by hand."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rag_lightning.config.registries import INDEX_KINDS
from rag_lightning.core.artifacts import ArtifactStore, Recipe
from rag_lightning.core.errors import DataError
from rag_lightning.core.files import write_sealed
from rag_lightning.core.records import Example, Ranking, Score, write_jsonl
from rag_lightning.report import slices
from rag_lightning.report.attribution import EITHER, INDEX, READER, RETRIEVER, VARIANT, Attribution, attributions
from rag_lightning.report.collect import collect, read_scores
from rag_lightning.report.later import later_tables, read_later
from rag_lightning.report.misses import misses_chart, misses_file, misses_table
from rag_lightning.report.price import price_chart, price_table
from rag_lightning.report.sweep_page import render

OURS = [(1, 1, 1), (0, 0, 1), (0, 1, 0), (0, 0, 0), (0, 0, 0), (0, 0, 0)]
"""em, em_contains and answer_recall@5 of six questions over an approximate index."""
EXACT = [1, 1, 1, 1, 0, 0]
"""answer_recall@5 of exact search."""
HNSW = {"retriever": "hnsw"}


def scores(rows: Sequence[tuple[int, ...]], first: int = 0) -> list[Score]:
    names = ("em", "em_contains", "answer_recall@5")
    return [
        Score(f"q{first + i}", "", {name: float(value) for name, value in zip(names, row, strict=False)})
        for i, row in enumerate(rows)
    ]


def attributed(maker: Any) -> tuple[dict[str, Attribution], dict[str, list[str]]]:
    sweep = collect(maker.folder)
    runs = sweep.on("test", "final", "baseline")
    stored = {run.run_id: found for run in runs if (found := read_scores(run, maker.artifacts)) is not None}
    listed, left_out = attributions(sweep, runs, stored, (maker.folder, maker.artifacts))
    return {one.run.run_id: one for one in listed}, left_out


def test_each_wrong_answer_is_one_miss_and_they_add_up(maker: Any) -> None:
    maker.sweep()
    maker.run("a", "final", "test", 0, scores=scores(OURS), system=HNSW)
    maker.run("flat", "baseline", "test", 0, scores=scores([(1, 1, hit) for hit in EXACT]))
    one = attributed(maker)[0]["a"]
    assert one.classes == ["", READER, VARIANT, INDEX, RETRIEVER, RETRIEVER]
    assert (
        one.counts == {READER: 1, VARIANT: 1, INDEX: 1, RETRIEVER: 2}
        and one.wrong == 5
        and one.lenient["em_contains"] == 1
    )
    assert one.share(INDEX, RETRIEVER).mean == pytest.approx(50.0) and one.oracle is None
    table = misses_table("em", "mini-nq", [one], {})
    cells = {column.head: cell for column, cell in zip(table.columns, table.rows[0].cells, strict=True)}
    assert [cells[name].text for name in (INDEX, RETRIEVER, READER, VARIANT)] == ["20.0", "40.0", "20.0", "20.0"]
    assert cells[RETRIEVER].below == "33.3 of all" and cells["gain, at most"].text == "+50.0"
    rows = [[cell.value for cell in row.cells[2:4]] for row in misses_file([one]).rows]
    assert sum(count or 0 for count, _ in rows) == 5 and sum(part or 0 for _, part in rows) == pytest.approx(100)


def test_without_exact_search_index_and_retriever_are_one_class(maker: Any) -> None:
    maker.sweep()
    maker.run("a", "final", "test", 0, scores=scores(OURS), system=HNSW)
    one = attributed(maker)[0]["a"]
    assert one.counts == {READER: 1, VARIANT: 1, EITHER: 3}
    table = misses_table("em", "mini-nq", [one], {})
    heads = [column.head for column in table.columns]
    assert [table.rows[0].cells[heads.index(name)].text for name in (INDEX, RETRIEVER, EITHER)] == ["–", "–", "60.0"]
    assert any(note.startswith(EITHER) and "not stored" in note for note in table.notes)


def test_exact_search_may_be_stored_by_the_run(maker: Any) -> None:
    maker.sweep()
    maker.run("a", "final", "test", 0, scores=scores(OURS), system=HNSW)
    maker.run("a2", "final", "test", 0, scores=scores(OURS), system=HNSW | {"formulation": "rag_sequence"})
    digest = maker._keep("scores", "exact", scores([(0, 0, hit) for hit in EXACT]))
    path = maker.folder / "a" / "summary.json"
    write_sealed(path, json.loads(path.read_text()) | {"exact": {"scores": digest}})
    listed = attributed(maker)[0]
    assert listed["a"].counts[INDEX] == 1 and listed["a2"].counts[EITHER] == 3
    write_sealed(path, json.loads(path.read_text()) | {"exact": "lost"})
    with pytest.raises(DataError, match=r"summary\.json.*exact"):
        collect(maker.folder)


def test_the_oracle_of_the_same_decoding_is_the_measured_gain(maker: Any) -> None:
    maker.sweep()
    maker.run("a", "final", "test", 0, scores=scores(OURS))
    oracle = scores([(1, 1, 1)] * 4 + [(0, 0, 1)] * 2)
    maker.run("best", "baseline", "test", 0, scores=oracle, system={"retriever": "oracle"})
    config = json.loads((maker.folder / "best" / "run.json").read_text())
    config["config"]["retriever"]["kind"] = "oracle"
    write_sealed(maker.folder / "best" / "run.json", config)
    listed, _ = attributed(maker)
    assert listed["a"].oracle is not None and listed["a"].oracle.mean == pytest.approx(50.0)
    assert listed["best"].oracle is None
    beside = maker.root / "runs" / "experiments" / "test-rag-oracle-1"
    beside.parent.mkdir()
    (maker.folder / "best").rename(beside)
    assert attributed(maker)[0]["a"].oracle == listed["a"].oracle


def test_systems_without_a_row_are_told_with_the_reason(maker: Any, paper_path: Path) -> None:
    maker.sweep()
    maker.run("a", "final", "test", 0, scores=scores([(1, 1, 1), (0, 0, 0)]))
    closed = {"formulation": "closed_book", "retriever": "none", "k": 0}
    maker.run("closed", "baseline", "test", 0, scores=scores([(1, 1), (0, 0)]), system=closed)
    maker.run("blind", "baseline", "test", 0, scores=scores([(1, 1), (0, 0)]), system={"k": 7})
    half = [Score("q0", "", {"em": 0.5}), Score("q1", "", {"em": 1.0})]
    maker.run("half", "baseline", "test", 0, scores=half, system={"k": 6})
    listed, left_out = attributed(maker)
    assert list(listed) == ["a"]
    assert set(left_out) == {
        "reads no passages",
        "no answer_recall@7 was scored",
        "em does not say of each answer whether it is right",
    }
    assert (
        "Without a row (reads no passages): closed_book"
        in render(maker.folder, maker.artifacts, maker.root / "out", paper_path).read_text()
    )


def test_nothing_wrong_is_no_division_by_zero(maker: Any) -> None:
    maker.sweep()
    maker.run("a", "final", "test", 0, scores=scores([(1, 1, 1)] * 3))
    listed = list(attributed(maker)[0].values())
    chart = misses_chart("em", "mini-nq", listed)
    assert chart is not None and chart.lead == "" and chart.inline("p")
    assert misses_table("em", "mini-nq", listed, {}).rows[0].cells[1].text == "0"


def test_systems_on_different_questions_are_marked_and_never_compared(maker: Any, paper_path: Path) -> None:
    maker.sweep()
    maker.run("a", "final", "test", 0, scores=scores([(1, 1, 1), (0, 0, 0)]))
    maker.run("b", "baseline", "test", 0, scores=scores([(0, 0, 0), (0, 0, 0)]), system={"k": 1})
    easy = scores([(1, 1, 1)] * 2, first=50)
    maker.run("easy", "baseline", "test", 0, scores=easy, system={"retriever": "bm25"})
    page = render(maker.folder, maker.artifacts, maker.root / "out", paper_path)
    text = page.read_text()
    assert "rag_token · flat · 5 · greedy has the highest EM on mini-nq test: 50.0" in text
    assert "Scored on other questions than the rest, so not compared with it: rag_token · bm25" in text
    assert "scored on other questions" in text and "not comparable (different questions: 4 are of one only)" in text
    assert "+50.0 to rag_token · flat · 1 · greedy" in text


def test_a_system_without_the_metric_is_marked(full: Any, paper_path: Path) -> None:
    without = [Score(f"q{i}", "", {"f1": 1.0}) for i in range(40)]
    full.run("odd", "baseline", "test", 0, scores=without, system={"retriever": "sq8"})
    text = render(full.folder, full.artifacts, full.root / "out", paper_path).read_text()
    assert "not run (the run has no em)" in text and "not comparable (em was not scored for 40 answers)" in text


def examples(maker: Any) -> str:
    train = [
        Example("t0", "who wrote emma in the year 1815", ("Jane Austen",)),
        Example("t1", "where is it", ("Rome",)),
    ]
    asked = [
        Example("q0", "who wrote emma in year 1815", ("X",)),
        Example("q1", "what city holds the pantheon", ("rome!",)),
        Example("q2", "What is new", ("Y",)),
    ]

    def make(folder: Path) -> dict[str, int]:
        return {"train": write_jsonl(folder / "train.jsonl", train), "test": write_jsonl(folder / "test.jsonl", asked)}

    return ArtifactStore(maker.artifacts).build(Recipe("examples", {}, {}, 1), make).digest


def test_quality_by_question_word_by_what_train_holds_and_by_rank(maker: Any) -> None:
    maker.sweep()
    values = [{"answer_recall@1": 1.0}, {"answer_recall@1": 0.0, "answer_recall@2": 0.0, "answer_recall@5": 1.0}, {}]
    values[0] |= {"answer_recall@2": 1.0, "answer_recall@5": 1.0}
    values[2] |= {f"answer_recall@{k}": 0.0 for k in (1, 2, 5)}
    listed = [Score(f"q{i}", "", {"em": float(i == 0), **value}) for i, value in enumerate(values)]
    maker.run("a", "final", "test", 0, scores=listed)
    path = maker.folder / "a" / "run.json"
    record = json.loads(path.read_text())
    write_sealed(path, record | {"digests": record["digests"] | {"examples": examples(maker)}})
    sweep = collect(maker.folder)
    runs = sweep.on("test", "final")
    sliced = slices.slice_scores(sweep, runs, {"a": listed}, maker.artifacts)
    shown = {name: {key: (one.mean, one.n) for key, one in groups.items()} for name, groups in sliced["a"].items()}
    assert shown[slices.ASKED] == {"what": (0.0, 2), "who": (100.0, 1)}
    assert shown[slices.SEEN] == {slices.QUESTION: (100.0, 1), slices.ANSWER: (0.0, 1), slices.NEITHER: (0.0, 1)}
    assert shown[slices.RANK] == {"1": (100.0, 1), "3 to 5": (0.0, 1), "none": (0.0, 1)}
    heads = [row.cells[0].text for row in slices.slices_table(sweep, runs, sliced).rows]
    assert heads[-3:] == [f"{slices.RANK}: {name}" for name in ("1", "3 to 5", "none")]
    assert len(slices.slices_file(sweep, runs, sliced).rows) == 8
    chart = slices.slices_chart(sweep, runs, sliced)
    assert chart is not None and len(chart.panels) == 3 and "who 100.0 (n = 1)" in chart.panels[0].words


def test_ranks_are_in_their_order_whatever_the_k(maker: Any) -> None:
    sweep_runs = {"short": {"1": None, "none": None}, "long": {"1": None, "11 to 20": None, "2": None, "none": None}}
    listed: Any = [type("R", (), {"run_id": name})() for name in sweep_runs]
    given: Any = {name: {slices.RANK: groups} for name, groups in sweep_runs.items()}
    assert [value for _, value in slices.in_order(listed, given)] == ["1", "2", "11 to 20", "none"]


def test_the_price_of_an_index_is_paired_with_its_exact_twin(maker: Any) -> None:
    maker.sweep()
    work = {"work": {"index_bytes": 2_000_000}}
    maker.run("flat-1", "trial", "dev", 0, scores=scores([(1, 1, 1)] * 3 + [(0, 0, 0)]), **work)
    maker.run("hnsw-1", "trial", "dev", 0, scores=scores([(1, 1, 1)] * 2 + [(0, 0, 0)] * 2), system=HNSW)
    maker.run("ivf-alone", "trial", "dev", 0, scores=scores([(1, 1, 1)] * 4), system={"retriever": "ivf_flat", "k": 1})
    sweep = collect(maker.folder)
    (row,) = price_table(sweep, {}, maker.artifacts).rows
    texts = [cell.text for cell in row.cells]
    assert texts[1:6] == ["dev", "-25.0", "-25.0", "–", "4"] and row.cells[6].below == "flat 2.0"
    assert not price_table(sweep, {}, maker.root / "none").rows
    chart = price_chart(sweep)
    assert chart is None, "one value of each cost is no picture"


def test_the_slope_of_quality_against_recall_is_that_of_least_squares(maker: Any) -> None:
    maker.sweep()
    rng, found = np.random.default_rng(0), {"flat": np.tile(np.arange(5), (40, 1))}
    for number, kind in enumerate(kind for kind in INDEX_KINDS if kind != "flat"):
        found[kind] = np.where(rng.random((40, 5)) < number / 16, 9, found["flat"])  # 9 is not of exact search
    recall = {kind: 100 * (rows < 9).mean() for kind, rows in found.items()}
    em = {kind: (rng.random(40) < recall[kind] / 150).astype(int) for kind in found}
    for kind, rows in found.items():
        listed = [Ranking(f"q{i}", tuple(row), (0.0,) * 5) for i, row in enumerate(rows.tolist())]
        answers = scores([(hit, 1, 1) for hit in em[kind]])
        maker.run(kind, "trial", "dev", 0, scores=answers, rankings=listed, system={"retriever": kind})
    table = price_table(collect(maker.folder), {}, maker.artifacts)
    shown = {row.cells[0].text: row.cells[4].text for row in table.rows}
    wanted = [f"{recall[kind]:.1f}" for kind in found if kind != "flat"]
    assert len(shown) == 12 and sorted(shown.values()) == sorted(wanted)
    slope = np.polyfit([recall[kind] for kind in found], [100 * em[kind].mean() for kind in found], 1)[0]
    assert f"em changes by {slope:+.2f} [" in table.notes[-1]
    assert "over 12 indexes and exact search (n = 40)" in table.notes[-1]


def test_later_numbers_stand_where_the_questions_are_the_same(maker: Any, paper_path: Path) -> None:
    later = read_later(paper_path.with_name("later.yaml"))
    found = {}
    for dataset in ("mini-nq", "tiny", "nq-subset"):
        maker.dataset = dataset
        maker.sweep()
        maker.run(f"on-{dataset}", "final", "test", 0.5)
        sweep = collect(maker.folder)
        found[dataset] = later_tables(later, sweep, [run for run in sweep.runs if run.dataset == dataset])
    assert found["mini-nq"] == found["tiny"] == []
    answers, retrieval = found["nq-subset"]
    texts = [row.cells[0].text for row in answers.rows]
    assert texts[0].startswith("here: ") and any("RAG-Sequence" in text for text in texts[1:])
    assert answers.notes[0].startswith("Not comparable") and "holds the gold passages" in answers.notes[0]
    places = {head.head: place for place, head in enumerate(answers.columns)}
    sorted_by = [(row.cells[places["n"]].value in (None, 3610), row.cells[places["em"]].value) for row in answers.rows]
    assert sorted_by[1:] == sorted(sorted_by[1:], reverse=True) and not sorted_by[-1][0]
    assert [column.head for column in retrieval.columns][1] == "answer_recall@5"
