"""RAG-Sequence decoding, Thorough and Fast (paper section 2.5).

A beam search per passage, by p(.|x,z) alone, gives hypotheses that depend on neither k nor the retriever. Scoring every
hypothesis of a question under all its passages gives one matrix log p(y|x,z) [C, K]; Thorough and Fast at every k are
read from its prefixes:

thorough  score(y) = log sum_z p(z|x) p(y|x,z), all k passages
fast      as thorough, with p(y|x,z) = 0 where the search of z did not produce y

At k only the hypotheses of the first k passages are candidates, as in a run with that k.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rag_lightning.core.errors import ConfigError
from rag_lightning.core.registry import check_name
from rag_lightning.decoding.beam import Finished, Moves, beam_search, check_doc_scores, check_search
from rag_lightning.decoding.encodings import Encodings
from rag_lightning.decoding.pair_scores import PairSteps, Wanted, complete
from rag_lightning.decoding.pair_store import PairStore
from rag_lightning.generator.inputs import Pair
from rag_lightning.generator.likelihoods import doc_log_probs
from rag_lightning.generator.steps import Memory
from rag_lightning.generator.vocabulary import Continuations

MARGINALS = ("thorough", "fast")
"""The two marginals of this file; `Strategy.marginal` says which one a strategy computes."""
Candidate = tuple[int, ...]
Hypotheses = dict[str, dict[Candidate, float]]
"""Key of a pair -> the hypotheses of its search, best first, with log p(y|x,z)."""


@dataclass(frozen=True)
class CandidateMatrix:
    """The hypotheses of one question under each of its K passages.

    Attributes:
        candidates: C distinct token sequences in the order passages, then beams, produced them.
        log_probs: [C, K] float32 log p(y|x,z).
        produced: [C, K] true where the search of passage z produced y.
    """

    candidates: tuple[Candidate, ...]
    log_probs: NDArray[np.float32]
    produced: NDArray[np.bool_]


def decode(matrix: CandidateMatrix, doc_log_probs: NDArray[np.float32], strategy: str) -> list[Finished]:
    """All candidates of the first k passages, best first, with log p(y|x).

    Args:
        matrix: Candidate matrix of at least k passages.
        doc_log_probs: [k] log p(z|x), normalised over these k.
        strategy: "thorough" or "fast".

    Returns:
        Each with its log p(y|x,z) of the k passages; under fast None where passage z did not produce it.
    """
    check_name("marginal", strategy, MARGINALS)
    k = len(doc_log_probs)
    kept = np.flatnonzero(matrix.produced[:, :k].any(axis=1))
    values = matrix.log_probs[kept, :k]
    if strategy == "fast":
        values = np.where(matrix.produced[kept, :k], values, -np.inf)
    scores = np.logaddexp.reduce((values + doc_log_probs).astype(np.float64), axis=1)
    order = sorted(range(len(kept)), key=lambda i: (-scores[i], matrix.candidates[kept[i]]))
    return [Finished(float(scores[i]), matrix.candidates[kept[i]], _scored(values[i])) for i in order]


def _scored(row: NDArray[np.float32]) -> tuple[float | None, ...]:
    """Replace -inf, which JSON cannot hold, by None."""
    return tuple(None if value == -np.inf else value for value in row.tolist())


def decode_all(
    encodings: Encodings,
    questions: Sequence[Sequence[Pair]],
    doc_scores: Sequence[Sequence[float]],
    store: PairStore,
    *,
    ks: Sequence[int],
    strategies: Sequence[str],
    num_beams: int,
    max_length: int,
    beam_penalty: float = 0.0,
) -> dict[tuple[int, str], list[list[Finished]]]:
    """Every k and strategy from one pass over the largest k.

    Args:
        encodings: Encodings of the generator.
        questions: B lists of pairs, best passage first; those beyond the largest k are ignored.
        doc_scores: B lists of scaled scores; log p(z|x) is normalised over the first k of them.
        store: Stored results of pairs.
        ks: Each at least 1; a question with fewer pairs is decoded with all it has.
        strategies: "thorough", "fast" or both; without "thorough" only what a passage produced is scored.
        num_beams: Beams of each passage's own search; 1 is greedy.
        max_length: Tokens at most, the end token included.
        beam_penalty: Length penalty within each passage's own search.

    Returns:
        (k, strategy) -> for each question its hypotheses, best first: those of a run with this k alone.

    Raises:
        ConfigError: no k, a number below 1, no strategy or an unknown one.
        DataError: scores that are not one finite number a pair.
    """
    if not ks or min(ks) < 1:
        raise ConfigError(f"k must be at least 1, got {list(ks)}")
    check_search(num_beams, max_length)
    for strategy in strategies or ("",):
        check_name("marginal", strategy, MARGINALS)
    for i, (pairs, scores) in enumerate(zip(questions, doc_scores, strict=True)):
        check_doc_scores(f"question {i}", scores, len(pairs))
    build = matrices if "thorough" in strategies else produced_matrices
    cut = [pairs[: max(ks)] for pairs in questions]
    found = build(encodings, cut, store, num_beams=num_beams, max_length=max_length, beam_penalty=beam_penalty)
    priors = {k: [_prior(scores[:k]) for scores in doc_scores] for k in ks}
    return {
        (k, strategy): [decode(m, prior, strategy) for m, prior in zip(found, priors[k], strict=True)]
        for k in ks
        for strategy in strategies
    }


def _prior(doc_scores: Sequence[float]) -> NDArray[np.float32]:
    prior: NDArray[np.float32] = doc_log_probs(torch.tensor(doc_scores, device="cpu")).numpy()
    return prior


@torch.inference_mode()
def matrices(
    encodings: Encodings,
    questions: Sequence[Sequence[Pair]],
    store: PairStore,
    *,
    num_beams: int,
    max_length: int,
    beam_penalty: float = 0.0,
) -> list[CandidateMatrix]:
    """The candidate matrix of each question; pairs and scores in the store are not computed again."""
    keys, rows = encodings.keys([pair for pairs in questions for pair in pairs])
    hypotheses = _hypotheses(encodings, keys, rows, store, num_beams, max_length, beam_penalty)
    here = list(slices_of(questions))
    candidates = [candidates_of(keys[h], hypotheses) for h in here]
    scores = {key: known | hypotheses[key] for key, known in store.scores(keys).items()}
    wanted = [
        Wanted(keys[at], rows[at], c) for h, c in zip(here, candidates, strict=True) for at in range(len(keys))[h]
    ]
    complete(encodings, wanted, scores, store)
    store.commit()
    return [matrix_of(keys[h], hypotheses, c, scores) for h, c in zip(here, candidates, strict=True)]


@torch.inference_mode()
def produced_matrices(
    encodings: Encodings,
    questions: Sequence[Sequence[Pair]],
    store: PairStore,
    *,
    num_beams: int,
    max_length: int,
    beam_penalty: float = 0.0,
) -> list[CandidateMatrix]:
    """The candidate matrices of Fast: a hypothesis is scored only where it was produced, -inf elsewhere."""
    keys, rows = encodings.keys([pair for pairs in questions for pair in pairs])
    hypotheses = _hypotheses(encodings, keys, rows, store, num_beams, max_length, beam_penalty)
    store.commit()
    return [
        matrix_of(keys[h], hypotheses, candidates_of(keys[h], hypotheses), hypotheses) for h in slices_of(questions)
    ]


def slices_of(questions: Sequence[Sequence[Pair]]) -> Iterator[slice]:
    """The slice of each question's pairs."""
    ends = accumulate(len(pairs) for pairs in questions)
    return (slice(end - len(pairs), end) for end, pairs in zip(ends, questions, strict=True))


