"""Answers of the TREC RAG track: JSON lines of `run_id, topic_id, topic, references, response_length, answer`, the
last a list of sentences with the positions in `references` that they cite
(https://trec-rag.github.io/annoucements/2024-track-guidelines, "Output Format"; at most 20 references). Runs of 2025
name their topic in `metadata`: `narrative_id`, and `narrative` or nothing; both are read, and that of 2024 is written.

A prediction is one sentence. It cites all of its references, because RAG weighs all passages of a question for it.
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
    has_fields,
    id_of,
    list_of,
    text_of,
)
from rag_lightning.tasks.results.trec import TAG

MOST_REFERENCES = 20


def read_trec_rag(path: Path) -> list[Result]:
    """Results in file order; the sentences of an answer are joined, its references are its passages, best first.

    Raises:
        DataError: another layout, or a field that is missing or of another type.
    """
    return [_result(path, row, item) for row, item in read_jsonl_objects(path)]


def write_trec_rag(path: Path, results: Iterable[Result]) -> int:
    """Write answers with the ids of their passages.

    Raises:
        DataError: a result without prediction.
    """
    return export_lines(path, (json.dumps(_item(result), ensure_ascii=False) for result in results))


def _result(path: Path, row: int, item: dict[str, Any]) -> Result:
    sentences = list_of(path, row, "answer", item.get("answer"))
    text = " ".join(text_of(path, row, "answer.text", sentence.get("text")) for sentence in sentences)
    references = item.get("references")
    if not isinstance(references, list):
        problem = "is missing" if references is None else "must be a list of ids"
        raise DataError(path, problem, row=row, field="references", value=references)
    ids = [id_of(path, row, "references", one) for one in references]
    # no scores are given: their order is the ranking
    passages = tuple(RetrievedPassage(one, float(len(ids) - place)) for place, one in enumerate(ids))
    if "metadata" in item and "topic_id" not in item:
        (about,) = list_of(path, row, "metadata", [item["metadata"]])
        named = id_of(path, row, "metadata.narrative_id", about.get("narrative_id"))
        question = text_of(path, row, "metadata.narrative", about.get("narrative", ""))
    else:
        named = id_of(path, row, "topic_id", item.get("topic_id"))
        question = text_of(path, row, "topic", item.get("topic"))
    return Result(named, question, prediction=text, passages=passages)


def _item(result: Result) -> dict[str, Any]:
    if result.prediction is None:
        raise DataError("results", "has no prediction to write", field="example_id", value=result.example_id)
    references = [passage.passage_id for passage in (result.passages or ())[:MOST_REFERENCES]]
    return {
        "run_id": TAG,
        "topic_id": result.example_id,
        "topic": result.question,
        "references": references,
        "response_length": len(result.prediction.split()),
        "answer": [{"text": result.prediction, "citations": list(range(len(references)))}],
    }


TREC_RAG = Format("trec_rag", read_trec_rag, write_trec_rag, has_fields({"answer": list, "references": list}))
