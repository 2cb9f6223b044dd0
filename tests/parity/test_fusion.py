"""FiD against transformers' BART over the encoder states of all passages, and a penalty within a beam search."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
import torch
from transformers.modeling_outputs import BaseModelOutput

from rag_lightning.decoding import fusion, rag_sequence
from rag_lightning.decoding.encodings import Encodings
from rag_lightning.decoding.pair_store import PairStore
from rag_lightning.generator.inputs import pad_ids
from rag_lightning.generator.seq2seq import Seq2SeqGenerator
from tests.parity.test_decoding import LENGTH, SETTINGS, stripped

TARGETS = torch.tensor([[4, 5, 3, 0], [6, 6, 4, 3]])


@pytest.fixture(scope="module")
def ending(toy: Seq2SeqGenerator) -> Seq2SeqGenerator:
    """A copy of the toy model that ends early often, so that hypotheses are of several lengths."""
    generator = copy.deepcopy(toy)
    generator.model.final_logits_bias[:, 3] += 3.0
    return generator


def together(toy: Seq2SeqGenerator, case: Any, k: int = 3) -> tuple[BaseModelOutput, torch.Tensor]:
    """Encoder states [2, k * S, D] of k passages, with the padding of each between them, and their mask."""
    kept = [3 * i + z for i in range(2) for z in range(k)]
    ids, mask = case.ids[kept], case.mask[kept]
    states = toy.model.get_encoder()(input_ids=ids, attention_mask=mask).last_hidden_state
    return BaseModelOutput(last_hidden_state=states.reshape(2, -1, states.shape[-1])), mask.reshape(2, -1)


@torch.no_grad()
def test_log_probs_equal_a_direct_forward(toy: Seq2SeqGenerator, case: Any) -> None:
    states, mask = together(toy, case)
    inputs = toy.decoder_inputs(TARGETS)
    logits = toy.model(encoder_outputs=states, attention_mask=mask, decoder_input_ids=inputs).logits
    theirs = logits.log_softmax(-1).gather(-1, TARGETS.unsqueeze(-1)).squeeze(-1)
    scored = TARGETS.ne(toy.pad_id)
    sources = [toy.source_ids(pairs) for pairs in case.questions]
    ours = toy.fused_log_probs(sources, TARGETS, scored=scored)
    torch.testing.assert_close(ours, theirs.masked_fill(~scored, 0.0), atol=1e-5, rtol=0)
    assert not torch.allclose(ours[0], toy.fused_log_probs([sources[0][:1]], TARGETS[:1], scored=scored[:1])[0])


@torch.no_grad()
@pytest.mark.parametrize("k", [1, 2, 3])
@pytest.mark.parametrize("beams", [1, 4])
def test_search_equals_generate(ending: Seq2SeqGenerator, case: Any, beams: int, k: int) -> None:
    states, mask = together(ending, case, k)
    made = ending.model.generate(
        encoder_outputs=states,
        attention_mask=mask,
        num_beams=beams,
        num_return_sequences=beams,
        do_sample=False,
        return_dict_in_generate=True,
        output_scores=True,
        **SETTINGS,
    )
    cut = [pairs[:k] for pairs in case.questions]
    pools = fusion.decode(Encodings(ending), cut, num_beams=beams, max_length=LENGTH)
    assert [h.token_ids for pool in pools for h in pool] == stripped(made.sequences)
    assert beams == 1 or len({len(h.token_ids) for pool in pools for h in pool}) > 1
    if beams > 1:
        found = [h.log_prob for pool in pools for h in pool]
        np.testing.assert_allclose(found, made.sequences_scores, atol=1e-5)


@torch.no_grad()
@pytest.mark.parametrize("penalty", [-1.0, 1.0, 2.0])
def test_a_penalty_within_each_passages_search_is_that_of_generate(
    ending: Seq2SeqGenerator, case: Any, penalty: float
) -> None:
    pairs = [pair for listed in case.questions for pair in listed]
    ids, mask = pad_ids(ending.source_ids(pairs), ending.pad_id)
    settings = {**SETTINGS, "length_penalty": penalty, "num_beams": 4, "num_return_sequences": 4, "do_sample": False}
    made = ending.model.generate(ids, attention_mask=mask, return_dict_in_generate=True, output_scores=True, **settings)
    encodings = Encodings(ending)
    pools, plain = (
        rag_sequence.search_pairs(encodings, encodings.memory(*encodings.keys(pairs)), len(pairs), 4, LENGTH, value)
        for value in (penalty, 0.0)
    )
    assert [h.token_ids for pool in pools for h in pool] == stripped(made.sequences)
    ranked_by = [h.log_prob / len(h.token_ids) ** penalty for pool in pools for h in pool]
    np.testing.assert_allclose(ranked_by, made.sequences_scores, atol=1e-5, rtol=1e-6)
    assert pools != plain, "the case must leave a choice"


@torch.no_grad()
def test_thorough_with_that_penalty_reports_the_true_log_probs(ending: Seq2SeqGenerator, case: Any) -> None:
    def decoded(penalty: float) -> list[dict[tuple[int, ...], float]]:
        scores = case.doc_scores.tolist()
        found = rag_sequence.decode_all(
            Encodings(ending),
            case.questions,
            scores,
            PairStore(),
            ks=[3],
            strategies=["thorough"],
            num_beams=4,
            max_length=LENGTH,
            beam_penalty=penalty,
        )
        return [{h.token_ids: h.log_prob for h in pool} for pool in found[3, "thorough"]]

    for plain, kept in zip(decoded(0.0), decoded(1.0), strict=True):
        both = plain.keys() & kept.keys()
        assert both and plain.keys() != kept.keys()
        np.testing.assert_allclose([plain[y] for y in both], [kept[y] for y in both], atol=1e-6)
