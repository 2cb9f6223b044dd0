"""Our own predictions.jsonl, from the folder of an artifact or alone."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from rag_lightning.core.errors import DataError
from rag_lightning.core.files import check_file
from rag_lightning.core.records import Prediction, read_jsonl, to_json
from rag_lightning.tasks.results.record import Format, Result, export_lines, id_of, text_of


def read_predictions(path: Path) -> list[Result]:
    """The predictions of a file; it names no passages.

    Raises:
        DataError: missing or empty, or a line that is no prediction.
    """
    check_file(path)
    return [
        Result(id_of(path, row, "example_id", found.example_id), prediction=text_of(path, row, "text", found.text))
        for row, found in enumerate(read_jsonl(path, Prediction), 1)
    ]


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


OURS = Format("ours", read_predictions, write_predictions)
