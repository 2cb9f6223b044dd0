"""Which cells can run here: where the scale needs it, the hub is there, and so are files of the user's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from rag_lightning.core.errors import ConfigError
from rag_lightning.core.experiments_config import ClaimsConfig, MatrixConfig
from rag_lightning.core.hub import cached_commit, hub_reachable
from rag_lightning.core.loading import merged
from rag_lightning.experiments.matrix import Cell, Matrix

NO_HUB = "the hub cannot be reached, and nothing was fetched from it"
FETCHED = "facebook/bart-large"
"""The model that every experiment of scale paper needs."""
NO_FILES = "needs passages and questions of your own: give corpus and train"


def reachable(matrix: Matrix, cells: Sequence[Cell], config: MatrixConfig | ClaimsConfig) -> list[Cell]:
    """The same cells, with the user's files where they are about those, and a reason where they cannot run here.

    Raises:
        ConfigError: files for cells that are about none.
    """
    wanted = [cell.name for cell in cells if _own_files(matrix, cell)]
    if (config.corpus or config.train) and not wanted:
        scales = ", ".join(name for name, row in matrix.scales.items() if row.own_files)
        raise ConfigError(f"corpus and train go with a scale that is about files of your own: {scales}")
    return _on_the_hub([with_files(cell, config) if cell.name in wanted else cell for cell in cells])


def with_files(cell: Cell, config: MatrixConfig | ClaimsConfig) -> Cell:
    """A cell that is about the user's files."""
    if not (config.corpus and config.train):
        return replace(cell, skip=cell.skip or NO_FILES)
    files = {"corpus": {"source": config.corpus}, "task": {"train": list(config.train)}}
    return replace(cell, values=merged(cell.values, files))


def _own_files(matrix: Matrix, cell: Cell) -> bool:
    return cell.scale in matrix.scales and matrix.scales[cell.scale].own_files


def _on_the_hub(cells: Sequence[Cell]) -> list[Cell]:
    """Those of scale paper cannot run where neither the hub nor what was fetched from it is there."""
    wanted = any(cell.scale == "paper" and not cell.skip for cell in cells)
    if not wanted or cached_commit(FETCHED, "model") or hub_reachable():
        return list(cells)
    return [replace(cell, skip=cell.skip or NO_HUB) if cell.scale == "paper" else cell for cell in cells]
