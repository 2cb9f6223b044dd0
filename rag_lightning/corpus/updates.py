"""A corpus with some passages removed and others added."""

from __future__ import annotations

from collections.abc import Sequence

from rag_lightning.core.numbering import Left
from rag_lightning.core.records import Passage
from rag_lightning.corpus.store import PassageStore


class UpdatedStore(PassageStore):
    """What is left of a base corpus in its order, then the added passages; nothing is copied.

    Args:
        base: The base corpus.
        left: Its rows that are left.
        added: Passages, of whose ids none is left in the base.
    """

    def __init__(self, base: PassageStore, left: Left, added: Sequence[Passage]) -> None:
        self.path, self._base, self._left, self._added = base.path, base, left, tuple(added)
        self._rows = {passage.passage_id: len(left) + place for place, passage in enumerate(self._added)}

    def __reduce__(self) -> tuple[type[UpdatedStore], tuple[PassageStore, Left, tuple[Passage, ...]]]:  # type: ignore[override]
        return UpdatedStore, (self._base, self._left, self._added)

    def __len__(self) -> int:
        return len(self._left) + len(self._added)

    def __getitem__(self, row: int) -> Passage:
        """The passage of a row; IndexError outside 0..N-1."""
        if not 0 <= row < len(self):
            raise IndexError(f"row {row} is not in a corpus of {len(self)} passages")
        return self._base[self._left.row(row)] if row < len(self._left) else self._added[row - len(self._left)]

    def find(self, passage_id: str) -> int | None:
        """The row of a passage id, or None."""
        if passage_id in self._rows:
            return self._rows[passage_id]
        row = self._base.find(passage_id)
        return None if row is None else self._left.number(row)
