"""The dataclasses of the command lines that are no experiment: `sweep`, `matrix`, `claims`, `paper` and others."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from rag_lightning.config.bounds import Name, NonNegativeFloat, NonNegativeInt, PositiveInt, Share, check, check_value
from rag_lightning.config.data import Split
from rag_lightning.config.experiment import ExperimentConfig
from rag_lightning.config.fields import Section

Scale = Literal["mini", "mini-long", "nq-subset", "paper"]
RESERVED = "experiments"
"""Name of the folder of runs that the matrix and claims share."""
TAKEN, FILES = (RESERVED, "claims", "cells"), (".lock", ".jsonl")
"""Folders of runs/ and reports/out/ that are of no sweep, and endings of files beside those of sweeps."""


def _default_space() -> dict[str, Any]:
    return {
        "decoding": ["rag_token/greedy", "rag_token/beam", "rag_sequence/thorough", "rag_sequence/fast"],
        "retriever": ["flat", "hnsw", "ivf_flat", "ivf_pq", "sq8", "bm25"],
        "k": [1, 2, 5, 10],
    }


def _default_always() -> tuple[dict[str, Any], ...]:
    return (
        {"decoding": "closed_book/greedy"},
        {"decoding": "rag_sequence/thorough", "retriever": "bm25", "k": 5},
    )


@dataclass(frozen=True)
class SweepConfig(Section):
    """A hyperparameter search: its space, its budget and its objectives.

    Args:
        name: Name of the sweep: runs/<name>, reports/out/<name>, the MLflow parent run.
        experiment: The experiment whose fields the search changes; the other fields are the same in every trial.
        space: Field -> its values: a list, a range {low, high}, or {choices: [...], when: {field: value}}. A range may
            have log: true for a search in the logarithm, or step for equal steps. `when`, in a range or beside choices,
            limits the field to points in which an earlier field has the value, or one of a list of values; elsewhere it
            is no part of the point. A field is any dotted field of an experiment (train.lr, index.nprobe) or one of
            three short names: k (decoding.k), decoding (formulation/strategy), and retriever (bm25, oracle, random,
            given, or an index kind, which is dense retrieval with that index). A retriever other than the one of the
            experiment's training replaces it at test only.
        trials: Largest number of distinct points to evaluate; a point that the sampler repeats is not counted. The
            search ends earlier if all points of the space are evaluated.
        sampler: Optuna's sampler, or grid for every point once, up to `trials`. The order of grid shares models and
            rankings. nsga2 is a genetic algorithm for several objectives: its population is a fifth of `trials`, of
            which it needs at least 10, and it draws fields with a condition at random.
        seed: Seed of the sampler.
        objectives: What the search optimises on dev: metrics of the task, and seconds_per_query, index_bytes,
            build_seconds (of the index) or peak_memory, which are minimised. The first metric selects the systems for
            test and must have a value for each example. peak_memory is the peak resident size, in bytes, of the
            process that measures seconds_per_query: an upper bound, because it also holds libraries and what earlier
            trials left.
        constraints: Conditions on the same values, such as "index_bytes <= 200e6" or "em >= 40"; only trials that meet
            all of them are selected.
        always: Points that are evaluated on dev and test in addition to the search; each maps fields to one value.
        trivial: Whether the trivial baselines, which answer from the training examples without a model, are evaluated
            on dev and test too.
        storage: URL of Optuna's storage, postgresql://… for a study that several machines share; empty for an SQLite
            file in the sweep's run folder. PGPASSWORD or PGPASSFILE can hold the password.
        alpha: Significance level of the test of each configuration against the best one.
        workers: Number of processes that evaluate trials side by side; 1 evaluates them in the process of the command.
        engine: Where workers run: process on this machine, ray on the cluster of RAY_ADDRESS (on this machine if it is
            not set).
        worker_cpus: CPUs that Ray reserves for each worker.
        worker_gpus: GPUs that Ray reserves for each worker; may be a fraction.
        retries: How often a point is tried again after its trial failed or its worker was lost.
        trial_seconds: Time limit of a trial in seconds, 0 for none; trials with a limit run in worker processes.
    """

    name: Name = "nq"
    experiment: ExperimentConfig = field(default_factory=ExperimentConfig)
    space: Mapping[str, Any] = field(default_factory=_default_space)
    trials: PositiveInt = 24
    sampler: Literal["tpe", "random", "nsga2", "grid"] = "tpe"
    seed: int = 0
    objectives: tuple[str, ...] = ("em",)
    constraints: tuple[str, ...] = ()
    always: tuple[Mapping[str, Any], ...] = field(default_factory=_default_always)
    trivial: bool = True
    storage: str = ""
    alpha: Share = 0.05
    workers: PositiveInt = 1
    engine: Literal["process", "ray"] = "process"
    worker_cpus: NonNegativeFloat = 1.0
    worker_gpus: NonNegativeFloat = 0.0
    retries: NonNegativeInt = 1
    trial_seconds: NonNegativeFloat = 0.0

    def __post_init__(self) -> None:
        """Raise ConfigError for a value out of bounds, or a name that no folder of runs can have."""
        super().__post_init__()
        lists = {path: tuple(values) if isinstance(values, list) else values for path, values in self.space.items()}
        object.__setattr__(self, "space", lists)  # as YAML has them, and as Python has them: one and the same space
        check(self.name not in TAKEN, "name", repr(self.name), f"must be none of {', '.join(TAKEN)}")
        taken = self.name.endswith(FILES)
        check(not taken, "name", repr(self.name), f"must not end with {' or '.join(FILES)}, which are files in runs/")


@dataclass(frozen=True)
class MatrixConfig(Section):
    """The experiments of the matrix to run.

    Args:
        file: YAML file of the matrix; the experiment files are in the same folder.
        only: Names of cells or experiment files (* matches anything); empty for all of the scale except the extras.
        scale: Scale of the matrix to run.
        corpus: Your passages, for a scale that needs some, as corpus.source.
        train: Files of your training questions, for a scale that needs them, as task.train.
        split: Split to predict and score.
        seeds: Seeds of the experiments; empty for those of the matrix.
        list_only: Print the cells in the order they would run, and why the others would not; run nothing.
        folder: Folder that holds artifacts, assets, runs and reports.
        tracking_uri: MLflow tracking URI; empty for an SQLite file in `folder`.
    """

    file: str = "experiments/matrix.yaml"
    only: tuple[str, ...] = ()
    scale: Scale = "mini"
    corpus: str = ""
    train: tuple[str, ...] = ()
    split: Split = "dev"
    seeds: tuple[int, ...] = ()
    list_only: bool = False
    folder: str = "."
    tracking_uri: str = ""


@dataclass(frozen=True)
class ClaimsConfig(Section):
    """The claims to test.

    Args:
        file: YAML file of the claims.
        matrix: YAML file of the matrix whose cells the claims compare.
        only: Names of the claims to test; empty for all.
        scale: Scale of the cells.
        corpus: Your passages, for a scale that needs some, as corpus.source.
        train: Files of your training questions, for a scale that needs them, as task.train.
        split: dev to explore, test or test2 to decide, as each claim says; a claim is decided there only once.
        folder: Folder that holds artifacts, assets, runs and reports.
        tracking_uri: MLflow tracking URI; empty for an SQLite file in `folder`.
    """

    file: str = "experiments/claims.yaml"
    matrix: str = "experiments/matrix.yaml"
    only: tuple[str, ...] = ()
    scale: Scale = "mini"
    corpus: str = ""
    train: tuple[str, ...] = ()
    split: Split = "dev"
    folder: str = "."
    tracking_uri: str = ""


@dataclass(frozen=True)
class PaperConfig(Section):
    """The paper's tables and figures to render from stored runs.

    Args:
        file: YAML file of the matrix, whose cells the tables name.
        scale: Scale of the runs to show.
        prediction: Prediction whose passages Figure 2 shows by token: RUN/EXAMPLE, the name of a run or a part of it
            and the id of a question; empty for the one shown last. The system of the run is opened once for it.
        examples: Questions of each task in Table 3.
        folder: Folder that holds artifacts, assets, runs and reports.
    """

    file: str = "experiments/matrix.yaml"
    scale: Scale = "mini"
    prediction: str = ""
    examples: PositiveInt = 2
    folder: str = "."


@dataclass(frozen=True)
class AssessConfig(Section):
    """The pairs of outputs that people are to judge, as in the paper's Table 4.

    Args:
        name: Name of the assessment, a folder of reports/assessments/; empty for the data set, split and the two runs.
        pairs: Number of pairs on the page, drawn from the questions that both runs answered; the paper judged 452.
        seed: Seed of the questions, of their order, and of the sides that the outputs stand on.
        folder: Folder that holds artifacts, runs and reports.
    """

    name: str = ""
    pairs: PositiveInt = 452
    seed: int = 0
    folder: str = "."

    def __post_init__(self) -> None:
        """Raise ConfigError for a value out of bounds, or a name that no folder can have."""
        super().__post_init__()
        if self.name:
            check_value("name", Name, self.name)


@dataclass(frozen=True)
class BenchConfig(Section):
    """The indexes to measure, and on what.

    Args:
        file: YAML file of the indexes.
        experiment: YAML file of the experiment whose passages and questions are searched, with the pretrained encoder.
        sizes: Numbers of generated vectors to measure beside the real ones; empty for the real ones only.
        only: Kinds to measure, all of the file if empty.
        queries: Largest number of questions, at least 64.
        k: Results of a query that is timed; recall@k is that of a search for k results, up to 100.
        threads: FAISS's threads in building and searching.
        folder: Folder that holds artifacts, assets and reports.
    """

    file: str = "experiments/index_bench.yaml"
    experiment: str = "experiments/nq_rag_sequence.yaml"
    sizes: tuple[PositiveInt, ...] = ()
    only: tuple[str, ...] = ()
    queries: PositiveInt = 500
    k: PositiveInt = 20
    threads: PositiveInt = 1
    folder: str = "."


@dataclass(frozen=True)
class InspectConfig(Section):
    """The answer to look into.

    Args:
        question: Text of a question, which the system answers now, or id of a question of the run, whose stored
            prediction is shown.
        html: File to write the same to as one page; empty for none.
        folder: Folder that holds artifacts, assets, runs and reports.
    """

    question: str = ""
    html: str = ""
    folder: str = "."
