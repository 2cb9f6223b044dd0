"""Open-domain question answering: four file formats, told from their content, plain or gzip.

- DPR: `question \\t ['answer', …]` (https://github.com/facebookresearch/DPR)
- JSONL: `question`, `answer` (NQ-open, https://github.com/google-research-datasets/natural-questions) or `answers`,
  and if known `gold_passage_id` or `gold_passage_ids`
- SQuAD v1.1 JSON (https://arxiv.org/abs/1606.05250)
- WebQuestions JSON: a list of `qText`, `answers` (https://aclanthology.org/D13-1160)
"""

from __future__ import annotations

import ast
import csv
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from rag_lightning.core.errors import DataError
from rag_lightning.core.files import check_file, read_json, read_jsonl_objects, read_lines
from rag_lightning.core.records import Example
from rag_lightning.tasks.examples import RawExample, answer_list, gold_ids, question_text, to_examples
from rag_lightning.tasks.spec import TaskSpec
from rag_lightning.tasks.squad import read_squad

Reader = Callable[[Path], Iterator[RawExample]]


def read_examples(path: Path | str) -> list[Example]:
    """Read a file of questions; the format is told from its content.

    Exact duplicates are kept, under ids of their own. An id is the file's own, or made from the question, so that it
    does not change when rows are added or moved.

    Raises:
        DataError: missing, empty or damaged file, an unknown format, or a row that lacks a question or answers.
    """
    return [example for example, _ in read_with_contexts(path)]


def read_with_contexts(path: Path | str) -> list[tuple[Example, str]]:
    """The same, each with the paragraph it was asked about ("" where the format has none).

    Raises:
        DataError: see `read_examples`.
    """
    path = Path(path)
    check_file(path)
    found = to_examples(path, _reader(path)(path))
    if not found:
        raise DataError(path, "holds no questions")
    return found


def _reader(path: Path) -> Reader:
    first = next((line.strip() for line in read_lines(path) if line.strip()), "")
    if not first:
        raise DataError(path, "is empty")
    if first[0] == "[":
        return read_web_questions
    if first[0] != "{":
        return read_dpr
    return read_jsonl if ".jsonl" in path.suffixes or _is_one_question(first) else read_squad


def _is_one_question(line: str) -> bool:
    try:
        return "data" not in json.loads(line)
    except json.JSONDecodeError:
        return False


def read_dpr(path: Path) -> Iterator[RawExample]:
    """DPR's csv: question, tab, a Python list of answers; no header."""
    reader = csv.reader(read_lines(path), delimiter="\t")
    while True:
        row = reader.line_num + 1
        try:
            fields = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise DataError(path, f"is not tab-separated csv: {error}", row=row) from error
        if not fields:
            continue
        if len(fields) != 2:
            hint = "expected question, tab, ['answer', …]; JSON files start with { or ["
            raise DataError(path, f"has {len(fields)} fields instead of 2", row=row, value=fields[0], hint=hint)
        question = question_text(path, row, "question", fields[0])
        yield RawExample(row, question, answer_list(path, row, "answers", _literal(path, row, fields[1])))


def _literal(path: Path, row: int, text: str) -> Any:
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError) as error:
        hint = "write a list of quoted strings: ['answer', …]"
        raise DataError(path, "is not a list of answers", row=row, field="answers", value=text, hint=hint) from error


def read_jsonl(path: Path) -> Iterator[RawExample]:
    """One object a line: question, answer or answers, and optionally an id and gold passage ids."""
    for row, values in read_jsonl_objects(path):
        name = "answers" if "answers" in values else "answer"
        question = question_text(path, row, "question", values.get("question"))
        answers = answer_list(path, row, name, values.get(name))
        yield RawExample(row, question, answers, gold_ids(path, row, values), own_id=_own_id(path, row, values))


def _own_id(path: Path, row: int, values: dict[str, Any]) -> str:
    value = values.get("id", "")
    if isinstance(value, bool) or not isinstance(value, (str, int)):
        raise DataError(path, "must be a string or a whole number", row=row, field="id", value=value)
    return str(value)


def read_web_questions(path: Path) -> Iterator[RawExample]:
    """A JSON list of objects with qText and answers; rows are positions in the list, from 1."""
    values = read_json(path)
    if not isinstance(values, list):
        raise DataError(path, "is not a list of questions")
    for row, item in enumerate(values, 1):
        if not isinstance(item, dict):
            raise DataError(path, "is not an object with qText and answers", row=row, value=item)
        question = question_text(path, row, "qText", item.get("qText"))
        answers = answer_list(path, row, "answers", item.get("answers"))
        yield RawExample(row, question, answers, own_id=str(item.get("qId", "")))


NATURAL_QUESTIONS = TaskSpec(
    name="nq",
    title="NQ",
    citation="Kwiatkowski et al. 2019, open-domain split of Lee et al. 2019 (https://arxiv.org/abs/1906.00300)",
    read=read_examples,
    counts={"train": 79_168, "dev": 8_757, "test": 3_610},
)
WEB_QUESTIONS = TaskSpec(
    name="web_questions",
    title="WQ",
    citation="Berant et al. 2013 (https://aclanthology.org/D13-1160)",
    read=read_examples,
    counts={"train": 3_417, "dev": 361, "test": 2_032},
)
