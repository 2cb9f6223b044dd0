"""FiD encodes a pair once, searches a question once, and keeps to its budget of tokens."""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path

import pytest

from rag_lightning.core.errors import ConfigError
from rag_lightning.core.records import Passage
from rag_lightning.decoding import fusion
from rag_lightning.decoding.beam import Finished
from rag_lightning.decoding.encodings import Encodings
from rag_lightning.decoding.pair_store import PairStore
from rag_lightning.generator.causal import CausalGenerator
from rag_lightning.generator.inputs import Pair
from rag_lightning.generator.seq2seq import Seq2SeqGenerator
from tests.unit.decoding.conftest import LENGTH, QUERIES, TEXTS

PAIRS = [[Pair(q, Passage(t, "", t)) for t in TEXTS[: 2 + i]] for i, q in enumerate(QUERIES)]
"""Three questions with two, three and four passages."""


def decoded(encodings: Encodings, questions: list[list[Pair]], store: PairStore | None = None) -> list[list[Finished]]:
    return fusion.decode(encodings, questions, num_beams=3, max_length=LENGTH, store=store)


def limited(toy: Seq2SeqGenerator, limit: int) -> Seq2SeqGenerator:
    generator = copy.copy(toy)
    generator.config = replace(toy.config, max_fused_length=limit)
    return generator


def test_a_pair_is_encoded_once_and_a_question_searched_once(toy: Seq2SeqGenerator, tmp_path: Path) -> None:
    encodings = Encodings(toy)
    with PairStore(tmp_path / "pairs.sqlite") as store:
        first = decoded(encodings, PAIRS, store)
        assert (encodings.encoded, store.generated, store.reused) == (9, 9, 0)
        decoded(encodings, [PAIRS[2][:2]], store)
        assert (encodings.encoded, store.generated) == (9, 11), "another k is another search of the same states"
    with PairStore(tmp_path / "pairs.sqlite") as store:
        again = decoded(fresh := Encodings(toy), PAIRS, store)
        assert (fresh.encoded, store.generated, store.reused) == (0, 0, 9)
    assert again == first


def test_questions_are_split_by_their_tokens_and_alone_are_as_together(toy: Seq2SeqGenerator) -> None:
    longest = max(sum(map(len, toy.source_ids(pairs))) for pairs in PAIRS)
    whole, split = decoded(Encodings(toy), PAIRS), decoded(Encodings(limited(toy, longest)), PAIRS)
    for one, other in zip(whole, split, strict=True):
        assert [h.token_ids for h in one] == [h.token_ids for h in other]
        assert [h.log_prob for h in one] == pytest.approx([h.log_prob for h in other], rel=1e-5)
    with pytest.raises(
        ConfigError, match=rf"max_fused_length={longest - 1}: a question has {longest} tokens in 4 pass"
    ):
        decoded(Encodings(limited(toy, longest - 1)), PAIRS)


def test_a_decoder_only_generator_is_refused(toy_llama: CausalGenerator) -> None:
    with pytest.raises(ConfigError, match="fid needs a seq2seq generator"):
        decoded(Encodings(toy_llama), PAIRS)
