"""A system is an experiment config with a label. A point names what makes it differ from a base experiment.

A point maps config paths (`decoding.k`, `index.kind`, `train.lr`, …) or short names to values. Short names:

k          decoding.k
decoding   formulation/strategy; closed_book has no retriever and no k
retriever  an index kind is dense retrieval through it, else a retriever kind. What the base trains with stays: another
           retriever is swapped in at test. The path `retriever.kind` trains with it too.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from rag_lightning.config.digesting import value_of
from rag_lightning.config.experiment import ExperimentConfig
from rag_lightning.config.fields import KindSection, leaves, to_dict
from rag_lightning.config.registries import INDEX_KINDS, RETRIEVERS
from rag_lightning.config.retrieval import training_kind
from rag_lightning.core.errors import ConfigError
from rag_lightning.core.registry import check_name
from rag_lightning.decoding.strategy import strategies_of
from rag_lightning.runs.identity import differing, run_digest

Point = Mapping[str, Any]
TITLES = {"rag_token": "RAG-Token", "rag_sequence": "RAG-Sequence", "closed_book": "Closed book"}
NO_READER = "No reader"
"""Stands for the model where the strategy asks no generator."""
CLOSED_BOOK = "closed_book"
SHORT = ("k", "retriever", "decoding")
FIXED = ("system", "train_preset", "split", "folder", "tracking_uri", "name")
"""Fields that are no part of a system."""
SHOWN = (
    "formulation",
    "name",
    "decoding.strategy",
    "decoding.k",
    "index.kind",
    "retriever.kind",
    "retriever.trained_with",
    "retriever.train",
    "retriever.null_document",
)
"""Fields that every label shows in words, or that no label shows."""
LONGEST_NAME = 100


@dataclass(frozen=True)
class System:
    """An experiment config, and how tables and messages name it."""

    config: ExperimentConfig
    label: str

    def run_id(self, split: str) -> str:
        """Name of its run folder: the split, the label in letters that folders can have, the run's digest."""
        readable = re.sub(r"[^\w.]+", "-", self.label.lower().replace("=", "")).strip("-")
        return f"{split}-{readable[:LONGEST_NAME]}-{run_digest(self.config, split)}"


def make_system(base: ExperimentConfig, point: Point) -> System:
    """The system at a point.

    Raises:
        ConfigError, UnknownNameError: as `configure`.
    """
    config = configure(base, point)
    return System(config, label_of(config, base))


def configure(base: ExperimentConfig, point: Point) -> ExperimentConfig:
    """The base experiment with the values of a point.

    Raises:
        UnknownNameError: a path that is no field, a decoding or retriever that is not known; with the nearest.
        ConfigError: closed book with passages, or one field given twice.
    """
    config = base
    for path, value in _expanded(base, point).items():
        config = _replaced(config, path, tuple(value) if isinstance(value, list) else value)
    return config


def label_of(config: ExperimentConfig, base: ExperimentConfig | None = None) -> str:
    """Model, index or retriever, k and strategy; how it was trained, where not with dense retrieval; and every other
    field that differs from the base.

    >>> label_of(ExperimentConfig())
    'RAG-Sequence · flat · k=5 · greedy'
    """
    strategy, retriever = config.decoding.strategy, config.retriever
    parts = [TITLES[config.formulation], strategy]
    if config.formulation != CLOSED_BOOK:
        title = TITLES[config.formulation] if config.decoding.made().generates else NO_READER
        trained = training_kind(retriever)
        parts = [title, retriever_name(config), f"k={config.decoding.k}", strategy]
        parts += [] if trained == "dense" else [f"trained with {trained}"]
        parts += [] if retriever.train else ["frozen"]
        parts += [] if retriever.null_document == "none" else ["null document"]
    return " · ".join([*parts, *_others(config, base)])


def retriever_name(config: ExperimentConfig) -> str:
    """The index kind of dense retrieval, else the retriever kind."""
    return config.index.kind if config.retriever.kind == "dense" else config.retriever.kind


