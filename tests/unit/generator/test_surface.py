"""Pieces become the characters of a passage, or are joined by rules."""

from __future__ import annotations

import unicodedata
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from rag_lightning.core.records import Passage
from rag_lightning.generator.surface import Surface, join_pieces

BENIN = Passage(
    "1", "Benin", "The capital is Porto-Novo (1,951 in the census); Cotonou is larger. São Tomé's $4.5 river."
)
OTHER = Passage("2", "", "PORTO-NOVO")


@pytest.fixture(scope="module")
def tokenizer(bert_folder: Path) -> Any:
    return AutoTokenizer.from_pretrained(bert_folder)


@pytest.fixture(scope="module")
def surface(tokenizer: Any) -> Surface:
    return Surface(tokenizer)


def ids(tokenizer: Any, text: str) -> list[int]:
    """What the decoder would write: pieces and the end token."""
    return [*tokenizer(text, add_special_tokens=False)["input_ids"], tokenizer.sep_token_id]


@pytest.mark.parametrize(
    ("written", "raw", "wanted"),
    [
        ("porto-novo", "porto - novo", "Porto-Novo"),
        ("1,951", "1, 951", "1,951"),
        ("sao tome", "sao tome", "São Tomé"),
        ("benin", "benin", "Benin"),
        ("benin. the", "benin. the", "Benin. The"),
        ("river.", "river.", "river."),
    ],
)
def test_the_passages_own_characters_are_returned(
    tokenizer: Any, surface: Surface, written: str, raw: str, wanted: str
) -> None:
    assert surface.raw(ids(tokenizer, written)) == raw
    assert surface.realise(ids(tokenizer, written), [BENIN]) == wanted


def test_the_first_passage_that_holds_the_pieces_decides(tokenizer: Any, surface: Surface) -> None:
    written = ids(tokenizer, "porto-novo")
    assert surface.realise(written, [OTHER, BENIN]) == "PORTO-NOVO"
    assert surface.realise(written, [Passage("3", "", "rome"), BENIN, OTHER]) == "Porto-Novo"


@pytest.mark.parametrize("text", ["ROMEs and rome1", "XROME", "1,9510", "01,951", "本ROME", "ROME本"])
def test_part_of_a_word_is_not_matched(tokenizer: Any, surface: Surface, text: str) -> None:
    written = "rome" if "ROME" in text else "1,951"
    assert surface.realise(ids(tokenizer, written), [Passage("1", "", text)]) == written


def test_a_whole_word_after_part_of_a_word_is_matched(tokenizer: Any, surface: Surface) -> None:
    assert surface.realise(ids(tokenizer, "rome"), [Passage("1", "", "ROMEs of Rome")]) == "Rome"


def test_a_decomposed_accent_at_the_end_is_kept(tokenizer: Any, surface: Surface) -> None:
    text = unicodedata.normalize("NFD", "São Tomé is")
    assert surface.realise(ids(tokenizer, "sao tome"), [Passage("1", "", text)]) == text[: -len(" is")]


def test_pieces_in_no_passage_are_joined_by_rules(tokenizer: Any, surface: Surface) -> None:
    assert surface.realise(ids(tokenizer, "Paris-Rome"), [BENIN]) == "paris-rome"
    assert surface.realise(ids(tokenizer, "9,951.5"), []) == "9,951.5"


@pytest.mark.parametrize(
    ("pieces", "wanted"),
    [
        ("1, 951", "1,951"),
        ("1, 951, 000. 5", "1,951,000.5"),
        ("10 : 30", "10:30"),
        ("porto - novo", "porto-novo"),
        ("ac / dc", "ac/dc"),
        ("o ' neill", "o'neill"),
        ("( rome )", "(rome)"),
        ("$ 5 %", "$5%"),
        ("paris , france", "paris, france"),
        ("may 4, paris", "may 4, paris"),
        ("1 2", "1 2"),
    ],
)
def test_join_rules(pieces: str, wanted: str) -> None:
    assert join_pieces(pieces) == wanted


def test_nothing_but_special_tokens_is_the_empty_string(tokenizer: Any, surface: Surface) -> None:
    assert surface.realise([tokenizer.cls_token_id, tokenizer.sep_token_id], [BENIN]) == ""


@settings(deadline=None, max_examples=60)
@given(st.data())
def test_any_run_of_whole_words_survives_the_round_trip(surface: Surface, tokenizer: Any, data: st.DataObject) -> None:
    words = ["Porto-Novo", "(1,951", "Tomé's", "Rome.", "$4.5", "river;", "X", "2-0"]
    text = data.draw(st.lists(st.sampled_from(words), min_size=1, max_size=8))
    start = data.draw(st.integers(0, len(text) - 1))
    answer = " ".join(text[start : data.draw(st.integers(start + 1, len(text)))])
    found = surface.realise(ids(tokenizer, answer), [Passage("1", "", " ".join(text))])
    assert found == answer


def test_a_tokenizer_that_decodes_exactly_is_left_alone() -> None:
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    model = Tokenizer(models.BPE(vocab={c: i for i, c in enumerate(alphabet)}, merges=[]))
    model.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    model.decoder = decoders.ByteLevel()
    surface = Surface(PreTrainedTokenizerFast(tokenizer_object=model))
    assert surface.exact
    written = surface.tokenizer("porto-novo")["input_ids"]
    assert surface.realise(written, [BENIN]) == "porto-novo", "cased pieces say what they mean"


def test_an_uncased_tokenizer_is_not_taken_for_exact(surface: Surface) -> None:
    assert not surface.exact
