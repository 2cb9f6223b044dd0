"""The dataclasses that are the command lines of `sweep`, `matrix` and `claims`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from rag_lightning.config.bounds import PositiveInt, Share, check
from rag_lightning.config.experiment import ExperimentConfig
from rag_lightning.config.fields import Section

Scale = Literal["mini", "mini-long", "nq-subset", "paper"]
RESERVED = "experiments"
"""Name of the folder of runs that the matrix and claims share; no sweep may have it."""


def _default_space() -> dict[str, tuple[Any, ...]]:
    return {
        "decoding": ("rag_token/greedy", "rag_token/beam", "rag_sequence/thorough", "rag_sequence/fast"),
        "retriever": ("flat", "hnsw", "ivf_flat", "ivf_pq", "sq8", "bm25"),
        "k": (1, 2, 5, 10, 20),
    }


def _default_always() -> tuple[dict[str, Any], ...]:
    return (
        {"decoding": "closed_book/greedy"},
        {"decoding": "rag_sequence/thorough", "retriever": "bm25", "k": 5},
    )


@dataclass(frozen=True)
class SweepConfig(Section):
    """One search space over finished stages, its budget and its objective.

    Args:
        name: Name of the sweep: runs/<name>, reports/out/<name>, the MLflow parent run.
        experiment: What every trial shares.
        space: Choices of each field that is searched: any dotted field of an experiment (train.lr, index.kind), or
            k (decoding.k), decoding (formulation/strategy), retriever (an index kind, which is dense retrieval through
            it, or bm25, oracle, random; another than the experiment trains with is swapped in at test).
        trials: Number of distinct points that are evaluated, at most; a point that comes again costs nothing.
        sampler: Sampler of Optuna: tpe, random, or grid (every point once, trials permitting).
        seed: Seed of the sampler.
        objective: Dev metric that is maximised, one that the task has for every example.
        always: Points evaluated on dev and test beside the search, each a mapping of such fields to one value.
        storage: Storage URL of Optuna, empty for sqlite beside the runs.
        alpha: Level of the test that calls a configuration worse than the best.
    """

    name: str = "nq"
    experiment: ExperimentConfig = field(default_factory=ExperimentConfig)
    space: Mapping[str, tuple[Any, ...]] = field(default_factory=_default_space)
    trials: PositiveInt = 24
    sampler: Literal["tpe", "random", "grid"] = "tpe"
    seed: int = 0
    objective: str = "em"
    always: tuple[Mapping[str, Any], ...] = field(default_factory=_default_always)
    storage: str = ""
    alpha: Share = 0.05

    def __post_init__(self) -> None:
        """Raise ConfigError for a value out of bounds, or a name that no folder of runs can have."""
        super().__post_init__()
        fits = re.fullmatch(r"[\w][\w.-]{0,99}", self.name) is not None and self.name != RESERVED
        check(fits, "name", repr(self.name), f"must be 1 to 100 letters, digits, . _ or -, and not {RESERVED}")


@dataclass(frozen=True)
class MatrixConfig(Section):
    """Which experiments of the matrix are run.

    Args:
        file: The matrix; experiment files are looked for beside it.
        only: Names of cells or experiment files (* stands for anything); empty for all of the scale, without extras.
        scale: Which of the matrix's scales.
        corpus: Passages of your own, where the scale needs them: DPR TSV or JSONL, as corpus.source.
        train: Questions of your own, where the scale needs them, as task.train.
        split: What is predicted and scored.
        seeds: Seeds of the trainings, empty for those of the matrix.
        list_only: Print the cells in the order they would run, and why others do not; nothing is run.
        folder: Where artifacts, assets, runs and reports are kept.
        tracking_uri: MLflow store, empty for sqlite in `folder`.
    """

    file: str = "experiments/matrix.yaml"
    only: tuple[str, ...] = ()
    scale: Scale = "mini"
    corpus: str = ""
    train: tuple[str, ...] = ()
    split: Literal["dev", "test"] = "dev"
    seeds: tuple[int, ...] = ()
    list_only: bool = False
    folder: str = "."
    tracking_uri: str = ""


@dataclass(frozen=True)
class ClaimsConfig(Section):
    """Which claims are tested.

    Args:
        file: The claims.
        matrix: The matrix whose cells they compare.
        only: Names of claims, empty for all.
        scale: Scale of the cells.
        corpus: Passages of your own, where the scale needs them: DPR TSV or JSONL, as corpus.source.
        train: Questions of your own, where the scale needs them, as task.train.
        split: dev to investigate, test to decide; a claim meets test once.
        folder: Where artifacts, assets, runs and reports are kept.
        tracking_uri: MLflow store, empty for sqlite in `folder`.
    """

    file: str = "experiments/claims.yaml"
    matrix: str = "experiments/matrix.yaml"
    only: tuple[str, ...] = ()
    scale: Scale = "mini"
    corpus: str = ""
    train: tuple[str, ...] = ()
    split: Literal["dev", "test"] = "dev"
    folder: str = "."
    tracking_uri: str = ""
