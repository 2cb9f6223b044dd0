"""Decoding against transformers' RAG, on inputs without padding and with its generation settings spelled out.

RagSequenceForGeneration.generate passes no attention mask, drops the generator's own generation settings and never
passes n_docs to rescoring; with `input_ids` it would retrieve.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from rag_lightning.decoding import rag_sequence, rag_token
from rag_lightning.decoding.encodings import Encodings
from rag_lightning.decoding.pair_store import PairStore
from rag_lightning.generator.likelihoods import doc_log_probs
from rag_lightning.generator.seq2seq import Seq2SeqGenerator

LENGTH = 5
SETTINGS = {
    "max_length": LENGTH + 1,  # theirs counts the start token
    "decoder_start_token_id": 2,
    "bos_token_id": 2,
    "eos_token_id": 3,
    "pad_token_id": 0,
    "forced_bos_token_id": None,
    "forced_eos_token_id": None,
    "early_stopping": False,
    "length_penalty": 0.0,
}


def stripped(rows: torch.Tensor) -> list[tuple[int, ...]]:
    """Without start token and padding after the end."""
    return [
        tuple(row[1 : row.index(3) + 1] if 3 in row else row[1:]) for row in ([int(t) for t in line] for line in rows)
    ]


def test_rag_token_greedy(toy: Seq2SeqGenerator, case: Any, transformers_rag: Callable[..., Any]) -> None:
    rows = transformers_rag("rag_token").generate(**case.inputs, num_beams=1, do_sample=False, **SETTINGS)
    pools = rag_token.decode(
        Encodings(toy), case.questions, doc_log_probs(case.doc_scores), num_beams=1, max_length=LENGTH
    )
    assert [pool[0].token_ids for pool in pools] == stripped(rows)


def test_rag_sequence_thorough(toy: Seq2SeqGenerator, even_case: Any, transformers_rag: Callable[..., Any]) -> None:
    model = transformers_rag("rag_sequence")
    matrices = rag_sequence.matrices(Encodings(toy), even_case.questions, PairStore(), num_beams=1, max_length=LENGTH)
    priors = doc_log_probs(even_case.doc_scores).numpy()
    found = [rag_sequence.decode(m, p, "thorough") for m, p in zip(matrices, priors, strict=True)]
    assert max(len(pool) for pool in found) > 1, "the case must leave a choice"
    rows = model.generate(**even_case.inputs, num_beams=1, do_sample=False, **SETTINGS)
    assert [pool[0].token_ids for pool in found] == stripped(rows)


def test_every_k_of_one_pass_is_thorough_with_that_many_passages(
    toy: Seq2SeqGenerator, even_case: Any, transformers_rag: Callable[..., Any]
) -> None:
    grid = rag_sequence.decode_all(
        Encodings(toy),
        even_case.questions,
        even_case.doc_scores.tolist(),
        PairStore(),
        ks=[1, 2, 3],
        strategies=["thorough", "fast"],
        num_beams=1,
        max_length=LENGTH,
    )
    for k in (1, 2, 3):
        kept = torch.tensor([3 * i + z for i in range(2) for z in range(k)])
        rows = transformers_rag("rag_sequence", n_docs=k).generate(
            context_input_ids=even_case.ids[kept],
            context_attention_mask=even_case.mask[kept],
            doc_scores=even_case.doc_scores[:, :k],
            num_beams=1,
            do_sample=False,
            **SETTINGS,
        )
        assert [pool[0].token_ids for pool in grid[k, "thorough"]] == stripped(rows)


@torch.no_grad()
@pytest.mark.parametrize("formulation", ["rag_sequence", "rag_token"])
def test_scores_of_hypotheses_equal_the_likelihood_of_transformers(
    toy: Seq2SeqGenerator, case: Any, transformers_rag: Callable[..., Any], formulation: str
) -> None:
    encodings, docs = Encodings(toy), doc_log_probs(case.doc_scores)
    if formulation == "rag_token":
        pools = rag_token.decode(encodings, case.questions, docs, num_beams=4, max_length=LENGTH)
    else:
        matrices = rag_sequence.matrices(encodings, case.questions, PairStore(), num_beams=4, max_length=LENGTH)
        pools = [rag_sequence.decode(m, p, "thorough") for m, p in zip(matrices, docs.numpy(), strict=True)]
    model = transformers_rag(formulation)
    for i, pool in enumerate(pools):
        for h in pool:
            if len(h.token_ids) == 1 and formulation == "rag_sequence":
                continue  # theirs drops the prior there, see test_likelihood
            own = slice(3 * i, 3 * i + 3)
            loss = model(
                context_input_ids=case.ids[own],
                context_attention_mask=case.mask[own],
                doc_scores=case.doc_scores[i : i + 1],
                labels=torch.tensor([[toy.start_id, *h.token_ids]]),
            ).loss
            np.testing.assert_allclose(h.log_prob, -float(loss), atol=1e-5)
