"""The section of a configuration that says how log-probs become a string."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from rag_lightning.config.bounds import PositiveInt
from rag_lightning.config.fields import Dtype, KindSection, setting
from rag_lightning.config.registries import DECODINGS
from rag_lightning.core.registry import Registry


@dataclass(frozen=True)
class DecodingConfig(KindSection):
    """From log-probs to a string.

    Args:
        strategy: How hypotheses are found and ranked; each strategy decodes some of the formulations.
        options: Values of the strategies' own fields.
        k: Passages marginalised over.
        dtype: Type of the forward passes; auto takes bfloat16 where the CPU or GPU has it.
        pairs_per_batch: Question-passage pairs generated together; time and memory only.
        pair_store_mb: Bound of each file of stored pair generations, in 10^6 bytes; the least recently used leave.
            Time and disk only.
    """

    PATH: ClassVar[str] = "decoding"
    STAGES: ClassVar[tuple[str, ...]] = ("predictions",)
    REGISTRY: ClassVar[Registry] = DECODINGS
    KIND: ClassVar[str] = "strategy"

    strategy: str = "greedy"
    options: Mapping[str, Any] = field(default_factory=dict)
    k: PositiveInt = setting(5, stages=("predictions", "scores"))
    dtype: Dtype = "auto"
    pairs_per_batch: PositiveInt = setting(256, digest="never")
    pair_store_mb: PositiveInt = setting(512, digest="never")
