"""Rates of the parts of an experiment, from the manifests of earlier artifacts or from layers timed now.

The newest artifact of the same encoder or generator is used. An interrupted training records only the time of its last
part, so its rate is too high. Without artifacts, single layers of each model are timed; on demand, single real steps
take the place of both (steps.py).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from rag_lightning.checkpoints.architectures import Shape
from rag_lightning.config.digesting import effective_training, settings
from rag_lightning.config.experiment import ExperimentConfig
from rag_lightning.config.fields import InferenceDtype
from rag_lightning.config.retrieval import trains_encoder
from rag_lightning.core.artifacts import MANIFEST, published, read_manifest
from rag_lightning.core.devices import device_class
from rag_lightning.core.hardware import cpu_count, resolve_dtype
from rag_lightning.plan.steps import ROWS as SEARCHED
from rag_lightning.plan.steps import Steps
from rag_lightning.runs.system import make_system
from rag_lightning.stages.workspace import Workspace

PASSAGE_TOKENS, QUERY_TOKENS = 140, 16
"""Typical numbers of tokens of 100 words and of a question."""
TOKENS_A_WORD = PASSAGE_TOKENS / 100
TIMED = "layers timed on this machine"
STEP = "one step measured on this machine"
THOUSAND = 1000


@dataclass(frozen=True)
class Part:
    """One part of the work: its amount in words, seconds, and the source of the rate."""

    what: str
    amount: str
    seconds: float
    basis: str


@dataclass(frozen=True)
class Rates:
    """The rates of an experiment.

    Args:
        workspace: Workspace of the experiment, with earlier artifacts.
        encoder: Shape of the query encoder.
        passage: Shape of the passage encoder.
        generator: Shape of the generator.
        steps: Steps to measure in the place of earlier artifacts and layers; None for those.
    """

    workspace: Workspace
    encoder: Shape
    passage: Shape
    generator: Shape
    steps: Steps | None = None

    @property
    def machine(self) -> str:
        """The machine that the hours apply to."""
        return f"{device()}, {cpu_count()} cores"

    def parts(self, passages: int) -> Iterator[Part]:
        """All long parts in the order of their work, without trainings of 0 steps."""
        config = self.workspace.config
        if config.reader.steps:
            count = config.reader.steps * config.reader.batch_size
            rate, basis = self._reader()
            yield Part("reader warm-up", f"{count:,} pairs", count / rate, basis)
        if encodes(config):
            if config.biencoder.steps:
                count = config.biencoder.steps * config.biencoder.batch_size
                rate, basis = self._biencoder()
                yield Part("biencoder", f"{count:,} questions", count / rate, basis)
            rate, basis = self._embedding()
            yield Part("embedding", f"{passages:,} passages", passages / rate, basis)
            if config.retriever_warmup.steps and trains_encoder(config.retriever):
                count = config.retriever_warmup.steps * config.retriever_warmup.batch_size
                rate, basis = self._queries(passages)
                yield Part("retriever warm-up", f"{count:,} questions", count / rate, basis)
        if config.train.steps:
            count = config.train.steps * config.train.batch_size
            rate, basis = self._training(passages)
            yield Part("training", f"{count:,} questions", count / rate, basis)

    def predictions(self, points: Sequence[Mapping[str, Any]]) -> Iterator[Part]:
        """Prediction of 1,000 questions at each point, if steps are measured; points of other weights are named so.

        Raises:
            ConfigError: a point with an unknown field or value.
        """
        if self.steps is None:
            return
        for point in points:
            system = make_system(self.workspace.config, point)
            if not system.config.decoding.made().generates:
                continue
            rate, weights = self.steps.prediction(system.config)
            basis = f"{_text(rate)} questions/s, {STEP}, {weights}"
            yield Part(f"point {system.label}", f"{THOUSAND:,} questions", THOUSAND / rate, basis)

    def _embedding(self) -> tuple[float, str]:
        encoder = self.workspace.config.encoder
        if self.steps is not None and not encoder.passage_vectors:
            return _stepped(self.steps.embedding(), "passages/s")
        name = encoder.passage_model or encoder.model
        if name in ("mini", *_folders(name)):
            model = self.workspace.model_digest(name)
            found = self._newest("vectors", lambda m: m["inputs"].get("model") == model and not m["info"]["reused"])
            if found and found["info"]["passages_per_second"]:
                return _measured(float(found["info"]["passages_per_second"]), found, "passages/s")

        tokens = min(PASSAGE_TOKENS, encoder.max_passage_length)
        return _timed(encode_seconds(self.passage, tokens, encoder.dtype), "passages/s")

    def _biencoder(self) -> tuple[float, str]:
        """The rate of training on a question, its passage and its hard negatives."""
        config = self.workspace.config
        dtype, tokens = config.biencoder.dtype, min(PASSAGE_TOKENS, config.encoder.max_passage_length)
        passages = (1 + config.biencoder.k) * train_seconds(self.passage, tokens, dtype)
        return _timed(train_seconds(self.encoder, QUERY_TOKENS, dtype) + passages, "questions/s")

    def _reader(self) -> tuple[float, str]:
        config = self.workspace.config
        same = ("generator.", "reader.window")
        if found := self._newest("reader", self._alike("reader", same)):
            return _measured(_done(found, "reader"), found, "pairs/s")
        share = config.reader.window_share
        short = self._pair_seconds(round(TOKENS_A_WORD * config.reader.window) + QUERY_TOKENS) if share else 0.0
        return _timed(share * short + (1 - share) * self._pair_seconds(), "pairs/s")

    def _queries(self, passages: int) -> tuple[float, str]:
        if found := self._newest("retriever_warmup", self._alike("retriever_warmup", ("encoder.",))):
            return _measured(_done(found, "retriever_warmup"), found, "questions/s")
        return _timed(self._query_seconds(passages, learns=True), "questions/s")

    def _training(self, passages: int) -> tuple[float, str]:
        config = self.workspace.config
        if self.steps is not None and self.steps.trains_as_configured():
            seconds = 1 / self.steps.training(passages)
            if trains_encoder(config.retriever) and config.formulation != "closed_book":
                seconds += search_seconds(self.encoder.width, max(0, passages - SEARCHED))
            return _stepped(1 / seconds, "questions/s")
        if found := self._newest("model", self._alike("model", ("generator.", "formulation", "train.k"), "train")):
            return _measured(_done(found, "train"), found, "questions/s")
        if config.formulation == "closed_book":
            return _timed(self._pair_seconds(QUERY_TOKENS), "questions/s")
        seconds = config.train.k * self._pair_seconds()
        if trains_encoder(config.retriever):
            seconds += self._query_seconds(passages, learns=learns(config))
        return _timed(seconds, "questions/s")

    def _alike(self, stage: str, same: tuple[str, ...], section: str = "") -> Callable[[Mapping[str, Any]], bool]:
        """A test whether an artifact was trained with the same values of the fields with these prefixes."""
        ours = settings(self.workspace.config, stage)
        wanted = {path: value for path, value in ours.items() if path.startswith(same)}

        def alike(manifest: Mapping[str, Any]) -> bool:
            theirs = manifest["config"]
            return bool(theirs[f"{section or stage}.steps"]) and all(
                theirs.get(path) == value for path, value in wanted.items()
            )

        return alike

    def _pair_seconds(self, tokens: int = PASSAGE_TOKENS + QUERY_TOKENS) -> float:
        generator = self.workspace.config.generator
        source = min(tokens, generator.max_source_length)
        return train_seconds(
            self.generator, source, self.workspace.config.train.dtype, min(QUERY_TOKENS, generator.max_target_length)
        )

    def _query_seconds(self, passages: int, *, learns: bool) -> float:
        encode = train_seconds if learns else encode_seconds
        dtype = self.workspace.config.train.dtype
        return encode(self.encoder, QUERY_TOKENS, dtype) + search_seconds(self.encoder.width, passages)

    def _newest(self, kind: str, fits: Callable[[Mapping[str, Any]], bool]) -> Mapping[str, Any] | None:
        """The manifest of the newest artifact of a kind that fits and has a recorded time."""
        found = [f for f in published(self.workspace.root / "artifacts", kind) if (f / MANIFEST).exists()]
        found.sort(key=lambda folder: (folder / MANIFEST).stat().st_mtime, reverse=True)
        manifests = map(read_manifest, found)
        return next((m for m in manifests if m.get("seconds", 0) > 0 and fits(m)), None)


def encodes(config: ExperimentConfig) -> bool:
    """Whether passages are embedded, because training or prediction uses the query encoder."""
    encodes = trains_encoder(config.retriever) or config.retriever.made().encodes
    return bool(config.formulation != "closed_book" and encodes)


def learns(config: ExperimentConfig) -> bool:
    """Whether RAG training updates the query encoder."""
    return encodes(config) and effective_training(config).retriever_lr > 0


def _folders(name: str) -> tuple[str, ...]:
    return (name,) if Path(name).is_dir() else ()


def _measured(rate: float, manifest: Mapping[str, Any], unit: str) -> tuple[float, str]:
    return rate, f"{rate:,.1f} {unit} in artifact {manifest['kind']}/{manifest['digest']}"


def _timed(seconds: float, unit: str) -> tuple[float, str]:
    rate = 1 / max(seconds, 1e-9)
    return rate, f"{_text(rate)} {unit}, {TIMED}"


def _stepped(rate: float, unit: str) -> tuple[float, str]:
    return rate, f"{_text(rate)} {unit}, {STEP}"


def _text(rate: float) -> str:
    return f"{rate:,.2g}" if rate < 10 else f"{rate:,.0f}"


BATCH, REPEATS, ROWS = 8, 3, 1 << 14
HEAD = 64
"""Width of an attention head."""


def encode_seconds(shape: Shape, tokens: int, dtype: InferenceDtype) -> float:
    """Seconds to encode one text of `tokens` tokens: one layer timed, times the number of layers."""
    layer, states = _encoder(shape).eval(), _states(shape, tokens)

    def step() -> None:
        with torch.inference_mode():
            layer(states)

    return shape.layers * _best(step, dtype, states.device.type) / BATCH


def train_seconds(shape: Shape, tokens: int, dtype: InferenceDtype, target_tokens: int = 0) -> float:
    """Seconds of forward and backward pass of one text (and target), from one timed layer of each kind."""
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
    """Seconds of exact search of one query over `count` vectors, from timed inner products with a part of them."""
    queries, vectors = torch.randn(BATCH, width), torch.randn(ROWS, width)
    return _best(lambda: queries @ vectors.T, "float32", "cpu") / BATCH * count / ROWS


def device() -> str:
    """The device on which models are timed: the GPU if there is one."""
    return device_class("auto")


def _best(step: Callable[[], object], dtype: InferenceDtype, kind: str) -> float:
    """Seconds of the fastest of several calls, after one warm-up call."""
    lower = getattr(torch, resolve_dtype(dtype, kind))
    seconds = []
    for _ in range(1 + REPEATS):
        started = time.perf_counter()
        with torch.autocast(kind, lower, enabled=lower != torch.float32):
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


def _done(manifest: Mapping[str, Any], section: str) -> float:
    """Examples per second in the training of an earlier artifact."""
    settings = manifest["config"]
    return float(settings[f"{section}.steps"] * settings[f"{section}.batch_size"] / manifest["seconds"])
