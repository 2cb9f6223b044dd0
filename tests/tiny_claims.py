"""A classification task on the passages of the tiny project: is the capital, the river, or nothing known of a place."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from rag_lightning.config.commands import SweepConfig
from rag_lightning.config.data import TaskConfig
from rag_lightning.config.experiment import ExperimentConfig
from rag_lightning.config.registries import METRICS, TASKS
from rag_lightning.metrics.metric import Metric, Outcome
from rag_lightning.tasks.spec import get_task
from tests import tiny_project
from tests.tiny_project import ANSWERS, SPLITS, place, write_lines

LABELS = ("supports", "refutes", "not enough info")
WORDS = ("paris", "rome", "novo")
"""Words of one piece in the tiny BERT's vocabulary, which has none of the known verbalisers."""


def _accuracy(outcome: Outcome) -> float | None:
    return None if outcome.prediction is None else float(outcome.prediction == outcome.example.answers[0])


ACCURACY = Metric("tiny_accuracy", "%", "higher", _accuracy)
METRICS_OF_CLAIMS = ("tiny_accuracy", "gold_recall@1", "gold_title@1")
CLAIMS = replace(get_task("nq"), name="tiny_claims", title="Claims", metrics=METRICS_OF_CLAIMS, labels=LABELS)


@contextmanager
def registered() -> Iterator[None]:
    """The task and its metric are known while this lasts."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(METRICS._targets, "tiny_accuracy", "tests.tiny_claims:ACCURACY")
        patch.setitem(TASKS._targets, "tiny_claims", "tests.tiny_claims:CLAIMS")
        yield


def claims(split: str) -> list[dict[str, Any]]:
    """Three claims of every second place, one a label; the last names no passage."""
    rows = []
    for i in list(SPLITS[split])[::2]:
        for label, capital in zip(LABELS, (ANSWERS[i % 4], ANSWERS[(i + 1) % 4], "7"), strict=True):
            gold = {"gold_passage_id": f"p{i}"} if label != LABELS[2] else {}
            claim = f"the capital of {place(i)} is {capital}"
            rows.append({"id": f"{label[0]}{i}", "question": claim, "answers": [label], **gold})
    return rows


def write_data(folder: Path) -> None:
    """corpus.jsonl and the claims of three splits."""
    tiny_project.write_data(folder)
    for split in SPLITS:
        write_lines(folder / f"{split}.jsonl", claims(split))


def experiment(root: Path, data: Path, bert: Path, head: Any) -> ExperimentConfig:
    """The tiny project's experiment with a head."""
    base = tiny_project.experiment(root, data, bert)
    files = base.task
    return replace(
        base,
        formulation="rag_sequence",
        task=TaskConfig("tiny_claims", "tiny", train=files.train, dev=files.dev, test=files.test),
        generator=replace(base.generator, head=head, verbalisers=WORDS if head == "label_token" else ()),
        reader=replace(base.reader, steps=20),
        decoding=replace(base.decoding, strategy="classify"),
    )


def sweep(root: Path, data: Path, bert: Path, head: Any) -> SweepConfig:
    """Three trials, closed book and BM25."""
    return SweepConfig(
        name="tiny",
        experiment=experiment(root, data, bert, head),
        space={"decoding": ("rag_sequence/classify",), "retriever": ("flat", "bm25"), "k": (1, 2, 5)},
        trials=3,
        objectives=("tiny_accuracy",),
        always=(
            {"decoding": "closed_book/classify"},
            {"decoding": "rag_sequence/classify", "retriever": "bm25", "k": 2},
        ),
        trivial=False,
    )
