"""Forward and backward of both losses against transformers' RAG: k = 5, BART-base's size and vocabulary."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from statistics import median
from typing import Any

import pytest

PAIRS, STEPS = 3, 2
ROOT = Path(__file__).parents[2]
pytestmark = [pytest.mark.benchmark, pytest.mark.slow, pytest.mark.timeout(7200)]


def measured(whose: str, formulation: str) -> dict[str, Any]:
    """What one process says; its first step is left out of the seconds."""
    command = [sys.executable, "-m", "tests.benchmarks.training_step", whose, formulation, str(STEPS)]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found | {"seconds": median(found["seconds"][1:])}


@pytest.mark.parametrize("formulation", ["rag_sequence", "rag_token"])
def test_training_step(formulation: str, capsys: pytest.CaptureFixture[str], benchmark: Any) -> None:
    """Processes in turns; equal losses and gradients."""
    pairs = [(measured("transformers", formulation), measured("ours", formulation)) for _ in range(PAIRS)]
    for theirs, ours in pairs:
        assert ours["loss"] == pytest.approx(theirs["loss"], rel=1e-5)
        assert ours["norm"] == pytest.approx(theirs["norm"], rel=1e-3)
    times = median(theirs["seconds"] / ours["seconds"] for theirs, ours in pairs)
    memory = median(ours["bytes"] / theirs["bytes"] for theirs, ours in pairs)
    benchmark.extra_info |= {"times_faster": times, "memory_above_model_and_gradients": memory}
    with capsys.disabled():
        print(
            f"\ntraining step, {formulation}: ratio {times:.2f} (median of {PAIRS} pairs of processes, 1 thread)",
            end="",
        )
        print(f"memory above model and gradients {memory:.2f} of transformers'")
    benchmark.pedantic(measured, args=("ours", formulation), rounds=1)
