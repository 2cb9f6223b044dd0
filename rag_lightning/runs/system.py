"""Systems: an experiment configuration with a label, made from a base experiment and a point.

A point maps fields (`decoding.k`, `index.kind`, `train.lr`, …) or short names to values. Short names:

k          decoding.k
decoding   formulation/strategy; closed_book has no retriever and no k, as has trivial: a baseline without a model
retriever  an index kind (dense retrieval with that index) or a retriever kind, used at test only: the retriever of
           training is that of the base. The field `retriever.kind` changes both.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from rag_lightning.config.digesting import value_of
from rag_lightning.config.experiment import ExperimentConfig
from rag_lightning.config.fields import KindSection, leaves, to_dict
from rag_lightning.config.loading import unknown_key
from rag_lightning.config.registries import INDEX_KINDS, RETRIEVERS
from rag_lightning.config.retrieval import training_kind
from rag_lightning.core.errors import ConfigError, UnknownNameError
from rag_lightning.core.registry import check_name
from rag_lightning.decoding.strategy import strategies_of, trivial_strategies
from rag_lightning.runs.identity import differing, lineage

Point = Mapping[str, Any]
TITLES = {"rag_token": "RAG-Token", "rag_sequence": "RAG-Sequence", "closed_book": "Closed book", "fid": "FiD"}
NO_READER = "No reader"
"""Title of a system whose strategy uses no generator."""
TRIVIAL, TRIVIAL_TITLE = "trivial", "Trivial"
"""Name and title of closed book with a strategy that answers from the training examples, without a model."""
CLOSED_BOOK = "closed_book"
SHORT = ("k", "retriever", "decoding")
FIXED = ("system", "train_preset", "split", "folder", "tracking_uri", "name")
"""Fields that do not belong to a system."""
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
"""Fields that labels show in words or not at all."""
LONGEST_NAME = 100


@dataclass(frozen=True)
class System:
    """An experiment configuration with its label in tables and messages."""

    config: ExperimentConfig
    label: str

    @cached_property
    def _lineages(self) -> dict[str, dict[str, str]]:
        return {}

    def lineage(self, split: str) -> Mapping[str, str]:
        """Kind -> digest of the scores on a split, and of all artifacts that they are made from; computed once."""
        if split not in self._lineages:
            self._lineages[split] = lineage(self.config, split)
        return self._lineages[split]

    def digest(self, split: str) -> str:
        """The run digest on a split."""
        return self.lineage(split)["scores"][:8]

    def run_id(self, split: str) -> str:
        """Name of its run folder: split, label without special characters, and digest of the run."""
        readable = re.sub(r"[^a-z0-9_.]+", "-", self.label.lower().replace("=", "")).strip("-")
        return f"{split}-{readable[:LONGEST_NAME]}-{self.digest(split)}"


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
        UnknownNameError: an unknown field, decoding or retriever; suggests the nearest.
        ConfigError: closed book with k or a retriever, or a field set more than once.
    """
    config = base
    for path, value in _expanded(base, point).items():
        config = _replaced(config, path, tuple(value) if isinstance(value, list) else value)
    return config


def label_of(config: ExperimentConfig, base: ExperimentConfig | None = None) -> str:
    """The label of a configuration: model, index or retriever, k, strategy, deviations from dense training, and all
    other fields that differ from the base.

    >>> label_of(ExperimentConfig())
    'RAG-Token · flat · k=5 · greedy'
    """
    strategy, retriever = config.decoding.strategy, config.retriever
    parts = [TRIVIAL_TITLE if config.decoding.made().from_train else TITLES[config.formulation], strategy]
    if config.formulation != CLOSED_BOOK:
        title = TITLES[config.formulation] if config.decoding.made().generates else NO_READER
        trained = training_kind(retriever)
        parts = [title, retriever_name(config), f"k={config.decoding.k}", strategy]
        parts += [] if trained == "dense" else [f"trained with {trained}"]
        parts += [] if retriever.train else ["frozen"]
        parts += [] if retriever.null_document == "none" else ["null document"]
    return " · ".join([*parts, *_others(config, base)])


def retriever_name(config: ExperimentConfig) -> str:
    """The index kind for dense retrieval, else the retriever kind."""
    return config.index.kind if config.retriever.kind == "dense" else config.retriever.kind


def retrieval_label(config: ExperimentConfig, base: ExperimentConfig) -> str:
    """The name of the retriever with all fields of retrieval that differ from the base."""
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
    """Field -> value, with short names expanded."""
    known = [path for path, _ in _values(base) if path.partition(".")[0] not in FIXED]
    given = {path: value for path, value in point.items() if path not in SHORT}
    for path in given:
        if not any(path.startswith(f"{name}.") for name, value in _values(base) if isinstance(value, Mapping)):
            _check_path(path, [*SHORT, *known])
    layers = [_decoding(point), _retriever(base, point), {"decoding.k": point["k"]} if "k" in point else {}, given]
    found: dict[str, Any] = {}
    for layer in layers:
        if repeated := sorted(set(found) & set(layer)):
            raise ConfigError(f"point {dict(point)} sets {repeated[0]} more than once; keep one value")
        found |= layer
    return found


def _check_path(path: str, known: Sequence[str]) -> None:
    if path.partition(".")[0] in FIXED:
        raise UnknownNameError(f"{path!r} is no part of a system, so no point can set it; remove it there")
    if path not in known:
        raise UnknownNameError(unknown_key(path, known))


def retrievers() -> list[str]:
    """The values of `retriever` in a point: index kinds, and retriever kinds other than dense."""
    return [*INDEX_KINDS, *(kind for kind in RETRIEVERS if kind not in ("dense", "none"))]


def decodings() -> list[str]:
    """The values of `decoding` in a point: formulation/strategy."""
    found = [f"{formulation}/{strategy}" for formulation in TITLES for strategy in strategies_of(formulation)]
    trivial = trivial_strategies()
    return [*(name for name in found if name.partition("/")[2] not in trivial), *trivial_decodings()]


def trivial_decodings() -> list[str]:
    """The values of `decoding` in a point that are baselines without a model: trivial/strategy."""
    return [f"{TRIVIAL}/{strategy}" for strategy in trivial_strategies()]


def _decoding(point: Point) -> dict[str, Any]:
    if "decoding" not in point:
        return {}
    check_name("decoding", str(point["decoding"]), decodings())
    formulation, _, strategy = str(point["decoding"]).partition("/")
    formulation = CLOSED_BOOK if formulation == TRIVIAL else formulation
    found = {"formulation": formulation, "decoding.strategy": strategy}
    if formulation != CLOSED_BOOK:
        return found
    if unused := [name for name in ("retriever", "k") if name in point]:
        raise ConfigError(f"{point['decoding']} uses no passages; remove {' and '.join(unused)}")
    return found | {"retriever.kind": "none"}


def _retriever(base: ExperimentConfig, point: Point) -> dict[str, Any]:
    """Fields of the short name `retriever`; the retriever of training stays that of the base."""
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
    """(dotted path, value) of every field; None for fields of kinds that are not chosen."""
    for leaf in leaves(ExperimentConfig):
        yield leaf.path, value_of(config, leaf)


def _replaced(section: Any, path: str, value: Any) -> Any:
    name, _, rest = path.partition(".")
    if isinstance(section, Mapping):
        return {**section, path: value}
    if isinstance(section, KindSection) and section.is_option(name):
        return replace(section, options={**section.options, name: value})  # type: ignore[type-var]
    return replace(section, **{name: _replaced(getattr(section, name), rest, value) if rest else value})
