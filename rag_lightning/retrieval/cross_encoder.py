"""(query, passage) -> score: a sequence classifier that reads both together."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import lru_cache
from itertools import groupby, islice
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import AutoModelForSequenceClassification

from rag_lightning.checkpoints.opening import open_model, open_tokenizer, opening
from rag_lightning.core.errors import AssetError, ConfigError
from rag_lightning.core.records import Passage, passage_text

WHAT = "reranker"
LONGEST, BATCH = 512, 32
KEPT = 1 << 20
"""Pairs whose scores are kept, some 100 MB."""


class CrossEncoder:
    """A sequence classifier of one label, whose logit is the score, or of two, whose difference is.

    Scores are kept, so that a pair is scored once, whatever rankings it occurs in. Batches hold pairs of one length: no
    padding makes the score of a pair depend on the others.

    Args:
        source: A local folder (never asks the network) or a hub name; weights must be safetensors.
        device: Its device.

    Raises:
        AssetError: the model cannot be reached or read, lacks weights, such as those of the classifier, or cannot score
            what its tokenizer gives.
        ConfigError: another number of labels, or a score that is not finite.
    """

    def __init__(self, source: Path | str, device: str = "cpu") -> None:
        self.model = open_model(AutoModelForSequenceClassification, source, WHAT).to(device).eval()
        self.tokenizer = open_tokenizer(source, WHAT)
        self._known: dict[bytes, float] = {}
        if (labels := int(self.model.config.num_labels)) not in (1, 2):
            raise ConfigError(f"{WHAT} {source}: has {labels} labels; give a cross-encoder of one or two")
        highest, known = max(self.tokenizer.get_vocab().values()), self.model.get_input_embeddings().num_embeddings
        if highest >= known:
            raise AssetError(f"{WHAT} {source}: its tokenizer has token {highest:,}, and the model {known:,} tokens")
        with opening(WHAT, source):
            self._logits([self._encode("a", Passage("", "", "b"))])

    @property
    def max_length(self) -> int:
        """Maximum number of tokens of a pair; passages are cut, queries never."""
        return min(LONGEST, int(getattr(self.model.config, "max_position_embeddings", LONGEST)))

    def scores(self, pairs: Sequence[tuple[str, Passage]], batch_size: int = BATCH) -> NDArray[np.float32]:
        """Scores [len(pairs)] float32 in the order given.

        Raises:
            ConfigError: a query that leaves no room for a passage, or a score that is not finite.
        """
        names = [_name(query, passage) for query, passage in pairs]
        missing = {name: pair for name, pair in zip(names, pairs, strict=True) if name not in self._known}
        encoded = {name: self._encode(query, passage) for name, (query, passage) in missing.items()}
        new: dict[bytes, float] = {}
        for _, group in groupby(
            sorted(encoded, key=lambda name: _length(encoded[name])), lambda n: _length(encoded[n])
        ):
            while alike := list(islice(group, batch_size)):
                new |= zip(alike, self._logits([encoded[name] for name in alike]), strict=True)
        found = np.array([new[name] if name in new else self._known[name] for name in names], np.float32)
        self._known |= new
        for name in list(islice(self._known, max(0, len(self._known) - KEPT))):
            del self._known[name]
        return found

    def _logits(self, encoded: Sequence[dict[str, list[int]]]) -> list[float]:
        """The scores of pairs of one length."""
        batch = {name: torch.tensor([one[name] for one in encoded], device=self.model.device) for name in encoded[0]}
        with torch.inference_mode():
            logits = self.model(**batch, return_dict=True).logits.float()
        scores = logits[:, -1] - (logits[:, 0] if logits.shape[1] == 2 else 0)
        if not scores.isfinite().all():  # no order, and no p(z|x)
            raise ConfigError(f"{WHAT} {self.model.name_or_path}: gives a score that is not finite; give another model")
        found: list[float] = scores.tolist()
        return found

    def _encode(self, query: str, passage: Passage) -> dict[str, list[int]]:
        plain = self.tokenizer(query, passage_text(passage), verbose=False)
        if len(plain["input_ids"]) <= self.max_length:
            return dict(plain)
        if len(self.tokenizer(query, "", verbose=False)["input_ids"]) >= self.max_length:
            problem = f"{WHAT}: a question has more than its {self.max_length} tokens"
            raise ConfigError(f"{problem}; shorten it, or set another retriever.kind: {query[:60]!r}")
        return dict(self.tokenizer(query, passage_text(passage), truncation="only_second", max_length=self.max_length))


@lru_cache(maxsize=1)
def open_cross_encoder(source: Path | str, device: str = "cpu") -> CrossEncoder:
    """The cross-encoder of a folder; the last one stays open, with the scores of its pairs, for the next trial.

    Raises:
        AssetError, ConfigError: as `CrossEncoder`.
    """
    return CrossEncoder(source, device)


def _length(encoded: dict[str, list[int]]) -> int:
    return len(encoded["input_ids"])


def _name(query: str, passage: Passage) -> bytes:
    content = "\0".join((query, passage.title, passage.text)).encode(errors="surrogatepass")
    return hashlib.blake2b(content, digest_size=16).digest()
