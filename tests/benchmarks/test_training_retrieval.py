"""Retrieval inside training over a million passages: its share of the steps, in time and one step ahead.

The models have mini's shape and random weights, the vectors are random; passages of 50 to 130 tokens, three a question.
The first search, which reads the vectors from disk and measures their lengths, comes before the steps.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rag_lightning.config.generator import GeneratorConfig
from rag_lightning.config.retrieval import EncoderConfig, IndexConfig
from rag_lightning.config.training import TrainConfig
from rag_lightning.core.records import Passage
from rag_lightning.corpus.store import PassageStore, write_passages
from rag_lightning.generator.seq2seq import Seq2SeqGenerator
from rag_lightning.index.flat import FlatIndex
from rag_lightning.index.index import build_index
from rag_lightning.retrieval.encoders import TextEncoder
from rag_lightning.training.batches import Item, Lesson
from rag_lightning.training.fitting import fit
from rag_lightning.training.live_retrieval import LiveRetrieval
from rag_lightning.training.rag import RagModule
from tests.benchmarks.encoders import SHAPE, random_passages, save_encoder, words
from tests.benchmarks.rag_models import against

VECTORS, DIFFERENT, BLOCK = 1_000_000, 4096, 100_000
STEPS, PAIRS, SHARE = 4, 3, 0.15
"""SHARE is the target: of the seconds of the steps, at most."""
pytestmark = [pytest.mark.benchmark, pytest.mark.slow, pytest.mark.timeout(7200)]


@dataclass(frozen=True)
class Million:
    """Folders of the encoder, and of passages, vectors and the flat index."""

    encoder: Path
    corpus: Path


@pytest.fixture(scope="module")
def million(tmp_path_factory: pytest.TempPathFactory) -> Million:
    encoder, corpus = save_encoder(tmp_path_factory.mktemp("encoder")), tmp_path_factory.mktemp("million")
    texts = random_passages(DIFFERENT)
    write_passages(corpus, (Passage(str(row), "w0", texts[row % DIFFERENT].text) for row in range(VECTORS)))
    draw, width = np.random.default_rng(0), SHAPE["hidden_size"]
    vectors = np.lib.format.open_memmap(corpus / "vectors.npy", "w+", np.float32, (VECTORS, width))
    for start in range(0, VECTORS, BLOCK):
        block = draw.standard_normal((BLOCK, width), dtype=np.float32)
        vectors[start : start + BLOCK] = block / np.linalg.norm(block, axis=1, keepdims=True)
    build_index(IndexConfig("flat"), vectors).save(corpus)
    return Million(encoder, corpus)


def items() -> Iterator[Item]:
    """Questions of ten words with answers of four."""
    draw = random.Random(1)
    for _ in range(12 * STEPS):
        yield Item(words(draw, 10), words(draw, 4))


def trained(million: Million, folder: Path, **settings: Any) -> dict[str, float]:
    """What the meter says of STEPS steps."""
    config = TrainConfig(steps=STEPS, warmup=0, eval_every=0, **settings)
    generator = Seq2SeqGenerator.create(GeneratorConfig(), million.encoder)
    encoder = TextEncoder(EncoderConfig(), million.encoder, "query")
    vectors = np.load(million.corpus / "vectors.npy", mmap_mode="r")
    index = FlatIndex.mapped(million.corpus, vectors)
    live = LiveRetrieval(encoder, index, vectors, PassageStore(million.corpus), 20.0)
    live.search(["first", "search"], config.k)
    module = RagModule("rag_sequence", generator, live, config, seed=0)
    folder.mkdir()
    fit(module, [Lesson(list(items()), config.batch_size)], config, folder, seed=0, progress=False)
    return module.meter.summary() | {"step": module.meter.step_seconds / STEPS}


def test_share_of_retrieval(
    million: Million, tmp_path: Path, capsys: pytest.CaptureFixture[str], benchmark: Any
) -> None:
    """Medians of runs in turns; the search ahead needs a core that the training leaves free."""
    found: dict[bool, list[dict[str, float]]] = {False: [], True: []}
    for number in range(PAIRS):
        for ahead in (False, True):
            found[ahead].append(trained(million, tmp_path / f"{number} {ahead}", retrieve_ahead=ahead))
    for ahead, runs in found.items():
        share, step = (float(np.median([run[name] for run in runs])) for name in ("retrieval_share", "step"))
        benchmark.extra_info |= {f"share {ahead}": share, f"step {ahead}": step}
        how = "one step ahead" if ahead else "in time"
        with capsys.disabled():
            print(f"\nretrieval, {VECTORS:,} vectors, {how}: {share:.3f} of a step of {step:.2f} s", end="")
            print(against(SHARE, share <= SHARE))
    benchmark.pedantic(trained, args=(million, tmp_path / "once"), rounds=1)
