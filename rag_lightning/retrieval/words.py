"""The words of BM25: how texts of a language are cut, which words are left out, and which are stemmed.

English has the rule of bm25s: runs of two or more letters, digits and underscores. In other languages combining marks
belong to words too, and texts are normalised (NFKC), so that an accent or a vowel sign cuts none. Of scripts without
spaces pairs of neighbouring characters stand for words, and a single one for itself, as in Lucene's CJKAnalyzer
(https://lucene.apache.org/core/8_5_1/analyzers-common/org/apache/lucene/analysis/cjk/package-summary.html), here for
Thai, Lao, Khmer and Burmese too, and of characters as users see them (grapheme clusters).
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any

import regex

from rag_lightning.config.digesting import stemmer_of
from rag_lightning.config.experiment import ExperimentConfig
from rag_lightning.config.languages import ENGLISH, LANGUAGES
from rag_lightning.core.registry import LazyModule, check_name
from rag_lightning.core.scripts import UNSPACED, is_unspaced

bm25s: Any = LazyModule("bm25s")
stemmers: Any = LazyModule("Stemmer")
_PAIRED = rf"[[{UNSPACED}\p{{Hangul}}]&&[\p{{L}}\p{{M}}\p{{Nl}}]]"
_WORD = regex.compile(r"[\p{L}\p{M}\p{N}_]{2,}", regex.V1)
_WORD_OR_RUN = regex.compile(rf"(?P<run>{_PAIRED}+)|[[\p{{L}}\p{{M}}\p{{N}}_]--{_PAIRED}]{{2,}}", regex.V1)
_CHARACTER = regex.compile(r"\X")


@dataclass(frozen=True)
class WordRule:
    """The rule by which BM25 cuts texts into words.

    Args:
        language: One of `LANGUAGES`.
        stemmer: Snowball stemmer, empty for none.
        stopwords: Whether the language's stop words are left out.
    """

    language: str = ENGLISH
    stemmer: str = ENGLISH
    stopwords: bool = True

    def __post_init__(self) -> None:
        """Raise UnknownNameError for an unknown language or stemmer."""
        check_name("language", self.language, LANGUAGES)
        if self.stemmer:
            check_name("stemmer", self.stemmer, stemmers.algorithms())

    def index(self, texts: Sequence[str]) -> Any:
        """The words of all texts, numbered in their order; bm25s numbers stems by a set, another in every process."""
        found = self._tokenized(texts, True)
        vocabulary = {word: number for number, word in enumerate(sorted(found.vocab))}
        numbers = {found.vocab[word]: number for word, number in vocabulary.items()}
        return found._replace(ids=[[numbers[one] for one in row] for row in found.ids], vocab=vocabulary)

    def words(self, texts: Sequence[str]) -> list[list[str]]:
        """The words of each text, in its order."""
        found: list[list[str]] = self._tokenized(texts, False)
        return found

    def sees(self, text: str, words: Sequence[object]) -> bool:
        """Whether the words of a text are its words: there are any, and it is not one that needs another rule."""
        return bool(len(words)) and not (LANGUAGES[self.language].spaced and is_unspaced(text))

    @cached_property
    def _stemmer(self) -> Any:
        return stemmers.Stemmer(self.stemmer) if self.stemmer else None

    def _tokenized(self, texts: Sequence[str], numbered: bool) -> Any:
        cut: dict[str, Any] = {}
        given = list(texts)
        if self.language != ENGLISH:
            given, cut = [" ".join(self._cut(text)) for text in texts], {"token_pattern": r"\S+", "lower": False}
        return bm25s.tokenize(
            given,
            stopwords=(self.stopwords and LANGUAGES[self.language].stopwords) or None,
            stemmer=self._stemmer,
            return_ids=numbered,
            show_progress=False,
            **cut,
        )

    def _cut(self, text: str) -> Iterator[str]:
        for capital, small in LANGUAGES[self.language].capitals:
            text = text.replace(capital, small)
        text = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).lower())
        if LANGUAGES[self.language].spaced:
            yield from _WORD.findall(text)
            return
        for found in _WORD_OR_RUN.finditer(text):
            if found["run"] is None:
                yield found[0]
                continue
            characters = _CHARACTER.findall(found[0])
            yield from map("".join, pairwise(characters)) if characters[1:] else characters


def rule_of(config: ExperimentConfig) -> WordRule:
    """The rule of an experiment: corpus.language and bm25.stemmer."""
    return WordRule(config.corpus.language, stemmer_of(config))


def rule_of_questions(config: ExperimentConfig) -> WordRule:
    """The rule for questions that are searched for similar ones: all words of its language count."""
    language = config.corpus.language
    return WordRule(language, LANGUAGES[language].stemmer, stopwords=False)
