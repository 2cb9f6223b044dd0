"""Whatever a file holds, a task reads it or says what is wrong with it; there is no other error."""

from __future__ import annotations

import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rag_lightning.config.registries import TASKS
from rag_lightning.core.errors import DataError
from rag_lightning.core.records import Example, read_jsonl, write_jsonl
from rag_lightning.tasks.spec import get_task

NAMES = (
    "question",
    "answer",
    "answers",
    "id",
    "gold_passage_id",
    "gold_passage_ids",
    "qText",
    "qId",
    "query",
    "query_id",
    "wellFormedAnswers",
    "category",
    "round",
    "claim",
    "label",
    "evidence",
    "input",
    "output",
    "data",
    "Data",
    "Question",
    "QuestionId",
    "Answer",
    "golden_answers",
    "supporting_facts",
    "paragraphs",
    "possible_answers",
    "positive_passages",
    "positive_ctxs",
    "annotations",
    "context",
    "targetValue",
    "utterance",
    "_id",
    "text",
    "query-id",
    "corpus-id",
)
INNER = ["Value", "Aliases", "answer", "provenance", "title", "0"]
LEAVES = st.sampled_from([None, True, 3, 1.5, float("nan"), "", " ", "a", "(", "SUPPORTS", "[]", "é'\"\t\\", "\ud800"])
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(INNER), inner, max_size=3),
    max_leaves=8,
)
ROWS = st.dictionaries(st.sampled_from(NAMES), VALUES, max_size=6)
LIKELY = st.fixed_dictionaries(
    {"question": VALUES, "answers": st.lists(LEAVES, max_size=2), "query": LEAVES, "claim": LEAVES, "label": LEAVES},
    optional={"evidence": VALUES, "wellFormedAnswers": VALUES, "output": VALUES, "input": LEAVES, "id": VALUES},
)
TEXTS = st.text(st.sampled_from("ab1\t\n\"'[]{}(:,é\x00\ufeff\\"), max_size=40)


def as_text(rows: list[Any], layout: str) -> str:
    if layout == "lines":
        return "\n".join(map(json.dumps, rows))
    if layout == "columns":
        names = dict.fromkeys(name for row in rows for name in row)
        return json.dumps({name: {str(i): row[name] for i, row in enumerate(rows) if name in row} for name in names})
    return json.dumps({"Data": rows} if layout == "document" else rows)


FILES = TEXTS | st.builds(
    as_text, st.lists(ROWS | LIKELY, max_size=3), st.sampled_from(["lines", "list", "columns", "document"])
)


@pytest.mark.parametrize("name", sorted(TASKS))
@given(text=FILES)
@settings(deadline=None, max_examples=60)
def test_it_is_read_or_an_error_names_the_file(name: str, text: str) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder, "any.json")
        path.write_bytes(text.encode("utf-8", "replace"))
        try:
            reading = get_task(name).reading(path)
        except DataError as error:
            assert error.path == path
            return
        assert reading.examples and all(e.query and e.answers and e.example_id for e in reading.examples)
        assert len({e.example_id for e in reading.examples}) == len(reading.examples)
        write_jsonl(Path(folder, "stored.jsonl"), reading.examples)
        assert list(read_jsonl(Path(folder, "stored.jsonl"), Example)) == reading.examples
