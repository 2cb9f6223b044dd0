"""The dataclasses that are the command lines of `sweep`, `matrix` and `claims`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from rag_lightning.config.experiment import ExperimentConfig

Scale = Literal["mini", "mini-long", "nq-subset", "paper"]


@dataclass(frozen=True)
class SweepConfig:
    """One search space over finished stages, its budget and its objective.

    Args:
        name: Of the sweep: runs/<name>, reports/out/<name>, the MLflow parent run.
        experiment: What every trial shares.
        k: Passages marginalised over.
        retriever: An index kind (dense retrieval through it), bm25, oracle or random; another than the experiment
            trains with is swapped in at test.
        decoding: formulation/strategy.
        trials: Trials at most, equal ones are looked up and count.
        sampler: Optuna's: tpe, random, or grid (every point once, trials permitting).
        seed: Of the sampler.
        objective: Dev metric that is maximised, one that the task has for every example.
        always: Systems evaluated on dev and test beside the search, as formulation/strategy/retriever/k.
        storage: Optuna's storage URL, empty for sqlite beside the runs.
        alpha: Level of the test that calls a configuration worse than the best.
    """

    name: str = "nq"
    experiment: ExperimentConfig = field(default_factory=ExperimentConfig)
    k: tuple[int, ...] = (1, 2, 5, 10, 20)
    retriever: tuple[str, ...] = ("flat", "hnsw", "ivf_flat", "ivf_pq", "sq8", "bm25")
    decoding: tuple[str, ...] = ("rag_token/greedy", "rag_token/beam", "rag_sequence/thorough", "rag_sequence/fast")
    trials: int = 24
    sampler: Literal["tpe", "random", "grid"] = "tpe"
    seed: int = 0
    objective: str = "em"
    always: tuple[str, ...] = ("closed_book/greedy/none/0", "rag_sequence/thorough/bm25/5")
    storage: str = ""
    alpha: float = 0.05


@dataclass(frozen=True)
class MatrixConfig:
    """Which experiments of the matrix are run.

    Args:
        file: The matrix; experiment files are looked for beside it.
        only: Names of cells or experiment files (* stands for anything); empty for all of the scale, without extras.
        scale: Which of the matrix's scales.
        corpus: Passages of your own, where the scale needs them: DPR TSV or JSONL, as corpus.source.
        train: Questions of your own, where the scale needs them, as task.train.
        split: What is predicted and scored.
        seeds: Of the trainings, empty for those of the matrix.
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
class ClaimsConfig:
    """Which claims are tested.

    Args:
        file: The claims.
        matrix: The matrix whose cells they compare.
        only: Names of claims, empty for all.
        scale: Of the cells.
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
