"""Open-domain questions from a data set of the hub in nq_open's layout (columns question, answer).

The hub's nq_open has 87,925 train and 3,610 validation questions. Its validation split is the test set of the paper;
dev is held out of train by seed, as large as DPR's (8,757), or a tenth of a smaller one. It is not DPR's dev split.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from rag_lightning.core import seeds
from rag_lightning.core.errors import DataError
from rag_lightning.core.records import Example

DEV = 8757


def read_hub(name: str, configuration: str, commit: str, seed: int) -> dict[str, list[Example]]:
    """train, dev and test.

    Args:
        name: Data set on the hub, or a local folder with its parquet files.
        configuration: One of the data set's, "" for the only one.
        commit: Revision on the hub; not used for a folder.
        seed: Of the dev split.

    Raises:
        DataError: a column is missing, or a row has no answers.
    """
    from datasets import load_dataset

    revision = None if Path(name).is_dir() else commit
    loaded = load_dataset(name, configuration or None, revision=revision)
    train = list(_examples(name, "train", loaded["train"]))
    test = list(_examples(name, "validation", loaded["validation"]))
    order = seeds.generator(seed, "nq_open dev").permutation(len(train)).tolist()
    held = set(order[: min(DEV, len(train) // 10)])
    parts = {"train": [e for i, e in enumerate(train) if i not in held], "dev": [train[i] for i in sorted(held)]}
    return parts | {"test": test}


def _examples(name: str, split: str, rows: Iterable[Mapping[str, Any]]) -> Iterable[Example]:
    for row, values in enumerate(rows, 1):
        question, answers = values.get("question"), values.get("answer")
        if not isinstance(question, str) or not question.strip():
            raise DataError(name, "is missing or empty", row=row, field="question", value=question)
        if not isinstance(answers, list) or not answers:
            raise DataError(name, "must be a list of at least one string", row=row, field="answer", value=answers)
        yield Example(f"{split}-{row}", question, tuple(answers))
