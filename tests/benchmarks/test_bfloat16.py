"""Decoding in bfloat16 beside float32: time, and how many best hypotheses are others."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from rag_lightning.core.hardware import has_bfloat16
from rag_lightning.decoding import rag_token
from rag_lightning.decoding.encodings import Encodings
from rag_lightning.decoding.pair_store import PairStore
from rag_lightning.decoding.rag_sequence import decode_all
from rag_lightning.generator.likelihoods import doc_log_probs
from tests.benchmarks.rag_models import DEVICE, NoTokenizer, Paired, generator, rows
from tests.benchmarks.thorough import LENGTH, SOURCE

QUESTIONS, K, BEAMS, PAIRS = 24, 5, 4, 3
CHANGED = 0.1
"""Of a trained model, bound on the share of questions whose best hypothesis changes; random weights are unsure."""
pytestmark = [pytest.mark.benchmark, pytest.mark.slow, pytest.mark.timeout(7200)]


@pytest.mark.parametrize("formulation", ["rag_sequence", "rag_token"])
def test_bfloat16_against_float32(formulation: str, capsys: pytest.CaptureFixture[str], benchmark: Any) -> None:
    if not has_bfloat16(DEVICE.type):
        pytest.skip(f"{DEVICE} has no fast bfloat16")
    made = generator("mini")
    asked = rows(made, QUESTIONS, K, SOURCE)
    scores = torch.randn((QUESTIONS, K), generator=torch.Generator().manual_seed(1))
    said: dict[str, list[tuple[int, ...]]] = {}

    def decoded(dtype: str) -> None:
        encodings, how = Encodings(made, dtype), {"num_beams": BEAMS, "max_length": LENGTH}
        if formulation == "rag_token":
            pools = rag_token.decode(encodings, asked, doc_log_probs(scores), **how)  # type: ignore[arg-type]
        else:
            cells = decode_all(encodings, asked, scores.tolist(), PairStore(), ks=[K], strategies=["thorough"], **how)  # type: ignore[arg-type]
            pools = cells[K, "thorough"]
        said[dtype] = [pool[0].token_ids for pool in pools]

    paired = Paired.of(lambda: decoded("float32"), lambda: decoded("bfloat16"), PAIRS)
    changed = sum(a != b for a, b in zip(said["float32"], said["bfloat16"], strict=True))
    trained = not isinstance(made.tokenizer, NoTokenizer)
    assert not trained or changed <= CHANGED * QUESTIONS
    benchmark.extra_info |= {"times_faster": paired.ratio, "changed": changed, "questions": QUESTIONS}
    more = f"; best hypothesis changed for {changed} of {QUESTIONS} questions ({'trained' if trained else 'random'})"
    with capsys.disabled():
        print(paired.line(f"bfloat16 against float32, {formulation}, k={K}, beams {BEAMS}", more))
    benchmark.pedantic(decoded, args=("bfloat16",), rounds=1)
