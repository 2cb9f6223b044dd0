"""KILT's predictions: JSON lines of `id` and one `output` with `answer` and `provenance`
(https://github.com/facebookresearch/KILT; Petroni et al. 2021).

Provenance names pages, by `wikipedia_id` and often by `title` (or `wikipedia_title`). KILT's own scorer compares
`wikipedia_id`; where a passage's page id is not known its title is written in its place. Pages are compared by title
here: a prediction that only has ids gets the titles of KILT's own gold file, given as the questions.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from rag_lightning.core.errors import DataError
from rag_lightning.core.files import read_jsonl_objects, read_lines
from rag_lightning.tasks.results.record import (
    Format,
    Result,
    RetrievedPassage,
    export_lines,
    has_fields,
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
    if outputs[0].get("provenance") is not None:
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


def with_titles(results: Iterable[Result], questions: Path) -> list[Result]:
    """Results whose pages have titles: by their id those of the gold pages of KILT's file, else one made from the id.

    Args:
        results: Results with pages.
        questions: KILT's gold file; of another kind it names no page, and nothing is changed.

    Raises:
        DataError: the file cannot be read.
    """
    listed = list(results)
    if all(page.title is not None for result in listed for page in result.passages or ()):
        return listed
    titles = _gold_titles(questions)
    return [_titled(result, titles) for result in listed] if titles else listed


def _gold_titles(path: Path) -> dict[str, str]:
    """Page id -> title of every page that a gold file names."""
    if not next((line.lstrip() for line in read_lines(path) if line.strip()), "").startswith("{"):
        return {}
    outputs = (one for _, item in read_jsonl_objects(path) for one in _objects(item.get("output")))
    pages = (page for output in outputs for page in _objects(output.get("provenance")))
    found = ((page.get("wikipedia_id"), page.get("title", page.get("wikipedia_title"))) for page in pages)
    return {str(identifier): title for identifier, title in found if identifier is not None and isinstance(title, str)}


def _objects(value: Any) -> list[dict[str, Any]]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def _titled(result: Result, titles: dict[str, str]) -> Result:
    pages = tuple(
        page
        if page.title is not None
        else replace(page, title=titles.get(page.passage_id, f"wikipedia_id {page.passage_id}"))
        for page in result.passages or ()
    )
    return replace(result, passages=None if result.passages is None else pages)


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


KILT = Format("kilt", read_kilt, write_kilt, has_fields({"id": object, "output": list}), pages=True)
