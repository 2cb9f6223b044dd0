"""What `doctor --data` says about result files, ours and those of other toolkits."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from rag_lightning.core.errors import DataError
from rag_lightning.doctor.table import Finding, detail_of
from rag_lightning.tasks.layout import Head
from rag_lightning.tasks.results.record import FORMATS, Format, get_format


def find_results(path: Path, head: Head) -> list[Finding]:
    """The formats of results that the beginning of a file looks like."""
    kinds = [kind for kind in map(get_format, FORMATS) if kind.fits(head)]
    return [
        Finding(f"score --format {kind.name}", "results", detail_of(lambda kind=kind: _describe(path, kind)))  # type: ignore[misc]
        for kind in kinds
    ]


def _describe(path: Path, kind: Format) -> str:
    """Counts of questions, predictions and passages.

    Raises:
        DataError: a bad row, or a question twice.
    """
    results = kind.read(path)
    twice = [name for name, count in Counter(one.example_id for one in results if one.example_id).items() if count > 1]
    if twice:
        raise DataError(path, f"has results twice for {len(twice):,} questions", field="id", value=twice[0])
    if not results:
        raise DataError(path, "holds no results")
    parts = [f"{len(results):,} questions"]
    if predicted := sum(one.prediction is not None for one in results):
        parts.append(f"{predicted:,} predictions")
    if counts := [len(one.passages) for one in results if one.passages is not None]:
        few, many = min(counts), max(counts)
        parts.append(f"{few if few == many else f'{few} to {many}'} {'pages' if kind.pages else 'passages'} each")
    if not all(one.example_id for one in results):
        parts.append("without ids, joined by the text of the question")
    return "; ".join(parts)
