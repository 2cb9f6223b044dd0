"""The section of a configuration that says how log-probs become a string."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from rag_lightning.config.bounds import PositiveInt
from rag_lightning.config.fields import Dtype, Section, setting

Strategy = Literal["greedy", "beam", "thorough", "fast", "first_entity", "classify"]


@dataclass(frozen=True)
class DecodingConfig(Section):
    """From log-probs to a string.

    Args:
        strategy: greedy and beam decode RAG-Token (and closed book); thorough and fast decode RAG-Sequence, where
            first_entity uses no generator: each passage gives its first name that the question does not hold; classify
            ranks the task's labels under either, and needs a generator.head.
        num_beams: Beams of `beam`.
        passage_beams: Beams of each passage's own search in RAG-Sequence; 1 is greedy, as the paper's QA.
        k: Passages marginalised over.
        max_length: New tokens at most.
        length_penalty: Hypotheses are ranked by log p(y|x) / tokens ** length_penalty, the end token counted; 0 ranks
            by log p(y|x). Which are found, and the log-probs reported, do not depend on it.
        dtype: Type of the forward passes; auto takes bfloat16 where the CPU or GPU has it.
        pairs_per_batch: Question-passage pairs generated together; time and memory only.
        pair_store_mb: Bound of each file of stored pair generations, in 10^6 bytes; the least recently used leave.
            Time and disk only.
    """

    PATH: ClassVar[str] = "decoding"
    STAGES: ClassVar[tuple[str, ...]] = ("predictions",)

    strategy: Strategy = "greedy"
    num_beams: PositiveInt = 4
    passage_beams: PositiveInt = 1
    k: PositiveInt = setting(5, stages=("predictions", "scores"))
    max_length: PositiveInt = 24
    length_penalty: float = 0.0
    dtype: Dtype = "auto"
    pairs_per_batch: PositiveInt = setting(256, digest="never")
    pair_store_mb: PositiveInt = setting(512, digest="never")
