"""Open-domain question answering: Natural Questions, TriviaQA and WebQuestions, whose formats overlap.

- DPR csv: `question \\t ['answer', …]` (https://github.com/facebookresearch/DPR)
- JSONL: `question`, `answer` (NQ-open, https://github.com/google-research-datasets/natural-questions) or `answers`
  (DPR), and if known `gold_passage_id` or `gold_passage_ids`
- SQuAD v1.1 JSON (https://arxiv.org/abs/1606.05250), for training data
- WebQuestions JSON: a list of `qText`, `answers` (https://aclanthology.org/D13-1160)
- TriviaQA JSON (triviaqa.py)
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rag_lightning.core.records import Example
from rag_lightning.tasks.dpr import read_dpr
from rag_lightning.tasks.examples import RawExample
from rag_lightning.tasks.fields import answer_list, gold_ids, own_id, question_text
from rag_lightning.tasks.hub import HubSource, by_row
from rag_lightning.tasks.layout import Layout, json_lines, json_list
from rag_lightning.tasks.spec import TaskSpec
from rag_lightning.tasks.squad import read_squad
from rag_lightning.tasks.triviaqa import HUB_COLUMNS, TRIVIA_JSON, hub_rows


def question_row(path: Path, row: int, values: Mapping[str, Any]) -> RawExample:
    """`question`, `answer` or `answers`, and optionally `id` and gold passage ids.

    Raises:
        DataError: a field is missing or of a wrong type.
    """
    name = "answers" if "answers" in values else "answer"
    question = question_text(path, row, "question", values.get("question"))
    answers = answer_list(path, row, name, values.get(name))
    return RawExample(row, question, answers, gold_ids(path, row, values), own_id(path, row, values))


def web_row(path: Path, row: int, values: Mapping[str, Any]) -> RawExample:
    """`qText`, `answers`, and optionally `qId`.

    Raises:
        DataError: a field is missing or of a wrong type.
    """
    question = question_text(path, row, "qText", values.get("qText"))
    answers = answer_list(path, row, "answers", values.get("answers"))
    return RawExample(row, question, answers, own_id=own_id(path, row, values, "qId"), id_field="qId")


DPR_CSV = Layout("DPR csv", "tab-separated text", read_dpr, cells=(2,))
QUESTION_JSONL = json_lines("question JSONL", ("question",), question_row)
SQUAD_JSON = Layout("SQuAD v1.1 JSON", "JSON document", read_squad, frozenset({"data"}))
WEB_JSON = json_list("WebQuestions JSON", ("qText", "answers"), web_row)
QA_LAYOUTS = (DPR_CSV, QUESTION_JSONL, SQUAD_JSON, WEB_JSON)

NATURAL_QUESTIONS = TaskSpec(
    name="nq",
    title="NQ",
    citation="Kwiatkowski et al. 2019, open-domain split of Lee et al. 2019 (https://arxiv.org/abs/1906.00300)",
    licence="CC BY-SA 3.0",
    layouts=QA_LAYOUTS,
    counts={"train": 79_168, "dev": 8_757, "test": 3_610},
    printed={"train": 79_169, "dev": 8_758, "test": 3_611},
    hub=HubSource("google-research-datasets/nq_open", "", by_row(question_row), test="validation", held_out=8_757),
)
"""The hub has 87,925 train and 3,610 validation questions: validation is the paper's test, dev is held out of train by
seed, as large as DPR's; it is not DPR's dev split."""
TRIVIA_QA = TaskSpec(
    name="triviaqa",
    title="TQA",
    citation="Joshi et al. 2017 (https://aclanthology.org/P17-1147)",
    licence="questions: not stated, their authors' copyright; code Apache 2.0",
    layouts=(DPR_CSV, TRIVIA_JSON, QUESTION_JSONL, SQUAD_JSON),
    counts={"train": 78_785, "dev": 8_837, "test": 11_313},
    mine="present",
    printed={"train": 78_786, "dev": 8_838, "test": 11_314},
    hub=HubSource(
        "mandarjoshi/trivia_qa",
        "unfiltered.nocontext",
        hub_rows,
        test="validation",
        held_out=8_837,
        columns=HUB_COLUMNS,
    ),
)
"""Counts are of the open-domain split: test is the published dev of `unfiltered`, whose own test hides its answers.
The paper's second test set, Wikipedia's, is a source of its own: the release's `wikipedia-dev.json`, whose examples
carry the tag `evidence`, or `hub:mandarjoshi/trivia_qa:rc.wikipedia.nocontext`. The two are never averaged."""
WEB_QUESTIONS = TaskSpec(
    name="webquestions",
    title="WQ",
    citation="Berant et al. 2013 (https://aclanthology.org/D13-1160)",
    licence="CC BY 4.0",
    layouts=QA_LAYOUTS,
    counts={"train": 3_417, "dev": 361, "test": 2_032},
    printed={"train": 3_418, "dev": 362, "test": 2_033},
    hub=HubSource("stanfordnlp/web_questions", "", by_row(question_row), held_out=361),
)
"""The hub has 3,778 train and 2,032 test questions; dev is held out of train by seed."""


def read_examples(path: Path | str) -> list[Example]:
    """The questions of a file in a layout of `nq`.

    Raises:
        DataError: see `TaskSpec.reading`.
    """
    return NATURAL_QUESTIONS.read(Path(path))
