"""Models kept between the predictions of one process, with the encodings they have made."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from rag_lightning.decoding.encodings import Encodings

LIMIT = 2
"""Models at a time."""


class Loaded:
    """Name of a model -> its encodings; the oldest leaves first, and all leave before a training takes their memory."""

    _kept: ClassVar[dict[str, Encodings]] = {}

    @classmethod
    def encodings(cls, name: str, make: Callable[[], Encodings]) -> Encodings:
        """Those of a model, made where they are not kept.

        Args:
            name: Of the model and the type of its numbers.
            make: Loads it.
        """
        if name not in cls._kept:
            while len(cls._kept) >= LIMIT:
                del cls._kept[next(iter(cls._kept))]
            cls._kept[name] = make()
        return cls._kept[name]

    @classmethod
    def clear(cls) -> None:
        """Keep none."""
        cls._kept.clear()
