"""Question files: DPR's, SQuAD's, TriviaQA's and plain rows, ids, and every way a row can be bad."""

from __future__ import annotations

import gzip
import json
import os
from pathlib import Path
from typing import Any

import pytest

from rag_lightning.config.registries import TASKS
from rag_lightning.core.errors import DataError, UnknownNameError
from rag_lightning.metrics.answers import em
from rag_lightning.tasks.open_qa import NATURAL_QUESTIONS
from rag_lightning.tasks.spec import get_task

DPR = """\
who is it\t['A', "O'Neil", 'A']
"a ""quoted"" one"\t"[""it's"", 'x\\ty']"
who is it\t['A', "O'Neil"]
"""


def write(path: Path, content: str | bytes) -> Path:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def squad(**change: Any) -> dict[str, Any]:
    question = {
        "id": "s1",
        "question": "Who?",
        "answers": [{"text": "Bo", "answer_start": 0}, {"text": "Bo"}],
        **change,
    }
    other = {"id": "s2", "question": "What? ", "answers": [{"text": "a hat", "answer_start": 3}]}
    paragraph = {"context": "Bo wore a hat.", "qas": [question, other]}
    return {"version": "1.1", "data": [{"title": "Saint_Barth%C3%A9lemy", "paragraphs": [paragraph]}]}


def test_dpr(tmp_path: Path) -> None:
    examples = NATURAL_QUESTIONS.read(write(tmp_path / "nq.qa.csv", DPR))
    assert [e.query for e in examples] == ["who is it", 'a "quoted" one', "who is it"]
    assert examples[0].answers == ("A", "O'Neil")
    assert examples[1].answers == ("it's", "x\ty")


def test_answers_stay_as_they_are_written(tmp_path: Path) -> None:
    """Tokenised dates, letters of other alphabets, quotes of both kinds, repeated rows and several answers."""
    text = (
        "when is the next deadpool movie being released\t['May 18 , 2018', 'May 18, 2018']\n"
        "who got the first nobel prize in physics\t['Wilhelm Conrad Röntgen']\n"
        '"who sang ""hello"" first"\t"[\'Adele\', ""Lionel \'L\' Richie""]"\n'
        "who got the first nobel prize in physics\t['Wilhelm Conrad Röntgen']\r\n"
    )
    examples = NATURAL_QUESTIONS.read(write(tmp_path / "q.csv", text))
    assert [e.answers for e in examples][:3] == [
        ("May 18 , 2018", "May 18, 2018"),
        ("Wilhelm Conrad Röntgen",),
        ("Adele", "Lionel 'L' Richie"),
    ]
    assert examples[2].query == 'who sang "hello" first'
    assert examples[3].example_id == examples[1].example_id + "#2"


def test_duplicates_are_kept_under_stable_ids(tmp_path: Path) -> None:
    ids = [e.example_id for e in NATURAL_QUESTIONS.read(write(tmp_path / "nq.csv", DPR))]
    moved = [e.example_id for e in NATURAL_QUESTIONS.read(write(tmp_path / "nq.csv", "new\t['x']\n" + DPR))]
    assert len(set(ids)) == 3
    assert ids[2] == ids[0] + "#2"
    assert moved[1:] == ids


def test_two_rows_with_one_id_are_named(tmp_path: Path) -> None:
    row = {"question": "q", "answers": ["a"]}
    lines = [json.dumps({**row, "id": i}) for i in ("x", "x#2", "x")]
    with pytest.raises(DataError, match=r"row 3, field 'id': is the id of row 1 too \(got 'x'\)"):
        NATURAL_QUESTIONS.read(write(tmp_path / "x.jsonl", "\n".join(lines)))


def test_an_id_made_from_a_question_is_never_one_of_the_files(tmp_path: Path) -> None:
    row = {"question": "q", "answers": ["a"]}
    (made,) = NATURAL_QUESTIONS.read(write(tmp_path / "x.jsonl", json.dumps(row)))
    lines = [json.dumps(values) for values in ({**row, "id": made.example_id}, row, row)]
    examples = NATURAL_QUESTIONS.read(write(tmp_path / "x.jsonl", "\n".join(lines)))
    assert [e.example_id for e in examples] == [made.example_id, f"{made.example_id}#2", f"{made.example_id}#3"]


def test_jsonl_of_nq_open_and_with_gold(tmp_path: Path) -> None:
    lines = [
        {"question": "q1", "answer": ["a", "b"]},
        {"question": "q2", "answers": ["c"], "gold_passage_id": 8993},
        {"question": "q3", "answers": ["d"], "gold_passage_ids": ["x", 4, "x"]},
    ]
    examples = NATURAL_QUESTIONS.read(write(tmp_path / "q.jsonl", "\n".join(map(json.dumps, lines))))
    assert [e.answers for e in examples] == [("a", "b"), ("c",), ("d",)]
    assert [e.gold_passage_ids for e in examples] == [(), ("8993",), ("x", "4")]


