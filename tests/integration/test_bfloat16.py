"""What bfloat16 changes: predictions of a trained model that differ from those in float32 are counted and bounded."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from rag_lightning.config.commands import SweepConfig
from rag_lightning.config.experiment import Formulation
from rag_lightning.core.records import Prediction, read_jsonl
from rag_lightning.stages import predict
from rag_lightning.stages.workspace import Workspace

BOUND = 1
"""Questions of 12 that may have another answer: where two answers are nearly as likely, rounding decides."""


@pytest.mark.parametrize(
    ("formulation", "strategy"),
    [("rag_token", "greedy"), ("rag_token", "beam"), ("rag_sequence", "thorough"), ("rag_sequence", "fast")],
)
def test_few_predictions_differ_in_bfloat16(
    tiny_copy: SweepConfig, formulation: Formulation, strategy: str, record_property: Callable[[str, object], None]
) -> None:
    config = replace(tiny_copy.experiment, formulation=formulation)
    decoding = replace(config.decoding, strategy=strategy, k=5)
    found = {}
    for dtype in ("float32", "bfloat16"):
        workspace = Workspace(replace(config, decoding=replace(decoding, dtype=dtype)), lambda _: None)
        folder: Path = predict.build(workspace, "dev").path
        found[dtype] = list(read_jsonl(folder / predict.PREDICTIONS, Prediction))
    pairs = list(zip(found["float32"], found["bfloat16"], strict=True))
    differing = sum(exact.text != rounded.text for exact, rounded in pairs)
    record_property("differing", differing)
    assert len(pairs) == 12 and differing <= BOUND
    assert any(exact.hypotheses != rounded.hypotheses for exact, rounded in pairs)  # it did round
    assert len({exact.text for exact, _ in pairs}) > 1  # the model answers, it does not always say the same
