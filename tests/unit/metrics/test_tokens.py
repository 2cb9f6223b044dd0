"""The tokens of the generation metrics: spaCy's, the fallback's, and those in place of Stanford's."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag_lightning.core.files import read_json
from rag_lightning.metrics import tokens
from rag_lightning.metrics.tokens import english, english_by_rules, english_tokenizer, treebank


@pytest.fixture
def fresh() -> Iterator[None]:
    """The choice of a tokeniser is made anew, before and after."""
    for cached in (tokens._english_cut, english):
        cached.cache_clear()
    yield
    for cached in (tokens._english_cut, english):
        cached.cache_clear()


def test_english_is_spacy_s_named_with_its_version() -> None:
    pytest.importorskip("spacy", reason="the extra `generation` is not installed")
    assert english_tokenizer() == f"tokenised by spacy {version('spacy')}"
    assert english("The U.S. isn't  well-known, O'Brien (R&B)!") == (
        "the u.s. is n't  well - known , o'brien ( r&b ) !"
    ), "two spaces leave an empty token between two spaces"


def test_naming_the_tokeniser_does_not_load_it() -> None:
    code = (
        "import sys; from rag_lightning.metrics.rouge import ROUGE_L_MSMARCO as m; print(m.made_with(), *sys.modules)"
    )
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout.startswith("tokenised by "), done.stderr
    assert not {"spacy", "torch", "sacrebleu"} & set(done.stdout.split()[3:])


def test_without_spacy_the_fallback_is_named(fresh: None, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> str:
        raise PackageNotFoundError(name)

    monkeypatch.setattr(tokens, "version", missing)
    monkeypatch.setitem(sys.modules, "spacy", None)
    assert english_tokenizer().startswith("tokenised by fallback rules (spaCy is not installed")
    assert english("The U.S. isn't  well-known.") == "the u.s. is n't well - known ."


@pytest.mark.parametrize(
    "text",
    [
        "Who's the president of the U.S.?",
        "He paid $1,951.50, didn't he?",
        "Dr. J. R. O'Brien cannot sing R&B at 10:30.",
        "the mid-1990s and 2013–14 (both) were well-known…",
        "“Quoted” 'text' … and e.g. more!",
        "São Tomé's 20% -- it's 5 km away.",
        "",
    ],
)
def test_the_fallback_cuts_ordinary_text_as_spacy_does(text: str) -> None:
    spacy = pytest.importorskip("spacy", reason="the extra `generation` is not installed")
    assert english_by_rules(text) == [token.text for token in spacy.blank("en").tokenizer(text)]


@given(st.text(max_size=60))
def test_nothing_visible_is_lost_by_the_fallback(text: str) -> None:
    assert "".join(english_by_rules(text)) == "".join(text.split())


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Is this a great question?", "is this a great question"),
        ("\"He said: 'no'\" -- it's the end...", "he said no it 's the end"),
        ("A well-known (U.S.) city; don't go!", "a well-known -lrb- u.s. -rrb- city do n't go"),
        ("1,951 [or] {so} cannot", "1,951 -lsb- or -rsb- -lcb- so -rcb- can not"),
        (" ?! ", ""),
    ],
)
def test_treebank_tokens_have_no_punctuation(text: str, expected: str) -> None:
    assert " ".join(treebank(text)) == expected


@pytest.mark.parametrize("cut", [english, english_by_rules, treebank])
def test_long_text_is_cut_in_time(cut: object) -> None:
    assert callable(cut)
    started = time.process_time()
    for long in ("word " * 10_000, "a" * 10_000, "a.b'c-" * 2_000, ".a" * 5_000, "1," * 5_000):
        assert cut(long)
    assert time.process_time() - started < 10


@pytest.mark.skipif("RAG_DATA" not in os.environ, reason="RAG_DATA is not set")
def test_the_fallback_on_real_questions() -> None:
    spacy = pytest.importorskip("spacy", reason="the extra `generation` is not installed")
    articles = read_json(Path(os.environ["RAG_DATA"]) / "squad" / "test-v1.1.json.gz")["data"]
    listed = [q["question"].strip() for article in articles for p in article["paragraphs"] for q in p["qas"]]
    texts = [" ".join(text.split()) for text in listed[::5]]
    cut = spacy.blank("en").tokenizer
    same = sum(english_by_rules(text) == [token.text for token in cut(text)] for text in texts)
    assert len(texts) > 2_000 and same / len(texts) > 0.97
