"""Templates, cutting, padding and targets."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from transformers import AutoTokenizer
from transformers.models.rag.retrieval_rag import RagRetriever

from rag_lightning.core.errors import ConfigError
from rag_lightning.core.records import Passage
from rag_lightning.generator.inputs import Pair, encode_pairs, encode_targets, hf_rag_text, pad_ids

PARIS = Passage("1", "Paris", "paris is the capital of france, the city in the river")
NAMELESS = Passage("2", "", "rome")
QUERY = "what is the capital of france?"


@pytest.fixture(scope="module")
def tokenizer(bert_folder: Path) -> Any:
    return AutoTokenizer.from_pretrained(bert_folder)


def test_ours_is_query_then_title_and_text(tokenizer: Any) -> None:
    rows = encode_pairs(tokenizer, [Pair(QUERY, PARIS), Pair(QUERY, None), Pair(QUERY, NAMELESS)], "ours", 48)
    assert [tokenizer.decode(row) for row in rows] == [
        "[CLS] what is the capital of france? [SEP] paris. paris is the capital of france, the city in the river [SEP]",
        "[CLS] what is the capital of france? [SEP]",
        "[CLS] what is the capital of france? [SEP] rome [SEP]",
    ]


@pytest.mark.parametrize("max_length", range(22, 42, 3))
def test_ours_cuts_the_passage_and_never_the_question(tokenizer: Any, max_length: int) -> None:
    question = tokenizer(QUERY)["input_ids"]
    (row,) = encode_pairs(tokenizer, [Pair(QUERY, PARIS)], "ours", max_length)
    assert row[: len(question)] == question
    whole = encode_pairs(tokenizer, [Pair(QUERY, PARIS)], "ours", 48)[0]
    assert len(row) == min(max_length, len(whole))
    assert row == [*whole[: len(row) - 1], tokenizer.sep_token_id]


def test_ours_refuses_a_question_that_leaves_no_room(tokenizer: Any) -> None:
    size = len(tokenizer(QUERY)["input_ids"])
    for passage in (PARIS, None):
        with pytest.raises(ConfigError, match=rf"what is the capital.*{size} tokens.*max_source_length={size + 7}"):
            encode_pairs(tokenizer, [Pair("rome", PARIS), Pair(QUERY, passage)], "ours", size + 7)
    assert len(encode_pairs(tokenizer, [Pair(QUERY, PARIS)], "ours", size + 8)[0]) == size + 8


@pytest.mark.parametrize(
    ("title", "text"),
    [
        ("Paris", "the  city"),
        ('"Paris"', "the city"),
        ('""Paris""', "a  b   c    d"),
        ("", "rome"),
        (" Rome ", " x // y "),
    ],
)
def test_hf_rag_is_the_string_of_transformers(tokenizer: Any, title: str, text: str) -> None:
    calls: list[list[str]] = []

    def spy(strings: list[str], **settings: Any) -> Any:
        calls.append(strings)
        return tokenizer(strings, **settings)

    config = SimpleNamespace(title_sep=" / ", doc_sep=" // ", max_combined_length=16)
    retriever: Any = SimpleNamespace(config=config, generator_tokenizer=spy)
    docs = [{"title": [title], "text": [text]}]
    ids, mask = RagRetriever.postprocess_docs(retriever, docs, [QUERY], None, 1, return_tensors="pt")  # type: ignore[no-untyped-call]
    pair = Pair(QUERY, Passage("1", title, text))
    assert calls == [[hf_rag_text(pair)]]
    assert encode_pairs(tokenizer, [pair], "hf_rag", 16) == [ids[0][mask[0].bool()].tolist()]


def test_hf_rag_without_a_passage_is_the_query(tokenizer: Any) -> None:
    assert encode_pairs(tokenizer, [Pair(QUERY, None)], "hf_rag", 48) == [tokenizer(QUERY)["input_ids"]]


def test_no_pairs_give_no_rows(tokenizer: Any) -> None:
    assert encode_pairs(tokenizer, [], "ours", 48) == []


def test_pad_ids_pads_right_and_masks_by_length() -> None:
    ids, mask = pad_ids([[5, 0, 7], [6]], pad_id=9)
    assert ids.tolist() == [[5, 0, 7], [6, 9, 9]]
    assert mask.tolist() == [[1, 1, 1], [1, 0, 0]]


def test_targets_end_in_the_end_token_even_when_cut(tokenizer: Any) -> None:
    rome, paris = tokenizer.convert_tokens_to_ids(["rome", "paris"])
    rows = encode_targets(tokenizer, ["rome", "paris rome paris rome", ""], eos_id=3, max_length=3)
    assert rows == [[rome, 3], [paris, rome, 3], [3]]
