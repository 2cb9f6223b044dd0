"""Vectors drawn from a mixture that is fitted to real ones, for sizes that no real corpus at hand has.

Recipe: k-means cells of the real vectors, one for each `PER_CELL` of them; each cell keeps its share, its centre, its
`AXES` leading directions with their variances, and one variance for all other directions. A vector is a normal draw
from a cell that is drawn by its share, scaled to unit length if the real ones are. Queries are the real questions'.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rag_lightning.core import seeds
from rag_lightning.core.arrays import new_array
from rag_lightning.core.registry import LazyModule

faiss: Any = LazyModule("faiss")
Floats = NDArray[np.float32]
PER_CELL, AXES = 10, 32
"""Real vectors per cell, and directions of a cell that keep a variance of their own."""
BLOCK = 1 << 15
"""Vectors drawn at a time, each block by a generator of its own."""
RECIPE = PER_CELL, AXES, BLOCK
"""What the vectors depend on beside the real ones."""
UNIT = 1e-3
"""Largest distance of a length from 1 for vectors that count as of unit length."""


@dataclass(frozen=True)
class Mixture:
    """A mixture of normal distributions over vectors of width D.

    Args:
        shares: [C] share of each cell.
        centres: [C, D] mean of each cell.
        axes: [C, A, D] leading directions of each cell, scaled by the standard deviation along them.
        rest: [C] standard deviation along every other direction.
        unit: Whether vectors have unit length.
    """

    shares: NDArray[np.float64]
    centres: Floats
    axes: Floats
    rest: Floats
    unit: bool


def fit(vectors: Floats, cells: int = 0) -> Mixture:
    """The mixture of real vectors [N, D].

    Args:
        vectors: The vectors, may be memory-mapped.
        cells: Number of cells; 0 for N / `PER_CELL`.
    """
    count, width = vectors.shape
    cells = cells or max(1, count // PER_CELL)
    clustered = faiss.Kmeans(width, cells, niter=10, seed=0, min_points_per_centroid=1, max_points_per_centroid=count)
    clustered.train(np.ascontiguousarray(vectors))
    labels = clustered.index.search(np.ascontiguousarray(vectors), 1)[1][:, 0]
    axes = np.zeros((cells, AXES, width), np.float32)
    centres, rest, sizes = np.zeros((cells, width), np.float32), np.zeros(cells, np.float32), np.zeros(cells)
    for cell in range(cells):
        members = np.asarray(vectors[labels == cell], np.float64)
        sizes[cell] = len(members)
        if len(members):
            centres[cell] = members.mean(axis=0)
            _spread(members - centres[cell], axes[cell], rest[cell : cell + 1])
    lengths = np.linalg.norm(vectors[: min(count, BLOCK)], axis=1)
    return Mixture(sizes / sizes.sum(), centres, axes, rest, bool(np.abs(lengths - 1).max() < UNIT))


def _spread(centred: NDArray[np.float64], axes: Floats, rest: Floats) -> None:
    """Fill in the scaled leading directions of a cell and the deviation along the others."""
    count, width = centred.shape
    if count < 2:
        return
    _, values, directions = np.linalg.svd(centred, full_matrices=False)
    variances = values**2 / (count - 1)
    kept = min(AXES, len(variances))
    axes[:kept] = directions[:kept] * np.sqrt(variances[:kept, None])
    rest[:] = math.sqrt(variances[kept:].sum() / max(width - kept, 1))


def draw(mixture: Mixture, count: int, file: Path, seed: int = 0) -> Floats:
    """Draw vectors into a .npy file; the first n of two draws with one seed are the same, blocks permitting.

    Returns:
        [count, D] float32, memory-mapped.
    """
    width = mixture.centres.shape[1]
    drawn = new_array(file, (count, width))
    for start in range(0, count, BLOCK):
        rng = seeds.generator(seed, f"generated vectors {start}")
        block = _block(mixture, rng, BLOCK)
        drawn[start : start + BLOCK] = block[: count - start]
    drawn.flush()
    return drawn


def _block(mixture: Mixture, rng: np.random.Generator, count: int) -> Floats:
    labels = rng.choice(len(mixture.shares), size=count, p=mixture.shares)
    made = mixture.centres[labels]
    made += rng.standard_normal(made.shape, dtype=np.float32) * mixture.rest[labels, None]
    along = rng.standard_normal((count, AXES), dtype=np.float32)
    order = np.argsort(labels, kind="stable")
    for cell, rows in zip(*_groups(labels[order], order), strict=True):
        made[rows] += along[rows] @ mixture.axes[cell]
    if mixture.unit:
        made /= np.linalg.norm(made, axis=1, keepdims=True)
    return made


def _groups(labels: NDArray[Any], order: NDArray[Any]) -> tuple[NDArray[Any], list[NDArray[Any]]]:
    """The cells that occur, and the places of each."""
    cells, starts = np.unique(labels, return_index=True)
    return cells, np.split(order, starts[1:])
