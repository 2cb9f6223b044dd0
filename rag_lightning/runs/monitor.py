"""Load of the machine over time: a thread appends samples to `system.jsonl` while a sweep runs."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

from rag_lightning.core.background import repeated
from rag_lightning.core.errors import DataError
from rag_lightning.core.files import UNREADABLE
from rag_lightning.core.links import no_link

SAMPLES = "system.jsonl"
SECONDS = 10.0
MB = 1 << 20
LARGEST = 2.0**53
"""Largest number of a sample; larger ones and infinite ones are damage."""
NAMES = (
    "system/cpu_utilization_percentage",
    "system/system_memory_usage_megabytes",
    "system/process_memory_usage_megabytes",
)
"""MLflow's names of what a sample holds; it refuses a damaged one, and with it all metrics sent beside it."""


@contextmanager
def sampled(folder: Path, seconds: float = SECONDS) -> Iterator[None]:
    """Sample the load into `<folder>/system.jsonl`, which earlier samples begin, until the context ends.

    Args:
        folder: An existing folder.
        seconds: Time between two samples.
    """
    # the first call of a thread has nothing to measure since
    with repeated(lambda: _append(folder / SAMPLES, sample()), seconds, "load of the machine", psutil.cpu_percent):
        yield


def sample() -> dict[str, Any]:
    """The load now: time in milliseconds since 1970, and MLflow's names of system metrics with their values."""
    memory = psutil.virtual_memory()
    load = psutil.cpu_percent(), round(memory.used / MB), round(_resident() / MB)
    return {"time": int(time.time() * 1000), "load": dict(zip(NAMES, load, strict=True))}


def samples(folder: Path) -> list[dict[str, Any]]:
    """The samples of a folder; a line that a killed process left unfinished, or damaged, is no sample."""
    path, found = folder / SAMPLES, []
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines() if path.exists() else []:
        try:
            found.append(json.loads(line))
        except UNREADABLE:
            continue
    return [row for row in found if _is_sample(row)]


def _is_sample(row: Any) -> bool:
    load = row.get("load") if isinstance(row, dict) else None
    if not isinstance(load, dict) or "time" not in row or set(load) != set(NAMES):
        return False
    return all(type(one) in (int, float) and abs(one) <= LARGEST for one in (row["time"], *load.values()))


def _resident() -> int:
    """Resident memory of this process and its children in bytes."""
    own = psutil.Process(os.getpid())
    total = 0
    for process in [own, *own.children(recursive=True)]:
        try:
            total += int(process.memory_info().rss)
        except psutil.NoSuchProcess:
            continue
    return total


def _append(path: Path, row: dict[str, Any]) -> None:
    """Append a line in one write; without the folder, without room on the disk or to a link the sample is lost."""
    try:
        with open(path, "a", encoding="utf-8", opener=no_link) as handle:
            handle.write(json.dumps(row) + "\n")
    except (OSError, DataError):
        return
