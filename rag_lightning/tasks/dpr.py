"""DPR's csv (https://github.com/facebookresearch/DPR): question, tab, a Python list of answers; no header."""

from __future__ import annotations

import ast
import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rag_lightning.core.errors import DataError
from rag_lightning.core.files import read_lines
from rag_lightning.tasks.examples import RawExample
from rag_lightning.tasks.fields import answer_list, question_text


def read_dpr(path: Path) -> Iterator[RawExample]:
    """Every question with its answers; cells may be quoted as csv quotes them, answers as Python does.

    Raises:
        DataError: a row that has not two cells, no question, or no list of answers.
    """
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
