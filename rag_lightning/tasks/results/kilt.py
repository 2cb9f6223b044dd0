"""KILT's predictions: JSON lines of `id` and one `output` with `answer` and `provenance`
(https://github.com/facebookresearch/KILT; Petroni et al. 2021).

Provenance names pages, by `wikipedia_id` and often by `title` (or `wikipedia_title`). KILT's own scorer compares
`wikipedia_id`; where a passage's page id is not known its title is written in its place.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from rag_lightning.core.errors import DataError
from rag_lightning.core.files import read_jsonl_objects
from rag_lightning.tasks.results.record import (
    Format,
    Result,
    RetrievedPassage,
    export_lines,
    id_of,
    list_of,
    score_of,
    text_of,
)


def read_kilt(path: Path) -> list[Result]:
    """Results in file order; an output without answer or provenance leaves that part out.

    Raises:
        DataError: another layout, more or less than one output, or a field of a wrong type.
    """
    return [_result(path, row, item) for row, item in read_jsonl_objects(path)]


def write_kilt(path: Path, results: Iterable[Result]) -> int:
    """Write answers and the pages of the passages."""
    return export_lines(path, (json.dumps(_item(result), ensure_ascii=False) for result in results))


def _result(path: Path, row: int, item: dict[str, Any]) -> Result:
    identifier = id_of(path, row, "id", item.get("id"))
    outputs = list_of(path, row, "output", item.get("output"))
    if len(outputs) != 1:
        hint = "KILT scores exactly one output; a file with several is one of gold answers"
        raise DataError(path, f"holds {len(outputs)} outputs instead of 1", row=row, field="output", hint=hint)
    answer = text_of(path, row, "output.answer", outputs[0]["answer"]) if "answer" in outputs[0] else None
    passages = None
    if "provenance" in outputs[0]:
        pages = list_of(path, row, "output.provenance", outputs[0]["provenance"])
        passages = tuple(_page(path, row, page) for page in pages)
    return Result(identifier, str(item.get("input", "")), prediction=answer, passages=passages)


def _page(path: Path, row: int, page: dict[str, Any]) -> RetrievedPassage:
    title = page.get("title", page.get("wikipedia_title"))
    return RetrievedPassage(
        id_of(path, row, "provenance.wikipedia_id", page.get("wikipedia_id")),
        score_of(path, row, page.get("score")),
        None if title is None else text_of(path, row, "provenance.title", title),
    )


def _item(result: Result) -> dict[str, Any]:
    output: dict[str, Any] = {} if result.prediction is None else {"answer": result.prediction}
    if result.passages is not None:
        output["provenance"] = [_provenance(passage) for passage in result.passages]
    return {"id": result.example_id, "input": result.question, "output": [output]}


def _provenance(passage: RetrievedPassage) -> dict[str, Any]:
    # without a text it came from a file of pages, and its id is the page's
    page = passage.passage_id if passage.text is None else passage.title or passage.passage_id
    named = {} if passage.title is None else {"title": passage.title}
    return {"wikipedia_id": page, **named, "score": passage.score}


KILT = Format("kilt", read_kilt, write_kilt, pages=True)
