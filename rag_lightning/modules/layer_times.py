"""Seconds of the parts of a model, each timed alone for a moment: what hours are derived from."""

from __future__ import annotations

import time
from collections.abc import Callable

import torch
from torch import nn

from rag_lightning.core.hardware import resolve_dtype
from rag_lightning.core.shapes import Shape
from rag_lightning.core.trainer_config import Dtype

BATCH, REPEATS, ROWS = 8, 3, 1 << 14
HEAD = 64
"""Width of an attention head."""


def encode_seconds(shape: Shape, tokens: int, dtype: Dtype) -> float:
    """Of one text of so many tokens through the encoder: one layer timed, times the layers."""
    layer, states = _encoder(shape).eval(), _states(shape, tokens)

    def step() -> None:
        with torch.inference_mode():
            layer(states)

    return shape.layers * _best(step, dtype, states.device.type) / BATCH


def train_seconds(shape: Shape, tokens: int, dtype: Dtype, target_tokens: int = 0) -> float:
    """Forward and backward of one text (and target) of so many tokens: one layer of each kind timed."""
    layer, states = _encoder(shape), _states(shape, tokens)
    device = states.device.type
    seconds = shape.layers * _best(lambda: layer(states).sum().backward(), dtype, device)
    if shape.decoder_layers:
        decoder = nn.TransformerDecoderLayer(shape.width, _heads(shape), shape.ffn, 0.0, batch_first=True)
        decoder = decoder.to(device)
        head = nn.Linear(shape.width, shape.vocabulary).to(device)
        written = _states(shape, target_tokens)
        seconds += shape.decoder_layers * _best(lambda: decoder(written, states).sum().backward(), dtype, device)
        seconds += _best(lambda: head(written).logsumexp(-1).sum().backward(), dtype, device)
    return seconds / BATCH


def search_seconds(width: int, count: int) -> float:
    """Of one query over count vectors by exact search: the inner products of a part timed."""
    queries, vectors = torch.randn(BATCH, width), torch.randn(ROWS, width)
    return _best(lambda: queries @ vectors.T, "float32", "cpu") / BATCH * count / ROWS


def device() -> str:
    """Where models are timed: the GPU where there is one."""
    return "cuda" if torch.cuda.is_available() else "cpu"


def _best(step: Callable[[], object], dtype: Dtype, kind: str) -> float:
    """Seconds of the fastest of some calls, after one that warms up."""
    fast = resolve_dtype(dtype) == "bfloat16"
    seconds = []
    for _ in range(1 + REPEATS):
        started = time.perf_counter()
        with torch.autocast(kind, torch.bfloat16, enabled=fast):
            step()
        if kind == "cuda":
            torch.cuda.synchronize()
        seconds.append(time.perf_counter() - started)
    return min(seconds[1:])


def _encoder(shape: Shape) -> nn.Module:
    layer = nn.TransformerEncoderLayer(shape.width, _heads(shape), shape.ffn, 0.0, batch_first=True)
    return layer.to(device())


def _heads(shape: Shape) -> int:
    return shape.width // HEAD if shape.width % HEAD == 0 else 1


def _states(shape: Shape, tokens: int) -> torch.Tensor:
    return torch.randn(BATCH, tokens, shape.width, device=device(), requires_grad=True)
