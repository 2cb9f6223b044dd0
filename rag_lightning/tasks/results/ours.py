"""Our own predictions.jsonl, from the folder of an artifact or alone, plain JSON lines of an id and a text, or SQuAD's
predictions: one object, id -> text (https://rajpurkar.github.io/SQuAD-explorer).

Lines need `example_id` (or `id`) and `text` (or `prediction`, `prediction_text`); other fields are not read.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from rag_lightning.core.errors import DataError
from rag_lightning.core.files import read_jsonl_objects
from rag_lightning.core.records import Prediction, to_json
from rag_lightning.tasks.results.record import Format, Result, export_lines, has_fields, id_of, mapping_of, text_of

IDS, TEXTS = ("example_id", "id"), ("text", "prediction", "prediction_text")


def read_predictions(path: Path) -> list[Result]:
    """The predictions of a file; it names no passages.

    Raises:
        DataError: missing or empty, or a line without id or text.
    """
    by_id = mapping_of(path, lambda found: not found.keys() & {*IDS, *TEXTS})
    if by_id is not None:
        return [
            Result(id_of(path, row, "id", name), prediction=text_of(path, row, name, by_id[name]))
            for row, name in enumerate(by_id, 1)
        ]
    return [_result(path, row, item) for row, item in read_jsonl_objects(path)]


def _result(path: Path, row: int, item: Mapping[str, Any]) -> Result:
    identifier, text = (next((name for name in names if name in item), names[0]) for names in (IDS, TEXTS))
    found = id_of(path, row, identifier, item.get(identifier))
    return Result(found, prediction=text_of(path, row, text, item.get(text)))


def write_predictions(path: Path, results: Iterable[Result]) -> int:
    """Write the predicted strings; log_prob is 0 where it is unknown.

    Raises:
        DataError: a result without prediction.
    """
    return export_lines(path, (to_json(_prediction(result)) for result in results))


def _prediction(result: Result) -> Prediction:
    if result.prediction is None:
        raise DataError("results", "has no prediction to write", field="example_id", value=result.example_id)
    return Prediction(result.example_id, result.prediction, result.prediction, 0.0)


OURS = Format("ours", read_predictions, write_predictions, has_fields({IDS: object, TEXTS: str}))
