"""Passages to vectors: beside sentence-transformers, and as a share of what the machine multiplies at most.

The encoder has the shape of all-MiniLM-L6-v2 and random weights; passages are of 50 to 130 tokens.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from rag_lightning.config.retrieval import EncoderConfig
from rag_lightning.core.hardware import has_bfloat16
from rag_lightning.core.records import Passage, passage_text
from rag_lightning.retrieval.embed import VECTORS, embed_corpus
from rag_lightning.retrieval.encoders import TextEncoder
from tests.benchmarks.encoders import SHAPE, random_passages, save_encoder
from tests.benchmarks.rag_models import Paired, against, seconds

PASSAGES, PAIRS, SQUARE = 512, 3, 2048
SHARES = {"float32": 0.6, "bfloat16": 0.3}
"""Targets: of the products a second that a square matrix of SQUARE rows reaches."""
pytestmark = [pytest.mark.benchmark, pytest.mark.timeout(7200)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_encoder(tmp_path_factory.mktemp("encoder"))


@pytest.fixture(scope="module")
def passages() -> list[Passage]:
    return random_passages(PASSAGES)


def embedded(encoder: TextEncoder, passages: Sequence[Passage], below: Path, dtype: Any) -> np.ndarray:
    """As stage `embed` does it, from text to a file of its own below the folder."""
    into = below / f"run {len(list(below.iterdir()))}"
    into.mkdir()
    embed_corpus(encoder, passages, into, dtype=dtype)
    return np.load(into / VECTORS)


def products(lengths: Sequence[int]) -> int:
    """Floating-point operations of the matrix products over the tokens there are; padding counts nothing."""
    layers, width, inner = (SHAPE[name] for name in ("num_hidden_layers", "hidden_size", "intermediate_size"))
    return sum(layers * n * (8 * width**2 + 4 * width * inner + 4 * n * width) for n in lengths)


def test_against_sentence_transformers(
    folder: Path, passages: list[Passage], tmp_path: Path, capsys: pytest.CaptureFixture[str], benchmark: Any
) -> None:
    """Both from text, in float32; equal vectors."""
    library = pytest.importorskip("sentence_transformers", reason="pip install -c constraints.txt -e '.[bench]'")
    from sentence_transformers.sentence_transformer import modules

    encoder = TextEncoder(EncoderConfig(), folder, "passage")
    parts = [
        modules.Transformer(str(folder), max_seq_length=encoder.max_length),
        modules.Pooling(encoder.dim, pooling_mode="mean"),
        modules.Normalize(),
    ]
    theirs = library.SentenceTransformer(modules=parts, device="cpu")
    texts = [passage_text(passage) for passage in passages]
    said: dict[str, Any] = {}

    def one() -> None:
        said["theirs"] = theirs.encode(texts, show_progress_bar=False)

    def other() -> None:
        said["ours"] = embedded(encoder, passages, tmp_path, "float32")

    paired = Paired.of(one, other, PAIRS)
    np.testing.assert_allclose(said["ours"], said["theirs"], atol=1e-5)
    benchmark.extra_info |= {"times_faster": paired.ratio}
    with capsys.disabled():
        print(paired.line(f"{PASSAGES} passages to vectors, float32, sentence-transformers against ours"))
    benchmark.pedantic(other, rounds=1)


def test_the_products_are_counted_as_torch_counts_them(folder: Path, passages: list[Passage], benchmark: Any) -> None:
    encoder = TextEncoder(EncoderConfig(), folder, "passage").eval()
    encoder.model.set_attn_implementation("eager")
    encoded = encoder.token_ids(passages[:3])
    for one in encoded:
        with FlopCounterMode(display=False) as counted, torch.no_grad():
            encoder(**encoder.collate([one]))
        assert counted.get_total_flops() == products([len(one["input_ids"])])
    benchmark.pedantic(products, args=([len(one["input_ids"]) for one in encoded],), rounds=1)


@pytest.mark.parametrize("dtype", sorted(SHARES, reverse=True))
def test_share_of_the_peak(
    dtype: str,
    folder: Path,
    passages: list[Passage],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    benchmark: Any,
) -> None:
    """From text to the file, tokenizing and writing included, beside matrix products of the same type and threads."""
    if dtype == "bfloat16" and not has_bfloat16():
        pytest.skip("this machine has no fast bfloat16")
    encoder = TextEncoder(EncoderConfig(), folder, "passage")
    lengths = [len(ids["input_ids"]) for ids in encoder.token_ids(passages)]
    square = torch.randn(SQUARE, SQUARE).to(getattr(torch, dtype))
    wanted, shares, rates = products(lengths), [], []

    def encode() -> None:
        embedded(encoder, passages, tmp_path, dtype)

    encode()
    for _ in range(PAIRS):
        peak = 2 * SQUARE**3 / min(seconds(lambda: square @ square) for _ in range(5))
        took = seconds(encode)
        shares.append(wanted / took / peak)
        rates.append(PASSAGES / took)
    share, rate = median(shares), median(rates)
    benchmark.extra_info |= {"share_of_the_peak": share, "passages_per_second": rate}
    told = against(SHARES[dtype], share >= SHARES[dtype])
    with capsys.disabled():
        print(
            f"\npassages to vectors, {dtype}: {rate:.0f} a second, {share:.2f} of the machine's products{told}", end=""
        )
        print(f" (median of {PAIRS}, 1 thread; {peak / 1e9:.0f} GFLOPS in the last pair)")
    benchmark.pedantic(encode, rounds=1)
