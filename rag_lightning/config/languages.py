"""The languages of corpora, and what BM25 does with their words.

Stemmers are those of Snowball as PyStemmer names them; stop words are the lists of bm25s.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

ENGLISH = "english"


@dataclass(frozen=True)
class Language:
    """What a language needs of BM25 and of the metrics.

    Args:
        stemmer: Snowball stemmer; empty for none.
        stopwords: bm25s's list of stop words; empty for none.
        spaced: Whether spaces stand between words. If not, BM25 takes pairs of characters for words, and answers are
            compared by character too (em_char, f1_char).
        capitals: Capitals whose small letter is another than Unicode's, and that letter.
    """

    stemmer: str = ""
    stopwords: str = ""
    spaced: bool = True
    capitals: tuple[tuple[str, str], ...] = ()


_LISTED = (
    "danish", "dutch", ENGLISH, "french", "german", "italian", "norwegian", "portuguese", "russian", "spanish",
    "swedish",
)  # fmt: skip
"""Languages with a stemmer and a list of stop words."""
_STEMMED = (
    "arabic", "armenian", "basque", "catalan", "czech", "esperanto", "estonian", "finnish", "greek", "hindi",
    "hungarian", "indonesian", "irish", "lithuanian", "nepali", "persian", "polish", "romanian", "serbian", "sesotho",
    "tamil", "yiddish",
)  # fmt: skip
"""Languages with a stemmer alone."""
_UNSPACED = ("burmese", "chinese", "japanese", "khmer", "korean", "lao", "thai")
"""Korean has spaces, but particles are written to their words; Lucene's CJKAnalyzer cuts it as it cuts the others, and
KorQuAD compares answers by character."""
LANGUAGES: Mapping[str, Language] = {
    **{name: Language(name, name) for name in _LISTED},
    **{name: Language(name) for name in _STEMMED},
    **{name: Language(spaced=False) for name in _UNSPACED},
    "turkish": Language("turkish", "turkish", capitals=(("İ", "i"), ("I", "ı"))),
    "none": Language(),
}
"""`none` stands for every other language with spaces between words."""
