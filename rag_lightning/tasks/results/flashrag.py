"""FlashRAG's intermediate data: a JSON list (or lines) of `id, question, golden_answers, output`, where `output` may
hold `pred` and `retrieval_result` (https://github.com/RUC-NLPIR/FlashRAG, `intermediate_data.json`).

A retrieved document has `contents`: the title in quotes, a line's end, the text; or `title` and `text` beside it.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

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


def read_flashrag(path: Path) -> list[Result]:
    """Results in file order; rows are positions in the list, or lines.

    Raises:
        DataError: another layout, or a field that is missing or of another type.
    """
    return [_result(path, row, item) for row, item in items_of(path)]


def write_flashrag(path: Path, results: Iterable[Result]) -> int:
    """Write questions, answers, predictions and passages.

    Raises:
        DataError: a result without passages and prediction.
    """
    return export_list(path, (_item(result) for result in results))


def _result(path: Path, row: int, item: dict[str, Any]) -> Result:
    output = item.get("output")
    (output,) = list_of(path, row, "output", [output])
    prediction = text_of(path, row, "output.pred", output["pred"]) if "pred" in output else None
    passages = None
    if "retrieval_result" in output:
        found = list_of(path, row, "output.retrieval_result", output["retrieval_result"])
        passages = tuple(_passage(path, row, document) for document in found)
    question = text_of(path, row, "question", item.get("question"))
    return Result(id_of(path, row, "id", item.get("id")), question, prediction=prediction, passages=passages)


def _passage(path: Path, row: int, document: dict[str, Any]) -> RetrievedPassage:
    identifier = id_of(path, row, "retrieval_result.id", document.get("id"))
    score = score_of(path, row, document.get("score"))
    if "text" in document:
        title = document.get("title")
        text = text_of(path, row, "retrieval_result.text", document["text"])
        return RetrievedPassage(identifier, score, None if title is None else str(title), text)
    contents = text_of(path, row, "retrieval_result.contents", document.get("contents"))
    head, line_end, rest = contents.partition("\n")
    if not line_end:
        return RetrievedPassage(identifier, score, None, contents)
    return RetrievedPassage(identifier, score, head.strip().removeprefix('"').removesuffix('"'), rest)


def _item(result: Result) -> dict[str, Any]:
    output: dict[str, Any] = {} if result.prediction is None else {"pred": result.prediction}
    if result.prediction is None or result.passages is not None:
        output["retrieval_result"] = [_document(passage) for passage in passages_of(result)]
    answers = list(result.answers)
    return {"id": result.example_id, "question": result.question, "golden_answers": answers, "output": output}


def _document(passage: RetrievedPassage) -> dict[str, Any]:
    text = passage.text or ""
    contents = text if passage.title is None else f'"{passage.title}"\n{text}'
    return {"id": passage.passage_id, "contents": contents, "score": passage.score}


FLASHRAG = Format("flashrag", read_flashrag, write_flashrag, has_fields({"question": str, "output": dict}))
