"""Abstractive question answering: MS MARCO QnA v1.1 and v2.1 (Bajaj et al. 2016, https://arxiv.org/abs/1611.09268).

JSON columns (v2.1 as published), JSON lines (v1.1), or the same rows stored otherwise: `query`, `answers`,
`wellFormedAnswers`. The target is a well-formed answer; the given passages are not used. A row without one is dropped
and counted, or by `task.fallback` keeps its other answers; a row that only says "No Answer Present." is dropped.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rag_lightning.core.errors import DataError
from rag_lightning.tasks.examples import Dropped, RawExample, Row, own_id, question_text
from rag_lightning.tasks.hub import HubSource, by_row
from rag_lightning.tasks.layout import rows
from rag_lightning.tasks.spec import TaskSpec

NO_ANSWER = "No Answer Present."
NONE_WELL_FORMED, NONE_PRESENT = "no well-formed answer", f'"{NO_ANSWER}"'
_COLUMNS = ("query", "answers", "query_id", "wellFormedAnswers")


def marco_row(path: Path, row: int, values: Mapping[str, Any]) -> Row:
    """One query with its well-formed answers.

    Raises:
        DataError: a field is missing or of a wrong type.
    """
    query = question_text(path, row, "query", values.get("query"))
    if values.get("answers") is None:
        hint = "the published test files hide their answers; use a dev file"
        raise DataError(path, "is missing", row=row, field="answers", hint=hint)
    well_formed = _strings(path, row, "wellFormedAnswers", values.get("wellFormedAnswers"))
    others = _strings(path, row, "answers", values["answers"])
    identifier = own_id(path, row, values, "query_id")

    def example(answers: tuple[str, ...]) -> RawExample:
        return RawExample(row, query, answers, own_id=identifier, id_field="query_id")

    if well_formed:
        return example(well_formed)
    if not others and NO_ANSWER in values["answers"]:
        return Dropped(row, NONE_PRESENT)
    return Dropped(row, NONE_WELL_FORMED, example(others) if others else None)


def _strings(path: Path, row: int, field: str, value: Any) -> tuple[str, ...]:
    """The answers of a list; v2.1 writes an empty list as the string "[]", and v1.1 leaves the field out."""
    if value is None or value == "[]":
        return ()
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise DataError(path, "must be a list of strings", row=row, field=field, value=value)
    return tuple(dict.fromkeys(text for item in value if (text := item.strip()) not in ("", NO_ANSWER)))


MS_MARCO = TaskSpec(
    name="msmarco",
    title="MSM",
    citation="Bajaj et al. 2016 (https://arxiv.org/abs/1611.09268)",
    licence="non-commercial research only (Microsoft's terms)",
    layouts=(rows("MS MARCO", {"query": str, "answers": list}, marco_row),),
    metrics=("rouge_l_msmarco", "bleu1_msmarco", "rouge_l", "bleu1", "bleu1_sentence", "distinct_trigrams"),
    counts={"train": 153_725, "dev": 12_467, "test": 101_092},
    printed={"train": 153_726, "dev": 12_468, "test": 101_093},
    hub=HubSource(
        "microsoft/ms_marco", "v2.1", by_row(marco_row), test="validation", held_out=12_467, columns=_COLUMNS
    ),
    mini="rag_lightning.mini.msmarco:build",
)
"""Counts are of rows with a well-formed answer; of the 101,092 test queries a hidden subset is scored. With the hub the
published dev is therefore test, and dev is held out of train."""
