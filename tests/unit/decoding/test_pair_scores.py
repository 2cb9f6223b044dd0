"""What is computed of a pair whose scores are partly known."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from rag_lightning.decoding.encodings import Encodings
from rag_lightning.decoding.pair_scores import Wanted, complete
from rag_lightning.decoding.pair_store import PairStore
from rag_lightning.generator import token_tree
from rag_lightning.generator.inputs import Pair
from rag_lightning.generator.seq2seq import Seq2SeqGenerator

CANDIDATES = ((4, 3), (5, 3), (6, 3), (4, 5, 3), (6, 6, 3))


@torch.inference_mode()
def completed(toy: Seq2SeqGenerator, pair: Pair, *rounds: int) -> dict[tuple[int, ...], float]:
    """Scores of the first so many candidates, one round after the other."""
    encodings, (row,) = Encodings(toy), toy.source_ids([pair])
    scores: dict[str, dict[tuple[int, ...], float]] = {"pair": {}}
    for count in rounds:
        complete(encodings, [Wanted("pair", row, CANDIDATES[:count])], scores, PairStore())
    return scores["pair"]


def test_later_candidates_have_the_scores_of_a_run_with_all(toy: Seq2SeqGenerator, questions: list[list[Pair]]) -> None:
    wanted = completed(toy, questions[0][0], 5)
    for rounds in ((1, 5), (3, 5), (4, 5), (5, 5)):
        assert completed(toy, questions[0][0], *rounds) == pytest.approx(wanted, abs=1e-5)


def test_few_missing_candidates_have_a_tree_of_their_own(
    toy: Seq2SeqGenerator, questions: list[list[Pair]], monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []
    score = token_tree.score

    def watched(steps: Any, trees: Any, *rest: Any) -> Any:
        sizes.append(len(trees[0].tokens))
        return score(steps, trees, *rest)

    monkeypatch.setattr(token_tree, "score", watched)
    completed(toy, questions[0][0], 4, 5, 5)
    assert sizes == [5, 3], "the start, 4, 5, 6 and 4 5; then the start, 6 and 6 6; then nothing"
