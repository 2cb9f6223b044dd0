"""Thorough and RAG-Token against transformers' `generate`: same weights, same passages, same best hypotheses."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from rag_lightning.decoding import rag_sequence, rag_token
from rag_lightning.decoding.encodings import Encodings
from rag_lightning.decoding.pair_store import PairStore
from rag_lightning.generator.marginal import doc_log_probs
from tests.benchmarks.rag_models import IdsGenerator, Paired, generated, generator, reference, rows

SOURCE, LENGTH, PAIRS = 96, 5, 3
SIZES = ["mini", pytest.param("base", marks=pytest.mark.slow)]
pytestmark = [pytest.mark.benchmark, pytest.mark.timeout(7200)]


def thorough(made: IdsGenerator, asked: Any, scores: torch.Tensor, beams: int) -> tuple[list[tuple[int, ...]], float]:
    """Best hypotheses, and the mean number of distinct candidates C."""
    found = rag_sequence.matrices(Encodings(made), asked, PairStore(), num_beams=beams, max_length=LENGTH)
    priors = doc_log_probs(scores).numpy()
    pools = [rag_sequence.decode(m, p, "thorough") for m, p in zip(found, priors, strict=True)]
    return [pool[0].token_ids for pool in pools], sum(len(m.candidates) for m in found) / len(found)


def compare_thorough(size: str, k: int, beams: int, questions: int, capsys: Any, benchmark: Any) -> None:
    made = generator(size)
    theirs = reference(made, "rag_sequence", k)
    asked = rows(made, questions, k, SOURCE)
    scores = torch.randn((questions, k), generator=torch.Generator().manual_seed(1))
    said: dict[str, Any] = {}

    def one() -> None:
        said["theirs"] = generated(theirs, made, asked, scores, num_beams=beams, max_length=LENGTH + 1)

    def other() -> None:
        said["ours"], said["C"] = thorough(made, asked, scores, beams)

    paired = Paired.of(one, other, PAIRS)
    assert said["ours"] == said["theirs"]
    benchmark.extra_info |= {"times_faster": paired.ratio, "C": said["C"], "pairs": PAIRS}
    with capsys.disabled():
        print(paired.line(f"Thorough {size}, k={k}, beams {beams}, {questions} questions", f"; C = {said['C']:.1f}"))
    benchmark.pedantic(other, rounds=1)


@pytest.mark.parametrize("size", SIZES)
def test_thorough_with_beams(size: str, capsys: pytest.CaptureFixture[str], benchmark: Any) -> None:
    compare_thorough(size, k=10, beams=4, questions=1, capsys=capsys, benchmark=benchmark)


@pytest.mark.slow
def test_thorough_with_many_passages(capsys: pytest.CaptureFixture[str], benchmark: Any) -> None:
    """transformers needs about 16 GB of memory here."""
    compare_thorough("mini", k=50, beams=1, questions=1, capsys=capsys, benchmark=benchmark)


@pytest.mark.parametrize("size", SIZES)
def test_rag_token_with_beams(size: str, capsys: pytest.CaptureFixture[str], benchmark: Any) -> None:
    made, k, questions = generator(size), 10, 2
    theirs = reference(made, "rag_token", k)
    asked = rows(made, questions, k, SOURCE)
    scores = torch.randn((questions, k), generator=torch.Generator().manual_seed(1))
    said: dict[str, Any] = {}

    def one() -> None:
        said["theirs"] = generated(theirs, made, asked, scores, num_beams=4, max_length=LENGTH + 1)

    def other() -> None:
        pools = rag_token.decode(Encodings(made), asked, doc_log_probs(scores), num_beams=4, max_length=LENGTH)  # type: ignore[arg-type]
        said["ours"] = [pool[0].token_ids for pool in pools]

    paired = Paired.of(one, other, PAIRS)
    assert said["ours"] == said["theirs"]
    benchmark.extra_info |= {"times_faster": paired.ratio, "pairs": PAIRS}
    with capsys.disabled():
        print(paired.line(f"RAG-Token {size}, k={k}, beams 4, {questions} questions"))
    benchmark.pedantic(other, rounds=1)
