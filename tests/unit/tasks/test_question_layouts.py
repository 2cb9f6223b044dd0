"""The format matrix: every layout of rows in every store, checked against the facts it was written from."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from rag_lightning.config.data import TaskConfig
from rag_lightning.core.errors import ConfigError, DataError
from rag_lightning.tasks.beir import questions_digest
from rag_lightning.tasks.layout import find_layout
from rag_lightning.tasks.open_qa import QA_LAYOUTS
from rag_lightning.tasks.spec import get_task
from tests.format_files import write_rows
from tests.question_files import FACTS, ROW_STORES, SAMPLES, Sample, check

NQ = get_task("nq")


@pytest.mark.parametrize("store", ROW_STORES)
@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: sample.name)
def test_a_layout_is_read_from_every_store(sample: Sample, store: str, tmp_path: Path) -> None:
    rows = sample.rows(store)
    reading = NQ.reading(write_rows(tmp_path / "questions", store, rows))
    assert reading.layout == sample.name and reading.notes == {}
    check(sample, reading.examples)
    (one,) = NQ.read(write_rows(tmp_path / "one", store, rows[:1]))
    assert one.query == FACTS[0].question


@pytest.mark.parametrize("sample", [one for one in SAMPLES if one.without], ids=lambda sample: sample.name)
def test_what_a_format_leaves_without_answers_is_counted(sample: Sample, tmp_path: Path) -> None:
    assert sample.without is not None
    row, reason = sample.without
    path = write_rows(tmp_path / "q.jsonl", "lines", [*sample.rows(), row])
    reading = NQ.reading(path)
    assert (reading.layout, reading.notes) == (sample.name, {f"dropped: {reason}": 1})
    check(sample, reading.examples)
    with pytest.raises(DataError, match="holds no questions: dropped"):
        NQ.read(write_rows(tmp_path / "none.jsonl", "lines", [row]))


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: sample.name)
def test_bad_files_of_every_layout_name_their_row(sample: Sample, tmp_path: Path) -> None:
    rows = sample.rows()
    first, second, third = (json.dumps(row) for row in rows)
    question = next(name for name in ("question", "input", "query", "utterance", "qText", "text") if name in rows[0])
    bad: dict[str, bytes] = {
        "is empty": b"",
        "row 2: is not UTF-8": f"{first}\n".encode() + '{"x": "é"}'.encode("latin-1"),
        "row 2: is not JSON": f"{first}\n{second[:-9]}".encode(),
        "row 3.*is missing": f'{first}\n{second}\n{{"claim": "c", "label": "SUPPORTS"}}\n'.encode(),
        "row 2.*must be a string": f"{first}\n{json.dumps({**rows[1], question: 3})}".encode(),
    }
    if sample.identifies:
        bad["row 3.*is the id of row 1 too"] = f"{first}\n{second}\n{first}".encode()
    for says, content in bad.items():
        (tmp_path / "q.jsonl").write_bytes(content)
        with pytest.raises(DataError, match=says) as caught:
            NQ.read(tmp_path / "q.jsonl")
        assert caught.value.path == tmp_path / "q.jsonl"
    (tmp_path / "cut.json").write_text(f"[{first},\n{second[:-9]}")
    with pytest.raises(DataError, match="row 2: is not JSON"):
        NQ.read(tmp_path / "cut.json")
    assert third


def test_most_rows_decide_and_the_other_is_named(tmp_path: Path) -> None:
    plain, flash = ({"question": "q", "answers": ["a"]}, {"question": "q", "golden_answers": ["a"], "id": "1"})
    path = write_rows(tmp_path / "q.jsonl", "lines", [plain, *({**flash, "id": str(i)} for i in range(3))])
    assert find_layout(path, QA_LAYOUTS).name == "FlashRAG"
    with pytest.raises(DataError, match="row 1, field 'golden_answers': is missing, which tells FlashRAG"):
        NQ.read(path)
    half = write_rows(tmp_path / "half.jsonl", "lines", [*[plain] * 30, flash])
    with pytest.raises(DataError, match="row 31, field 'answer': is missing"):
        NQ.read(half)


POP = (
    "id\tsubj\tprop\tquestion\tpossible_answers\ts_pop\n"
    "4222362\tGeorge Rankin\toccupation\tWhat is George Rankin's occupation?\t"
    '"[""politician"", ""caf\\u00e9 \\ud83d\\ude00""]"\t142\n'
)  # fmt: skip


def test_popqa_as_released(tmp_path: Path) -> None:
    (tmp_path / "popqa.tsv").write_text(POP)
    reading = NQ.reading(tmp_path / "popqa.tsv")
    (example,) = reading.examples
    assert (reading.layout, example.example_id) == ("PopQA", "4222362")
    assert example.answers == ("politician", "café 😀") and example.tags == {"relation": "occupation"}


@pytest.mark.parametrize(
    ("text", "answers"),
    [
        ('question,answers\n"who, then","[\'Ann\', ""D\'Arcy""]"\n', ("Ann", "D'Arcy")),
        ("Answer, Question\nAnn,who\n", ("Ann",)),
        ("question\tanswers\n who\t('Ann', 'Bell')\n", ("Ann", "Bell")),
        ("who\t('Ann', 'Bell')\n", ("Ann", "Bell")),
        ("who\t'Ann'\n", ("Ann",)),
    ],
)
def test_text_is_read_by_the_names_of_its_columns(text: str, answers: tuple[str, ...], tmp_path: Path) -> None:
    (tmp_path / "q.csv").write_text(text)
    (example,) = NQ.read(tmp_path / "q.csv")
    assert example.answers == answers and example.query.startswith("who")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("question,answers\n", "holds no questions"),
        ("who,['Ann']\n", r"comma-separated text of 2 columns; .* under a header"),
        (
            'question,answers\n"who,Ann\nwhat,Bell\n',
            "row 2: opens a double quote .*; one line is one row: .* or give JSON lines",
        ),
        ("question,answers\nwho,Ann,Bell\n", "row 2: has 3 fields instead of 2"),
        ("who\t['Ann' 'Bell']\n", "row 1, field 'answers': holds strings side by side without a comma"),
        ("who\t['Ann', 'Bell' 'Cole']\n", "strings side by side"),
        ("who\tarray(['Ann'])\n", "row 1, field 'answers': is not a list of answers"),
        ("query-id\tcorpus-id\tscore\nq1\tp1\t1\n", r"no queries lie beside"),
        ("q1\t0\tp1\t1\nq2\t0\tp2\t0\n", r"is judgements of passages \(qrels\); give those with a header"),
        ("q1 0 p1 1\n", r"is judgements of passages \(qrels\)"),
        ("<top>\n<num> Number: 301\n<title> x\n</top>\n", "holds no questions: dropped: topic without answers"),
    ],
)
def test_text_that_cannot_be_read_says_why(text: str, says: str, tmp_path: Path) -> None:
    (tmp_path / "q.tsv").write_text(text)
    with pytest.raises(DataError, match=says):
        NQ.read(tmp_path / "q.tsv")


def test_judgements_are_no_patterns(tmp_path: Path) -> None:
    for text in ("query-id\tcorpus-id\tscore\nq1\tp1\t1\n", "q1\t0\tp1\t1\n"):
        (tmp_path / "q.tsv").write_text(text)
        with pytest.raises(DataError, match="qrels"):
            get_task("curatedtrec").read(tmp_path / "q.tsv")


@pytest.mark.parametrize(
    ("value", "says"),
    [
        (None, "is missing"),
        (1945, "must be a list of strings, or one string"),
        (float("nan"), "must be a list of strings"),
        ({"a": 1}, "must be a list of strings"),
        ([], "must hold at least one answer"),
        ([1945], "not a string or empty"),
        ([None], "not a string or empty"),
        ([""], "not a string or empty"),
        (" ", "not a string or empty"),
        ("['a' 'b']", "side by side"),
        ("[REC]", "is not a list of answers"),
        ("a\0b", "holds a NUL"),
    ],
)
def test_one_rule_for_answers(value: Any, says: str, tmp_path: Path) -> None:
    path = write_rows(tmp_path / "q.jsonl", "lines", [{"question": "q", "answers": value}])
    with pytest.raises(DataError, match=says) as caught:
        NQ.read(path)
    assert caught.value.row == 1


def test_a_string_is_one_answer_and_a_list_in_a_string_is_a_list(tmp_path: Path) -> None:
    rows = [{"question": "q", "answers": value} for value in ("1945", "(500) Days", "['1945', \"it's\"]", '["a", "b"]')]
    found = NQ.read(write_rows(tmp_path / "q.jsonl", "lines", rows))
    assert [e.answers for e in found] == [("1945",), ("(500) Days",), ("1945", "it's"), ("a", "b")]


def test_lists_of_objects_may_be_stored_as_columns(tmp_path: Path) -> None:
    """As AmbigQA is on the hub; columns of unequal length are an error."""
    pairs = {"question": ["a?", "b?"], "answer": [["a"], ["b", "c"]]}
    row = {"id": "1", "question": "q", "annotations": {"type": ["x"], "answer": [[]], "qaPairs": [pairs]}}
    path = write_rows(tmp_path / "q.jsonl", "lines", [row])
    (example,) = NQ.read(path)
    assert example.answers == ("a", "b", "c") and example.tags == {"readings": "several"}
    pairs["answer"].pop()
    with pytest.raises(DataError, match=r"row 1, field 'annotations\.qaPairs': must be lists of one length"):
        NQ.read(write_rows(tmp_path / "q.jsonl", "lines", [row]))


def beir(folder: Path, queries: str = "queries.jsonl", judged: str = "test.tsv") -> Path:
    """A folder of queries and judgements; returns the judgements."""
    rows = [{"_id": f"q{f.number}", "text": f.question, "metadata": {"answer": list(f.answers)}} for f in FACTS]
    (folder / "qrels").mkdir(parents=True)
    write_rows(folder / queries, "parquet" if queries.endswith("parquet") else "lines", rows)
    lines = [(f"q{fact.number}", gold, 1) for fact in FACTS[:2] for gold in fact.gold] + [("q1", "p7", 0)]
    path = folder / "qrels" / judged
    if judged.endswith("tsv"):
        path.write_text("\n".join("\t".join(map(str, row)) for row in [("query-id", "corpus-id", "score"), *lines]))
        return path
    named = [dict(zip(("query-id", "corpus-id", "score"), line, strict=True)) for line in lines]
    return write_rows(path, "parquet" if judged.endswith("parquet") else "lines", named)


@pytest.mark.parametrize(
    ("queries", "judged"),
    [("queries.jsonl", "test.tsv"), ("queries.parquet", "test.parquet"), ("queries.jsonl", "test.jsonl")],
)
def test_judgements_give_the_queries_of_a_split_and_their_gold(queries: str, judged: str, tmp_path: Path) -> None:
    reading = NQ.reading(beir(tmp_path, queries, judged))
    assert reading.layout == "BEIR judgements"
    assert [(e.example_id, e.gold_passage_ids) for e in reading.examples] == [("q1", ("p1",)), ("q2", ("p2", "9"))]
    assert [e.answers for e in reading.examples] == [fact.answers for fact in FACTS[:2]]


def test_judgements_count_with_their_queries(tmp_path: Path) -> None:
    path = beir(tmp_path)
    before = questions_digest(path)
    with (tmp_path / "queries.jsonl").open("a") as handle:
        handle.write("\n")
    assert questions_digest(path) != before
    path.write_text(path.read_text() + "\nq9\tp1\t1")
    with pytest.raises(DataError, match=r"row 6, field 'query-id': is no query of queries\.jsonl .got 'q9'"):
        NQ.read(path)
    path.write_text("query-id\tcorpus-id\tscore\nq1\tp1\tyes\n")
    with pytest.raises(DataError, match="row 2, field 'score': must be a number"):
        NQ.read(path)


def test_a_corpus_of_beir_is_no_file_of_queries(tmp_path: Path) -> None:
    path = write_rows(tmp_path / "corpus.jsonl", "lines", [{"_id": "1", "title": "T", "text": "x"}])
    with pytest.raises(DataError, match=r"row 1: is a passage.*corpus\.source"):
        NQ.read(path)


def test_columns_of_any_name(tmp_path: Path) -> None:
    rows = [{"frage": f.question, "antwort": list(f.answers), "nr": f.number, "stelle": list(f.gold)} for f in FACTS]
    columns = {"query": "frage", "answers": "antwort", "id": "nr", "gold_passage_ids": "stelle"}
    for store in ROW_STORES:
        reading = NQ.reading(write_rows(tmp_path / store, store, rows), columns=columns)
        check(SAMPLES[0], reading.examples)
    with pytest.raises(DataError, match=r"row 1, field 'fragen': is missing; task\.columns names it"):
        NQ.reading(tmp_path / "lines", columns={**columns, "query": "fragen"})
    (tmp_path / "q.csv").write_text("Frage,Antwort\nwho,Ann\n")
    (example,) = NQ.reading(tmp_path / "q.csv", columns={"query": "Frage", "answers": "Antwort"}).examples
    assert (example.query, example.answers) == ("who", ("Ann",))


def test_labels_are_checked_when_columns_are_named(tmp_path: Path) -> None:
    rows = [{"question": "c", "golden_answers": ["SUPPORTS"]}, {"question": "d", "golden_answers": ["MAYBE"]}]
    path = write_rows(tmp_path / "q.jsonl", "lines", rows)
    columns = {"query": "question", "answers": "golden_answers"}
    with pytest.raises(DataError, match=r"row 2, field 'golden_answers': is no label .*one of supports, refutes"):
        get_task("fever2").reading(path, columns=columns)
    write_rows(path, "lines", rows[:1])
    assert get_task("fever2").reading(path, columns=columns).examples[0].answers == ("supports",)


def test_columns_are_checked_with_the_configuration() -> None:
    with pytest.raises(ConfigError, match="must name the column of answers"):
        TaskConfig(columns={"query": "q"})
    with pytest.raises(ConfigError, match="did you mean 'answers'"):
        TaskConfig(columns={"query": "q", "answer": "a", "answers": "a"})
