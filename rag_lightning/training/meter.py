"""What a training has worked through: pairs, tokens and padding, seconds of its steps and of retrieval in them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from time import perf_counter


@dataclass
class Meter:
    """Sums since the training began; a resumed training goes on with them.

    Attributes:
        pairs: (query, passage) pairs, or queries where nothing is retrieved, of the training batches.
        tokens: Source tokens the generator read.
        padded: The same with the padding of its forward passes.
        step_seconds: Forward, backward and update, without waiting for data or evaluation.
        retrieval_seconds: Of these: search, gathering the vectors of the hits, reading their passages; of a search one
            step ahead the vectors of its queries, and waiting for it.
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
        """Of all steps: shares of 1, and pairs a second."""
        return {
            "padding_waste": round(self.padding_waste, 4),
            "retrieval_share": round(self.retrieval_share, 4),
            "pairs_per_second": round(self.pairs_per_second, 2),
        }

    def state_dict(self) -> dict[str, float]:
        """Plain values, for the checkpoint."""
        return asdict(self)

    def load_state_dict(self, state: Mapping[str, float]) -> None:
        """Go on from what was saved."""
        for name, value in state.items():
            setattr(self, name, value)
