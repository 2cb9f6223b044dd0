"""Making passages of rows that take long, such as wikitext: in blocks, by several processes, kept when finished.

Blocks are cut by the size of their rows alone and made in any order, but read in that of the rows: neither the number
of processes nor an interruption changes a byte.
"""

from __future__ import annotations

import multiprocessing
import shutil
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path

from rag_lightning.config.registries import CORPUS_LAYOUTS
from rag_lightning.core.children import begin_child
from rag_lightning.core.errors import DataError
from rag_lightning.core.files import read_sealed, write_sealed
from rag_lightning.core.records import Passage
from rag_lightning.corpus.layouts import CorpusLayout, Values

Row = tuple[Path, int, Values, int]
"""(file, row from 1, fields, position in the corpus from 0)."""
Made = list[list[Passage]]
"""The passages of each row of a block."""
BLOCK, PLAN = 2 << 20, "plan.json"
AHEAD = 3
"""Blocks that wait for each process, so that none waits for the file to be read."""


@dataclass(frozen=True)
class Work:
    """How the passages of rows are made that take long.

    Args:
        processes: Number of processes; 1 for this one alone.
        folder: Folder that keeps finished blocks, from which an interrupted reading of the same files continues; it is
            removed by `clear`. None to keep nothing.
        block: Characters of the rows of a block.
        version: What must be the same for a block to be used again.
    """

    processes: int = 1
    folder: Path | None = None
    block: int = BLOCK
    version: str = ""

    def passages(self, layout: CorpusLayout, rows: Iterable[Row]) -> Iterator[tuple[Path, int, list[Passage]]]:
        """Yield (file, row, passages) of each row, in their order.

        Raises:
            DataError: a bad row, or a process that was killed.
        """
        if not layout.slow:
            for path, row, values, number in rows:
                yield path, row, list(layout.passages(path, row, values, number))
            return
        name = next(one for one in CORPUS_LAYOUTS if CORPUS_LAYOUTS.get(one) is layout)
        self._open(name)
        for block, made in self._in_order(name, _cut(rows, self.block)):
            for (path, row, _, _), passages in zip(block, made, strict=True):
                yield path, row, passages

    def clear(self) -> None:
        """Remove the blocks that were kept."""
        if self.folder is not None:
            shutil.rmtree(self.folder, ignore_errors=True)

    def _open(self, name: str) -> None:
        if self.folder is None:
            return
        plan, file = {"layout": name, "block": self.block, "version": self.version}, self.folder / PLAN
        if file.exists() and read_sealed(file) != plan:
            self.clear()
        self.folder.mkdir(parents=True, exist_ok=True)
        if not file.exists():
            write_sealed(file, plan)

    def _in_order(self, name: str, blocks: Iterator[list[Row]]) -> Iterator[tuple[list[Row], Made]]:
        if self.processes == 1:
            yield from ((block, self._made(name, number, block)()) for number, block in enumerate(blocks))
            return
        context = multiprocessing.get_context("spawn")
        pool = ProcessPoolExecutor(self.processes, context, begin_child)
        waiting: deque[tuple[list[Row], Callable[[], Made]]] = deque()
        try:
            for number, block in enumerate(blocks):
                waiting.append((block, self._made(name, number, block, pool)))
                if len(waiting) > AHEAD * self.processes:
                    first, made = waiting.popleft()
                    yield first, made()
            yield from ((block, made()) for block, made in waiting)
        except BrokenProcessPool as error:
            path, row = waiting[0][0][0][:2] if waiting else ("corpus", 1)
            hint = "lower corpus.processes if memory is short, and run again: what is finished is kept"
            raise DataError(path, "a process that reads it was killed, near this row", row=row, hint=hint) from error
        finally:
            pool.shutdown(cancel_futures=True)

    def _made(
        self, name: str, number: int, block: list[Row], pool: ProcessPoolExecutor | None = None
    ) -> Callable[[], Made]:
        """A function that returns the passages of a block: kept, or made by the pool or by this process."""
        kept = self.folder / f"{number:08d}.json" if self.folder else None
        if kept is not None and kept.exists():
            return lambda: _read(kept)
        if pool is None:
            return lambda: _make(name, block, kept)
        future: Future[Made] = pool.submit(_make, name, block, kept)
        return future.result


def _cut(rows: Iterable[Row], size: int) -> Iterator[list[Row]]:
    block: list[Row] = []
    length = 0
    for row in rows:
        if block and length >= size:
            yield block
            block, length = [], 0
        block.append(row)
        length += sum(len(value) for value in row[2].values() if isinstance(value, str))
    if block:
        yield block


def _make(name: str, block: Sequence[Row], kept: Path | None) -> Made:
    """The passages of a block, written to a file that is whole or not there."""
    layout: CorpusLayout = CORPUS_LAYOUTS.get(name)
    made = [list(layout.passages(*row)) for row in block]
    if kept is not None:
        write_sealed(kept, {"rows": [[[p.passage_id, p.title, p.text] for p in passages] for passages in made]})
    return made


def _read(kept: Path) -> Made:
    return [[Passage(*one) for one in passages] for passages in read_sealed(kept)["rows"]]
