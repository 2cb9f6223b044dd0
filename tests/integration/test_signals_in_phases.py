"""Ctrl-C and SIGTERM in every phase of a sweep from nothing: one line, 130 or 143, and the same result in the end."""

from __future__ import annotations

import json
import os
import re
import signal
import time
from collections.abc import Callable
from itertools import cycle
from pathlib import Path

import psutil
import pytest

from rag_lightning.config.commands import SweepConfig
from rag_lightning.sweep import command
from tests.sweeping import LIMIT, evaluated_once, finish, log_of, predicted, started
from tests.tiny_project import moved

PHASES = {
    "sweep", "corpus", "examples", "bm25", "reader", "vectors", "index", "retriever_warmup", "model", "rankings",
    "predictions", "scores", "cost", "chosen",
}  # fmt: skip
"""The phases of a sweep: its beginning, the stages, and the table of what it has chosen."""
BEGUN = re.compile(r"^(\w+) +started |^(sweep) +tiny: |^(chosen) ", re.MULTILINE)
"""What a sweep prints with --verbose when it comes to a phase."""
ENDINGS = {
    signal.SIGINT: (130, "rag-lightning: interrupted; run the same command again to continue"),
    signal.SIGTERM: (143, "rag-lightning: ended by SIGTERM; run the same command again to continue"),
}
CPU_SECONDS = 10.0


def interrupt(config: SweepConfig, wanted: Callable[[str], str], number: signal.Signals) -> str:
    """Run the sweep with --verbose and send a signal as soon as there is something in what it prints.

    Returns:
        What was found; empty if the sweep ends before the signal.
    """
    with started(config, "--verbose") as process:
        log, deadline = Path(config.experiment.folder) / "sweep.log", time.monotonic() + LIMIT
        before = log.stat().st_size
        while not (found := wanted(log.read_bytes()[before:].decode())):
            if process.poll() is not None:
                assert process.returncode == 0, log_of(config)
                return ""
            assert time.monotonic() < deadline
            time.sleep(0.02)
        used = cpu(process.pid)
        os.kill(process.pid, number)
        while process.poll() is None:
            assert cpu(process.pid) - used < CPU_SECONDS, f"{found}: goes on"
            time.sleep(0.05)
    code, line = ENDINGS[number]
    shown = log.read_bytes()[before:].decode()
    assert "Traceback" not in shown and "Exception ignored" not in shown, (found, shown)
    if process.returncode in (0, -number):
        return ""  # the end came first, or the program had ended and Python had not
    assert process.returncode == code and shown.splitlines()[-1] == line, (found, shown)
    return found


def cpu(process: int) -> float:
    """Seconds of CPU that a process has used; 0 for one that is gone."""
    try:
        times = psutil.Process(process).cpu_times()
    except psutil.NoSuchProcess:
        return 0.0
    return float(times.user + times.system)


@pytest.mark.slow
@pytest.mark.timeout(3000)
@pytest.mark.parametrize("first", list(ENDINGS))
def test_a_signal_in_any_phase_ends_the_sweep_and_nothing_is_lost(
    tiny_sweep: SweepConfig, tmp_path: Path, first: signal.Signals
) -> None:
    config = moved(tiny_sweep, tmp_path)
    (tmp_path / "sweep.log").touch()
    met: set[str] = set()

    def new_phase(shown: str) -> str:
        names = (name for found in BEGUN.findall(shown) for name in found if name)
        return next((name for name in names if name not in met), "")

    for number in cycle([first, *(one for one in ENDINGS if one != first)]):
        if not (phase := interrupt(config, new_phase, number)):
            break
        met.add(phase)
    assert met >= PHASES - {"chosen"}, "the last one may come with the end"
    finish(config)
    assert predicted(config) == predicted(tiny_sweep) and predicted(config, "test") == predicted(tiny_sweep, "test")
    assert len(evaluated_once(config)) == 4


@pytest.mark.slow
def test_a_finished_sweep_that_is_run_again_and_interrupted_stays_finished(
    tiny_copy: SweepConfig, capsys: pytest.CaptureFixture[str]
) -> None:
    finish(tiny_copy)
    file = Path(tiny_copy.experiment.folder) / "runs" / "tiny" / "sweep.json"
    before = {path: path.read_bytes() for path in file.parent.rglob("*.json")}
    for number in ENDINGS:
        assert interrupt(tiny_copy, lambda shown: "model" * ("model             reused" in shown), number)
        assert {path: path.read_bytes() for path in file.parent.rglob("*.json")} == before
    assert json.loads(before[file])["finished"] is True
    command.run(tiny_copy, status=True)
    assert re.search(r"sweep +tiny: finished", capsys.readouterr().err)
