"""Measuring in a process of its own, whose peak memory is its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from itertools import accumulate
from pathlib import Path
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile

ROOT = Path(__file__).parents[2]


def said_by(module: str, *arguments: Any, **variables: str) -> dict[str, Any]:
    """The JSON object that `python -m tests.benchmarks.MODULE ARGUMENTS` prints last, on one thread.

    Args:
        module: Of tests.benchmarks.
        arguments: Of its command line.
        variables: Of its environment, beside this process's.
    """
    command = [sys.executable, "-m", f"tests.benchmarks.{module}", *map(str, arguments)]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"} | variables
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command[1:])} ended with {done.returncode}:\n{done.stderr[-2000:]}")
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


CPU = torch.device("cpu")


def resident(peak: bool, device: torch.device = CPU) -> int:
    """Bytes of memory this process has now, or has had at most since `forget_peak` (Linux); on CUDA, of its tensors."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) if peak else torch.cuda.memory_allocated(device)
    name = "VmHWM:" if peak else "VmRSS:"
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(name))


def forget_peak(device: torch.device = CPU) -> None:
    """What loading the model took is not what is measured."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    Path("/proc/self/clear_refs").write_text("5")


def peak_of_tensors(action: Callable[[], Any]) -> int:
    """Bytes of tensors alive at once while the action runs, at most, beside those that were alive before it."""
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as watched:
        action()
    with tempfile.NamedTemporaryFile(suffix=".json") as trace:
        watched.export_chrome_trace(trace.name)
        events = json.loads(Path(trace.name).read_text())["traceEvents"]
    changes = [(event["ts"], event["args"]["Bytes"]) for event in events if event.get("name") == "[memory]"]
    return max(accumulate(change for _, change in sorted(changes)))
