"""RAG-Token decoding: beam search on p'(y_i|x,y_<i) = sum_z p(z|x) p(y_i|x,z,y_<i) (paper section 2.5).

The passages of a question are coupled at every token, so the search depends on k; the encodings do not. What a search
found is kept by (encoded pairs, log p(z|x) as float32, beams, length): a second index that returns the same passages
with the same scores pays nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import accumulate, pairwise
from typing import TypeVar

import torch
from torch import Tensor

from rag_lightning.core.files import content_digest
from rag_lightning.decoding.beam import Finished, Moves, beam_search, check_doc_log_probs, check_search
from rag_lightning.decoding.encodings import Encodings
from rag_lightning.decoding.pair_scores import PairSteps
from rag_lightning.decoding.pair_store import PairStore
from rag_lightning.generator.inputs import Pair
from rag_lightning.generator.vocabulary import Continuations

T = TypeVar("T")


@torch.inference_mode()
def decode(
    encodings: Encodings,
    questions: Sequence[Sequence[Pair]],
    doc_log_probs: Tensor,
    *,
    num_beams: int,
    max_length: int,
    store: PairStore | None = None,
) -> list[list[Finished]]:
    """Decode a batch of questions; closed book is K = 1 with log p(z|x) = 0.

    Args:
        encodings: Encodings of the generator.
        questions: B lists of 1 to K pairs.
        doc_log_probs: [B, K] on the host; -inf where a question has fewer pairs.
        num_beams: 1 is greedy.
        max_length: Maximum number of tokens, the end token included.
        store: Stored results of questions; all pairs of a stored question count as reused. None keeps nothing.

    Returns:
        For each question its hypotheses, best first, with the true log p(y|x).

    Raises:
        ConfigError: num_beams or max_length below 1.
        DataError: log p(z|x) that is NaN.
    """
    check_search(num_beams, max_length)
    check_doc_log_probs(doc_log_probs)
    keys, rows = split_pairs(encodings, questions)
    names = [
        _name(own, log_probs[: len(own)], num_beams, max_length)
        for own, log_probs in zip(keys, doc_log_probs, strict=True)
    ]

    def search(at: Sequence[int]) -> list[list[Finished]]:
        own, read = [keys[i] for i in at], [rows[i] for i in at]
        return _search(encodings, own, read, doc_log_probs[list(at)], num_beams, max_length)

    return stored_searches(names, [len(own) for own in keys], search, store)


def stored_searches(
    names: Sequence[str],
    pairs: Sequence[int],
    search: Callable[[Sequence[int]], Sequence[Sequence[Finished]]],
    store: PairStore | None,
) -> list[list[Finished]]:
    """The hypotheses of each question, searched where the store has none; equal questions are searched once.

    Args:
        names: Key of each question in the store.
        pairs: Number of pairs of each question, for the counts.
        search: Searches the questions at these positions.
        store: Stored results of questions; None keeps nothing.
    """
    known = store.find(names) if store else {}
    asked = {name: i for i, name in enumerate(names) if name not in known}
    if asked:
        for name, pool in zip(asked, search(list(asked.values())), strict=True):
            known[name] = {h.token_ids: h.log_prob for h in pool}
            if store:
                store.add(name, known[name])
    if store:
        fresh = sum(pairs[i] for i in asked.values())
        store.count(generated=fresh, reused=sum(pairs) - fresh)
        store.commit()
    return [[Finished(log_prob, ids) for ids, log_prob in known[name].items()] for name in names]


def split_pairs(
    encodings: Encodings, questions: Sequence[Sequence[Pair]]
) -> tuple[list[list[str]], list[list[list[int]]]]:
    """Keys and input ids of the pairs of each question."""
    keys, rows = encodings.keys([pair for pairs in questions for pair in pairs])
    ends = list(accumulate(map(len, questions), initial=0))
    return [keys[a:b] for a, b in pairwise(ends)], [rows[a:b] for a, b in pairwise(ends)]


def _name(keys: Sequence[str], doc_log_probs: Tensor, num_beams: int, max_length: int) -> str:
    """Key of a question in the store, from everything its search depends on."""
    priors = doc_log_probs.float().numpy().astype("<f4").tobytes()
    settings = f"rag_token {num_beams} {max_length} {' '.join(keys)} ".encode()
    return content_digest(settings + priors, 24)


def _search(
    encodings: Encodings,
    keys: Sequence[Sequence[str]],
    rows: Sequence[Sequence[Sequence[int]]],
    doc_log_probs: Tensor,
    num_beams: int,
    max_length: int,
) -> list[list[Finished]]:
    """The beam search of all questions; those with fewer pairs are filled up with their first, at probability 0."""
    batch, k = len(keys), max(map(len, keys))
    memory = encodings.memory(_filled(keys, k), _filled(rows, k))
    priors = doc_log_probs[:, :k].float().to(encodings.device)
    search = PairSteps(encodings.steps, memory, together=k)

    def step(tokens: Tensor, moves: Moves | None, count: int) -> Continuations:
        nonlocal priors
        if moves is not None and moves.items is not None:
            priors = priors[moves.items]
        return encodings.steps.vocabulary.marginal_best(search.step(tokens, moves), priors, count)

    generator = encodings.generator
    return beam_search(
        step,
        batch,
        width=num_beams,
        max_length=max_length,
        start_id=generator.start_id,
        eos_id=generator.eos_id,
        device=encodings.device,
    )


def _filled(lists: Sequence[Sequence[T]], k: int) -> list[T]:
    """K of each, one list."""
    return [item for own in lists for item in [*own, *[own[0]] * (k - len(own))]]
