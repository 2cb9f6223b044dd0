"""Lexical retrieval with bm25s (Lucene's BM25, https://arxiv.org/abs/2407.03618) over title and text."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from rag_lightning.config.retrieval import BM25Config
from rag_lightning.core.errors import ArtifactError, ConfigError
from rag_lightning.core.files import write_json
from rag_lightning.core.records import Passage, passage_text
from rag_lightning.core.registry import LazyModule
from rag_lightning.index.checks import check_k
from rag_lightning.retrieval.retriever import ByText, Hits, Parts, QuestionRetriever, RetrieverKind, Searched
from rag_lightning.retrieval.words import WordRule

bm25s: Any = LazyModule("bm25s")
INFO_FILE = "retriever.json"


@dataclass(frozen=True)
class BM25(RetrieverKind):
    """The words of title and text."""

    title: ClassVar[str] = "BM25"
    searches: ClassVar[Searched] = ("bm25",)
    scale: ClassVar[Literal["encoder", "bm25", "configured", ""]] = "bm25"
    reads: ClassVar[tuple[str, ...]] = ("bm25.",)
    query: ClassVar[str] = "words"

    def open(self, parts: Parts) -> QuestionRetriever:
        """Retrieval by the words of the question."""
        return ByText(parts.bm25())


class BM25Retriever:
    """Ranks passages by the words they share with the query; passages that share none are not returned.

    Args:
        rule: What counts as a word.
        model: A fitted bm25s model.
        ntotal: Number of passages.
        unseen: How many of them hold no word by the rule, or are in a script whose words it does not see.
    """

    def __init__(self, rule: WordRule, model: Any, ntotal: int, unseen: int = 0) -> None:
        self.rule, self.model, self.ntotal, self.unseen = rule, model, ntotal, unseen

    @classmethod
    def build(cls, config: BM25Config, passages: Iterable[Passage], rule: WordRule) -> BM25Retriever:
        """Index title and text of every passage.

        Args:
            config: Fields k1 and b; the stemmer is the rule's.
            passages: The corpus.
            rule: What counts as a word.

        Raises:
            ConfigError: k1 < 0 or b outside 0..1, or no words at all.
        """
        if config.k1 < 0 or not 0 <= config.b <= 1:
            raise ConfigError(f"bm25 needs k1 >= 0 and 0 <= b <= 1 (got {config.k1}, {config.b})")
        texts = [passage_text(passage) for passage in passages]
        tokens = rule.index(texts)
        if not tokens.vocab or not any(len(ids) for ids in tokens.ids):
            raise ConfigError(
                f"bm25 cannot be built: the corpus holds no words beside stopwords (corpus.language={rule.language})"
            )
        model = bm25s.BM25(k1=config.k1, b=config.b, method="lucene")
        model.index(tokens, show_progress=False)
        unseen = sum(not rule.sees(text, ids) for text, ids in zip(texts, tokens.ids, strict=True))
        return cls(rule, model, len(texts), unseen)

    def retrieve(self, queries: Sequence[str], k: int) -> list[Hits]:
        """The k best rows of every query, fewer where fewer share a word; equal scores by lower row.

        Raises:
            ConfigError: k is below 1 or larger than the corpus.
        """
        check_k(k, self.ntotal)
        if not len(queries):
            return []
        return [best(scores, k) for scores in self.scores(queries)]

    def scores(self, queries: Sequence[str]) -> Iterator[NDArray[np.float32]]:
        """The scores [N] of all passages for each query; 0 where they share no word."""
        for words in self.rule.words(queries):
            indexed = [word for word in words if word in self.model.vocab_dict]
            found = self.model.get_scores(indexed) if indexed else np.zeros(self.ntotal)
            yield np.asarray(found, dtype=np.float32)

    def save(self, folder: Path) -> dict[str, Any]:
        """Write plain arrays and JSON (no pickle) into a folder; returns kind, ntotal, bytes and unseen."""
        self.model.save(str(folder), show_progress=False)
        info = {"kind": "bm25", "ntotal": self.ntotal}
        write_json(folder / INFO_FILE, info)
        size = sum(path.stat().st_size for path in folder.iterdir() if path.is_file())
        return {**info, "bytes": size, "unseen": self.unseen}

    @classmethod
    def load(cls, folder: Path, rule: WordRule) -> BM25Retriever:
        """Open what `save` wrote, memory-mapped.

        Args:
            folder: Folder of the files.
            rule: The rule that the passages were indexed by.

        Raises:
            ArtifactError: a file is missing or damaged.
        """
        try:
            info = json.loads((folder / INFO_FILE).read_text(encoding="utf-8"))
            model = bm25s.BM25.load(str(folder), mmap=True, show_progress=False, allow_pickle=False)
            _check(model, info["ntotal"])
            return cls(rule, model, info["ntotal"])
        except (FileNotFoundError, ValueError, KeyError, TypeError, EOFError) as error:
            raise ArtifactError(
                f"{folder}: bm25 files missing or damaged ({error}); remove it and build it again"
            ) from error


def _check(model: Any, ntotal: int) -> None:
    """Raise ValueError for a model of another number of passages, or a word without a place in it."""
    held, words = model.scores["num_docs"], len(model.scores["indptr"]) - 1
    if type(held) is not int or held != ntotal:
        raise ValueError(f"num_docs is {held!r}, not {ntotal}")
    for word, at in model.vocab_dict.items():
        if type(at) is not int or not 0 <= at < words + (word == ""):  # bm25s adds an empty word behind the last
            raise ValueError(f"the word {word!r} has no place")


def best(scores: NDArray[np.float32], k: int) -> Hits:
    """The k largest positive scores [N], ties to the lower row."""
    rows = np.flatnonzero(scores > 0)
    if len(rows) > k:
        least = np.partition(scores[rows], len(rows) - k)[len(rows) - k]
        rows = rows[scores[rows] >= least]
    rows = rows[np.lexsort((rows, -scores[rows]))][:k]
    return Hits(rows.astype(np.int64), scores[rows])
