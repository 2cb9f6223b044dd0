"""What a sweep shares: every k and strategy of RAG-Sequence from one pass, and pairs of a second retriever."""

from __future__ import annotations

from itertools import product
from typing import Any

import pytest
import torch

from rag_lightning.decoding.encodings import Encodings
from rag_lightning.decoding.pair_store import PairStore
from rag_lightning.decoding.rag_sequence import decode_all
from tests.benchmarks.rag_models import IdsGenerator, Paired, against, generator, rows

KS, STRATEGIES = (1, 2, 5, 10, 20, 50), ("thorough", "fast")
SOURCE, LENGTH, QUESTIONS, PAIRS = 96, 5, 1, 3
SHARED = 0.8
MOST = 2.0
"""Target of a sweep over three retrievers and six k: times the cost of its most expensive trial."""
APART, OF_LARGEST, OF_FIRST = 1.8, 1.2, 0.45
"""Targets: one pass against all runs apart and against the largest alone, a second retriever against the first."""
pytestmark = [pytest.mark.benchmark, pytest.mark.timeout(7200)]


def decoded(
    made: IdsGenerator, asked: Any, scores: Any, ks: Any, strategies: Any, store: PairStore | None = None
) -> Any:
    """(k, strategy) -> the token ids of each question's best hypothesis."""
    found = decode_all(
        Encodings(made),
        asked,
        [row[: len(asked[0])] for row in scores],
        PairStore(),
        ks=ks,
        strategies=strategies,
        num_beams=1,
        max_length=LENGTH,
    )
    return {cell: [pool[0].token_ids for pool in pools] for cell, pools in found.items()}


def test_every_k_and_strategy_in_one_pass(capsys: pytest.CaptureFixture[str], benchmark: Any) -> None:
    made = generator("mini")
    asked = rows(made, QUESTIONS, max(KS), SOURCE)
    scores = torch.randn((QUESTIONS, max(KS)), generator=torch.Generator().manual_seed(1)).tolist()
    said: dict[str, Any] = {}

    def apart() -> None:
        said["apart"] = {}
        for k, strategy in product(KS, STRATEGIES):
            own = decoded(made, [pairs[:k] for pairs in asked], scores, [k], [strategy])
            said["apart"] |= own

    def together() -> None:
        said["together"] = decoded(made, asked, scores, KS, STRATEGIES)

    def largest() -> None:
        said["largest"] = decoded(made, asked, scores, [max(KS)], ["thorough"])

    against_apart = Paired.of(apart, together, PAIRS)
    against_largest = Paired.of(together, largest, PAIRS)
    assert said["together"] == said["apart"]
    assert said["largest"][max(KS), "thorough"] == said["together"][max(KS), "thorough"]
    benchmark.extra_info |= {"times_faster_than_apart": against_apart.ratio, "of_k_50": against_largest.ratio}
    more = against(APART, against_apart.ratio >= APART)
    most = against(OF_LARGEST, against_largest.ratio <= OF_LARGEST)
    with capsys.disabled():
        print(against_apart.line(f"{len(KS)} k x {len(STRATEGIES)} strategies: apart against one pass", more))
        print(against_largest.line("one pass against k=50 thorough alone", most))
    benchmark.pedantic(together, rounds=1)


def test_a_second_retriever(capsys: pytest.CaptureFixture[str], benchmark: Any) -> None:
    """Both find 20 passages, 16 of them the same; times are of the second over the first."""
    made, k = generator("mini"), 20
    first, new = rows(made, QUESTIONS, k, SOURCE), rows(made, QUESTIONS, k, SOURCE, seed=2)
    kept = round(SHARED * k)
    second = [[*old[:kept], *fresh[kept:]] for old, fresh in zip(first, new, strict=True)]
    scores = torch.randn((QUESTIONS, k), generator=torch.Generator().manual_seed(1)).tolist()
    said: dict[str, Any] = {}
    kept_by: dict[str, Any] = {}

    def one() -> None:
        kept_by["encodings"], kept_by["store"] = Encodings(made), PairStore()
        said["first"] = run(first)

    def other() -> None:
        said["second"] = run(second)

    def run(asked: Any) -> Any:
        found = decode_all(
            kept_by["encodings"],
            asked,
            scores,
            kept_by["store"],
            ks=[k],
            strategies=["thorough"],
            num_beams=1,
            max_length=LENGTH,
        )
        return {cell: [pool[0].token_ids for pool in pools] for cell, pools in found.items()}

    paired = Paired.of(one, other, PAIRS)
    assert said["second"] == decoded(made, second, scores, [k], ["thorough"])
    known, wanted = ({tuple(pair) for pairs in asked for pair in pairs} for asked in (first, second))
    assert kept_by["store"].reused == len(known & wanted)
    share = 1 / paired.ratio
    benchmark.extra_info |= {"share_of_the_first": share}
    more = f"; second / first {share:.2f}" + against(OF_FIRST, share <= OF_FIRST)
    with capsys.disabled():
        print(paired.line(f"first and second retriever, k={k}, {SHARED:.0%} shared", more))
    benchmark.pedantic(one, rounds=1)


@pytest.mark.slow
def test_three_retrievers_and_six_k(capsys: pytest.CaptureFixture[str], benchmark: Any) -> None:
    """18 trials of a sweep, Thorough; what the second and third retriever find was to 80 % found by the first."""
    made, k = generator("mini"), max(KS)
    first = rows(made, QUESTIONS, k, SOURCE)
    kept = round(SHARED * k)
    found = [first]
    for seed in (2, 3):
        new = rows(made, QUESTIONS, k, SOURCE, seed)
        found.append([[*old[:kept], *fresh[kept:]] for old, fresh in zip(first, new, strict=True)])
    scores = torch.randn((QUESTIONS, k), generator=torch.Generator().manual_seed(1)).tolist()
    store, said = PairStore(), {}

    def trial(encodings: Encodings, store: PairStore, asked: Any, n_docs: int) -> Any:
        cut = [row[:n_docs] for row in scores]
        how = {"ks": [n_docs], "strategies": ["thorough"], "num_beams": 1, "max_length": LENGTH}
        pools = decode_all(encodings, [pairs[:n_docs] for pairs in asked], cut, store, **how)[n_docs, "thorough"]
        return [pool[0].token_ids for pool in pools]

    def sweep() -> None:
        nonlocal store
        encodings, store = Encodings(made), PairStore()
        for number, n_docs in product(range(len(found)), KS):
            said[number, n_docs] = trial(encodings, store, found[number], n_docs)

    def dearest() -> None:
        said["alone"] = trial(Encodings(made), PairStore(), first, k)

    paired = Paired.of(sweep, dearest, PAIRS)
    assert said["alone"] == said[0, k]
    distinct = {tuple(pair) for asked in found for pairs in asked for pair in pairs}
    assert store.generated == len(distinct), "every pair is generated once"
    assert store.generated + store.reused == QUESTIONS * len(found) * sum(KS)
    benchmark.extra_info |= {"times_the_dearest_trial": paired.ratio, "reused": store.reused}
    more = against(MOST, paired.ratio <= MOST)
    with capsys.disabled():
        print(paired.line(f"{len(found)} retrievers x {len(KS)} k against k={k} alone", more))
        print(f"reused {store.reused} of {store.generated + store.reused} pair generations")
    benchmark.pedantic(dearest, rounds=1)
