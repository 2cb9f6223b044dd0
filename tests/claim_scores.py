"""A small claim, and scores of the systems that it compares."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from rag_lightning.claims.claims import Claim, Comparison
from rag_lightning.claims.verdicts import Arm
from rag_lightning.core.records import Score


def scores(values: Sequence[float], metric: str = "em") -> list[Score]:
    """One question each, two an entity."""
    return [Score(f"q{i}", f"e{i // 2}", {metric: float(value)}) for i, value in enumerate(values)]


def claim(**changes: Any) -> Claim:
    part = Comparison("nq", "em", ("rag_token",), ("closed_book",))
    return replace(Claim("above", "A is above B.", "Table 1", (0, 1), (part,)), **changes)


LEFT: Arm = ("nq", "rag_token", 0)
RIGHT: Arm = ("nq", "closed_book", 0)
