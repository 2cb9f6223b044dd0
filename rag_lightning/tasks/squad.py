"""SQuAD v1.1 JSON (https://arxiv.org/abs/1606.05250): articles, paragraphs, questions."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from rag_lightning.core.errors import DataError
from rag_lightning.core.files import read_json
from rag_lightning.tasks.examples import RawExample
from rag_lightning.tasks.fields import answer_list, question_text


def read_squad(path: Path) -> Iterator[RawExample]:
    """Every question with its article's title as entity and its paragraph as context; rows count questions from 1.

    Raises:
        DataError: a part of the layout is missing or of another type.
    """
    row = 0
    for article in _list(path, 1, read_json(path), "data"):
        title = _title(article)
        for paragraph in _list(path, row + 1, article, "paragraphs"):
            context = question_text(path, row + 1, "context", paragraph.get("context"))
            for item in _list(path, row + 1, paragraph, "qas"):
                row += 1
                yield _question(path, row, item, title, context)


def _question(path: Path, row: int, item: dict[str, Any], title: str, context: str) -> RawExample:
    question = question_text(path, row, "question", item.get("question"))
    texts = [answer.get("text") for answer in _list(path, row, item, "answers")]
    answers = answer_list(path, row, "answers", texts)
    return RawExample(row, question, answers, own_id=str(item.get("id", "")), entity=title, context=context)


def _title(article: dict[str, Any]) -> str:
    """`Saint_Barth%C3%A9lemy` -> `Saint Barthélemy`."""
    return unquote(str(article.get("title", ""))).replace("_", " ")


def _list(path: Path, row: int, holder: Any, field: str) -> list[dict[str, Any]]:
    value = holder.get(field) if isinstance(holder, dict) else None
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        raise DataError(path, "must be a list of objects, as in SQuAD v1.1", row=row, field=field, value=value)
    return value
