"""DPR's retrieval JSON: a list (or lines) of `question, answers, ctxs` with `id, title, text, score` each
(https://github.com/facebookresearch/DPR, dense_retriever.py; FiD and Atlas read the same).

Atlas writes `query, passages, generation` (https://github.com/facebookresearch/atlas), Pyserini an object of `question,
contexts` with `docid, text, score`, its text beginning with the title (https://github.com/castorini/pyserini).

DPR gives questions no id: they are known by their text, unless an `id` is there. `has_answer` is not trusted.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from rag_lightning.core.errors import DataError
from rag_lightning.tasks.results.record import (
    Format,
    Result,
    RetrievedPassage,
    export_list,
    has_fields,
    id_of,
    items_of,
    list_of,
    passages_of,
    score_of,
    text_of,
)

EXPECTED = "a row has question and ctxs (DPR, FiD), query and passages (Atlas), or question and contexts (Pyserini)"


def read_dpr_results(path: Path) -> list[Result]:
    """Results in file order; rows are positions in the list, from 1, or lines.

    Raises:
        DataError: another layout, or a field that is missing or of another type.
    """
    return [_result(path, row, item) for row, item in items_of(path)]


def write_dpr_results(path: Path, results: Iterable[Result]) -> int:
    """Write questions with their passages.

    Raises:
        DataError: a result without passages, or a passage without text.
    """
    return export_list(path, (_item(result) for result in results))


def _result(path: Path, row: int, item: dict[str, Any]) -> Result:
    field = next((name for name in ("ctxs", "passages", "contexts") if name in item), None)
    if field is None:
        raise DataError(path, "is missing", row=row, field="ctxs", value=sorted(item), hint=EXPECTED)
    identifier = id_of(path, row, "id", item["id"]) if "id" in item else ""
    asked = "query" if field == "passages" else "question"
    return Result(
        identifier,
        text_of(path, row, asked, item.get(asked)),
        prediction=text_of(path, row, "generation", item["generation"]) if "generation" in item else None,
        passages=tuple(_passage(path, row, field, one) for one in list_of(path, row, field, item[field])),
    )


def _passage(path: Path, row: int, field: str, context: dict[str, Any]) -> RetrievedPassage:
    name = "docid" if field == "contexts" else "id"
    text = text_of(path, row, f"{field}.text", context.get("text"))
    title = text_of(path, row, f"{field}.title", context.get("title", ""))
    if field == "contexts" and not title and "\n" in text:
        title, _, text = text.partition("\n")
    score = score_of(path, row, context.get("score"))
    return RetrievedPassage(id_of(path, row, f"{field}.{name}", context.get(name)), score, title, text)


def _item(result: Result) -> dict[str, Any]:
    contexts = []
    for passage in passages_of(result):
        if passage.text is None:
            hint = "the passages are known by name only; export kilt or trec"
            raise DataError("results", "has no text to write", field="passage_id", value=passage.passage_id, hint=hint)
        title = passage.title or ""
        contexts.append({"id": passage.passage_id, "title": title, "text": passage.text, "score": str(passage.score)})
    named = {"id": result.example_id} if result.example_id else {}
    return {**named, "question": result.question, "answers": list(result.answers), "ctxs": contexts}


DPR = Format("dpr", read_dpr_results, write_dpr_results, has_fields({"question": str, "ctxs": list}))
