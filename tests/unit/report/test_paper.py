"""reports/paper.yaml against the sums and the arithmetic of the paper's text."""

from pathlib import Path

import pytest

from rag_lightning.core.errors import DataError
from rag_lightning.report.paper import Paper, read_paper

NQ_DEV = 8757


def value(paper: Paper, *key: str) -> float:
    found = paper.find(*key)
    assert found
    return found.value


def test_counts_of_figure_3_are_its_percentages(paper: Paper) -> None:
    points = [number for number in paper.numbers if number.count is not None]
    assert len(points) == 2 * 15 + 4 * 50
    for point in points:
        assert point.dataset == "nq" and point.split == "dev" and point.count
        assert round(100 * point.count / NQ_DEV, 2) == point.value, point


def test_recall_of_figure_3_rises_with_k(paper: Paper) -> None:
    for system in ("RAG-Token", "RAG-Sequence", "Fixed DPR", "BM25"):
        lines = [n for n in paper.numbers if n.metric == "answer_recall" and n.system == system]
        found = {n.k or 0: n.value for n in lines}
        assert sorted(found) == list(range(1, 51))
        assert [found[k] for k in range(1, 51)] == sorted(found.values())


def test_figure_3_meets_table_6(paper: Paper) -> None:
    points = {(n.system, n.dataset, n.metric, n.k): n.value for n in paper.numbers if n.source.startswith("figure3")}
    for system in ("RAG-Token", "RAG-Sequence"):
        assert points[system, "nq", "em", 15] == pytest.approx(value(paper, system, "nq", "dev", "em"), abs=0.051)
        for metric in ("rouge_l_msmarco", "bleu1_msmarco"):
            printed = value(paper, system, "msmarco", "dev", metric)
            assert points[system, "msmarco", metric, 10] == pytest.approx(printed, abs=0.051)


def test_the_arithmetic_of_the_text(paper: Paper) -> None:
    def gap(left: str, right: str, dataset: str, metric: str) -> float:
        return round(value(paper, left, dataset, "test", metric) - value(paper, right, dataset, "test", metric), 1)

    assert gap("RAG-Sequence", "BART", "msmarco", "bleu1_msmarco") == 2.6
    assert gap("RAG-Sequence", "BART", "msmarco", "rouge_l_msmarco") == 2.6
    assert gap("SotA", "RAG-Token", "fever3", "label_accuracy") == 4.3
    assert gap("SotA", "RAG-Sequence", "fever2", "label_accuracy") == 2.7


def test_table_4_sums(paper: Paper) -> None:
    for metric, total in (("human_factuality", 100.0), ("human_specificity", 93.0)):
        assert sum(n.value for n in paper.numbers if n.metric == metric) == pytest.approx(total)


def test_table_7_is_one_too_high_where_the_truth_is_known(paper: Paper) -> None:
    counts = {(n.system, n.dataset, n.split): n.value for n in paper.numbers if n.source == "table7"}
    for dataset in ("nq", "triviaqa", "webquestions", "jeopardy", "msmarco"):
        for split in ("train", "dev", "test"):
            assert counts["printed", dataset, split] - counts["actual", dataset, split] == 1
    assert counts["printed", "fever2", "train"] == pytest.approx(145_449 * 2 / 3)
    assert ("actual", "fever3", "test") not in counts


@pytest.mark.parametrize(
    ("table", "rows", "numbers"), [("table1", 6, 23), ("table2", 4, 22), ("table4", 5, 10), ("table5", 4, 8)]
)
def test_every_printed_number_is_there(paper: Paper, table: str, rows: int, numbers: int) -> None:
    assert len(paper.tables[table].rows) == rows
    assert sum(number.source == table for number in paper.numbers) == numbers


def test_table_6_is_complete_and_fever_is_shared(paper: Paper) -> None:
    rows = paper.tables["table6"].rows
    assert len(rows) == 6 and all(len(row) == 10 and None not in row for row in rows.values())
    for kind in ("-BM25", "-Frozen", ""):
        assert rows[f"RAG-Token{kind}"][-2:] == rows[f"RAG-Sequence{kind}"][-2:]


def test_numbers_are_found_by_what_they_measure(paper: Paper) -> None:
    assert value(paper, "RAG-Sequence", "nq", "test", "em") == 44.5
    assert value(paper, "RAG-Token-BM25", "nq", "dev", "em") == 29.7
    assert paper.find("BART", "nq", "test", "em") is None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("rows:\n    T5-11B: [34.5, ", "rows:\n    T5-11B: ["), "table1.T5-11B.*4 numbers for 5 columns"),
        (("tolerances:", "tolerance:"), "tolerances"),
        (("tables:", "tables: ["), "not YAML"),
    ],
)
def test_a_damaged_file_is_named(paper_path: Path, tmp_path: Path, change: tuple[str, str], message: str) -> None:
    text = paper_path.read_text()
    assert change[0] in text
    path = tmp_path / "paper.yaml"
    path.write_text(text.replace(*change))
    with pytest.raises(DataError, match=rf"paper.yaml.*{message}"):
        read_paper(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="is missing"):
        read_paper(tmp_path / "paper.yaml")
