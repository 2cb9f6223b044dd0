"""What the processes of a distributed test do; a module of its own, because a spawned process imports it by name."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from rag_lightning.config.generator import GeneratorConfig
from rag_lightning.config.retrieval import EncoderConfig
from rag_lightning.config.training import TrainConfig
from rag_lightning.core.errors import ConfigError
from rag_lightning.core.records import Example
from rag_lightning.corpus.store import PassageStore
from rag_lightning.generator.seq2seq import Seq2SeqGenerator
from rag_lightning.index.flat import FlatIndex
from rag_lightning.retrieval.encoders import TextEncoder
from rag_lightning.training import fitting
from rag_lightning.training.batches import Item, Lesson
from rag_lightning.training.fitting import fit
from rag_lightning.training.live_retrieval import LiveRetrieval
from rag_lightning.training.rag import RagModule

ITEMS = [Item(f"what is {c} in the city", f"rome {c}") for c in "abcdefgh7"]
DEV = [[Example("1", "a", ("a",)), Example("2", "b", ("b",))], [Example("3", "c", ("c",))], [Example("4", "d", ("d",))]]


class Recorded(RagModule):
    """Keeps loss and gradient of every step, and which questions it scored; plain descent, which magnifies no noise."""

    def __init__(self, *args: Any, **settings: Any) -> None:
        super().__init__(*args, **settings)
        self.gradients: list[dict[str, Tensor]] = []
        self.step_losses: list[float] = []
        self.scored: list[str] = []

    def on_before_optimizer_step(self, optimizer: Any) -> None:
        self.gradients.append({n: p.grad.clone() for n, p in self.named_parameters() if p.grad is not None})

    def on_train_batch_end(self, *args: Any) -> None:
        self.step_losses.append(float(self.trainer.callback_metrics["loss"]))

    def configure_optimizers(self) -> Any:
        return torch.optim.SGD(self.parameters(), lr=self.settings.lr)

    def score(self, batch: Any) -> list[float]:
        self.scored += [example.example_id for example in batch]
        return [0.25 * int(example.example_id) for example in batch]


class Mortal(Recorded):
    """One of its processes dies as by the kernel when it has taken so many steps."""

    dies_after, dying = 0, 1

    def on_train_batch_end(self, *args: Any) -> None:
        super().on_train_batch_end(*args)
        if self.dies_after and self.global_step == self.dies_after and self.global_rank == self.dying:
            os.kill(os.getpid(), signal.SIGKILL)


def open_module(family: type[Recorded], config: TrainConfig, bert: Path, corpus: Path) -> Recorded:
    """RAG-Token over the corpus; the query encoder has no dropout."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    shape = GeneratorConfig(decoder_layers=2, max_source_length=48, max_target_length=8)
    generator = Seq2SeqGenerator.create(shape, bert)
    encoder = TextEncoder(EncoderConfig(), bert, "query")
    for module in encoder.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    vectors = np.load(corpus / "vectors.npy", mmap_mode="r")
    index = FlatIndex.mapped(corpus, vectors)
    live = LiveRetrieval(encoder, index, vectors, PassageStore(corpus), 5.0)
    trained = family("rag_token", generator, live, config, seed=5)
    trained.evaluator = lambda: trained.score
    return trained


def train(rank: int, config: TrainConfig, bert: Path, corpus: Path, folder: Path) -> None:
    """RAG training and its evaluations; what came out is in rank<N>.pt."""
    trained = open_module(Recorded, config, bert, corpus)
    lesson = Lesson(ITEMS, config.batch_size)
    result = fit(trained, [lesson], config, folder, seed=5, dev=DEV, progress=False)
    state = {"gradients": trained.gradients, "losses": trained.step_losses, "scored": trained.scored, "result": result}
    torch.save(state, folder.parent / f"{folder.name}-rank{rank}.pt")


def train_until(
    rank: int, config: TrainConfig, bert: Path, corpus: Path, folder: Path, dies_after: int, dying: int
) -> None:
    """The same with a resume point after every step; the first process leaves the weights of the end."""
    fitting.SAVE_EVERY = 1
    trained = open_module(Mortal, config, bert, corpus)
    assert isinstance(trained, Mortal)
    trained.dies_after, trained.dying = dies_after, dying
    fit(trained, [Lesson(ITEMS, config.batch_size)], config, folder, seed=5, progress=False)
    if rank == 0:
        torch.save({"weights": trained.state_dict(), "losses": trained.step_losses}, folder / "end.pt")


def killed(rank: int, folder: Path) -> None:
    """The second process dies as by the kernel; the first would wait for ever."""
    if rank == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    signal.pause()


def killed_or_done(rank: int, folder: Path) -> None:
    """The second process dies as by the kernel; the others do their work."""
    if rank == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    (folder / str(rank)).touch()


def waiting(rank: int, folder: Path) -> None:
    """Says its number, and that softer signals do not end it, as under Lightning."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    (folder / str(os.getpid())).touch()
    while True:
        signal.pause()


def refused(rank: int, folder: Path) -> None:
    """The second process cannot go on."""
    if rank == 1:
        raise ConfigError("generator.x=1 cannot be")
    signal.pause()
