"""Every registered task: load -> training example -> score, and how it answers to bad files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from rag_lightning.config.registries import TASKS
from rag_lightning.core.errors import DataError
from rag_lightning.core.records import Example, read_jsonl, write_jsonl
from rag_lightning.metrics.metric import Outcome, parse_metric
from rag_lightning.tasks.spec import TaskSpec, get_task

QUESTION = {"question": "what is the capital of Benin", "answers": ["Porto Novo"]}
CLAIM = {"id": 7, "label": "SUPPORTS", "claim": "Rome is old.", "evidence": [[[1, 2, "Rome", 0]]]}
CLUE = {"question": "'Capital of Benin'", "answer": "Porto Novo", "category": "CAPITALS"}
QUERY = {"query": "capital of benin", "answers": ["Porto Novo"], "wellFormedAnswers": ["It is Porto Novo."]}
ROWS = {
    **dict.fromkeys(("nq", "triviaqa", "webquestions", "curatedtrec"), QUESTION),
    "msmarco": QUERY,
    "jeopardy": CLUE,
    **dict.fromkeys(("fever3", "fever2"), CLAIM),
}
TARGETS = {**dict.fromkeys(ROWS, "Porto Novo"), "msmarco": "It is Porto Novo.", "jeopardy": "Capital of Benin"}
TARGETS |= dict.fromkeys(("fever3", "fever2"), "supports")


@pytest.fixture(params=sorted(TASKS))
def task(request: pytest.FixtureRequest) -> TaskSpec:
    return get_task(request.param)


def write(path: Path, *rows: object) -> Path:
    path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    return path


def value(metric: Any, outcome: Outcome) -> float:
    """Of one example; a corpus metric combines the statistics of examples."""
    if hasattr(metric, "combine"):
        return float(metric.combine([metric.statistics(outcome)]))
    return float(metric.score(outcome))


def test_a_task_loads_a_training_example(task: TaskSpec, tmp_path: Path) -> None:
    examples = task.read(write(tmp_path / "q.jsonl", ROWS[task.name]))
    assert [e.answers for e in examples] == [(TARGETS[task.name],)] and examples[0].query
    assert write_jsonl(tmp_path / "stored.jsonl", examples) == 1
    assert list(read_jsonl(tmp_path / "stored.jsonl", Example)) == examples


def test_a_task_scores_its_target_best(task: TaskSpec, tmp_path: Path) -> None:
    (example,) = task.read(write(tmp_path / "q.jsonl", ROWS[task.name]))
    metrics = [parse_metric(name) for name in task.metrics]
    assert [metric.name for metric in metrics] == list(task.metrics)
    good = Outcome(example, TARGETS[task.name], (True,), None, example.gold_titles or ("Any",))
    bad = Outcome(example, "no no no no no", (False,), None, ("Another",))
    assert all(value(metric, good) > value(metric, bad) for metric in metrics)


def test_bad_files_are_named(task: TaskSpec, tmp_path: Path) -> None:
    good = json.dumps(ROWS[task.name])
    bad = {
        "is empty": b"",
        "is UTF-16": good.encode("utf-16"),
        "row 2: is not UTF-8": f"{good}\n".encode() + b'{"a": "caf\xe9"}\n',
        "row 2.* is missing": f'{good}\n{{"other": "layout"}}\n'.encode(),
        "row 2: is not JSON": f"{good}\n{good[:-5]}\n".encode(),
        "row 1": b'{"other": "layout"}\n',
    }
    for says, content in bad.items():
        (tmp_path / "bad.jsonl").write_bytes(content)
        with pytest.raises(DataError, match=says):
            task.read(tmp_path / "bad.jsonl")
    with pytest.raises(DataError, match="does not exist"):
        task.read(tmp_path / "missing.jsonl")


@pytest.mark.parametrize("value", ["1" * 5_000, "[" * 100_000 + "]" * 100_000], ids=["digits", "brackets"])
@pytest.mark.parametrize("form", ['{{"question": {0}}}\n{{"question": {0}}}', '{{"Data": {0}}}', '[{{"qText": {0}}}]'])
def test_json_that_python_cannot_read_is_named(task: TaskSpec, tmp_path: Path, form: str, value: str) -> None:
    (tmp_path / "bad.json").write_text(form.format(value))
    with pytest.raises(DataError):
        task.read(tmp_path / "bad.json")


def test_two_rows_with_one_id_are_named(task: TaskSpec, tmp_path: Path) -> None:
    name = "query_id" if task.name == "msmarco" else "id"
    if task.name == "jeopardy":
        pytest.skip("clues have no ids")
    row = {**ROWS[task.name], name: "x"}
    with pytest.raises(DataError, match=f"row 2, field '{name}': is the id of row 1 too"):
        task.read(write(tmp_path / "q.jsonl", row, row))


def test_a_task_says_where_its_data_is_from(task: TaskSpec) -> None:
    assert task.citation and task.licence and task.layouts
    assert set(task.counts) == set(task.printed) == {"train", "dev", "test"}
    assert len({layout.name for layout in task.layouts}) == len(task.layouts)


def test_a_count_that_differs_is_told_with_both(task: TaskSpec) -> None:
    assert task.count_notes("test", task.counts["test"]) == {}
    notes = task.count_notes("test", 5)
    assert list(notes.values()) == [task.counts["test"], task.printed["test"]]
