"""A short training that is killed goes on from its resume point, in another process, to the same weights."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from rag_lightning.config.commands import SweepConfig
from rag_lightning.config.fields import to_dict
from rag_lightning.training.callbacks import RESUME
from tests.sweeping import LIMIT, ROOT
from tests.tiny_project import moved

PROGRAM = """
import sys
from rag_lightning.training import fitting
fitting.SAVE_SOONEST = 0.0
from rag_lightning.cli import main
sys.exit(main())
"""


def start(config: SweepConfig) -> subprocess.Popen[bytes]:
    """Train the reader, with resume points as often as writing takes a twentieth of the time."""
    folder = Path(config.experiment.folder)
    file = folder / "experiment.yaml"
    file.write_text(json.dumps(to_dict(config.experiment)))
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", PROGRAM, "reader", "--config", str(file)]
    return subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)


def kill(config: SweepConfig) -> None:
    """Kill the training of the reader as soon as it writes its next resume point."""
    readers = Path(config.experiment.folder) / "artifacts" / "reader"

    def points() -> list[int]:
        return [file.stat().st_ino for file in readers.glob(f"*.partial/{RESUME}")]

    before, deadline = points(), time.monotonic() + LIMIT
    with start(config) as process:
        while points() in ([], before):
            assert process.poll() is None and time.monotonic() < deadline
            time.sleep(0.001)
        process.send_signal(signal.SIGKILL)


def finished(config: SweepConfig) -> bytes:
    """Train to the end; the weights."""
    with start(config) as process:
        assert process.wait(LIMIT) == 0
    (model,) = (Path(config.experiment.folder) / "artifacts" / "reader").glob("*/generator/model.safetensors")
    return model.read_bytes()


@pytest.mark.slow
def test_a_training_that_is_killed_again_and_again_ends_with_the_same_weights(
    tiny_sweep: SweepConfig, tmp_path: Path
) -> None:
    once, often = moved(tiny_sweep, tmp_path / "once"), moved(tiny_sweep, tmp_path / "often")
    built = shutil.ignore_patterns("reader", "model", "predictions", "scores", "pairs", "rankings", "*.lock")
    shutil.copytree(Path(tiny_sweep.experiment.folder) / "artifacts", tmp_path / "once" / "artifacts", ignore=built)
    kill(once)
    shutil.copytree(tmp_path / "once", tmp_path / "often")
    for _ in range(2):
        kill(often)
    assert finished(often) == finished(once)
