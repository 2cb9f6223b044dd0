"""Other toolkits' files: what is written is read back, real shapes are read, bad ones are named."""

import json
from pathlib import Path

import ir_measures
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag_lightning.core.errors import DataError, UnknownNameError
from rag_lightning.core.records import Example, Prediction, write_jsonl
from rag_lightning.tasks.results.kilt import with_titles
from rag_lightning.tasks.results.record import FORMATS, Result, RetrievedPassage, get_format, match

PASSAGES = (
    RetrievedPassage("wiki:7", 81.5, "Ünï (code)", 'A "text"\nof two lines.'),
    RetrievedPassage("wiki:3", 80.25, "Other", "More text"),
)
RESULTS = [
    Result("q1", "who is it", ("A", "B"), "an answer", PASSAGES),
    Result("q2", "what is it", ("C",), "é, twice", PASSAGES[::-1][:1]),
]


def as_read(name: str, result: Result) -> Result:
    """What of a result a format carries."""
    passages = result.passages or ()
    match name:
        case "ours":
            return Result(result.example_id, prediction=result.prediction)
        case "trec":
            return Result(result.example_id, passages=tuple(RetrievedPassage(p.passage_id, p.score) for p in passages))
        case "trec_rag":
            ranked = tuple(RetrievedPassage(p.passage_id, float(len(passages) - i)) for i, p in enumerate(passages))
            return Result(result.example_id, result.question, prediction=result.prediction, passages=ranked)
        case "dpr":
            return Result(result.example_id, result.question, passages=passages)
        case "kilt":
            pages = tuple(RetrievedPassage(p.title or "", p.score, p.title) for p in passages)
            return Result(result.example_id, result.question, prediction=result.prediction, passages=pages)
        case _:
            return Result(result.example_id, result.question, prediction=result.prediction, passages=passages)


@pytest.mark.parametrize("name", sorted(FORMATS))
def test_what_is_written_is_read_back(name: str, tmp_path: Path) -> None:
    kind, path = get_format(name), tmp_path / "new" / "file"
    rows = 3 if name == "trec" else 2
    assert kind.write(path, RESULTS) == rows
    assert kind.read(path) == [as_read(name, result) for result in RESULTS]
    again = tmp_path / "again"
    assert kind.write(again, [Result(r.example_id, r.question, (), r.prediction, r.passages) for r in RESULTS]) == rows
    assert sorted(p.name for p in tmp_path.rglob("*") if p.is_file()) == ["again", "file"]


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def test_dpr_s_own_shape_is_read(tmp_path: Path) -> None:
    context = {"id": "wiki:1", "title": "T", "text": "words", "score": "78.1", "has_answer": False}
    raw = [{"question": "who", "answers": ["x"], "ctxs": [context]}]
    (found,) = get_format("dpr").read(write(tmp_path / "f.json", json.dumps(raw, indent=4)))
    assert found == Result("", "who", passages=(RetrievedPassage("wiki:1", 78.1, "T", "words"),))


def test_kilt_s_own_shape_is_read(tmp_path: Path) -> None:
    output = {"answer": "SUPPORTS", "provenance": [{"wikipedia_id": 12, "start_paragraph_id": 3}]}
    line = json.dumps({"id": 7, "input": "claim", "output": [output], "meta": {}})
    (found,) = get_format("kilt").read(write(tmp_path / "f.jsonl", line + "\n"))
    assert found == Result("7", "claim", prediction="SUPPORTS", passages=(RetrievedPassage("12"),))


def test_the_shape_of_the_trec_rag_track_is_read(tmp_path: Path) -> None:
    answer = [{"text": "Three times a day.", "citations": [0, 1]}, {"text": "Or more.", "citations": []}]
    raw = {"run_id": "r", "topic_id": 2027497, "topic": "how often", "references": ["a#1_2", "b#3_4"]}
    line = json.dumps(raw | {"response_length": 6, "answer": answer})
    (found,) = get_format("trec_rag").read(write(tmp_path / "f.jsonl", line + "\n"))
    passages = (RetrievedPassage("a#1_2", 2.0), RetrievedPassage("b#3_4", 1.0))
    assert found == Result("2027497", "how often", prediction="Three times a day. Or more.", passages=passages)
    for broken in (
        {"answer": None},
        {"answer": [{"text": 3}]},
        {"references": "a"},
        {"references": [None]},
        {"topic": 1},
    ):
        with pytest.raises(DataError, match="row 1"):
            get_format("trec_rag").read(write(tmp_path / "f.jsonl", json.dumps(raw | {"answer": answer} | broken)))


