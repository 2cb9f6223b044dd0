"""Passages from a data set of the hub in wiki_dpr's layout (columns id, title, text), streamed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from rag_lightning.core.errors import DataError
from rag_lightning.core.records import Passage

COLUMNS = ("id", "title", "text")


def read_hub(name: str, configuration: str, commit: str) -> Iterator[Passage]:
    """Stream the train split.

    Args:
        name: Data set on the hub, or a local folder with its parquet files.
        configuration: One of the data set's, "" for the only one.
        commit: Revision on the hub; not used for a folder.

    Raises:
        DataError: a column is missing, or a row has no text.
    """
    from datasets import load_dataset

    revision = None if Path(name).is_dir() else commit
    rows = load_dataset(name, configuration or None, split="train", revision=revision, streaming=True)
    for row, values in enumerate(rows, 1):
        for column in COLUMNS:
            if values.get(column) is None:
                raise DataError(name, "is missing", row=row, field=column, hint="needs the columns id, title and text")
        yield Passage(str(values["id"]), str(values["title"]), str(values["text"]))
