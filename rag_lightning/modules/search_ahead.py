"""The search of a training step, made one step earlier by a thread of its own.

Searching a large index on the CPU then takes place while the generator is trained. The passages of a step are those
that the query encoder found before its last update; their doc_scores are computed by the one of the step itself. Every
batch of an accumulated step looks one step ahead, not one batch: the step is the same as with one larger batch.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Rows = NDArray[np.int64]
Search = Callable[[], Rows]


class SearchAhead:
    """Rows that were searched for one optimiser step before they are read.

    Args:
        upcoming: Queries of the batches of this process, from the second step of this training (or resumption) on.
        prepare: Makes the search of queries [B] ready, in the caller's thread and with its weights; what it returns
            runs in the other thread and gives rows [B, k].
        parts: Batches of a step.
        known: Rows of the first step, one [B, k] a part, where a training is resumed; none where it begins.
    """

    def __init__(
        self,
        upcoming: Iterator[Sequence[str]],
        prepare: Callable[[Sequence[str]], Search],
        parts: int,
        known: Sequence[Tensor] = (),
    ) -> None:
        self._upcoming, self._prepare, self._parts = upcoming, prepare, parts
        self._worker = ThreadPoolExecutor(1, "search ahead")
        self._found: deque[Future[Rows]] = deque(self._worker.submit(rows.numpy) for rows in known)

    def rows(self, now: Search) -> Rows:
        """Rows [B, k] of the batch at hand; begins the search for its counterpart of the next step.

        Args:
            now: Searches for the batch at hand, where nobody did: in the first step.
        """
        known = len(self._found) == self._parts
        self._found.append(self._worker.submit(self._prepare(next(self._upcoming))))
        return self._found.popleft().result() if known else now()

    def state(self) -> list[Tensor]:
        """The rows of the next step, for the resume point; waits for them."""
        return [torch.from_numpy(found.result()) for found in self._found]
