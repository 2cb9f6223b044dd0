"""Which function builds the mini data of a task."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from rag_lightning.config.registries import TASKS
from rag_lightning.core.errors import ConfigError
from rag_lightning.core.records import Passage
from rag_lightning.core.registry import load
from rag_lightning.mini.corpus import World, read_world
from rag_lightning.mini.deal import MiniData
from rag_lightning.tasks.spec import get_task

Builder = Callable[[Sequence[Passage], Path, Path, int], MiniData]
"""(passages, wiki JSON, factbook folder, seed) -> the three splits; the same passages and seed give the same splits."""


def builder_of(task: str) -> Builder:
    """The builder of a task's mini data.

    Its passages are those that `mini.corpus.build_passages` makes of the same files; it raises DataError where a file
    is missing or not what it should be.

    Raises:
        UnknownNameError: no such task.
        ConfigError: a task without mini data; the message lists those that have some.
    """
    target = get_task(task).mini
    if not target:
        known = ", ".join(name for name in TASKS if get_task(name).mini)
        raise ConfigError(f"task {task} has no mini data, {known} have; give task.train, task.dev and task.test")
    build: Callable[[World, int], MiniData] = load(target)

    def read_and_build(passages: Sequence[Passage], wiki_json: Path, factbook_dir: Path, seed: int) -> MiniData:
        return build(read_world(passages, wiki_json, factbook_dir), seed)

    return read_and_build
