"""Embedding by Ray actors, each with a copy of the encoder; this process reads the corpus and writes the shards."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from rag_lightning.config.retrieval import EncoderConfig
from rag_lightning.core.cluster import cluster
from rag_lightning.core.devices import resolve_device
from rag_lightning.core.errors import ConfigError, RagLightningError
from rag_lightning.retrieval.embed import Embedded, Shard, embed_shard
from rag_lightning.retrieval.encoders import TextEncoder

CPUS = 1
"""Cores that an actor asks for; Ray gives it as many threads."""


class Actor:
    """Encodes the shards that it is sent; loads the encoder with the first."""

    def __init__(self, config: EncoderConfig, source: Path | str, dtype: str) -> None:
        self._config, self._source, self._dtype = config, source, dtype
        self._encoder: TextEncoder | None = None

    def embed(self, shard: Shard, tokens_per_batch: int) -> Any:
        """The vectors [size, D] of a shard."""
        if self._encoder is None:
            device = resolve_device("cuda" if self._config.worker_gpus else "cpu")  # Ray shows it those it asked for
            encoder = TextEncoder(self._config, self._source, "passage")
            self._encoder = encoder.to(getattr(torch, self._dtype)).to(device).eval()
        return embed_shard(shard[1], self._encoder, tokens_per_batch)


@dataclass(frozen=True)
class Actors:
    """Encodes shards by actors of the cluster of RAY_ADDRESS, or of one that Ray starts on this machine.

    Args:
        config: Section encoder: `workers` actors of one core and `worker_gpus` GPUs each.
        source: Folder of the passage encoder, the same on every machine, or its hub name.
    """

    config: EncoderConfig
    source: Path | str

    def embed(self, shards: Iterable[Shard], dtype: str, tokens_per_batch: int) -> Embedded:
        """As `Crew.embed`; an actor has the next shard as soon as it has finished one.

        Raises:
            ConfigError: Ray is not installed or not reached, or the cluster has no room for all actors.
            RagLightningError: an actor was lost, or an error in it; the shards that were finished before are kept.
        """
        with cluster() as ray:
            self._check_room(ray)
            made = ray.remote(num_cpus=CPUS, num_gpus=self.config.worker_gpus, max_restarts=0)(Actor)
            idle = [made.remote(self.config, self.source, dtype) for _ in range(self.config.workers)]
            running: dict[Any, tuple[Any, Shard]] = {}
            for shard in shards:
                if not idle:
                    yield from _finished(ray, running, idle)
                actor = idle.pop()
                running[actor.embed.remote(shard, tokens_per_batch)] = actor, shard
            while running:
                yield from _finished(ray, running, idle)

    def _check_room(self, ray: Any) -> None:
        has = ray.cluster_resources()
        for kind, each in (("CPU", CPUS), ("GPU", self.config.worker_gpus)):
            if each * self.config.workers > has.get(kind, 0):
                asked = f"{self.config.workers} actors of {each:g} {kind} each were asked for"
                raise ConfigError(f"engine=ray: {asked}, the cluster has {has.get(kind, 0):g}; lower encoder.workers")


def _finished(ray: Any, running: dict[Any, tuple[Any, Shard]], idle: list[Any]) -> Iterator[tuple[int, Any]]:
    """Wait for a shard, and yield it with all others that have ended; errors come after what is whole."""
    ended, _ = ray.wait(list(running), num_returns=1)
    more, _ = ray.wait(list(running), num_returns=len(running), timeout=0)
    lost: RagLightningError | None = None
    for task in dict.fromkeys([*ended, *more]):
        actor, (start, passages) = running.pop(task)
        try:
            yield start, ray.get(task).copy()  # what Ray holds is read-only
            idle.append(actor)
        except ray.exceptions.RayError as error:
            lost = lost or _error(error, f"passages {start:,} to {start + len(passages) - 1:,} of the distinct ones")
    if lost is not None:
        raise lost


def _error(error: Any, where: str) -> RagLightningError:
    """The error of an actor, or that it was lost."""
    cause = getattr(error, "cause", None)
    if isinstance(cause, RagLightningError):
        return cause
    reason, kept = type(cause or error).__name__, "finished shards are kept: run again to continue"
    return RagLightningError(f"engine=ray: an actor was lost ({reason}) at {where}; {kept}")
