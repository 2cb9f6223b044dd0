"""The published files themselves, where the environment variable RAG_DATA says they are."""

import os
from pathlib import Path

import pytest

from rag_lightning.core.records import Example
from rag_lightning.metrics.normalize import normalize_answer
from rag_lightning.tasks.open_qa import read_examples
from rag_lightning.tasks.spec import get_task

FOLDER = os.environ.get("RAG_DATA", "")
pytestmark = pytest.mark.skipif(not FOLDER, reason="RAG_DATA is not set to a folder with the published data sets")


def test_both_formats_of_nq_test_hold_the_same_questions() -> None:
    """DPR's file has plain spaces for no-break ones and doubled quotes in answers; EM sees neither."""
    dpr, google = (read_examples(Path(FOLDER, "nq", name)) for name in ("nq-test.qa.csv", "NQ-open.dev.jsonl"))
    assert len(dpr) == len(google) == get_task("nq").counts["test"]
    by_question = {example.query: normal(example) for example in google}
    assert {example.query: normal(example) for example in dpr} == by_question
    assert len(by_question) == len(google)


def normal(example: Example) -> set[str]:
    return {normalize_answer(answer) for answer in example.answers}
