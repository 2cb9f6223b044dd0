"""What a training measures of itself: pairs, tokens and seconds, the dev score, and whether its numbers are finite.

A loss or gradient that is not finite ends the training; its batch is kept for inspection.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from time import perf_counter
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from rag_lightning.core.errors import TrainingError
from rag_lightning.core.files import write_json
from rag_lightning.core.records import Example


@dataclass
class Meter:
    """Sums since the training began; a resumed training continues them.

    Attributes:
        pairs: (query, passage) pairs, or queries where nothing is retrieved, of the training batches.
        tokens: Source tokens the generator read.
        padded: Source tokens with the padding of the forward passes.
        step_seconds: Forward, backward and update, without waiting for data or evaluation.
        retrieval_seconds: Their part in retrieval: search, gathering the vectors of the hits, reading their passages;
            in a search one step ahead, encoding its queries and waiting for it.
    """

    pairs: int = 0
    tokens: int = 0
    padded: int = 0
    step_seconds: float = 0.0
    retrieval_seconds: float = 0.0

    def read(self, lengths: Sequence[int]) -> None:
        """Count the rows of one forward pass, padded to the longest."""
        self.tokens += sum(lengths)
        self.padded += len(lengths) * max(lengths)

    @contextmanager
    def retrieving(self) -> Iterator[None]:
        """Time what is done inside as retrieval."""
        began = perf_counter()
        try:
            yield
        finally:
            self.retrieval_seconds += perf_counter() - began

    @property
    def padding_waste(self) -> float:
        """Share of the generator's source positions that are padding."""
        return 1 - self.tokens / self.padded if self.padded else 0.0

    @property
    def retrieval_share(self) -> float:
        """Share of the step time that is retrieval."""
        return self.retrieval_seconds / self.step_seconds if self.step_seconds else 0.0

    @property
    def pairs_per_second(self) -> float:
        """Pairs a second of step time."""
        return self.pairs / self.step_seconds if self.step_seconds else 0.0

    def summary(self) -> dict[str, float]:
        """Rates over all steps: shares in 0 to 1, and pairs per second."""
        return {
            "padding_waste": round(self.padding_waste, 4),
            "retrieval_share": round(self.retrieval_share, 4),
            "pairs_per_second": round(self.pairs_per_second, 2),
        }

    def state_dict(self) -> dict[str, float]:
        """Plain values, for the checkpoint."""
        return asdict(self)

    def load_state_dict(self, state: Mapping[str, float]) -> None:
        """Continue from a saved state."""
        for name, value in state.items():
            setattr(self, name, value)


Scorer = Callable[[Sequence[Example]], list[float]]
Evaluator = Callable[[], Scorer]
"""Called at the start of every evaluation; the scorer it returns gives the objective of each example, 0 to 1."""


class Monitor(Protocol):
    """Observes the retrieval of an evaluation."""

    def close(self, step: int) -> dict[str, float]:
        """The observations since the last call, in all processes; each of them calls it."""


@dataclass(frozen=True)
class ScoredBatch:
    """The number of a dev batch, its example ids, and the objective of each."""

    number: int
    example_ids: tuple[str, ...]
    values: tuple[float, ...]


def dev_score(scored: Sequence[ScoredBatch]) -> float:
    """Mean over all questions, each counted once.

    Added up in float32, batch by batch in the order of the dev set: the same number on any number of processes, and
    the one Lightning's own mean gives on one.

    Raises:
        RuntimeError: a question that was scored twice.
    """
    ids = [example_id for batch in scored for example_id in batch.example_ids]
    if len(set(ids)) != len(ids):
        raise RuntimeError(f"{len(ids) - len(set(ids))} dev questions were scored twice")
    total = torch.tensor(0.0, device="cpu")
    for batch in sorted(scored, key=lambda b: b.number):
        total += torch.tensor(sum(batch.values) / len(batch.values), device="cpu") * len(batch.values)
    return float(total / len(ids))


FAILED_BATCH = "failed_batch"
"""Beginning of the name of the file that holds the batch."""


class NotFinite(ArithmeticError):
    """A value that is not finite, its optimiser step, and its batch: questions, targets, passages."""

    def __init__(self, what: str, step: int, batch: Sequence[Mapping[str, Any]]) -> None:
        super().__init__(what)
        self.what, self.step, self.batch = what, step, batch


def gradient_norm(parameters: Iterable[nn.Parameter]) -> Tensor:
    """Euclidean norm of the gradients taken together; 0 without any."""
    norm: Tensor = torch.nn.utils.get_total_norm([p.grad for p in parameters if p.grad is not None])
    return norm


def is_finite(value: Tensor) -> bool:
    """Whether every value is finite."""
    return bool(torch.isfinite(value).all())


def keep_batch(failure: NotFinite, folder: Path, rank: int) -> TrainingError:
    """Write the batch into the folder; the error to raise, which names the file.

    Args:
        failure: The value that is not finite, and its batch.
        folder: Folder of the training; its resume point is left as it is.
        rank: Rank of the process.
    """
    path = folder / f"{FAILED_BATCH}{f'-rank{rank}' if rank else ''}.json"
    write_json(path, {"step": failure.step, "problem": failure.what, "batch": list(failure.batch)})
    return TrainingError(
        f"training stopped: {failure.what} at step {failure.step}; the batch is in {path}; no model was kept, the "
        "resume point before it stays; lower the learning rates, or look at the batch"
    )
