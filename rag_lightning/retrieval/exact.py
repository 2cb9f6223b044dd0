"""Exact search on the device of the models: matrix products by blocks of vectors, with the best k so far.

On a CPU the flat index of FAISS is used instead (index/flat.py), and scores agree with its up to the order of sums.
Equal scores come in the order of their rows, whatever the sizes of batches and blocks; FAISS orders them so too, but
which of those that are equal to the k-th it finds is left to it.

Blocks of vectors stay on the device as far as they fit; the others are copied there for each search.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from rag_lightning.core.errors import ConfigError
from rag_lightning.index.checks import check_queries
from rag_lightning.index.index import Floats, Rows
from rag_lightning.largest import best

BLOCK = 1 << 16
"""Vectors of a matrix product."""
QUERIES = 256
"""Queries of a matrix product: with BLOCK a bound of memory, 64 MiB of scores and eight times that to rank them."""
KEPT = 0.5
"""Share of the free memory of a GPU that vectors may take."""


class ExactSearch:
    """Search for the rows with the largest inner products.

    Args:
        vectors: [N, D] float32, memory-mapped, finite.
        device: Device of the search.
        kept_bytes: Bytes of vectors that stay on the device; None for half of what is free there.

    Raises:
        ConfigError: no vectors.
    """

    def __init__(self, vectors: Floats, device: str, kept_bytes: int | None = None) -> None:
        if not len(vectors):
            raise ConfigError("exact search needs at least one vector")
        self._vectors, self._device = vectors, torch.device(device)
        self._left = kept_bytes
        self._kept: dict[int, Tensor] = {}

    @property
    def ntotal(self) -> int:
        """Number of vectors N."""
        return len(self._vectors)

    @property
    def dim(self) -> int:
        """Size D of a vector."""
        return int(self._vectors.shape[1])

    def search(self, queries: Floats, k: int) -> tuple[Floats, Rows]:
        """queries [Q, D] -> (scores [Q, k] descending, rows [Q, k]); missing results have row -1, score -inf.

        Raises:
            ConfigError: k is below 1.
            DataError: queries of another width, or not finite.
        """
        check_queries(queries, self.dim)
        if k < 1:
            raise ConfigError(f"k is {k}; choose at least 1")
        scores, rows = self.find(torch.from_numpy(np.ascontiguousarray(queries)).to(self._device), k)
        return scores.cpu().numpy(), rows.cpu().numpy()

    @torch.inference_mode()
    def find(self, queries: Tensor, k: int) -> tuple[Tensor, Tensor]:
        """`search` for queries [Q, D] on the device, whose results stay there."""
        parts = [self._best(part.float(), k) for part in torch.split(queries.detach(), QUERIES)]
        scores, rows = (torch.cat(found) for found in zip(*parts, strict=True))
        return scores, rows

    def _best(self, queries: Tensor, k: int) -> tuple[Tensor, Tensor]:
        scores = queries.new_empty((len(queries), 0))
        rows = torch.empty((len(queries), 0), dtype=torch.long, device=queries.device)
        for start, block in self._blocks():
            here = torch.arange(start, start + len(block), device=queries.device).expand(len(queries), -1)
            rows = torch.cat([rows, here], dim=1)  # equal scores so far are in the order of their rows
            scores, at = best(torch.cat([scores, queries @ block.T], dim=1), min(k, rows.shape[1]))
            rows = rows.gather(1, at)
        missing = k - rows.shape[1]
        return F.pad(scores, (0, missing), value=-torch.inf), F.pad(rows, (0, missing), value=-1)

    def _blocks(self) -> Iterator[tuple[int, Tensor]]:
        """First row and vectors [BLOCK, D] on the device of each block."""
        if self._left is None:  # at the first search, when a process among several has its own device
            self._left = self._free()
        for start in range(0, len(self._vectors), BLOCK):
            block = self._kept.get(start)
            if block is None:
                copied = np.array(self._vectors[start : start + BLOCK], dtype=np.float32)
                block = torch.from_numpy(copied).to(self._device)
                if block.nbytes <= self._left:
                    self._left -= block.nbytes
                    self._kept[start] = block
            yield start, block

    def _free(self) -> int:
        """Bytes that vectors may take; on a device other than CUDA, whose memory nobody tells, none."""
        return int(torch.cuda.mem_get_info(self._device)[0] * KEPT) if self._device.type == "cuda" else 0
