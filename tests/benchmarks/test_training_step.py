"""Forward and backward of both losses against transformers' RAG: k = 5, BART-base's size and vocabulary."""

from __future__ import annotations

from statistics import median
from typing import Any

import pytest

from rag_lightning.core.hardware import has_bfloat16
from tests.benchmarks.processes import said_by
from tests.benchmarks.rag_models import against

PAIRS, STEPS = 3, 2
TOLERANCE = {"float32": (1e-5, 1e-3), "bfloat16": (1e-2, 5e-2)}
"""Relative, of the loss and of the norm of all gradients."""
FASTER, MEMORY = 1.0, 0.85
"""Targets of float32 against transformers: at least so many times as fast, at most this share of its memory."""
MAPPED = {"MALLOC_MMAP_THRESHOLD_": str(1 << 20)}
"""glibc then gives blocks of a mebibyte and more back as they are freed, and keeps none behind smaller ones."""
pytestmark = [pytest.mark.benchmark, pytest.mark.slow, pytest.mark.timeout(7200)]


def measured(whose: str, formulation: str, dtype: str, **variables: str) -> dict[str, Any]:
    """What one process says; its first step is left out of the seconds."""
    found = said_by("training_step", whose, formulation, dtype, STEPS, **variables)
    return found | {"seconds": median(found["seconds"][1:])}


def in_turns(first: str, second: str, formulation: str, dtype: str) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """PAIRS times one process after the other."""
    if dtype == "bfloat16" and not has_bfloat16():
        pytest.skip("this machine has no fast bfloat16")
    return [(measured(first, formulation, dtype), measured(second, formulation, dtype)) for _ in range(PAIRS)]


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("formulation", ["rag_sequence", "rag_token"])
def test_training_step(formulation: str, dtype: str, capsys: pytest.CaptureFixture[str], benchmark: Any) -> None:
    """Processes in turns; equal losses and gradients."""
    pairs = in_turns("transformers", "ours", formulation, dtype)
    of_loss, of_norm = TOLERANCE[dtype]
    for theirs, ours in pairs:
        assert ours["loss"] == pytest.approx(theirs["loss"], rel=of_loss)
        assert ours["norm"] == pytest.approx(theirs["norm"], rel=of_norm)
    times = median(theirs["seconds"] / ours["seconds"] for theirs, ours in pairs)
    memory = median(ours["tensors"] / theirs["tensors"] for theirs, ours in pairs)
    held = median(ours["bytes"] / theirs["bytes"] for theirs, ours in pairs)
    mapped = measured("ours", formulation, dtype, **MAPPED)
    returned = median(mapped["bytes"] / theirs["bytes"] for theirs, _ in pairs)
    slower = median(mapped["seconds"] / ours["seconds"] for _, ours in pairs)
    benchmark.extra_info |= {"times_faster": times, "memory_above_model_and_gradients": memory, "resident": held}
    benchmark.extra_info |= {"resident_mapped": returned, "time_mapped": slower}
    targets = [against(FASTER, times >= FASTER), against(MEMORY, memory <= MEMORY)]
    faster, less = targets if dtype == "float32" else ("", "")
    told = f"ratio {times:.2f} (median of {PAIRS} pairs of processes, 1 thread){faster}; tensors above model and "
    told += f"gradients {memory:.2f} of transformers'{less}, resident memory {held:.2f}, "
    told += f"with large blocks mapped {returned:.2f} in {slower:.2f} of our time"
    with capsys.disabled():
        print(f"\ntraining step, {formulation}, {dtype}: {told}")
    benchmark.pedantic(measured, args=("ours", formulation, dtype), rounds=1)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_training_step_with_checkpointing(dtype: str, capsys: pytest.CaptureFixture[str], benchmark: Any) -> None:
    """`train.checkpoint_encoder` against ours without it: the same loss and gradients, less memory, more time."""
    pairs = in_turns("ours", "checkpointed", "rag_sequence", dtype)
    for kept, recomputed in pairs:
        assert (recomputed["loss"], recomputed["norm"]) == (kept["loss"], kept["norm"])
    time = median(recomputed["seconds"] / kept["seconds"] for kept, recomputed in pairs)
    memory = median(recomputed["tensors"] / kept["tensors"] for kept, recomputed in pairs)
    held = median(recomputed["bytes"] / kept["bytes"] for kept, recomputed in pairs)
    benchmark.extra_info |= {"time": time, "memory_above_model_and_gradients": memory, "resident": held}
    with capsys.disabled():
        print(
            f"\ntraining step, checkpoint_encoder, {dtype}: time {time:.2f} of that without (median of {PAIRS} ", end=""
        )
        print(f"pairs of processes, 1 thread); tensors above model and gradients {memory:.2f}, resident {held:.2f}")
    benchmark.pedantic(measured, args=("checkpointed", "rag_sequence", dtype), rounds=1)
