"""The section of a configuration for decoding."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from rag_lightning.config.bounds import PositiveInt
from rag_lightning.config.fields import InferenceDtype, KindSection, setting
from rag_lightning.config.registries import DECODINGS
from rag_lightning.core.registry import Registry


@dataclass(frozen=True)
class DecodingConfig(KindSection):
    """The decoding of predictions from log-probs.

    Args:
        strategy: Decoding strategy; each one supports some of the formulations.
        options: Values of the strategies' own fields.
        k: Number of passages to marginalise over (n_docs).
        dtype: Type of the forward passes; auto uses bfloat16 if the CPU or GPU supports it, float16 is for GPUs.
            Log-probs are always float32.
        pairs_per_batch: Question-passage pairs per batch; affects time and memory only.
        pair_store_mb: Largest size of each file of stored generations of pairs, in 10^6 bytes; the least recently used
            are removed first. Affects time and disk only.
    """

    PATH: ClassVar[str] = "decoding"
    STAGES: ClassVar[tuple[str, ...]] = ("predictions",)
    REGISTRY: ClassVar[Registry] = DECODINGS
    KIND: ClassVar[str] = "strategy"

    strategy: str = "greedy"
    options: Mapping[str, Any] = field(default_factory=dict)
    k: PositiveInt = setting(5, stages=("predictions", "scores"))
    dtype: InferenceDtype = "auto"
    pairs_per_batch: PositiveInt = setting(256, digest="never")
    pair_store_mb: PositiveInt = setting(512, digest="never")
