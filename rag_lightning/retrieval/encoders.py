"""Text -> vector: a BERT-family model with pooling, prefixes and maximum lengths of an EncoderConfig.

DPR: https://arxiv.org/abs/2004.04906 (pooler, title and text as a pair); sentence-transformers: masked mean,
https://arxiv.org/abs/1908.10084 (title and text as one string).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from transformers import AutoModel, DPRConfig, DPRContextEncoder, DPRQuestionEncoder
from transformers.models.auto.modeling_auto import MODEL_FOR_MASKED_LM_MAPPING_NAMES

from rag_lightning.checkpoints.loading import question_encoder_of
from rag_lightning.checkpoints.opening import open_model, open_settings, open_tokenizer
from rag_lightning.checkpoints.rag_layout import is_rag, open_rag
from rag_lightning.config.retrieval import EncoderConfig
from rag_lightning.core.errors import AssetError, ConfigError
from rag_lightning.core.records import Passage, passage_text

Role = Literal["query", "passage"]
WHAT = "encoder"
DPR_CLASSES = {"query": DPRQuestionEncoder, "passage": DPRContextEncoder}


class TextEncoder(nn.Module):
    """The query or the passage encoder.

    Args:
        config: Pooling, normalisation, prefixes and lengths.
        source: A local folder (never asks the network) or a hub name; weights must be safetensors.
        role: Decides which prefix and length apply; a DPR checkpoint is opened as its question or context encoder, a
            RAG checkpoint as its question encoder.

    Raises:
        AssetError: the model cannot be reached or read, has no safetensors, or lacks weights.
        ConfigError: a pooling the model does not have.
    """

    def __init__(self, config: EncoderConfig, source: Path | str, role: Role) -> None:
        super().__init__()
        self.config, self.role = config, role
        self.model, self.tokenizer = _load(source, role, config)
        self.is_dpr = self.model.config.model_type == "dpr"
        _check_pooling(config, self.model, self.is_dpr)
        if config.pooling != "pooler" and getattr(self.model, "pooler", None) is not None:
            self.model.pooler = None  # without a gradient it would only trouble distributed training

    @property
    def dim(self) -> int:
        """Width D of a vector."""
        return _width(self.model.config)

    @property
    def max_length(self) -> int:
        """Maximum number of tokens of an input."""
        wanted = self.config.max_query_length if self.role == "query" else self.config.max_passage_length
        return min(wanted, int(self.model.config.max_position_embeddings))

    def forward(self, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor | None = None) -> Tensor:
        """input_ids, attention_mask [B, S] -> vectors [B, D], float32 whatever the weights are; differentiable."""
        states = self.model(input_ids=input_ids, attention_mask=attention_mask, token_type_ids=token_type_ids)
        with torch.autocast(input_ids.device.type, enabled=False):
            vectors = self._pool(states, attention_mask)
            return nn.functional.normalize(vectors, dim=-1) if self.config.normalize else vectors

    def _pool(self, states: Any, attention_mask: Tensor) -> Tensor:
        if self.config.pooling == "pooler":
            pooled: Tensor = states.pooler_output
            return pooled.float()
        hidden: Tensor = states.last_hidden_state.float()
        if self.config.pooling == "cls":
            return hidden[:, 0]
        mask = attention_mask.unsqueeze(-1).float()
        return (hidden * mask).sum(1) / mask.sum(1).clamp_min(1.0)

    def token_ids(self, items: Sequence[str] | Sequence[Passage]) -> list[dict[str, list[int]]]:
        """Unpadded tokenizer output of each query, or of each passage; cut at `max_length`."""
        firsts, seconds = self._texts(items)
        encoded = self.tokenizer(firsts, seconds, truncation="longest_first", max_length=self.max_length)
        return [{name: encoded[name][i] for name in encoded} for i in range(len(firsts))]

    def count_cut(self, items: Sequence[str] | Sequence[Passage]) -> int:
        """How many queries, or passages, have more than `max_length` tokens, so that `token_ids` cuts them."""
        if not len(items):
            return 0
        rows = self.tokenizer(*self._texts(items), verbose=False)["input_ids"]
        return sum(len(row) > self.max_length for row in rows)

    def collate(self, encoded: Sequence[dict[str, list[int]]]) -> dict[str, Tensor]:
        """Pad `token_ids` to tensors [B, S] on the model's device."""
        padded = self.tokenizer.pad(list(encoded), padding=True, return_tensors="pt")
        return {name: tensor.to(self.model.device) for name, tensor in padded.items()}

    def tokenize(self, items: Sequence[str] | Sequence[Passage]) -> dict[str, Tensor]:
        """Queries or passages -> {input_ids, attention_mask, …}, each [B, S], ready for `forward(**batch)`."""
        return self.collate(self.token_ids(items))

    def encode_texts(self, items: Sequence[str] | Sequence[Passage], batch_size: int = 64) -> NDArray[np.float32]:
        """Vectors [len(items), D] float32 without gradients or dropout, in the order given."""
        encoded = self.token_ids(items) if len(items) else []
        order = sorted(range(len(encoded)), key=lambda i: len(encoded[i]["input_ids"]))
        vectors = np.empty((len(encoded), self.dim), dtype=np.float32)
        for start in range(0, len(order), batch_size):
            rows = order[start : start + batch_size]
            vectors[rows] = self.encode_batch([encoded[row] for row in rows])
        return vectors

    def encode_batch(self, encoded: Sequence[dict[str, list[int]]]) -> NDArray[np.float32]:
        """One padded batch of `token_ids` -> vectors [B, D] float32 without gradients or dropout."""
        training = self.training
        self.eval()
        try:
            with torch.inference_mode():
                vectors: NDArray[np.float32] = self(**self.collate(encoded)).cpu().numpy()
        finally:
            self.train(training)
        return vectors

    def _texts(self, items: Sequence[str] | Sequence[Passage]) -> tuple[list[str], list[str] | None]:
        if self.role == "query":
            return [f"{self.config.query_prefix}{item}" for item in items], None
        passages = [item for item in items if isinstance(item, Passage)]
        if len(passages) != len(items):
            raise TypeError("the passage encoder takes Passage records, not strings")
        prefix = self.config.passage_prefix
        if self.is_dpr:
            return [prefix + passage.title for passage in passages], [passage.text for passage in passages]
        return [prefix + passage_text(passage) for passage in passages], None


