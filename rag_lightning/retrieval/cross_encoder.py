"""(query, passage) -> score: a sequence classifier that reads both together."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import AutoModelForSequenceClassification

from rag_lightning.checkpoints.opening import open_model, open_tokenizer
from rag_lightning.core.errors import ConfigError
from rag_lightning.core.records import Passage, passage_text

WHAT = "reranker"
LONGEST, BATCH = 512, 32


class CrossEncoder:
    """A sequence classifier of one label, whose logit is the score, or of two, whose difference is.

    Args:
        source: A local folder (never asks the network) or a hub name; weights must be safetensors.

    Raises:
        AssetError: the model cannot be reached or read, or lacks weights, such as those of the classifier.
        ConfigError: another number of labels.
    """

    def __init__(self, source: Path | str) -> None:
        self.model = open_model(AutoModelForSequenceClassification, source, WHAT).eval()
        self.tokenizer = open_tokenizer(source, WHAT)
        if (labels := int(self.model.config.num_labels)) not in (1, 2):
            raise ConfigError(f"{WHAT} {source}: has {labels} labels; give a cross-encoder of one or two")

    @property
    def max_length(self) -> int:
        """Maximum number of tokens of a pair; passages are cut, queries never."""
        return min(LONGEST, int(getattr(self.model.config, "max_position_embeddings", LONGEST)))

    def scores(self, pairs: Sequence[tuple[str, Passage]], batch_size: int = BATCH) -> NDArray[np.float32]:
        """Scores [len(pairs)] float32 in the order given.

        Raises:
            ConfigError: a query that leaves no room for a passage.
        """
        found = np.empty(len(pairs), np.float32)
        encoded = [self._encode(query, passage) for query, passage in pairs]
        order = sorted(range(len(pairs)), key=lambda at: len(encoded[at]["input_ids"]))
        for start in range(0, len(order), batch_size):
            rows = order[start : start + batch_size]
            batch = self.tokenizer.pad([encoded[row] for row in rows], padding=True, return_tensors="pt")
            with torch.inference_mode():
                logits = self.model(**batch.to(self.model.device)).logits.float()
            found[rows] = (logits[:, -1] - (logits[:, 0] if logits.shape[1] == 2 else 0)).cpu().numpy()
        return found

    def _encode(self, query: str, passage: Passage) -> dict[str, list[int]]:
        plain = self.tokenizer(query, passage_text(passage), verbose=False)
        if len(plain["input_ids"]) <= self.max_length:
            return dict(plain)
        if len(self.tokenizer(query, "", verbose=False)["input_ids"]) >= self.max_length:
            problem = f"{WHAT}: a question has more than its {self.max_length} tokens"
            raise ConfigError(f"{problem}; shorten it, or set another retriever.kind: {query[:60]!r}")
        return dict(self.tokenizer(query, passage_text(passage), truncation="only_second", max_length=self.max_length))
