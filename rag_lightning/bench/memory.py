"""Memory of this process, its own and mapped, as Linux counts it."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Self

MIB = 1 << 20
STATUS = Path("/proc/self/status")
EACH = 0.005
"""Seconds between two samples of a peak."""


def memory() -> dict[str, float]:
    """MiB of this process that are its own (`anonymous`), and that are pages of files (`mapped`)."""
    lines = (line.split() for line in STATUS.read_text(encoding="ascii").splitlines())
    kib = {words[0]: int(words[1]) for words in lines if words and words[0].startswith("Rss")}
    return {"anonymous": kib["RssAnon:"] / 1024, "mapped": (kib["RssFile:"] + kib["RssShmem:"]) / 1024}


class Peak:
    """The largest own memory within a block, above that at its beginning; what was imported before does not count.

    The kernel keeps a peak of all pages only, of which those of mapped vectors would be most: a thread samples. FAISS
    and numpy let it run while they compute.

    Attributes:
        mib: The peak in MiB.
    """

    mib: float = 0.0

    def __enter__(self) -> Self:
        self._begun, self._ended = memory()["anonymous"], threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *raised: object) -> None:
        self._sample()
        self._ended.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._ended.wait(EACH):
            self._sample()

    def _sample(self) -> None:
        self.mib = max(self.mib, memory()["anonymous"] - self._begun)
