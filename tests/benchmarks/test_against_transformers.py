"""Thorough and RAG-Token against transformers' `generate`: same weights, same passages, same best hypotheses."""

from __future__ import annotations

from statistics import median
from typing import Any

import pytest
import torch

from rag_lightning.decoding import rag_token
from rag_lightning.decoding.encodings import Encodings
from rag_lightning.generator.marginal import doc_log_probs
from tests.benchmarks.processes import said_by
from tests.benchmarks.rag_models import Paired, against, generated, generator, reference, rows
from tests.benchmarks.thorough import LENGTH, SOURCE, thorough

PAIRS = 3
SIZES = ["mini", pytest.param("base", marks=pytest.mark.slow)]
BASE_FASTER = 4.0
"""Target of Thorough at k=10 with 4 beams and BART-base's size."""
MANY_FASTER, MANY_MEMORY = 15.0, 0.25
"""Targets of Thorough at k=50: times faster, and memory above the model as a share of transformers'."""
pytestmark = [pytest.mark.benchmark, pytest.mark.timeout(7200)]


@pytest.mark.parametrize("size", SIZES)
def test_thorough_with_beams(size: str, capsys: pytest.CaptureFixture[str], benchmark: Any) -> None:
    made, k, beams, questions = generator(size), 10, 4, 1
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
    more = f"; C = {said['C']:.1f}" + (against(BASE_FASTER, paired.ratio >= BASE_FASTER) if size == "base" else "")
    with capsys.disabled():
        print(paired.line(f"Thorough {size}, k={k}, beams {beams}, {questions} questions", more))
    benchmark.pedantic(other, rounds=1)


@pytest.mark.slow
def test_thorough_with_many_passages(capsys: pytest.CaptureFixture[str], benchmark: Any) -> None:
    """Greedy, in processes of their own, in turns; transformers needs about 16 GB of memory here."""
    case = ("mini", 50, 1, 2)
    pairs = [(said_by("thorough", "transformers", *case), said_by("thorough", "ours", *case)) for _ in range(PAIRS)]
    assert all(theirs["tokens"] == ours["tokens"] for theirs, ours in pairs)
    paired = Paired([theirs["seconds"] for theirs, _ in pairs], [ours["seconds"] for _, ours in pairs])
    memory = median(ours["bytes"] / theirs["bytes"] for theirs, ours in pairs)
    benchmark.extra_info |= {"times_faster": paired.ratio, "memory_above_model": memory, "C": pairs[0][1]["C"]}
    more = f"; C = {pairs[0][1]['C']:.1f}" + against(MANY_FASTER, paired.ratio >= MANY_FASTER)
    more += f"; memory above the model {memory:.3f} of transformers'" + against(MANY_MEMORY, memory <= MANY_MEMORY)
    with capsys.disabled():
        print(paired.line("Thorough mini, k=50, greedy, 2 questions", more))
    benchmark.pedantic(said_by, args=("thorough", "ours", *case), rounds=1)


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