@pytest.mark.parametrize("indent", [None, 1])
def test_squad_plain_and_gzip(tmp_path: Path, indent: int | None) -> None:
    content = json.dumps(squad(), indent=indent).encode()
    read = get_task("nq").reading
    found = read(write(tmp_path / "s.json.gz", gzip.compress(content))).pairs
    assert found == read(write(tmp_path / "s.json", content)).pairs
    example, context = found[1]
    assert (example.example_id, example.query, example.answers) == ("s2", "What?", ("a hat",))
    assert (example.entity, context) == ("Saint Barthélemy", "Bo wore a hat.")
    assert found[0][0].answers == ("Bo",)


def test_impossible_questions_of_squad_v2_are_dropped_and_counted(tmp_path: Path) -> None:
    both = squad(is_impossible=True, answers=[], plausible_answers=[{"text": "Bo"}])
    for indent in (None, 1):
        reading = get_task("nq").reading(write(tmp_path / "train-v2.0.json", json.dumps(both, indent=indent)))
        assert [e.example_id for e in reading.examples] == ["s2"] and reading.notes == {"dropped: is_impossible": 1}
    articles = ",\n".join(json.dumps(article) for article in squad()["data"] * 2)
    with pytest.raises(DataError, match="is the id of row 1 too"):  # an article a line is a document all the same
        NATURAL_QUESTIONS.read(write(tmp_path / "lines.json", f'{{"version": "1.1", "data": [\n{articles}\n]}}'))


def test_jsonl_under_a_json_name(tmp_path: Path) -> None:
    content = '{"question": "q", "answer": ["a"]}\n{"question": "r", "answer": ["b"]}\n'
    assert len(NATURAL_QUESTIONS.read(write(tmp_path / "q.json", content))) == 2


def test_web_questions(tmp_path: Path) -> None:
    content = json.dumps([{"qId": "w1", "qText": "what?", "answers": ["A", "B"]}], indent=1)
    (example,) = NATURAL_QUESTIONS.read(write(tmp_path / "w.json", content))
    assert (example.example_id, example.query, example.answers) == ("w1", "what?", ("A", "B"))


@pytest.mark.parametrize(
    ("name", "content", "row", "field", "says"),
    [
        ("q.csv", "", None, None, "is empty"),
        ("q.csv", " \n\n", None, None, "is empty"),
        ("q.csv", "q\t['a']\nno tab here\n", 2, None, "1 fields instead of 2"),
        ("q.csv", "q\t['a']\n\t['a']\n", 2, "question", "must be a string"),
        ("q.csv", "q\t['a'\n", 1, "answers", "not a list of answers"),
        ("q.csv", "q\t__import__('os')\n", 1, "answers", "not a list of answers"),
        ("q.csv", "q\t[]\n", 1, "answers", "at least one answer"),
        ("q.csv", "q\t3\n", 1, "answers", "not a list of answers"),
        ("q.csv", "q\t['a', ' ']\n", 1, "answers", "not a string or empty"),
        ("q.csv", "q\t['a', 3]\n", 1, "answers", "not a string or empty"),
        ("q.jsonl", '{"question": "q", "answers": ["a"]}\n{"question": "q"}\n', 2, "answer", "is missing"),
        ("q.jsonl", '{"answers": ["a"]}\n', 1, None, "is JSON lines with answers; expected"),
        ("q.jsonl", '{"question": "q", "answers": {"a": 1}}\n', 1, "answers", "list of strings, or one string"),
        ("q.jsonl", '{"question": "q", "answers": ["a"], "gold_passage_id": 1.5}\n', 1, "gold_passage_id", "must be"),
        ("q.jsonl", '{"question": "q", "answers": ["a"], "id": [1]}\n', 1, "id", "must be"),
        ("q.jsonl", '{"question": "q", "answers": ["a"]}\n{"que', 2, None, "is not JSON"),
        ("s.json", json.dumps({"data": []}), None, None, "holds no questions"),
        ("s.json", json.dumps({"data": [{"title": "x"}]}), 1, "paragraphs", "list of objects"),
        ("s.json", json.dumps(squad(answers=[])), 1, "answers", "at least one answer"),
        ("s.json", json.dumps(squad(answers=[{"start": 1}])), 1, "answers", "not a string or empty"),
        ("s.json", json.dumps(squad(question=None)), 1, "question", "is missing"),
        ("s.json", json.dumps(squad(), indent=1)[:200], None, None, "is not JSON"),
        ("w.json", '[{"qText": "q", "answers": ["a"]}, {"qText": "q"}]', 2, "answers", "is missing"),
        ("w.json", "[3]", 1, None, "is JSON list with no fields"),
        ("w.json", '[{"qText": ', None, None, "is not JSON"),
    ],
)
def test_bad_file_is_named(
    tmp_path: Path, name: str, content: str, row: int | None, field: str | None, says: str
) -> None:
    path = write(tmp_path / name, content)
    with pytest.raises(DataError, match=says) as caught:
        NATURAL_QUESTIONS.read(path)
    assert (caught.value.path, caught.value.field) == (path, field)
    if row is not None:
        assert caught.value.row == row


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="does not exist"):
        NATURAL_QUESTIONS.read(tmp_path / "no.csv")


