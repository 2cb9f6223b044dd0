"""What `doctor --data` says about a corpus: its layout, its passages, and what is wrong with it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from rag_lightning.core.errors import DataError
from rag_lightning.core.hardware import cpu_count
from rag_lightning.core.scripts import is_unspaced
from rag_lightning.corpus.chunking import MAX_WORDS
from rag_lightning.corpus.passages import CorpusReading, read_passages
from rag_lightning.corpus.work import Work
from rag_lightning.doctor.table import Finding, detail_of, show

UNSPACED = "without spaces between words (set corpus.language)"


def find_corpus(path: Path) -> CorpusReading | None:
    """The file or folder as a corpus, None if it is none; only its first rows are read.

    Raises:
        DataError: a folder that is no corpus.
    """
    try:
        return read_passages(path, work=Work(cpu_count()))
    except DataError:
        if path.is_dir():
            raise
        return None


def describe_corpus(path: Path, corpus: CorpusReading) -> None:
    """Read a corpus and print its layout and size.

    Raises:
        DataError: the first fault, after it was printed.
    """
    show(path, [Finding("corpus.source", corpus.layout, detail_of(lambda: _examine(corpus)))])


def _examine(corpus: CorpusReading) -> str:
    counts = _Counts()
    for passage in corpus:
        words = len(passage.text.split())
        counts.passages += 1
        counts.untitled += not passage.title.strip()
        counts.unspaced += is_unspaced(passage.text)
        counts.long += words > MAX_WORDS
        counts.longest = max(counts.longest, words)
    return "; ".join([str(counts), *corpus.notes])


@dataclass
class _Counts:
    passages: int = 0
    untitled: int = 0
    unspaced: int = 0
    long: int = 0
    longest: int = 0

    def __str__(self) -> str:
        untitled = f"; {self.untitled:,} without a title" if self.untitled else ""
        long = f", {self.long:,} over {MAX_WORDS}" if self.long else ""
        unspaced = f"; {self.unspaced:,} {UNSPACED}" if self.unspaced else ""
        return f"{self.passages:,} passages{untitled}; the longest of {self.longest:,} words{long}{unspaced}"
