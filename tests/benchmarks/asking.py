"""Answers many questions of the tiny project in one process, and prints its memory before and after."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

from rag_lightning.core.records import Example
from rag_lightning.decoding.pair_store import PairStore
from rag_lightning.decoding.predictor import Predictor
from rag_lightning.stages.ask import OpenSystem, open_system
from rag_lightning.stages.predict import predict_all
from rag_lightning.stages.workspace import Workspace
from tests.benchmarks.processes import resident
from tests.tiny_project import experiment, place

WARM, MEASURED = 200, 1000
"""Questions before memory is first looked at, and after that."""
STATES = 4 << 20
"""Bytes of encoder states that `predict` keeps here, full within WARM questions, as its own bound is in longer runs."""


def ask(system: OpenSystem, numbers: range) -> None:
    """One question after another, as `ask` and the served model do."""
    for number in numbers:
        system.answer(f"what is the capital of {place(number)} {number}")


def predict(system: OpenSystem, numbers: range) -> None:
    """All questions of a data set, as stage `predict` does."""
    system.encodings.max_bytes = STATES
    found = [system._retrieve(Example(f"q{n}", f"what is the capital of {place(n)} {n}", ()))[0] for n in numbers]
    config = system.config
    predict_all(Predictor(config.formulation, system.encodings, config.decoding, system.store, PairStore()), found)


if __name__ == "__main__":
    root, data, bert = map(Path, sys.argv[1:4])
    config = experiment(root, data, bert)
    config = replace(config, decoding=replace(config.decoding, strategy=sys.argv[5], k=5))
    opened = open_system(Workspace(replace(config, formulation=sys.argv[4])))
    found = {}
    for way in (ask, predict):
        way(opened, range(WARM))
        before = resident(peak=False)
        way(opened, range(WARM, WARM + MEASURED))
        found[way.__name__] = {"before": before, "after": resident(peak=False)}
    print(json.dumps(found))