def encoder_width(source: Path | str) -> int:
    """Width D of the vectors of an encoder, from its configuration alone; of a RAG checkpoint its question encoder's.

    Args:
        source: A local folder (never asks the network) or a hub name.

    Raises:
        AssetError: the model cannot be reached, or its configuration cannot be read.
        ConfigError: a RAG checkpoint whose question encoder is no DPR.
        DataError: config.json of a RAG checkpoint cannot be read.
    """
    if is_rag(source):
        return _width(open_rag(Path(source)).config_of("question_encoder", DPRConfig))
    settings = open_settings(source, WHAT)
    _check_family(source, settings)
    return _width(settings)


def _width(settings: Any) -> int:
    return int(getattr(settings, "projection_dim", 0) or settings.hidden_size)


def _load(source: Path | str, role: Role, config: EncoderConfig) -> tuple[Any, Any]:
    if is_rag(source):
        return question_encoder_of(Path(source), config, role)
    if not Path(source).is_dir() and (isinstance(source, Path) or str(source).startswith(("/", ".", "~"))):
        raise AssetError(f"encoder folder {source} does not exist; run `rag-lightning fetch` or check the path")
    settings = open_settings(source, WHAT)
    _check_family(source, settings)
    spared = "" if config.pooling == "pooler" else "pooler"
    model = open_model(DPR_CLASSES[role] if settings.model_type == "dpr" else AutoModel, source, WHAT, spared)
    tokenizer = open_tokenizer(source, WHAT)
    if len(tokenizer) > model.config.vocab_size:
        known = f"{len(tokenizer)} tokens, the model only {model.config.vocab_size}"
        raise ConfigError(f"{WHAT} {source}: its tokenizer has {known}")
    return model, tokenizer


def _check_family(source: Path | str, settings: Any) -> None:
    """A model that can fill in a masked word reads both ways, as an encoder must; a Llama does not."""
    kind = settings.model_type
    if kind != "dpr" and (settings.is_encoder_decoder or kind not in MODEL_FOR_MASKED_LM_MAPPING_NAMES):
        raise ConfigError(f"encoder {source}: is a {kind}, not a BERT-family encoder or a DPR")


def _check_pooling(config: EncoderConfig, model: Any, is_dpr: bool) -> None:
    if is_dpr and config.pooling != "pooler":
        raise ConfigError(f"encoder.pooling is {config.pooling!r}; a DPR checkpoint needs 'pooler'")
    if config.pooling == "pooler" and not is_dpr and getattr(model, "pooler", None) is None:
        raise ConfigError("encoder.pooling is 'pooler', but the model has none; choose cls or mean")