def retrieval_label(config: ExperimentConfig, base: ExperimentConfig) -> str:
    """The name of the retriever, and every field of retrieval that differs from the base."""
    others = [text for text in _others(config, base) if text.startswith(("index.", "bm25.", "encoder.", "retriever."))]
    return " · ".join([retriever_name(config), *others])


def _others(config: ExperimentConfig, base: ExperimentConfig | None) -> list[str]:
    if base is None:
        return []
    plain = to_dict(config)
    paths = [path for path in differing(to_dict(base), plain) if path not in (*SHOWN, *FIXED)]
    return [f"{path}={_text(_at(plain, path))}" for path in paths]


def _at(values: Any, path: str) -> Any:
    for name in path.split("."):
        values = values.get(name) if isinstance(values, Mapping) else None
    return values


def _text(value: Any) -> str:
    return json.dumps(value) if isinstance(value, bool | list | dict) else str(value)


def _expanded(base: ExperimentConfig, point: Point) -> dict[str, Any]:
    """Path -> value, short names written out."""
    known = [path for path, _ in _values(base) if path.partition(".")[0] not in FIXED]
    given = {path: value for path, value in point.items() if path not in SHORT}
    for path in given:
        if not any(path.startswith(f"{name}.") for name, value in _values(base) if isinstance(value, Mapping)):
            check_name("field of an experiment", path, [*SHORT, *known])
    layers = [_decoding(point), _retriever(base, point), {"decoding.k": point["k"]} if "k" in point else {}, given]
    found: dict[str, Any] = {}
    for layer in layers:
        if twice := sorted(set(found) & set(layer)):
            raise ConfigError(f"point {dict(point)} sets {twice[0]} twice; keep one of them")
        found |= layer
    return found


def retrievers() -> list[str]:
    """What `retriever` may be in a point: an index kind, or a kind of retriever of its own."""
    return [*INDEX_KINDS, *(kind for kind in RETRIEVERS if kind not in ("dense", "none"))]


def decodings() -> list[str]:
    """What `decoding` may be in a point: formulation/strategy."""
    return [f"{formulation}/{strategy}" for formulation in TITLES for strategy in strategies_of(formulation)]


def _decoding(point: Point) -> dict[str, Any]:
    if "decoding" not in point:
        return {}
    check_name("decoding", str(point["decoding"]), decodings())
    formulation, _, strategy = str(point["decoding"]).partition("/")
    found = {"formulation": formulation, "decoding.strategy": strategy}
    if formulation != CLOSED_BOOK:
        return found
    if unused := [name for name in ("retriever", "k") if name in point]:
        raise ConfigError(f"{point['decoding']} reads no passages, so {' and '.join(unused)} have no effect; remove them")
    return found | {"retriever.kind": "none"}


def _retriever(base: ExperimentConfig, point: Point) -> dict[str, Any]:
    """What the experiment trains with stays; another kind is swapped in."""
    if "retriever" not in point:
        return {}
    name = str(point["retriever"])
    check_name("retriever", name, retrievers())
    trained = training_kind(base.retriever)
    trained = "dense" if trained == "none" else trained
    kind = "dense" if name in INDEX_KINDS else name
    found = {"retriever.kind": kind, "retriever.trained_with": "same" if kind == trained else trained}
    return found | ({"index.kind": name} if kind == "dense" else {})


def _values(config: ExperimentConfig) -> Iterator[tuple[str, Any]]:
    """(dotted path, value) of every field; of a kind's own fields only those of the chosen kind."""
    for leaf in leaves(ExperimentConfig):
        yield leaf.path, value_of(config, leaf)


def _replaced(section: Any, path: str, value: Any) -> Any:
    name, _, rest = path.partition(".")
    if isinstance(section, Mapping):
        return {**section, path: value}
    if isinstance(section, KindSection) and section.is_option(name):
        return replace(section, options={**section.options, name: value})  # type: ignore[type-var]
    return replace(section, **{name: _replaced(getattr(section, name), rest, value) if rest else value})
