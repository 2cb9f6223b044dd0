"""What decoding refuses before it runs: numbers below 1, scores that are no numbers."""

from __future__ import annotations

import math
from collections.abc import Sequence

from torch import Tensor

from rag_lightning.core.config import DecodingConfig
from rag_lightning.core.errors import ConfigError, DataError, UnknownNameError

STRATEGIES = ("thorough", "fast")
"""Of RAG-Sequence."""
AT_LEAST_ONE = ("num_beams", "passage_beams", "k", "max_length", "pairs_per_batch", "pair_store_mb")


def check_decoding(config: DecodingConfig) -> None:
    """Raise ConfigError unless every count is at least 1 and the length penalty is a finite number."""
    for name in AT_LEAST_ONE:
        if getattr(config, name) < 1:
            raise ConfigError(f"decoding.{name}={getattr(config, name)} must be at least 1")
    if not math.isfinite(config.length_penalty):
        raise ConfigError(f"decoding.length_penalty={config.length_penalty} must be a finite number; 0 is none")


def check_grid(ks: Sequence[int], strategies: Sequence[str], num_beams: int, max_length: int) -> None:
    """Raise ConfigError unless there is a k, no number is below 1, and every strategy is one of RAG-Sequence."""
    if not ks or min(ks) < 1:
        raise ConfigError(f"k must be at least 1, got {list(ks)}")
    check_search(num_beams, max_length)
    unknown = [name for name in strategies if name not in STRATEGIES]
    if not strategies or unknown:
        raise UnknownNameError(f"RAG-Sequence is decoded by {' or '.join(STRATEGIES)}, got {list(strategies)}")


def check_search(num_beams: int, max_length: int) -> None:
    """Raise ConfigError unless both are at least 1."""
    for name, value in (("num_beams", num_beams), ("max_length", max_length)):
        if value < 1:
            raise ConfigError(f"{name} must be at least 1, got {value}")


def check_doc_log_probs(doc_log_probs: Tensor) -> None:
    """Raise DataError where log p(z|x) [B, K] of a question holds a NaN or an inf, or no passage has any."""
    for row, values in enumerate(doc_log_probs.tolist(), 1):
        wrong = [value for value in values if math.isnan(value) or value == math.inf]
        if wrong or max(values) == -math.inf:
            hint = "its doc_scores hold a NaN or an inf: check the query encoder and the index"
            raise DataError("doc_log_probs", "is no distribution", row=row, value=(wrong or values)[0], hint=hint)


def check_doc_scores(name: str, doc_scores: Sequence[float], passages: int) -> None:
    """Raise DataError unless there is one finite score for each of the passages.

    Args:
        name: Of the question, for the message.
        doc_scores: Scaled scores, best passage first; all may be equal, which makes log p(z|x) uniform.
        passages: How many were retrieved.
    """
    hint = "retrieve again, and check the query encoder and the index"
    if passages < 1:
        raise DataError(f"ranking of {name}", "has no passages", hint="ask it as closed book")
    if len(doc_scores) != passages:
        found = f"has {passages} passages, but {len(doc_scores)} scores"
        raise DataError(f"ranking of {name}", found, field="doc_scores", hint=hint)
    for row, score in enumerate(doc_scores, 1):
        if not math.isfinite(score):
            raise DataError(
                f"ranking of {name}", "is not a finite number", row=row, field="doc_scores", value=score, hint=hint
            )
