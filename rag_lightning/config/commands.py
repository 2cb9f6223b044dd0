"""The dataclasses that are the command lines of `matrix` and `claims`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Scale = Literal["mini", "mini-long", "nq-subset", "paper"]


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
