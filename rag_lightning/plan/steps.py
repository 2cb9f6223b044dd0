"""Single real steps, timed on the device at hand: a batch embedded, a step trained, a batch of questions decoded.

The models are those of the configuration, trained or as they begin, with passages and questions of typical length; what
is at hand is opened, nothing comes from the hub. A generator that is not trained yet seldom ends a sequence: its
decoding is timed at full length, an upper bound.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import torch

from rag_lightning.config.experiment import ExperimentConfig
from rag_lightning.config.retrieval import IndexConfig, trains_encoder
from rag_lightning.core.assets import OPTIONAL_ASSETS
from rag_lightning.core.devices import device_class
from rag_lightning.core.errors import AssetError
from rag_lightning.core.hardware import resolve_dtype
from rag_lightning.core.records import Example, Passage
from rag_lightning.decoding.encodings import Encodings
from rag_lightning.decoding.predictor import Predictor, batches
from rag_lightning.decoding.question import Question
from rag_lightning.generator.opening import Writer, create_generator
from rag_lightning.index.index import build_index
from rag_lightning.retrieval.encoders import Role, TextEncoder
from rag_lightning.stages import classes, train
from rag_lightning.stages.training_start import GENERATOR
from rag_lightning.stages.workspace import Workspace
from rag_lightning.training.batches import Item
from rag_lightning.training.live_retrieval import LiveRetrieval
from rag_lightning.training.module import TrainedModule, fast_attention
from rag_lightning.training.rag import ReaderModule

WORDS, ASKED_WORDS, ANSWER = 110, 12, "paris"
"""Words of a passage and of a question, which most tokenizers make one token each, beside their numbers."""
ROWS = 1 << 14
"""Vectors searched in a step; those of the whole corpus are derived."""
REPEATS = 2
TRAINED, UNTRAINED = "the trained generator", "a generator not trained yet, so at most"


@dataclass(frozen=True)
class Steps:
    """Steps of an experiment.

    Args:
        workspace: Its workspace.
    """

    workspace: Workspace

    @property
    def config(self) -> ExperimentConfig:
        """The experiment."""
        return self.workspace.config

    @cached_property
    def has_models(self) -> bool:
        """Whether all models are embedded, or on this machine."""
        names = {self.config.generator.source, self.config.encoder.model, self.config.encoder.passage_model}
        others = names - {"", "mini", *OPTIONAL_ASSETS}
        try:
            return all(self.workspace.local_model(name) is not None for name in others)
        except AssetError:  # the hub cannot be asked for the revision
            return False

    @cached_property
    def generator(self) -> tuple[Writer, str]:
        """The generator, and whether it is trained."""
        found = train.STAGE.open(self.workspace)
        if found is not None:
            return train.open_generator(found.path / GENERATOR, self.config).to(self.workspace.device), TRAINED
        made = create_generator(self.config.generator, self.workspace.model_source(self.config.generator.source))
        return made.set_classes(classes.labels(self.config)).eval().to(self.workspace.device), UNTRAINED

    def embedding(self) -> float:
        """Passages embedded in a second."""
        encoder = self.config.encoder
        dtype: Any = self._dtype(encoder.dtype)
        model = self._encoder(encoder.passage_model or encoder.model, "passage", dtype)
        model = model.to(self.workspace.device, getattr(torch, dtype)).eval()
        shown = passages(2 * encoder.tokens_per_batch // WORDS + 1)
        encoded = model.token_ids(shown)
        size = max(1, encoder.tokens_per_batch // len(encoded[0]["input_ids"]))
        return size / fastest(lambda: model.encode_batch(encoded[:size]))

    def training(self, count: int) -> float:
        """Questions trained on in a second, with a corpus of `count` passages, without search in what exceeds ROWS."""
        config = self.config
        module = self._module(count).to(self.workspace.device)
        module.train()
        fast_attention(module.generator.model, module.device)
        optimizer: Any = torch.optim.AdamW(module.parameter_groups(), lr=config.train.lr)
        size = config.train.batch_size
        items = [Item(question(number), ANSWER, example_id=str(number)) for number in range(size)]
        fast, kind = self._dtype(config.train.dtype) == "bfloat16", module.device.type

        def step() -> None:
            with torch.autocast(kind, torch.bfloat16, enabled=fast):
                loss = module.losses(items).mean()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            optimizer.zero_grad()

        return size / fastest(step)

    def prediction(self, config: ExperimentConfig) -> tuple[float, str]:
        """Questions decoded in a second under the decoding of a configuration with this generator, and by which."""
        generator, basis = self.generator
        decoding = config.decoding
        encodings = Encodings(generator, self._dtype(decoding.dtype))
        closed = config.formulation == "closed_book"
        shown = passages(decoding.k * decoding.pairs_per_batch)
        asked = [
            Question(Example(str(n), question(n), (ANSWER,)), *(((), ()) if closed else found(n, decoding.k)))
            for n in range(max(1, decoding.pairs_per_batch))
        ]
        batch = next(batches(asked, config.formulation, decoding))

        def step() -> None:
            source: Any = None if closed else shown
            Predictor(config.formulation, encodings.emptied(), decoding, source).predict(batch)

        return len(batch) / fastest(step), basis

    def _dtype(self, name: str) -> str:
        return resolve_dtype(name, device_class(self.workspace.device))

    def _encoder(self, name: str, role: Role, dtype: Any) -> TextEncoder:
        return TextEncoder(replace(self.config.encoder, dtype=dtype), self.workspace.model_source(name), role)

    def _module(self, count: int) -> TrainedModule:
        """The module of the formulation over some vectors; without a query encoder in training, that of the reader."""
        config, generator = self.config, copy.deepcopy(self.generator[0])
        if config.formulation == "closed_book" or not trains_encoder(config.retriever):
            return ReaderModule(generator, config.train, config.seed)
        encoder = self._encoder(config.encoder.model, "query", "float32")
        rows = min(count, ROWS)
        vectors = np.random.default_rng(0).standard_normal((rows, encoder.dim), dtype=np.float32)
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        store: Any = passages(rows)
        retrieval = LiveRetrieval(encoder, build_index(IndexConfig(), vectors), vectors, store, 1.0)
        return train.trained_on_passages(config, generator, retrieval)

    def trains_as_configured(self) -> bool:
        """Whether `training` times the whole step, with retrieval."""
        return self.config.formulation == "closed_book" or trains_encoder(self.config.retriever)


def passages(count: int) -> list[Passage]:
    """Passages of typical length, no two alike."""
    return [Passage(str(n), f"city {n}", " ".join([str(n), *["river"] * WORDS])) for n in range(count)]


def question(number: int) -> str:
    """A question of typical length, no two alike."""
    return " ".join(["what", str(number), *["city"] * ASKED_WORDS])


def found(number: int, k: int) -> tuple[tuple[int, ...], tuple[float, ...]]:
    """Rows and scores of the passages of a question, each its own."""
    rows: Sequence[int] = range(number * k, (number + 1) * k)
    return tuple(rows), tuple(-float(rank) for rank in range(k))


def fastest(step: Callable[[], object]) -> float:
    """Seconds of the fastest of several calls, after one that is not counted."""
    seconds = []
    for _ in range(1 + REPEATS):
        started = time.perf_counter()
        step()
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        seconds.append(time.perf_counter() - started)
    return min(seconds[1:])
