"""The published files themselves, where the environment variable RAG_DATA says they are."""

import csv
import gzip
import json
import os
from collections import Counter
from collections.abc import Callable
from io import StringIO
from pathlib import Path

import pytest

from rag_lightning.core.errors import DataError
from rag_lightning.core.records import Example
from rag_lightning.corpus.passages import read_passages
from rag_lightning.metrics.pages import normalize_title
from rag_lightning.metrics.tokens import normalize_answer
from rag_lightning.tasks.open_qa import NATURAL_QUESTIONS
from rag_lightning.tasks.spec import get_task

NO_INFO = {"dropped: NOT ENOUGH INFO": 3_333}
FOLDER = os.environ.get("RAG_DATA", "")
pytestmark = pytest.mark.skipif(not FOLDER, reason="RAG_DATA is not set to a folder with the published data sets")


def text_of(name: str) -> str:
    raw = Path(FOLDER, name).read_bytes()
    return (gzip.decompress(raw) if name.endswith("gz") else raw).decode()


def json_lines(text: str) -> int:
    return sum(isinstance(json.loads(line), dict) for line in text.split("\n") if line)


def squad_questions(text: str) -> int:
    return sum(len(paragraph["qas"]) for article in json.loads(text)["data"] for paragraph in article["paragraphs"])


@pytest.mark.parametrize(
    ("task", "name", "count"),
    [
        ("nq", "nq/nq-test.qa.csv", lambda text: len(list(csv.reader(StringIO(text, newline=""), delimiter="\t")))),
        ("nq", "nq/nq-dev.qa.csv", lambda text: len(list(csv.reader(StringIO(text, newline=""), delimiter="\t")))),
        ("nq", "nq/NQ-open.dev.jsonl", json_lines),
        ("nq", "nq/gold_passages.jsonl", json_lines),
        ("nq", "squad/test-v1.1.json.gz", squad_questions),
        ("webquestions", "webquestions/trainmodel.json", lambda text: len(json.loads(text))),
        ("webquestions", "webquestions/val.json", lambda text: len(json.loads(text))),
        ("fever2", "fever/paper_dev.jsonl.gz", json_lines),
        ("fever3", "fever/claims_504.jsonl", json_lines),
        ("fever2", "fever/fever_symmetric_dev.jsonl", json_lines),
    ],
)
def test_as_many_rows_are_read_as_json_and_csv_find(task: str, name: str, count: Callable[[str], int]) -> None:
    reading = get_task(task).reading(Path(FOLDER, name))
    assert len(reading.examples) + sum(reading.notes.values()) == count(text_of(name))


@pytest.mark.parametrize(
    ("name", "quoting"), [("passages/psgs_w100.tsv.gz", csv.QUOTE_MINIMAL), ("fever/passages.tsv", 3)]
)
def test_as_many_passages_are_read_as_csv_finds(name: str, quoting: int) -> None:
    rows = csv.DictReader(StringIO(text_of(name), newline=""), delimiter="\t", quoting=quoting)  # type: ignore[arg-type]
    wanted = [(row["id"], row["title"], row["text"]) for row in rows]
    assert [(p.passage_id, p.title, p.text) for p in read_passages(Path(FOLDER, name))] == wanted


def test_both_formats_of_nq_test_hold_the_same_questions() -> None:
    """DPR's file has plain spaces for no-break ones and doubled quotes in answers; EM sees neither."""
    dpr, google = (NATURAL_QUESTIONS.read(Path(FOLDER, "nq", name)) for name in ("nq-test.qa.csv", "NQ-open.dev.jsonl"))
    assert len(dpr) == len(google) == get_task("nq").counts["test"]
    by_question = {example.query: normal(example) for example in google}
    assert {example.query: normal(example) for example in dpr} == by_question
    assert len(by_question) == len(google)


@pytest.mark.parametrize(("task", "kept", "notes"), [("fever3", 9_999, {}), ("fever2", 6_666, NO_INFO)])
def test_fever_paper_dev_has_as_many_of_each_label(task: str, kept: int, notes: dict[str, int]) -> None:
    reading = get_task(task).reading(Path(FOLDER, "fever", "paper_dev.jsonl.gz"))
    counted = Counter(example.answers[0] for example in reading.examples)
    assert len(reading.examples) == kept == get_task(task).counts["dev"] and reading.notes == notes
    assert counted == dict.fromkeys(get_task(task).labels, 3_333)
    decided = [example for example in reading.examples if example.answers[0] != "not enough info"]
    assert all(example.gold_titles for example in decided)
    assert not any("-LRB-" in title or "_" in title for example in decided for title in example.gold_titles)


def test_claims_name_articles_that_are_in_their_passages() -> None:
    """288 of 324 claims have a gold article among the passages, its title undone as FEVER writes it."""
    lines = Path(FOLDER, "fever", "passages.tsv").read_text(encoding="utf-8").splitlines()
    titles = {normalize_title(line.split("\t")[2]) for line in lines[1:]}
    examples = get_task("fever2").read(Path(FOLDER, "fever", "claims_504.jsonl"))
    found = [any(title in titles for entry in e.gold_titles for title in entry.split("|")) for e in examples]
    assert (len(examples), sum(found)) == (324, 288)


def test_symmetric_claims_have_their_sentence_as_context() -> None:
    for name, count in (("dev", 708), ("test", 712)):
        reading = get_task("fever2").reading(Path(FOLDER, "fever", f"fever_symmetric_{name}.jsonl"))
        assert len(reading.pairs) == count and all(context for _, context in reading.pairs)


def test_web_questions() -> None:
    task = get_task("webquestions")
    sizes = {n: len(task.read(Path(FOLDER, "webquestions", f"{n}.json"))) for n in ("trainmodel", "val", "test")}
    assert sizes == {"trainmodel": 2_834, "val": 755, "test": task.counts["test"]}


def test_a_file_of_another_task_is_told() -> None:
    with pytest.raises(DataError, match=r"row 1: is JSON lines with claim.*doctor --data"):
        get_task("webquestions").read(Path(FOLDER, "fever", "claims_504.jsonl"))


def normal(example: Example) -> set[str]:
    return {normalize_answer(answer) for answer in example.answers}
