"""Command `index_bench`: measure every index on real and on generated vectors, and write the tables."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from rag_lightning.bench import generated, shown
from rag_lightning.bench.child import BATCH, CUTOFFS
from rag_lightning.bench.measuring import Bench, Listed, Questions, Source
from rag_lightning.config.commands import BenchConfig
from rag_lightning.config.loading import load_experiment
from rag_lightning.config.yaml_files import build, read_yaml
from rag_lightning.core.console import progress, say
from rag_lightning.core.errors import ConfigError, DataError
from rag_lightning.core.files import digest
from rag_lightning.core.registry import check_name
from rag_lightning.index.checks import check_k
from rag_lightning.metrics.outcomes import make_matcher
from rag_lightning.retrieval.embed import VECTORS
from rag_lightning.retrieval.encoders import TextEncoder
from rag_lightning.runs import folders
from rag_lightning.stages import biencoder, corpus, embed, examples
from rag_lightning.stages.workspace import Workspace
from rag_lightning.tasks.spec import get_task

NAME = "index-bench"
"""Folder of its report."""


@dataclass(frozen=True)
class Bill:
    """The file of the bench: the indexes to measure."""

    indexes: tuple[Listed, ...]


def run(config: BenchConfig) -> None:
    """Measure and report.

    Raises:
        ConfigError: fewer questions than a batch, fewer vectors than results, or an index's process died.
        DataError: the file of the bench, or a stored measure, is damaged; another process measures, or a folder of the
            bench is a link.
        UnknownNameError: a kind that the file does not list.
    """
    listed = read_bill(Path(config.file), config.only)
    workspace = biencoder.with_pretrained(
        Workspace(load_experiment(Path(config.experiment), {"folder": config.folder}))
    )
    bench = Bench(folders.report(config.folder, NAME), config.threads, config.k)
    with bench.alone():
        _measure(config, workspace, bench, listed)


def _measure(config: BenchConfig, workspace: Workspace, bench: Bench, listed: Sequence[Listed]) -> None:
    asked, measures = _questions(workspace, bench, config.queries), []
    for source in _sources(workspace, bench, config.sizes):
        say(f"{source.name}: {len(source.vectors):,} vectors, {len(listed)} indexes")
        with progress(f"measuring {source.name} vectors", "indexes") as report:
            for done, one in enumerate(listed, 1):
                real = asked if source.name == shown.REAL else Questions(asked.vectors)
                measures += [found | {"label": shown.label_of(found)} for found in bench.measured(source, one, real)]
                report(done, len(listed))
    shown.write(bench.out, measures, bench.threads)


def read_bill(file: Path, only: Sequence[str] = ()) -> list[Listed]:
    """The indexes of a bench's file, those of some kinds, or all.

    Raises:
        DataError: the file cannot be read or lists nothing, or a field or value is not one of an index.
        UnknownNameError: an unknown key, or a kind that it does not list.
    """
    found = list(build(Bill, read_yaml(file), file).indexes)
    if not found:
        raise DataError(file, "lists no index", field="indexes", hint="give at least one, such as {kind: flat}")
    for one in found:
        one.check(file)
    for name in only:
        check_name(f"kind of {file}", name, sorted({one.kind for one in found}))
    return [one for one in found if not only or one.kind in only]


def _questions(workspace: Workspace, bench: Bench, most: int) -> Questions:
    """The first questions of the split, their vectors in a file."""
    asked = examples.read(workspace, workspace.config.split)[:most]
    if len(asked) < BATCH:
        raise ConfigError(f"queries: {len(asked)} questions, but a batch has {BATCH}; take more, or a larger split")
    source = biencoder.query_start(workspace).source
    encoder = TextEncoder(workspace.config.encoder, source, "query").to(workspace.device).eval()
    np.save(bench.work / "queries.npy", encoder.encode_texts([one.query for one in asked]))
    store = corpus.open_store(workspace)
    matcher: Any = make_matcher(get_task(workspace.config.task.name), lambda row: store[row].text)
    return Questions(bench.work / "queries.npy", [one.answers for one in asked], matcher)


def _sources(workspace: Workspace, bench: Bench, sizes: Sequence[int]) -> Iterator[Source]:
    """The real vectors, and generated ones of as many, then of the given sizes; one size at a time is on the disk."""
    built = embed.build(workspace)
    if (stored := workspace.config.encoder.stored) != "float32":
        raise ConfigError(f"encoder.stored={stored}: the bench measures float32 vectors; set encoder.stored=float32")
    real = Source(shown.REAL, built.path / VECTORS, built.digest)
    if len(real.vectors) < max(CUTOFFS):
        raise ConfigError(f"{len(real.vectors)} passages are too few: recall is measured among {max(CUTOFFS)} results")
    check_k(bench.k, len(real.vectors))
    yield real
    if not sizes:
        return
    mixture = generated.fit(real.vectors)
    for count in dict.fromkeys([len(real.vectors), *sizes]):
        file = bench.work / "generated.npy"
        generated.draw(mixture, count, file)
        yield Source(shown.GENERATED, file, digest([built.digest, generated.RECIPE, count]))
        file.unlink()