def test_registry() -> None:
    assert {get_task(name).name for name in TASKS} == set(TASKS)
    assert get_task("nq").metrics[0] == "em"
    with pytest.raises(UnknownNameError, match="did you mean 'webquestions'"):
        get_task("webquestion")


@pytest.mark.skipif("RAG_DATA" not in os.environ, reason="RAG_DATA does not name the folder of real data")
@pytest.mark.parametrize(
    ("name", "count"),
    [
        ("nq/nq-test.qa.csv", get_task("nq").counts["test"]),
        ("nq/nq-dev.qa.csv", get_task("nq").counts["dev"]),
        ("nq/NQ-open.dev.jsonl", get_task("nq").counts["test"]),
        ("nq/gold_passages.jsonl", 2_655),
        ("squad/test-v1.1.json.gz", 11_877),
        ("webquestions/test.json", get_task("webquestions").counts["test"]),
    ],
)
def test_real_files(name: str, count: int) -> None:
    examples = NATURAL_QUESTIONS.read(Path(os.environ["RAG_DATA"]) / name)
    assert len(examples) == count == len({e.example_id for e in examples})


def item(identifier: str = "tc_2", **change: Any) -> dict[str, Any]:
    answer = {
        "Aliases": ["(Harry) Sinclair Lewis", "Sinclair Lewis"],
        "MatchedWikiEntityName": "Sinclair Lewis",
        "NormalizedAliases": ["harry sinclair lewis", "sinclair lewis", "grace hegger"],
        "NormalizedValue": "sinclair lewis",
        "Type": "WikipediaEntity",
        "Value": "Sinclair Lewis",
    }
    return {"Answer": {**answer, **change}, "EntityPages": [], "Question": "Who won? ", "QuestionId": identifier}


def write_trivia(path: Path, *items: Any, indent: int | None = 4, domain: str = "Wikipedia") -> Path:
    document = {"Data": list(items), "Domain": domain, "Split": "dev", "VerifiedEval": False, "Version": 1.0}
    path.write_text(json.dumps(document, indent=indent), encoding="utf-8")
    return path


@pytest.mark.parametrize("indent", [None, 4])
def test_aliases_first_normalised_ones_where_they_are_new(tmp_path: Path, indent: int | None) -> None:
    reading = get_task("triviaqa").reading(write_trivia(tmp_path / "wikipedia-dev.json", item(), indent=indent))
    (example,) = reading.examples
    assert (reading.layout, example.example_id, example.query) == ("TriviaQA JSON", "tc_2", "Who won?")
    assert example.answers == ("Sinclair Lewis", "(Harry) Sinclair Lewis", "grace hegger")
    assert em("harry sinclair lewis", example.answers) == 1.0


def test_the_two_test_sets_are_told_apart(tmp_path: Path) -> None:
    wiki, web = (
        get_task("triviaqa").read(write_trivia(tmp_path / f"{d}.json", item(), domain=d)) for d in ("Wikipedia", "Web")
    )
    assert (wiki[0].tags, web[0].tags) == ({"evidence": "wikipedia"}, {"evidence": "web"})
    (tmp_path / "open.csv").write_text("Who won?\t['Sinclair Lewis']\n")
    assert get_task("triviaqa").read(tmp_path / "open.csv")[0].tags == {}


@pytest.mark.parametrize(
    ("items", "row", "field", "says"),
    [
        ([item(), {**item("b"), "Question": ""}], 2, "Question", "must be a string"),
        ([{"Question": "q", "QuestionId": "a"}], 1, "Answer", "must be an object.*hold no answers"),
        ([item(Value="", Aliases=[], NormalizedAliases=[])], 1, "Answer", "holds no answer"),
        ([item(Aliases=["x", 3])], 1, "Answer.Aliases", "not a string or empty"),
        ([item(), item()], 2, "QuestionId", "is the id of row 1 too"),
        ([3], 1, "Data", "must be a list of objects"),
        ([], None, None, "holds no questions"),
    ],
)
def test_bad_rows_are_named(tmp_path: Path, items: list[Any], row: int | None, field: str | None, says: str) -> None:
    with pytest.raises(DataError, match=says) as caught:
        get_task("triviaqa").read(write_trivia(tmp_path / "bad.json", *items))
    assert (caught.value.row, caught.value.field) == (row, field)
