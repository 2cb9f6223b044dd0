"""The words of BM25 by language."""

from __future__ import annotations

from pathlib import Path

import pytest
import Stemmer
from bm25s.tokenization import _infer_stopwords

from rag_lightning.config.data import CorpusConfig
from rag_lightning.config.experiment import ExperimentConfig
from rag_lightning.config.languages import LANGUAGES
from rag_lightning.config.retrieval import BM25Config
from rag_lightning.core.errors import UnknownNameError
from rag_lightning.core.records import Passage
from rag_lightning.retrieval.bm25 import BM25Retriever
from rag_lightning.retrieval.words import WordRule, rule_of, rule_of_questions


def words(language: str, text: str, stemmer: str = "") -> list[str]:
    return WordRule(language, stemmer).words([text])[0]


@pytest.mark.parametrize(
    ("language", "text", "wanted"),
    [
        ("chinese", "北京是首都，Python语言１２。", ["北京", "京是", "是首", "首都", "python", "语言", "12"]),
        ("chinese", "水。x", ["水"]),
        ("japanese", "データ、ﾃﾞｰﾀ", ["デー", "ータ", "デー", "ータ"]),
        ("korean", "서울은 수도", ["서울", "울은", "수도"]),
        ("thai", "แข็งแรง", ["แข็", "ข็ง", "งแ", "แร", "รง"]),
        ("none", "Xin chào Việt Nam", ["xin", "chào", "việt", "nam"]),
        ("none", "Vie\u0302\u0323t", ["việt"]),
        ("hindi", "राजधानी है", ["राजधानी", "है"]),
        ("german", "Die Häuser und der Fluß", ["häuser", "fluß"]),
        ("turkish", "İzmir ve Irmak", ["izmir", "ırmak"]),
        ("english", "The Rivers of Rome", ["rivers", "rome"]),
    ],
)
def test_texts_are_cut_by_the_rule_of_their_language(language: str, text: str, wanted: list[str]) -> None:
    assert words(language, text) == wanted


def test_latin_words_are_the_same_by_every_rule() -> None:
    text = "A river_bed, 42 towns; it's 7 o'clock"
    assert words("none", text) == words("chinese", text) == WordRule(stemmer="", stopwords=False).words([text])[0]


def test_every_language_has_what_it_names() -> None:
    for name, language in LANGUAGES.items():
        assert not language.stemmer or language.stemmer in Stemmer.algorithms(), name
        assert not language.stopwords or _infer_stopwords(language.stopwords), name


def test_words_are_stemmed_by_the_language_unless_a_stemmer_is_given() -> None:
    german = ExperimentConfig(corpus=CorpusConfig(language="german"))
    assert rule_of(ExperimentConfig()) == WordRule("english", "english")
    assert rule_of(german).words(["Die Häuser der Flüsse"]) == [["haus", "fluss"]]
    assert rule_of_questions(german).words(["Die Häuser"]) == [["die", "haus"]]
    unstemmed = ExperimentConfig(corpus=german.corpus, bm25=BM25Config(stemmer=""))
    assert rule_of(unstemmed).words(["Die Häuser"]) == [["häuser"]]
    assert rule_of(ExperimentConfig(bm25=BM25Config(stemmer="porter"))) == WordRule("english", "porter")
    with pytest.raises(UnknownNameError, match="did you mean 'english'"):
        rule_of(ExperimentConfig(bm25=BM25Config(stemmer="englisch")))


def test_passages_whose_words_the_rule_does_not_see_are_counted(tmp_path: Path) -> None:
    passages = [
        Passage("0", "Tokyo", "Tokyo (東京) is a city."),
        Passage("1", "", "東京は日本の首都です。"),
        Passage("2", "", "of the"),
    ]
    built = BM25Retriever.build(BM25Config(), passages, WordRule())
    assert built.save(tmp_path)["unseen"] == built.unseen == 2
    assert BM25Retriever.build(BM25Config(), passages, WordRule("japanese", "")).unseen == 0


def test_words_are_numbered_in_their_order() -> None:
    """bm25s numbers stems by a set, whose order is another in every process."""
    found = WordRule().index(["rivers of rome", "the porto river", "paris"])
    assert found.vocab == {"pari": 0, "porto": 1, "river": 2, "rome": 3}
    assert [list(row) for row in found.ids] == [[2, 3], [1, 2], [0]]
