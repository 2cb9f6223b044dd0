"""Which function builds the mini data of a task."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from rag_lightning.core.records import Passage
from rag_lightning.core.registry import Registry
from rag_lightning.mini.data import MiniData

Builder = Callable[[Sequence[Passage], Path, Path, int], MiniData]
"""(passages, wiki JSON, factbook folder, seed) -> the three splits."""

BUILDERS = Registry(
    "mini task",
    {
        "nq": "rag_lightning.mini.nq:build_examples",
        "triviaqa": "rag_lightning.mini.triviaqa:build_examples",
        "webquestions": "rag_lightning.mini.webquestions:build_examples",
        "curatedtrec": "rag_lightning.mini.curatedtrec:build_examples",
        "msmarco": "rag_lightning.mini.msmarco:build_examples",
        "jeopardy": "rag_lightning.mini.jeopardy:build_examples",
        "fever3": "rag_lightning.mini.fever:build_fever3",
        "fever2": "rag_lightning.mini.fever:build_fever2",
    },
)


def builder_of(task: str) -> Builder:
    """The builder of a task's mini data.

    Raises:
        UnknownNameError: no mini data for this task; the message lists those that have some.
    """
    found: Builder = BUILDERS.get(task)
    return found
