"""Points of a search space in one word."""

from __future__ import annotations

from typing import Any

from rag_lightning.config.experiment import ExperimentConfig
from rag_lightning.runs.system import System, make_system


def point(text: str) -> dict[str, Any]:
    """formulation/strategy, of a model with passages followed by /retriever/k."""
    formulation, strategy, *rest = text.split("/")
    found: dict[str, Any] = {"decoding": f"{formulation}/{strategy}"}
    return found | ({"retriever": rest[0], "k": int(rest[1])} if rest else {})


def system(base: ExperimentConfig, text: str) -> System:
    """The system at such a point."""
    return make_system(base, point(text))
