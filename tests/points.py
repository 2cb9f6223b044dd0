"""Points of a search space in one word; configurations with one field changed."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from rag_lightning.config.experiment import ExperimentConfig
from rag_lightning.config.fields import KindSection
from rag_lightning.runs.system import System, make_system


def point(text: str) -> dict[str, Any]:
    """formulation/strategy, of a model with passages followed by /retriever/k."""
    formulation, strategy, *rest = text.split("/")
    found: dict[str, Any] = {"decoding": f"{formulation}/{strategy}"}
    return found | ({"retriever": rest[0], "k": int(rest[1])} if rest else {})


def system(base: ExperimentConfig, text: str) -> System:
    """The system at such a point."""
    return make_system(base, point(text))


def changed(config: ExperimentConfig, path: str, value: Any) -> ExperimentConfig:
    """The configuration with another value of a section or of a dotted field, a kind's own fields among them."""
    section, _, name = path.rpartition(".")
    if not section:
        return replace(config, **{name: value})
    holder = getattr(config, section)
    option = isinstance(holder, KindSection) and holder.is_option(name)
    new = {"options": {**holder.options, name: value}} if option else {name: value}
    return replace(config, **{section: replace(holder, **new)})
