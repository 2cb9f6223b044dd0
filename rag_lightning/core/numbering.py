"""The numbering of the rows that are left of a table, after some were removed."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.int64]


class Left:
    """The rows left of a table: their order stays, and they are numbered anew from 0.

    Args:
        count: Rows of the table.
        removed: Rows that are gone (tombstones).
    """

    def __init__(self, count: int, removed: Iterable[int] = ()) -> None:
        self.count, self.removed = count, np.array(sorted(removed), dtype=np.int64)
        self._before = self.removed - np.arange(len(self.removed))

    def __len__(self) -> int:
        return self.count - len(self.removed)

    def numbered(self, rows: Rows) -> Rows:
        """Rows of the table -> their new numbers; -1 for a removed row and for -1.

        >>> Left(5, [1, 3]).numbered(np.array([0, 1, 2, 4, -1])).tolist()
        [0, -1, 1, 2, -1]
        """
        gone = np.isin(rows, self.removed) | (rows < 0)
        return np.where(gone, -1, rows - np.searchsorted(self.removed, rows))

    def number(self, row: int) -> int | None:
        """The new number of a row of the table; None if it is removed."""
        found = int(self.numbered(np.array([row]))[0])
        return None if found < 0 else found

    def row(self, number: int) -> int:
        """The row of the table that has a new number.

        >>> [Left(5, [1, 3]).row(number) for number in range(3)]
        [0, 2, 4]
        """
        return number + int(np.searchsorted(self._before, number, side="right"))