def candidates_of(keys: Sequence[str], hypotheses: Hypotheses) -> tuple[Candidate, ...]:
    """The hypotheses of the pairs of a question, each once, in their order."""
    return tuple(dict.fromkeys(c for key in keys for c in hypotheses[key]))


def _hypotheses(
    encodings: Encodings,
    keys: Sequence[str],
    rows: Sequence[Sequence[int]],
    store: PairStore,
    num_beams: int,
    max_length: int,
    beam_penalty: float,
) -> Hypotheses:
    known = store.hypotheses(keys)
    missing = {key: row for key, row in zip(keys, rows, strict=True) if key not in known}
    if not missing:
        return known
    memory = encodings.memory(list(missing), list(missing.values()))
    found = search_pairs(encodings, memory, len(missing), num_beams, max_length, beam_penalty)
    for key, pool in zip(missing, found, strict=True):
        known[key] = {h.token_ids: h.log_prob for h in pool}
        store.add(key, known[key])
    return known


def search_pairs(
    encodings: Encodings, memory: Memory, count: int, num_beams: int, max_length: int, beam_penalty: float = 0.0
) -> list[list[Finished]]:
    """The beam search of every pair of a memory by p(.|x,z) alone; under FiD all passages of a question are one."""
    search = PairSteps(encodings.steps, memory)
    generator = encodings.generator

    def step(tokens: Tensor, moves: Moves | None, count: int) -> Continuations:
        return encodings.steps.vocabulary.best(search.step(tokens, moves).squeeze(1), count)

    return beam_search(
        step,
        count,
        width=num_beams,
        max_length=max_length,
        start_id=generator.start_id,
        eos_id=generator.eos_id,
        device=encodings.device,
        length_penalty=beam_penalty if num_beams > 1 else 0.0,  # greedy search compares nothing
    )


def matrix_of(
    keys: Sequence[str],
    hypotheses: Hypotheses,
    candidates: tuple[Candidate, ...],
    scores: dict[str, dict[Candidate, float]],
) -> CandidateMatrix:
    """The candidate matrix of a question from the scores of its pairs; what is not scored is -inf."""
    log_probs = np.array([[scores[key].get(c, -np.inf) for key in keys] for c in candidates], dtype=np.float32)
    produced = np.array([[c in hypotheses[key] for key in keys] for c in candidates], dtype=np.bool_)
    return CandidateMatrix(candidates, log_probs, produced)
