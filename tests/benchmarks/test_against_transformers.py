"""Thorough and RAG-Token against transformers' `generate`: same weights, same passages, same best hypotheses."""

from __future__ import annotations

from statistics import median
from typing import Any

import pytest
import torch

from rag_lightning.decoding import rag_token
from rag_lightning.decoding.encodings import Encodings
from rag_lightning.generator.likelihoods import doc_log_probs
from tests.benchmarks.processes import said_by
from tests.benchmarks.rag_models import (
    DEVICE,
    IdsGenerator,
    Paired,
    against,
    generated,
    generator,
    reference,
    rows,
    seconds,
)
from tests.benchmarks.thorough import LENGTH, SOURCE, thorough

PAIRS = 3
SIZES = ["mini", pytest.param("base", marks=pytest.mark.slow)]
FASTER = {"mini": 10.0, "base": 4.0}
"""Targets of Thorough at k=10 with 4 beams."""
TOKEN_FASTER = {"mini": 2.5, "base": 4.0}
"""The same of RAG-Token."""
LONG = 20
"""Tokens of transformers' longest output where nothing else is said; LENGTH is that of short answers."""
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
    more = f"; C = {said['C']:.1f}" + against(FASTER[size], paired.ratio >= FASTER[size])
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


@pytest.mark.parametrize("length", [LENGTH, LONG])
@pytest.mark.parametrize("size", SIZES)
def test_rag_token_with_beams(size: str, length: int, capsys: pytest.CaptureFixture[str], benchmark: Any) -> None:
    """The matrix products that both need are timed alone: nobody is faster than they are."""
    made, k, beams, questions = generator(size), 10, 4, 2
    theirs = reference(made, "rag_token", k)
    asked = rows(made, questions, k, SOURCE)
    scores = torch.randn((questions, k), generator=torch.Generator().manual_seed(1))
    said: dict[str, Any] = {}

    def one() -> None:
        said["theirs"] = generated(theirs, made, asked, scores, num_beams=beams, max_length=length + 1)

    def other() -> None:
        pools = rag_token.decode(Encodings(made), asked, doc_log_probs(scores), num_beams=beams, max_length=length)  # type: ignore[arg-type]
        said["ours"] = [pool[0].token_ids for pool in pools]

    paired = Paired.of(one, other, PAIRS)
    assert said["ours"] == said["theirs"]
    most = median(paired.theirs) / seconds(lambda: needed(made, asked, beams, length))
    target = TOKEN_FASTER[size]
    benchmark.extra_info |= {"times_faster": paired.ratio, "pairs": PAIRS, "products_alone": most}
    more = against(target, paired.ratio >= target) + f"; its matrix products alone would be {most:.2f}"
    with capsys.disabled():
        print(paired.line(f"RAG-Token {size}, k={k}, beams {beams}, {questions} questions, {length} tokens", more))
    benchmark.pedantic(other, rounds=1)


@torch.inference_mode()
def needed(made: IdsGenerator, asked: list[list[tuple[int, ...]]], beams: int, length: int) -> None:
    """The products of a search: pairs through the encoder, beams through the decoder's layers and the vocabulary."""
    ids = torch.tensor([row for pairs in asked for row in pairs], device=DEVICE)
    made.model.model.encoder(input_ids=ids, attention_mask=torch.ones_like(ids))
    for width in [1, *[beams] * (length - 1)]:
        states = torch.zeros((len(ids) * width, made.model.config.d_model), device=DEVICE)
        for layer in made.model.model.decoder.layers:
            own, crossed = layer.self_attn, layer.encoder_attn
            for product in (own.q_proj, own.k_proj, own.v_proj, own.out_proj, crossed.q_proj, crossed.out_proj):
                product(states)
            layer.fc2(layer.fc1(states))
        made.model.lm_head(states)
