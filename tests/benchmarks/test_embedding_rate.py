"""Seconds to embed against tokens: the slope, and the hours that it gives for Wikipedia as DPR cut it.

Seconds are those of one core at work, so that other programs on the machine do not count.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rag_lightning.config.retrieval import EncoderConfig
from rag_lightning.core.hardware import has_bfloat16
from rag_lightning.retrieval.embed import embed_corpus
from rag_lightning.retrieval.encoders import TextEncoder
from tests.benchmarks.encoders import BASE, SHAPE, random_passages, save_encoder

WIKIPEDIA, TOKENS = 21_015_324, 134
"""Passages of DPR's Wikipedia, and tokens of a passage of 100 words with its title: the mean over wikipedia_2016."""
MINILM, LARGE = (64, 128, 256, 512), (16, 32, 64, 96)
REPEATS = 2
pytestmark = [pytest.mark.benchmark, pytest.mark.slow, pytest.mark.timeout(7200)]


def slope(encoder: TextEncoder, sizes: Sequence[int], dtype: Any, below: Path) -> tuple[float, float, float]:
    """Tokens a second from the slope, the share of the variance that a line explains, and seconds without any token."""
    tokens, seconds = [], []
    for at, size in enumerate([sizes[0], *(size for size in sizes for _ in range(REPEATS))]):
        passages = random_passages(size)
        (into := below / f"{dtype} {at}").mkdir()
        started = time.process_time()
        embed_corpus(encoder, passages, into, dtype=dtype)
        if at:  # the first warms up
            seconds.append(time.process_time() - started)
            tokens.append(sum(len(item["input_ids"]) for item in encoder.token_ids(passages)))
    per_token, fixed = np.polyfit(tokens, seconds, 1)
    return 1 / float(per_token), float(np.corrcoef(tokens, seconds)[0, 1]) ** 2, float(fixed)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize(("name", "shape", "sizes"), [("MiniLM", SHAPE, MINILM), ("BERT-base", BASE, LARGE)])
def test_seconds_grow_with_tokens(
    name: str, shape: Mapping[str, int], sizes: Sequence[int], dtype: str, tmp_path: Path, capsys: Any, benchmark: Any
) -> None:
    if dtype == "bfloat16" and not has_bfloat16():
        pytest.skip("bfloat16 is slow here")
    encoder = TextEncoder(EncoderConfig(), save_encoder(tmp_path / "encoder", shape), "passage")
    rate, explained, fixed = benchmark.pedantic(slope, (encoder, sizes, dtype, tmp_path), rounds=1)
    hours = WIKIPEDIA * TOKENS / rate / 3600
    with capsys.disabled():
        print(f"\n{name}, {dtype}: {rate:,.0f} tokens/s of a core (R2 {explained:.3f}, {fixed:.2f} s beside them)")
        print(f"derived: {hours:,.0f} core hours for {WIKIPEDIA:,} passages of {TOKENS} tokens")
    assert explained > 0.9
