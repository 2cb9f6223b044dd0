"""TriviaQA (Joshi et al. 2017, https://aclanthology.org/P17-1147): its JSON release, and its columns on the hub.

All aliases are answers, the value first. Normalised aliases are added only where no alias normalises to them, so that
targets stay readable and EM sees the same set.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from rag_lightning.core.errors import DataError
from rag_lightning.core.files import read_json
from rag_lightning.metrics.tokens import normalize_answer
from rag_lightning.tasks.examples import Dropped, RawExample, Row, answer_list, objects, own_id, question_text
from rag_lightning.tasks.layout import Layout

HUB_COLUMNS = ("question", "question_id", "answer")
HIDDEN = "the published test files hide their answers; use a dev file as test"


def read_trivia(path: Path) -> Iterator[RawExample]:
    """Every question of a file such as `wikipedia-dev.json`; tagged with the file's `Domain` as evidence.

    Raises:
        DataError: a part of the layout is missing or of another type, or the answers are hidden.
    """
    document = read_json(path)
    domain = str(document.get("Domain", "")).lower() if isinstance(document, dict) else ""
    items = objects(path, 1, "Data", document.get("Data") if isinstance(document, dict) else None)
    for row, item in enumerate(items, 1):
        question = question_text(path, row, "Question", item.get("Question"))
        answers = _answers(path, row, "Answer", item.get("Answer"), ("Value", "Aliases", "NormalizedAliases"))
        identifier = own_id(path, row, item, "QuestionId")
        tags = {"evidence": domain} if domain else {}
        yield RawExample(row, question, answers, own_id=identifier, id_field="QuestionId", tags=tags)


def hub_rows(path: Path, rows: Iterable[Mapping[str, Any]]) -> Iterator[Row]:
    """The columns of the hub's `trivia_qa`; `rc` holds some questions twice, once for each kind of evidence.

    Raises:
        DataError: a column is missing or of another type, or the answers are hidden.
    """
    seen: set[str] = set()
    for row, values in enumerate(rows, 1):
        question = question_text(path, row, "question", values.get("question"))
        answers = _answers(path, row, "answer", values.get("answer"), ("value", "aliases", "normalized_aliases"))
        identifier = own_id(path, row, values, "question_id")
        if identifier and identifier in seen:
            yield Dropped(row, "question that is there with other evidence too")
            continue
        seen.add(identifier)
        yield RawExample(row, question, answers, own_id=identifier, id_field="question_id")


def _answers(path: Path, row: int, field: str, answer: Any, names: Sequence[str]) -> tuple[str, ...]:
    if not isinstance(answer, dict):
        raise DataError(path, "must be an object of value and aliases", row=row, field=field, value=answer, hint=HIDDEN)
    value, aliases, normal = (answer.get(name) for name in names)
    listed = [*([value] if value else []), *(aliases or []), *(normal or [])]
    if value == "<unk>" or not listed:
        raise DataError(path, "holds no answer", row=row, field=field, value=value, hint=HIDDEN)
    given = answer_list(path, row, f"{field}.{names[1]}", listed)
    return tuple(dict.fromkeys(_readable(given, set(normal or ()))))


def _readable(answers: Sequence[str], normal: set[str]) -> Iterator[str]:
    """The answers without the normalised forms of others."""
    covered = {normalize_answer(answer) for answer in answers if answer not in normal}
    return (answer for answer in answers if answer not in normal or normalize_answer(answer) not in covered)


TRIVIA_JSON = Layout("TriviaQA JSON", "JSON document", read_trivia, frozenset({"Data"}))
