"""Checks of the content of JSON files of runs and sweeps; every error names the file and the field."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rag_lightning.core.errors import DataError
from rag_lightning.metrics.metric import Estimate

LARGEST = 1 << 53
"""Largest whole number of a file of ours in size: those above are not exact as a float."""


def estimates_of(path: Path, raw: Any, where: str) -> dict[str, Estimate]:
    """Metric -> estimate, from the values in a file.

    Raises:
        DataError: it is missing or damaged.
    """
    if not isinstance(raw, dict):
        raise DataError(path, "is not a mapping of metrics", field=where, value=raw)
    return {name: estimate_of(path, value, f"{where}.{name}") for name, value in raw.items()}


def estimate_of(path: Path, raw: Any, where: str) -> Estimate:
    """One estimate, from the values in a file.

    Raises:
        DataError: it is missing or damaged.
    """
    if not isinstance(raw, dict):
        raise DataError(path, "is not an estimate", field=where, value=raw)
    mean = float(need(path, raw, "mean", (int, float), where))
    if "low" in raw and "high" in raw and raw["low"] is None and raw["high"] is None:
        low = high = None  # a metric of all examples whose parts do not add up
    else:
        low, high = (float(need(path, raw, name, (int, float), where)) for name in ("low", "high"))
    clusters = float(need(path, raw, "clusters", (int, float), where)) if raw.get("clusters") is not None else None
    return Estimate(mean, low, high, int(need(path, raw, "n", int, where)), str(raw.get("unit", "")), clusters)


def need(path: Path, raw: Any, name: str, kind: type | tuple[type, ...], where: str = "") -> Any:
    """The value of a field, checked for its type, and a whole number for its size.

    Raises:
        DataError: it is missing or damaged.
    """
    full = f"{where}.{name}" if where else name
    value = raw.get(name) if isinstance(raw, dict) else None
    if isinstance(value, bool) or not isinstance(value, kind):
        problem = "is missing" if value is None else "has the wrong type"
        raise DataError(path, problem, field=full, value=value)
    if isinstance(value, int) and abs(value) > LARGEST:
        raise DataError(path, "is too large a number", field=full, value=value)
    return value
