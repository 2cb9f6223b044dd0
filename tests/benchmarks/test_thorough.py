"""RAG-Sequence Thorough, ours against transformers' `RagSequenceForGeneration.generate`: same weights, same output."""

from __future__ import annotations

import time
from statistics import median
from typing import Any

import pytest
import torch
from transformers import AutoModel, BartConfig, BartForConditionalGeneration, BertConfig, RagConfig
from transformers import RagSequenceForGeneration as Reference

from rag_lightning.decoding import rag_sequence
from rag_lightning.decoding.encodings import Encodings
from rag_lightning.decoding.pair_store import PairStore
from rag_lightning.generator.bart_steps import BartSteps
from rag_lightning.generator.marginal import doc_log_probs

K, SOURCE, LENGTH, PAIRS = 10, 96, 8, 3


class Ids:
    """A generator whose pairs are rows of token ids already."""

    def __init__(self, model: Any) -> None:
        self.model, self.pad_id, self.start_id, self.eos_id = model, 1, 0, 2

    def eval(self) -> Ids:
        self.model.eval()
        return self

    def steps(self) -> BartSteps:
        return BartSteps(self.model)

    def frozen_encoder(self, dtype: torch.dtype) -> Any:
        return self.model.model.encoder

    def source_ids(self, pairs: Any) -> list[list[int]]:
        return [list(row) for row in pairs]

    def decoder_inputs(self, targets: torch.Tensor) -> torch.Tensor:
        return torch.cat([torch.full_like(targets[..., :1], self.start_id), targets[..., :-1]], dim=-1)


@pytest.fixture(scope="module")
def models() -> tuple[Ids, Any]:
    torch.manual_seed(0)
    torch.set_num_threads(1)
    config = BartConfig(
        vocab_size=8000,
        d_model=256,
        encoder_layers=4,
        decoder_layers=3,
        encoder_attention_heads=8,
        decoder_attention_heads=8,
        encoder_ffn_dim=1024,
        decoder_ffn_dim=1024,
        init_std=0.3,
        decoder_start_token_id=0,
        forced_eos_token_id=None,
        bos_token_id=0,
    )
    bart = BartForConditionalGeneration(config).eval()
    question = AutoModel.from_config(
        BertConfig(vocab_size=50, hidden_size=32, num_hidden_layers=1, num_attention_heads=2)
    )
    rag = RagConfig.from_question_encoder_generator_configs(question.config, config, n_docs=K, vocab_size=8000)
    return Ids(bart), Reference(config=rag, question_encoder=question, generator=bart).eval()


def test_thorough_against_transformers(
    models: tuple[Ids, Any], benchmark: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    """Median ratio of interleaved pairs, one thread; the best hypotheses agree."""
    ours, reference = models
    pairs = torch.randint(3, 8000, (K, SOURCE))
    scores = torch.randn(1, K)

    def theirs() -> list[int]:
        found = reference.generate(
            context_input_ids=pairs,
            context_attention_mask=torch.ones_like(pairs),
            doc_scores=scores,
            n_docs=K,
            num_beams=1,
            max_length=LENGTH + 1,
            num_return_sequences=1,
            do_deduplication=True,
        )
        return [token for token in found[0].tolist() if token not in (0, 1)]

    def mine() -> list[int]:
        encodings = Encodings(ours)  # type: ignore[arg-type]
        rows = [tuple(row) for row in pairs.tolist()]
        (matrix,) = rag_sequence.matrices(encodings, [rows], PairStore(), num_beams=1, max_length=LENGTH)  # type: ignore[list-item]
        best = rag_sequence.decode(matrix, doc_log_probs(scores)[0].numpy(), "thorough")[0]
        return [token for token in best.token_ids if token != 0]

    assert mine()[: LENGTH - 1] == theirs()[: LENGTH - 1]
    ratios = []
    for _ in range(PAIRS):
        started = time.perf_counter()
        theirs()
        middle = time.perf_counter()
        mine()
        ratios.append((middle - started) / (time.perf_counter() - middle))
    benchmark.extra_info["times_faster_than_transformers"] = round(median(ratios), 2)
    with capsys.disabled():
        ratio = f"{median(ratios):.1f} times faster than transformers (median of {PAIRS} pairs)"
        print(f"\nThorough, K={K}, greedy: {ratio}")
    benchmark.pedantic(mine, rounds=2)