def test_a_trec_rag_run_of_2025_names_its_topic_in_the_metadata(tmp_path: Path) -> None:
    metadata = {"team_id": "t", "run_id": "r", "type": "automatic", "narrative_id": 14, "narrative": "I want to know"}
    raw = {"metadata": metadata, "references": ["a#1_2"], "answer": [{"text": "Yes.", "citations": [0]}]}
    (found,) = get_format("trec_rag").read(write(tmp_path / "f.jsonl", json.dumps(raw) + "\n"))
    assert found == Result("14", "I want to know", prediction="Yes.", passages=(RetrievedPassage("a#1_2", 1.0),))
    raw["metadata"] = {"run_id": "r"}
    with pytest.raises(DataError, match=r"row 1, field 'metadata\.narrative_id': is missing"):
        get_format("trec_rag").read(write(tmp_path / "f.jsonl", json.dumps(raw) + "\n"))


def test_pages_without_titles_get_those_of_kilt_s_gold_file(tmp_path: Path) -> None:
    """KILT compares page ids; its dev file says whose they are."""
    gold = {"wikipedia_id": "12", "title": "Rome", "section": "s", "start_paragraph_id": 1}
    dev = {"id": "a", "input": "q", "output": [{"answer": "x"}, {"provenance": [gold]}, {"answer": "y"}], "meta": {}}
    file = write(tmp_path / "dev.jsonl", json.dumps(dev) + "\n")
    pages = (RetrievedPassage("12", 2.0), RetrievedPassage("1984", 1.0), RetrievedPassage("7", 0.0, "Paris"))
    (found,) = with_titles([Result("a", passages=pages)], file)
    assert [page.title for page in found.passages or ()] == ["Rome", "wikipedia_id 1984", "Paris"]
    only_titles = [Result("a", passages=pages[2:]), Result("b", prediction="x")]
    assert with_titles(only_titles, tmp_path / "not read") == only_titles
    other = write(tmp_path / "q.csv", "q\t['x']\n")
    assert with_titles([found, Result("b", passages=pages)], other)[1].passages == pages, "no page is known by it"


