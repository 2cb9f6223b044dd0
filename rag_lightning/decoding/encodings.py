"""Each (query, passage) pair is encoded once per model: its states in a bounded, least-recently-used memory.

They are encoder states of a seq2seq model, and the prompt's keys and values of a decoder-only one.

Models kept between the predictions of one process, with the encodings they have made.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from copy import copy
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from rag_lightning.core.files import content_digest
from rag_lightning.generator.inputs import Pair, pad_ids
from rag_lightning.generator.seq2seq import token_batches
from rag_lightning.generator.steps import Generator, Memory, Steps


class Encodings:
    """Encoder states of pairs, computed on demand.

    Args:
        generator: The generator, in eval mode.
        dtype: "float32", "bfloat16" or "float16", of the encoder's and the decoder's forward passes; log-probs are
            float32.
        tokens_per_batch: budget of padded tokens of one forward pass.
        max_bytes: bound of the memory; the least recently used states leave first.

    Attributes:
        device: Device of the model; states stay there.
    """

    def __init__(
        self,
        generator: Generator,
        dtype: str = "float32",
        tokens_per_batch: int = 8192,
        max_bytes: int = 2 << 30,
    ) -> None:
        generator.eval()
        self.generator = generator
        self.device: torch.device = generator.model.device
        self.steps: Steps = generator.steps(getattr(torch, dtype))
        self.encoder = generator.frozen_encoder(getattr(torch, dtype))
        self.tokens_per_batch = tokens_per_batch
        self.max_bytes = max_bytes
        self.encoded = 0
        self.reused = 0
        self._states: OrderedDict[str, Tensor] = OrderedDict()
        self._bytes = 0

    def emptied(self) -> Encodings:
        """The same model with a memory of its own: of questions that do not come again, and of threads that answer."""
        other = copy(self)
        other._states, other._bytes = OrderedDict(), 0
        return other

    def keys(self, pairs: Sequence[Pair]) -> tuple[list[str], list[list[int]]]:
        """Digest of the encoded input ids of each pair, and the ids: two passages with one text are one pair."""
        rows = self.generator.source_ids(pairs)
        return [content_digest(np.asarray(row, dtype=np.int32).tobytes(), 24) for row in rows], rows

    @torch.inference_mode()
    def memory(self, keys: Sequence[str], rows: Sequence[Sequence[int]]) -> Memory:
        """Cross-attention memory of P pairs, right-padded, in the type of the steps."""
        return self._padded(self._lookup(keys, rows))

    @torch.inference_mode()
    def fused(self, keys: Sequence[Sequence[str]], rows: Sequence[Sequence[Sequence[int]]]) -> Memory:
        """Cross-attention memory of B questions, each the states of all its pairs in a row, right-padded (FiD)."""
        states = iter(self._lookup([k for own in keys for k in own], [row for own in rows for row in own]))
        return self._padded([torch.cat([next(states) for _ in own]) for own in keys])

    def _padded(self, states: Sequence[Tensor]) -> Memory:
        """The memory of states [S, D], one of each pair or question."""
        lengths = torch.tensor([len(s) for s in states], device=self.device).unsqueeze(1)
        shape = len(states), max(map(len, states)), states[0].shape[-1]
        hidden = torch.zeros(shape, dtype=self.steps.dtype, device=self.device)
        for row, state in zip(hidden, states, strict=True):
            row[: len(state)] = state
        mask = torch.arange(shape[1], device=self.device) < lengths
        return self.steps.memory(hidden, mask.long())

    def _lookup(self, keys: Sequence[str], rows: Sequence[Sequence[int]]) -> list[Tensor]:
        found = {key: self._states[key] for key in keys if key in self._states}
        missing = {key: row for key, row in zip(keys, rows, strict=True) if key not in found}
        self.encoded += len(missing)
        self.reused += len(keys) - len(missing)
        names = list(missing)
        for batch in token_batches([len(missing[n]) for n in names], self.tokens_per_batch):
            ids, mask = pad_ids([missing[names[i]] for i in batch], self.generator.pad_id, self.device)
            hidden = self.encoder(input_ids=ids, attention_mask=mask).last_hidden_state
            for state, i in zip(hidden, batch, strict=True):
                found[names[i]] = state[: len(missing[names[i]])].clone()
        for key in dict.fromkeys(keys):
            self._keep(key, found[key])
        return [found[key] for key in keys]

    def _keep(self, key: str, state: Tensor) -> None:
        if key in self._states:
            self._states.move_to_end(key)
            return
        self._states[key] = state
        self._bytes += state.nbytes
        while self._bytes > self.max_bytes and len(self._states) > 1:
            _, old = self._states.popitem(last=False)
            self._bytes -= old.nbytes


LIMIT = 2
"""Number of models kept."""


class Loaded:
    """Name of a model -> its encodings; the oldest leaves first, and all leave before a training takes their memory."""

    _kept: ClassVar[dict[str, Encodings]] = {}

    @classmethod
    def encodings(cls, name: str, make: Callable[[], Encodings]) -> Encodings:
        """The encodings of a model, made where they are not kept.

        Args:
            name: Name of the model and of its number type.
            make: Loads the model.
        """
        if name not in cls._kept:
            while len(cls._kept) >= LIMIT:
                del cls._kept[next(iter(cls._kept))]
            cls._kept[name] = make()
        return cls._kept[name]

    @classmethod
    def clear(cls) -> None:
        """Forget all models."""
        cls._kept.clear()
