"""Which function builds the mini data of a task."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from rag_lightning.core.records import Passage
from rag_lightning.core.registry import Registry
from rag_lightning.mini.corpus import World, read_world
from rag_lightning.mini.deal import MiniData

Builder = Callable[[Sequence[Passage], Path, Path, int], MiniData]
"""(passages, wiki JSON, factbook folder, seed) -> the three splits; the same passages and seed give the same splits."""

BUILDERS = Registry(
    "mini task",
    {
        "nq": "rag_lightning.mini.nq:build",
        "triviaqa": "rag_lightning.mini.triviaqa:build",
        "webquestions": "rag_lightning.mini.webquestions:build",
        "curatedtrec": "rag_lightning.mini.curatedtrec:build",
        "msmarco": "rag_lightning.mini.msmarco:build",
        "jeopardy": "rag_lightning.mini.jeopardy:build",
        "fever3": "rag_lightning.mini.fever:build_fever3",
        "fever2": "rag_lightning.mini.fever:build_fever2",
    },
)


def builder_of(task: str) -> Builder:
    """The builder of a task's mini data.

    Its passages are those that `mini.corpus.build_passages` makes of the same files; it raises DataError where a file
    is missing or not what it should be.

    Raises:
        UnknownNameError: no mini data for this task; the message lists those that have some.
    """
    build: Callable[[World, int], MiniData] = BUILDERS.get(task)

    def read_and_build(passages: Sequence[Passage], wiki_json: Path, factbook_dir: Path, seed: int) -> MiniData:
        return build(read_world(passages, wiki_json, factbook_dir), seed)

    return read_and_build
