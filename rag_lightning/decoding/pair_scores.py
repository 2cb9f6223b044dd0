"""What Thorough scores beyond the searches: the candidates of a question under the passages that did not produce them.

Pairs of all questions are packed by the size of their token trees, so neither a small question nor a small k leaves the
processor waiting.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch

from rag_lightning.decoding.encodings import Encodings
from rag_lightning.decoding.pair_store import PairStore
from rag_lightning.generator import tree_scores
from rag_lightning.generator.seq2seq import token_batches
from rag_lightning.generator.token_tree import TokenTree

Candidate = tuple[int, ...]


@dataclass(frozen=True)
class Wanted:
    """A pair and the candidates of its question; two questions may share a pair.

    Attributes:
        key: Of the pair.
        row: Its encoded input ids.
        candidates: Token sequences.
    """

    key: str
    row: Sequence[int]
    candidates: tuple[Candidate, ...]


def complete(
    encodings: Encodings, wanted: Sequence[Wanted], scores: dict[str, dict[Candidate, float]], store: PairStore
) -> None:
    """Compute log p(y|x,z) of what is wanted and not in `scores` yet, and add it there and to the store.

    Args:
        encodings: Of the generator.
        wanted: Pairs in any order.
        scores: Of every pair what is known.
        store: Told of what was not.
    """
    short = [to_score for w in wanted if (to_score := _short(w, scores[w.key])).candidates]
    start = encodings.generator.start_id
    trees = {candidates: TokenTree.of(candidates, start) for candidates in {w.candidates for w in short}}
    sizes = [len(trees[w.candidates].tokens) for w in short]
    for group in token_batches(sizes, tree_scores.POSITIONS):
        here = [short[i] for i in group]
        for pair, new in zip(here, _scored(encodings, here, trees, scores), strict=True):
            store.add_scores(pair.key, new)
            scores[pair.key] = new | scores[pair.key]


def _short(w: Wanted, known: Mapping[Candidate, float]) -> Wanted:
    """The pair with a tree's candidates: all, which the pairs of a question share, or where few are missing those."""
    missing = tuple(c for c in w.candidates if c not in known)
    return w if 2 * len(missing) > len(w.candidates) else replace(w, candidates=missing)


def _scored(
    encodings: Encodings,
    pairs: Sequence[Wanted],
    trees: Mapping[tuple[Candidate, ...], TokenTree],
    known: Mapping[str, Mapping[Candidate, float]],
) -> list[dict[Candidate, float]]:
    """Of each pair the scores that are not known."""
    own = list(dict.fromkeys(w.candidates for w in pairs))
    number = {candidates: i for i, candidates in enumerate(own)}
    asked = torch.zeros((len(pairs), max(map(len, own))), dtype=torch.bool)
    for row, w in zip(asked, pairs, strict=True):
        row[: len(w.candidates)] = torch.tensor([c not in known[w.key] for c in w.candidates])
    memory = encodings.memory([w.key for w in pairs], [w.row for w in pairs])
    owners = torch.tensor([number[w.candidates] for w in pairs])
    found = tree_scores.score(encodings.steps, [trees[c] for c in own], owners, memory, asked).tolist()
    return [
        {c: value for c, value, new in zip(w.candidates, values, row, strict=False) if new}
        for w, values, row in zip(pairs, found, asked.tolist(), strict=True)
    ]
