"""The hub's loaders on local files of the same layout; nothing is asked of the hub."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from rag_lightning.config.registries import TASKS
from rag_lightning.core.errors import DataError
from rag_lightning.corpus import passages as corpus_hub
from rag_lightning.tasks.hub import Split, read_hub
from rag_lightning.tasks.spec import get_task

Rows = list[dict[str, Any]]


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")


def parquet(folder: Path, splits: Mapping[str, Rows]) -> Path:
    """A data set of parquet files."""
    folder.mkdir()
    for split, rows in splits.items():
        pq.write_table(pa.Table.from_pylist(rows), folder / f"{split}-00000-of-00001.parquet")
    return folder


def converted(folder: Path, splits: Mapping[str, Rows]) -> Path:
    """A data set as the hub converts one whose main branch is a script."""
    for split, rows in splits.items():
        (folder / split).mkdir(parents=True)
        pq.write_table(pa.Table.from_pylist(rows), folder / split / "0000.parquet")
    return folder


def load(task: str, folder: Path, seed: int = 0, fallback: bool = False) -> Split:
    spec = get_task(task)
    assert spec.hub is not None
    return read_hub(spec.hub, str(folder), "", "", seed, fallback, spec.layouts)


def sizes(found: Split) -> dict[str, int]:
    return {name: len(part) for name, part in found.parts.items()}


def asked(names: Iterable[str], **more: Any) -> Rows:
    return [{"question": f"question {name}", "answer": ["a", "b"], **more} for name in names]


def numbered(count: int) -> list[str]:
    return [str(i) for i in range(count)]


def test_dev_is_held_out_of_train_and_validation_is_test(tmp_path: Path) -> None:
    folder = parquet(tmp_path / "nq", {"train": asked(numbered(40)), "validation": asked("xyz")})
    found = load("nq", folder)
    assert sizes(found) == {"train": 36, "dev": 4, "test": 3} and found.notes == {"dev held out of train": 4}
    assert not {e.query for e in found.parts["train"]} & {e.query for e in found.parts["dev"]}
    assert found.parts["test"][0].answers == ("a", "b") and found.parts["test"][0].example_id == "validation-1"
    assert load("nq", folder) == found
    assert load("nq", folder, seed=1).parts["dev"] != found.parts["dev"]


def test_a_row_without_answers_is_named(tmp_path: Path) -> None:
    folder = parquet(tmp_path / "nq", {"train": asked("a"), "validation": asked("b")})
    empty = pa.table({"question": ["q"], "answer": pa.array([[]], pa.list_(pa.string()))})
    pq.write_table(empty, folder / "train-00000-of-00001.parquet")
    with pytest.raises(DataError, match="row 1, field 'answer'"):
        load("nq", folder)


def test_a_missing_split_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="has no split 'validation'; it has train"):
        load("nq", parquet(tmp_path / "nq", {"train": asked("a")}))


def test_web_questions(tmp_path: Path) -> None:
    rows = [{"url": "http://x", "question": "what?", "answers": ["A", "B"]}]
    found = load("webquestions", parquet(tmp_path / "wq", {"train": rows * 20, "test": rows}))
    assert sizes(found) == {"train": 18, "dev": 2, "test": 1}
    assert (found.parts["test"][0].query, found.parts["test"][0].answers) == ("what?", ("A", "B"))


def trivia(identifier: str, value: str = "Sinclair Lewis") -> dict[str, Any]:
    answer = {"value": value, "aliases": [value, "H. S. Lewis"], "normalized_aliases": [value.lower(), "h s lewis"]}
    return {"question": "Who?", "question_id": identifier, "question_source": "x", "answer": answer}


def test_triviaqa_reads_aliases_and_a_question_of_two_evidences_once(tmp_path: Path) -> None:
    rows = [trivia("tc_1"), trivia("tc_2"), trivia("tc_1")]
    found = load("triviaqa", parquet(tmp_path / "tqa", {"train": rows, "validation": [trivia("tc_3")]}))
    assert sizes(found) == {"train": 2, "dev": 0, "test": 1}
    assert found.parts["test"][0].answers == ("Sinclair Lewis", "H. S. Lewis")
    assert found.notes["train dropped: question that is there with other evidence too"] == 1


def test_triviaqa_test_hides_its_answers(tmp_path: Path) -> None:
    folder = parquet(tmp_path / "tqa", {"train": [trivia("a")], "validation": [trivia("b", "<unk>")]})
    with pytest.raises(DataError, match=r"holds no answer.*use a dev file"):
        load("triviaqa", folder)


def marco(well_formed: list[str], answers: list[str], number: int = 1) -> dict[str, Any]:
    passages = {"is_selected": [0], "passage_text": ["p"], "url": ["u"]}
    names = {"query": f"what is {number}", "query_id": number, "query_type": "NUMERIC", "passages": passages}
    return {**names, "answers": answers, "wellFormedAnswers": well_formed}


def test_msmarco(tmp_path: Path) -> None:
    rows = [marco(["It is 5."], ["5"], 1), marco([], ["6"], 2), marco([], ["No Answer Present."], 3)]
    folder = parquet(tmp_path / "m", {"train": rows, "validation": rows[:1]})
    found = load("msmarco", folder)
    assert found.parts["test"][0].answers == ("It is 5.",) and sizes(found)["train"] == 1
    assert found.notes["train dropped: no well-formed answer"] == 1
    assert found.notes['train dropped: "No Answer Present."'] == 1
    other = load("msmarco", folder, fallback=True)
    assert [e.answers for e in other.parts["train"]] == [("It is 5.",), ("6",)]
    assert other.notes["train by fallback: no well-formed answer"] == 1


def test_jeopardy(tmp_path: Path) -> None:
    row = {"category": "HISTORY", "question": "'His <i>theory</i>'", "value": "$200", "answer": "Anna Berg"}
    found = load("jeopardy", converted(tmp_path / "j", {name: [row] for name in ("train", "validation", "test")}))
    assert sizes(found) == {"train": 1, "dev": 1, "test": 1}
    assert (found.parts["dev"][0].query, found.parts["dev"][0].answers) == ("Anna Berg", ("His theory",))


def evidence(number: int, label: str, group: int, title: str) -> dict[str, Any]:
    where = {"evidence_annotation_id": group, "evidence_id": group, "evidence_wiki_url": title}
    return {"id": number, "label": label, "claim": f"claim {number}", **where, "evidence_sentence_id": 0}


def test_fever_gathers_the_rows_of_a_claim(tmp_path: Path) -> None:
    rows = [
        evidence(7, "SUPPORTS", 1, "Soul_Food_-LRB-film-RRB-"),
        evidence(7, "SUPPORTS", 1, "Fox_2000"),
        evidence(7, "SUPPORTS", 2, "Fox_2000"),
        evidence(8, "NOT ENOUGH INFO", -1, ""),
    ]
    folder = converted(tmp_path / "f", {name: rows for name in ("train", "paper_dev", "paper_test")})
    first, second = load("fever3", folder).parts["dev"]
    assert (first.example_id, first.answers) == ("7", ("supports",))
    assert first.gold_titles == ("Fox 2000|Soul Food (film)", "Fox 2000")
    assert (second.answers, second.gold_titles) == (("not enough info",), ())
    two = load("fever2", folder)
    assert sizes(two) == {"train": 1, "dev": 1, "test": 1} and two.notes["dev dropped: NOT ENOUGH INFO"] == 1


def test_a_conversion_without_a_split_is_named(tmp_path: Path) -> None:
    folder = converted(tmp_path / "f", {"train": [evidence(7, "SUPPORTS", 1, "A")]})
    with pytest.raises(DataError, match=r"cannot be loaded.*expected splits train, paper_dev, paper_test"):
        load("fever3", folder)


def test_splits_of_like_names_are_kept_apart(tmp_path: Path) -> None:
    names = ("train", "labelled_dev", "paper_dev", "paper_test")
    splits = {name: [evidence(i, "SUPPORTS", 1, "A")] for i, name in enumerate(names)}
    found = load("fever3", converted(tmp_path / "f", splits))
    assert {part: [e.example_id for e in listed] for part, listed in found.parts.items()} == {
        "train": ["0"],
        "dev": ["2"],
        "test": ["3"],
    }


def test_a_claim_whose_rows_are_apart_is_named(tmp_path: Path) -> None:
    rows = [evidence(7, "SUPPORTS", 1, "A"), evidence(8, "REFUTES", 2, "B"), evidence(7, "SUPPORTS", 3, "C")]
    folder = converted(tmp_path / "f", {name: rows for name in ("train", "paper_dev", "paper_test")})
    with pytest.raises(DataError, match="row 3, field 'id': is the id of row 1 too"):
        load("fever3", folder)


def test_original_files_load_as_parquet_does(tmp_path: Path) -> None:
    (tmp_path / "nq").mkdir()
    for split, names in (("train", numbered(20)), ("validation", ["x"])):
        (tmp_path / "nq" / f"{split}.jsonl").write_text("\n".join(map(json.dumps, asked(names))))
    assert sizes(load("nq", tmp_path / "nq")) == {"train": 18, "dev": 2, "test": 1}


def flash(names: Iterable[str]) -> Rows:
    return [{"id": f"x{n}", "question": f"question {n}", "golden_answers": ["a"], "metadata": {"n": 1}} for n in names]


def test_another_data_set_is_read_by_its_rows_and_its_own_splits(tmp_path: Path) -> None:
    folder = parquet(tmp_path / "f", {"train": flash("abc"), "dev": flash("de"), "test": flash("f")})
    found = load("nq", folder)
    assert sizes(found) == {"train": 3, "dev": 2, "test": 1} and found.notes == {}
    assert found.parts["test"][0].example_id == "xf" and found.parts["test"][0].answers == ("a",)


def test_gold_of_the_hub_is_left_out(tmp_path: Path) -> None:
    rows = [{**row, "gold_passage_id": "p1"} for row in asked(numbered(20))]
    found = load("nq", parquet(tmp_path / "g", {"train": rows, "validation": rows[:1]}))
    assert found.parts["test"][0].gold_passage_ids == ()


def test_data_sets_saved_to_disk(tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    parts = {"train": asked(numbered(20)), "validation": asked("x")}
    datasets.DatasetDict({n: datasets.Dataset.from_list(r) for n, r in parts.items()}).save_to_disk(str(tmp_path / "s"))
    assert sizes(load("nq", tmp_path / "s")) == {"train": 18, "dev": 2, "test": 1}
    with pytest.raises(DataError, match="has no split 'validation'; it has train"):
        load("nq", tmp_path / "s" / "train")


def test_what_datasets_cannot_read_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "train-00000-of-00001.parquet").write_bytes(b"PAR1 cut")
    with pytest.raises(DataError, match="cannot be loaded") as caught:
        load("nq", tmp_path / "d")
    assert "\n" not in str(caught.value)


def test_every_task_but_one_has_a_data_set_on_the_hub() -> None:
    assert [name for name in TASKS if get_task(name).hub is None] == ["curatedtrec"]


def tables(folder: Path, rows: Mapping[str, Any]) -> Path:
    """Outside the folder of the cache, which `datasets` would search for splits."""
    folder.mkdir()
    pq.write_table(pa.table(rows), folder / "train-00000-of-00001.parquet")
    return folder


def test_passages_are_streamed(tmp_path: Path) -> None:
    rows = {"id": ["1", "2"], "title": ["A", "B"], "text": ["one", "two"]}
    folder = tables(tmp_path / "passages", rows)
    found = list(corpus_hub.read_hub(str(folder), "", ""))
    assert [(p.passage_id, p.title, p.text) for p in found] == [("1", "A", "one"), ("2", "B", "two")]


def test_a_passage_without_text_is_named(tmp_path: Path) -> None:
    rows = {"id": ["1", "2"], "title": ["A", "B"], "text": ["one", None]}
    folder = tables(tmp_path / "passages", rows)
    with pytest.raises(DataError, match="row 2, field 'text'"):
        list(corpus_hub.read_hub(str(folder), "", ""))
