"""reports/paper.yaml against the sums and the arithmetic of the paper's text."""

import re
from pathlib import Path

import pytest

from rag_lightning.core.errors import DataError, RagLightningError
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
    assert ("actual", "fever3", "train") not in counts, "no primary source gives it"
    assert {counts["printed", "fever3", split] - counts["actual", "fever3", split] for split in ("dev", "test")} == {1}


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


def test_footnotes_hold_remarks_conditions_and_slips(paper: Paper) -> None:
    notes = paper.tables["table4"].notes
    assert "specificity: The column sums to 93.0." in notes
    assert any(note.startswith("both good, factuality: The text gives 17 %") for note in notes)
    assert all(table.conditions and table.remarks for table in paper.tables.values())
    assert all(row.slip for row in paper.counts)


def test_table_3_has_four_inputs_of_three_systems(paper: Paper) -> None:
    outputs = {(example.input, example.system): example for example in paper.examples}
    systems = ("BART", "RAG-Token", "RAG-Sequence")
    assert set(outputs) == {(example.input, system) for example in paper.examples for system in systems}
    assert len(outputs) == 12 and {example.system for example in paper.examples if example.mark} == {"BART"}


def test_the_posterior_of_figure_2_sums_to_one(paper: Paper) -> None:
    assert all(sum(row) == pytest.approx(1, abs=0.03) for row in paper.posterior.values)
    peaks = {token: max(row) for token, row in zip(paper.posterior.tokens, paper.posterior.values, strict=True)}
    assert (peaks["Sun"], peaks["A"]) == (0.74, 0.96)


def test_the_arithmetic_of_the_statements(paper: Paper) -> None:
    value = {name: statement.value for name, statement in paper.statements.items()}
    assert 2 * value["parameters-encoder"] + value["parameters-generator"] == value["parameters"]
    assert value["passages"] * value["dimensions"] == pytest.approx(value["index-values"] * 1e9, rel=0.005)
    for name, leaders in (("2016-2016", 57), ("2018-2018", 56), ("2018-2016", 10), ("2016-2018", 3)):
        assert value[f"swap-{name}"] == pytest.approx(100 * leaders / value["leaders"], abs=0.6)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("rows:\n      T5-11B: [34.5, ", "rows:\n      T5-11B: ["), "table1.T5-11B.*4 numbers for 5 columns"),
        (("T5-11B: [34.5, ", "T5-11B: [many, "), "table1.T5-11B.*must be a number.*many"),
        (("{row: REALM, column: CT,", "{row: REAL, column: CT,"), "row in tables.table1.slips.*REAL"),
        (("{row: REALM, column: CT,", "{row: REALM, column: TC,"), "column in tables.table1.slips.*TC"),
        (("actual: [79168, 8757, 3610]", "actual: [79168, 8757]"), "counts.nq.*train, dev and test"),
        (("{1: [3496, 39.92]", "{1: [3496, 1, 39.92]"), "figure3-left.RAG-Token.1"),
        (("- [0.33, 0.21, 0.15, 0.13, 0.18]", "- [0.33, 0.21]"), "posterior.values"),
        (("tolerances:", "tolerance:"), "tolerances"),
        (("tables:", "tables: ["), "not YAML"),
    ],
)
def test_a_damaged_file_is_named(paper_path: Path, tmp_path: Path, change: tuple[str, str], message: str) -> None:
    text = re.sub(r"points:\n(    .*\n)+", "points: {1: [3496, 39.92]}\n", paper_path.read_text())
    assert change[0] in text
    path = tmp_path / "paper.yaml"
    path.write_text(text.replace(*change))
    with pytest.raises(RagLightningError, match=message) as error:
        read_paper(path)
    assert str(path) in str(error.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="does not exist"):
        read_paper(tmp_path / "paper.yaml")


def test_every_column_has_its_size_unless_it_is_hidden_or_its_split_is_not_stated(paper: Paper) -> None:
    columns = {(column.dataset, column.split) for table in paper.tables.values() for column in table.columns}
    without = {one for one in columns if one[1] not in paper.sizes[one[0]]}
    unstated = {(dataset, "not stated") for dataset in ("jeopardy", "msmarco")}
    assert without == {("msmarco", "test"), ("triviaqa", "test-wiki"), *unstated}
    actual = {(n.dataset, n.split): n.value for n in paper.numbers if (n.source, n.system) == ("table7", "actual")}
    sizes = {(dataset, split): size for dataset, splits in paper.sizes.items() for split, size in splits.items()}
    assert all(sizes[one] == count for one, count in actual.items() if one in sizes)