def test_dpr_results_in_lines_and_plain_predictions_are_read(tmp_path: Path) -> None:
    rows = [{"question": name, "ctxs": [{"id": "1", "text": "words", "score": 2}]} for name in ("who", "why")]
    lines = write(tmp_path / "l.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
    listed = write(tmp_path / "l.json", json.dumps(rows))
    assert get_format("dpr").read(lines) == get_format("dpr").read(listed)
    plain = write(tmp_path / "p.jsonl", '{"id": 7, "prediction_text": "x"}\n{"example_id": "8", "text": "y", "k": 2}\n')
    assert get_format("ours").read(plain) == [Result("7", prediction="x"), Result("8", prediction="y")]


def test_flashrag_s_own_shape_is_read(tmp_path: Path) -> None:
    documents = [{"id": "1", "contents": '"Title"\nthe text\nmore'}, {"id": 2, "contents": "no title"}]
    output = {"pred": "x", "retrieval_result": documents, "metric_score": {"em": 0.0}}
    raw = {"id": "test_0", "question": "who", "golden_answers": ["x"], "output": output}
    expected = (RetrievedPassage("1", 0.0, "Title", "the text\nmore"), RetrievedPassage("2", 0.0, None, "no title"))
    for text in (json.dumps([raw], indent=4), json.dumps(raw) + "\n"):
        (found,) = get_format("flashrag").read(write(tmp_path / "f.json", text))
        assert found == Result("test_0", "who", prediction="x", passages=expected)


def test_trec_order_is_trec_eval_s(tmp_path: Path) -> None:
    run = "q Q0 a 1 1.0 t\nq Q0 c 2 3.00000001 t\nq Q0 b 3 3.0 t\nq Q0 d 4 -2 t\n"
    (found,) = get_format("trec").read(write(tmp_path / "run", run))
    order = [passage.passage_id for passage in found.passages or ()]
    assert order == ["c", "b", "a", "d"]
    for place, name in enumerate(order, 1):
        ranked = ir_measures.read_trec_run(str(tmp_path / "run"))
        found_at = ir_measures.calc_aggregate([ir_measures.RR], {"q": {name: 1}}, ranked)[ir_measures.RR]
        assert found_at == pytest.approx(1 / place)


@given(scores=st.lists(st.floats(-1e6, 1e6, width=32) | st.just(0.0), min_size=1, max_size=8))
def test_trec_files_keep_our_order(scores: list[float], tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("trec") / "run"
    ordered = sorted(scores, reverse=True)
    passages = tuple(RetrievedPassage(f"p{i}", score) for i, score in enumerate(ordered))
    get_format("trec").write(path, [Result("q", passages=passages)])
    (found,) = get_format("trec").read(path)
    assert [p.passage_id for p in found.passages or ()] == [p.passage_id for p in passages]
    assert [p.score for p in found.passages or ()] == pytest.approx(ordered, rel=1e-5, abs=1e-30)


BAD = [
    ("trec", "q Q0 a 1 2.0\n", "row 1: has 5 fields instead of 6"),
    ("trec", "q Q0 a 1 x t\n", "row 1, field 'score': must be a number"),
    ("trec", "q Q0 a 1 nan t\n", "must be a finite number"),
    ("trec", "q Q0 a 1 1 t\nq Q0 a 2 1 t\n", "row 2, field 'passage-id': is there twice"),
    ("dpr", "{}", "row 1, field 'ctxs': is missing"),
    (
        "dpr",
        '[{"question": "q", "gold_answers": []}]',
        "(got ['gold_answers', 'question']); a row has question and ctxs",
    ),
    ("dpr", '{"0": {"question": "q", "contexts": [{"id": "1", "text": "x"}]}}', "field 'contexts.docid': is missing"),
    ("dpr", '"text"', "is not JSON: expected '['"),
    ("dpr", '[{"question": "q", "ctxs": [{"text": "x"}]}]', "field 'ctxs.id': is missing"),
    ("dpr", '[{"question": "q", "ctxs": 3}]', "row 1, field 'ctxs'"),
    ("dpr", '[{"ctxs": []}]', "field 'question': is missing"),
    ("dpr", '[{"question": "q", "ctxs": [{"id": "1"}]}]', "field 'ctxs.text': is missing"),
    ("kilt", '{"id": "1", "output": []}\n', "holds 0 outputs instead of 1"),
    ("kilt", '{"output": [{"answer": "x"}]}\n', "row 1, field 'id'"),
    ("kilt", '{"id": "1", "output": [{"answer": 3}]}\n', "field 'output.answer'"),
    ("kilt", '{"id": "1", "output": [{"provenance": [{"title": "x"}]}]}\n', "wikipedia_id"),
    ("flashrag", '[{"id": "1", "question": "q"}]', "field 'output': is missing"),
    ("flashrag", '[{"id": "1", "question": "q", "output": {"pred": ["x"]}}]', "field 'output.pred'"),
    ("flashrag", "[1]", "must be a list of objects"),
    ("ours", '{"id": "1"}\n', "row 1, field 'text': is missing"),
    ("ours", '{"text": "x"}\n', "row 1, field 'example_id': is missing"),
]


@pytest.mark.parametrize(("name", "text", "says"), BAD)
def test_bad_files_are_named(name: str, text: str, says: str, tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        get_format(name).read(write(tmp_path / "results", text))
    assert says in str(caught.value) and "results" in str(caught.value)


@pytest.mark.parametrize("name", sorted(FORMATS))
def test_missing_and_empty_files_are_named(name: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="does not exist"):
        get_format(name).read(tmp_path / "none")
    with pytest.raises(DataError, match="is empty"):
        get_format(name).read(write(tmp_path / "empty", ""))


def test_what_a_format_cannot_hold_is_refused(tmp_path: Path) -> None:
    file, word = tmp_path / "out", RetrievedPassage("p", 1.0)
    with pytest.raises(DataError, match="has no passages"):
        get_format("trec").write(file, [Result("q", prediction="x")])
    with pytest.raises(DataError, match="white space"):
        get_format("trec").write(file, [Result("q 1", passages=(word,))])
    with pytest.raises(DataError, match="has no text"):
        get_format("dpr").write(file, [Result("q", passages=(word,))])
    with pytest.raises(DataError, match="has no prediction"):
        get_format("ours").write(file, [Result("q")])
    assert not file.exists()
    with pytest.raises(UnknownNameError, match="did you mean 'kilt'"):
        get_format("kit")


EXAMPLES = [Example("a", "who is it", ("x",)), Example("b", "what is it", ("y",)), Example("c", "who is it", ("z",))]


def test_results_are_joined_by_id_in_any_order() -> None:
    found = match([Result(name) for name in "cab"], EXAMPLES, "f")
    assert found.by == "id" and [(r.example_id, e.example_id) for r, e in found.pairs] == [(n, n) for n in "abc"]


def test_results_without_our_ids_are_joined_by_question() -> None:
    results = [Result("7", "what  is it"), Result("8", "who is it", prediction="1st"), Result("9", "who is it ")]
    found = match(results, EXAMPLES, "f")
    assert found.by == "question"
    assert [(r.example_id, r.prediction) for r, _ in found.pairs] == [("a", "1st"), ("b", None), ("c", None)]


def test_missing_and_extra_results_are_listed() -> None:
    with pytest.raises(DataError, match=r"1 missing: 'c'; 1 extra: 'd'"):
        match([Result(name) for name in "abd"], EXAMPLES, "f")
    with pytest.raises(DataError, match=r"f, field 'question': 2 missing: .*; 1 extra: 'why'") as caught:
        match([Result("", "why"), Result("", "who is it")], EXAMPLES, "f")
    assert "'what is it'" in str(caught.value)
    with pytest.raises(DataError, match="3 missing"):
        match([], EXAMPLES, "f")


def test_predictions_of_ours_are_read(tmp_path: Path) -> None:
    write_jsonl(tmp_path / "p.jsonl", [Prediction("q", "Text", "text", -1.0)])
    assert get_format("ours").read(tmp_path / "p.jsonl") == [Result("q", prediction="Text")]


OURS_LINE = '{"example_id": "q", "text": %s, "raw_text": "x", "log_prob": 0.0, "hypotheses": []}\n'


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("ours", (OURS_LINE % '"é"').encode("latin-1"), "row 1 is not UTF-8|row 1: is not UTF-8"),
        ("ours", (OURS_LINE % "5").encode(), "row 1, field 'text'.* must be a string"),
        ("ours", (OURS_LINE % "null").encode(), "row 1, field 'text'.* is missing"),
        ("ours", ("[" * 100_000).encode(), "row 1.*cannot be read|row 1.*is not JSON"),
        ("ours", (OURS_LINE % '"x"').replace('"q"', "[1]").encode(), "row 1, field 'example_id'"),
        ("kilt", b'{"id": "q", "output": [{"answer": "\\ud800"}]}\n', "row 1, field 'output.answer'.*surrogate"),
        (
            "dpr",
            b'[{"question": "q", "answers": [], "ctxs": [{"id": "1", "text": "t", "score": 1' + b"0" * 400 + b"}]}]",
            "row 1, field 'score'.* must be a number",
        ),
    ],
)
def test_what_cannot_be_used_is_named(name: str, content: bytes, says: str, tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(content)
    with pytest.raises(DataError, match=says):
        get_format(name).read(tmp_path / "f")


@pytest.mark.parametrize("name", sorted(FORMATS))
@pytest.mark.parametrize("place", ["folder", "file/below"])
def test_a_place_that_cannot_be_written_is_named(name: str, place: str, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("kept")
    with pytest.raises(DataError, match="cannot be written"):
        get_format(name).write(tmp_path / place, RESULTS)
    assert sorted(p.name for p in tmp_path.rglob("*")) == ["file", "folder"], "nothing is left behind"
