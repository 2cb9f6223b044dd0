"""A corpus of eight passages, their vectors and live retrieval over them."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from rag_lightning.config.retrieval import EncoderConfig, IndexConfig
from rag_lightning.config.training import TrainConfig
from rag_lightning.core.records import Passage
from rag_lightning.corpus.store import PassageStore, write_passages
from rag_lightning.generator.seq2seq import Seq2SeqGenerator
from rag_lightning.index.index import build_index
from rag_lightning.retrieval.encoders import TextEncoder
from rag_lightning.training.live_retrieval import LiveRetrieval
from tests import dying_reader
from tests.dying_reader import STEPS, Reader, Weights, fit, outcome, same, weights

NAMES = ("Paris", "Rome", "Porto", "Novo", "Xanten", "Y2", "Zug", "Wien")
PASSAGES = [Passage(f"p{i}", name, f"{name} is a city in the river {i}") for i, name in enumerate(NAMES)]


@dataclass(frozen=True)
class World:
    """What the trained half of the retriever needs."""

    store: PassageStore
    vectors: NDArray[np.float32]
    new_retrieval: Callable[[], LiveRetrieval]


@pytest.fixture(scope="session")
def world(bert_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> World:
    folder = tmp_path_factory.mktemp("corpus")
    write_passages(folder, PASSAGES)
    store = PassageStore(folder)
    config = EncoderConfig()
    vectors = TextEncoder(config, bert_folder, "passage").encode_texts(PASSAGES)
    index = build_index(IndexConfig(), vectors)

    encoder = TextEncoder(config, bert_folder, "query")
    for module in encoder.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0  # losses are compared with direct computation

    def new_retrieval() -> LiveRetrieval:
        return LiveRetrieval(copy.deepcopy(encoder), index, vectors, store, score_scale=5.0)

    return World(store, vectors, new_retrieval)


@pytest.fixture(scope="session")
def new_module(new_reader: Callable[..., Seq2SeqGenerator]) -> Callable[..., Reader]:
    def make(settings: TrainConfig, dies_at: int = -1) -> Reader:
        module = Reader(new_reader(dropout=0.1), settings, seed=5)
        module.dies_at = dies_at
        return module

    return make


@pytest.fixture(scope="session")
def whole_weights(
    new_module: Callable[..., Reader], tmp_path_factory: pytest.TempPathFactory
) -> Callable[[int], Weights]:
    """The weights of a run that nothing ended, by the number of batches of a step."""

    @cache
    def run(accumulate: int) -> Weights:
        settings = dying_reader.config(trainer={"accumulate_grad_batches": accumulate})
        whole = new_module(settings)
        start = weights(whole)
        assert outcome(fit(whole, tmp_path_factory.mktemp("whole"), settings)) == (STEPS, None)
        assert not same(start, weights(whole))
        return weights(whole)

    return run
