"""RAG (Lewis et al. 2020) as an experiment orchestrator: configs name a cell of a paper table, stages fill it.

>>> from rag_lightning import Experiment  # doctest: +SKIP
"""

from __future__ import annotations

import os
from importlib import import_module
from pathlib import Path
from typing import Any

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")  # before MLflow is imported: it would report its use
try:
    Path.home()
except RuntimeError:  # no HOME, and a user whom the system does not know: MLflow, matplotlib and others need a folder
    os.environ["HOME"] = os.getcwd()

__version__ = "0.1.0"
__all__ = ["Experiment", "__version__"]

_LAZY = {"Experiment": ("rag_lightning.runs.experiment", "Experiment")}


def __getattr__(name: str) -> Any:
    """Import the public API when it is first used: it brings torch, and `--help` must not."""
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, attribute = _LAZY[name]
    return getattr(import_module(module), attribute)


def __dir__() -> list[str]:
    return sorted(__all__)
