"""Command `plan`: estimates of passages, bytes, memory, disk and hours of an experiment, before anything is built.

Numbers of passages are published or counted, and bytes are computed. Hours come from rates: those of earlier artifacts
of the same models, else of layers that are timed on this machine (`rates.py`), or of single real steps (`steps.py`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rag_lightning.checkpoints.architectures import BART_ROWS, Shape, shape_of
from rag_lightning.config.commands import SweepConfig
from rag_lightning.config.experiment import ExperimentConfig
from rag_lightning.config.loading import load_sweep
from rag_lightning.config.registries import INDEX_KINDS
from rag_lightning.core.errors import ConfigError, DataError
from rag_lightning.core.tables import Grid
from rag_lightning.corpus.passages import read_passages
from rag_lightning.corpus.work import Work
from rag_lightning.decoding.strategy import strategies_of
from rag_lightning.index.index import IndexKind
from rag_lightning.plan import rates
from rag_lightning.plan.steps import Steps
from rag_lightning.runs.evaluate import pairs
from rag_lightning.stages import classes
from rag_lightning.stages.corpus import processes_of
from rag_lightning.stages.score import metric_names
from rag_lightning.stages.workspace import FACTBOOK, HUB, Workspace
from rag_lightning.tasks.spec import get_task

MINI_PASSAGES, MINI_TEXT_BYTES, BM25_BYTES = 25_650, 530, 364
"""The mini corpus: number of passages, and measured bytes of text and of the BM25 index per passage."""
SAMPLE_PASSAGES = {"wikipedia_2016": 4_079}
WIKI_TEXT_BYTES = 650
HUB_CORPORA = {"facebook/wiki_dpr": (21_015_324, WIKI_TEXT_BYTES)}
"""Number of passages and estimated bytes of text per passage."""
NUMBER = {"float32": 4, "float16": 2}
"""Bytes of a number of a vector."""
TRAINED, USED = 16, 4
"""Bytes per parameter: float32 weights, gradients and two moments in training; weights only in use."""


@dataclass(frozen=True)
class Line:
    """One row of the plan."""

    what: str
    value: str
    basis: str


@dataclass(frozen=True)
class Size:
    """Number of passages and bytes of text of a corpus, with their source."""

    passages: int
    text: int
    basis: str


def run(config: ExperimentConfig, measure: bool = False, sweep: str = "") -> None:
    """Print the plan.

    Args:
        config: The experiment.
        measure: Whether single real steps are timed on the device at hand.
        sweep: Sweep file whose experiment and points are planned in the place of the experiment; empty for none.

    Raises:
        ConfigError: a corpus or model of unknown size before its download, settings that train nothing, or steps of
            models that are not here.
        DataError: the file of passages cannot be read.
    """
    points: Sequence[Mapping[str, Any]] = ({},)
    if sweep:
        swept = load_sweep(Path(sweep))
        config, points = swept.experiment, points_of(swept)
    table = Grid("", "value", "basis", title=f"plan of {config.name}", left=True)
    for line in plan(Workspace(config), measure or bool(sweep), points):
        table.add(line.what, line.value, line.basis)
    table.show()


def points_of(sweep: SweepConfig) -> list[dict[str, Any]]:
    """The decodings and numbers of passages of a sweep, whose product its predictions take their time by.

    Of a range of k the ends are planned.
    """
    decodings, ks = sweep.space.get("decoding", (None,)), sweep.space.get("k", (None,))
    if isinstance(ks, Mapping):
        ks = [ks[name] for name in ("low", "high") if name in ks] or (None,)
    points: list[dict[str, Any]] = []
    for decoding in decodings:
        closed = str(decoding).startswith("closed_book")
        for k in ks[:1] if closed else ks:
            given = {"decoding": decoding, "k": None if closed else k}
            points.append({name: value for name, value in given.items() if value is not None})
    return points


def plan(workspace: Workspace, measure: bool = False, points: Sequence[Mapping[str, Any]] = ({},)) -> list[Line]:
    """The rows of the plan; see `run`."""
    config = workspace.config
    classes.labels(config)
    size, encoder = count_passages(config), shape_of(config.encoder.model, "encoder")
    passage = shape_of(config.encoder.passage_model or config.encoder.model, "encoder")
    if passage.width != encoder.width:
        raise ConfigError(
            f"encoder.model has vectors of size {encoder.width}, encoder.passage_model of size {passage.width}"
        )
    generator, steps = generator_shape(config), Steps(workspace) if measure else None
    if steps is not None and not steps.has_models:
        raise ConfigError("--measure needs the models, which are not on this machine; run `rag-lightning fetch` first")
    return [
        *_task(config),
        Line("passages", f"{size.passages:,}", size.basis),
        *(_vectors(config, size, encoder.width) if rates.encodes(config) else []),
        Line("bm25", _bytes(size.passages * BM25_BYTES), f"derived: {BM25_BYTES} bytes per passage, as on mini"),
        *_decodings(config),
        *_space(config, size, encoder, generator),
        *_hours(rates.Rates(workspace, encoder, passage, generator, steps), size.passages, points),
    ]


def count_passages(config: ExperimentConfig) -> Size:
    """Count the passages of the corpus.

    Raises:
        ConfigError: a data set of the hub of unknown size before its download.
        DataError: a file that cannot be read or has no passages.
    """
    source, limit = config.corpus.source, config.corpus.limit
    if source == "mini":
        count = min(limit or MINI_PASSAGES, MINI_PASSAGES)
        return Size(count, count * MINI_TEXT_BYTES, "at most, by limit" if limit else "known")
    if source in SAMPLE_PASSAGES:
        count = min(limit or SAMPLE_PASSAGES[source], SAMPLE_PASSAGES[source])
        return Size(count, count * WIKI_TEXT_BYTES, "known")
    if source.startswith(FACTBOOK):
        raise ConfigError(f"corpus.source={source!r}: its passages are not counted beforehand; plan corpus.source=mini")
    if source.startswith(HUB) and not Path(source.removeprefix(HUB).partition(":")[0]).is_dir():
        name = source.removeprefix(HUB).partition(":")[0]
        if name not in HUB_CORPORA:
            hint = f"give a file, or one of {', '.join(HUB_CORPORA)}"
            raise ConfigError(
                f"corpus.source={source!r}: the number of its passages is unknown before the download; {hint}"
            )
        published, text = HUB_CORPORA[name]
        count = min(limit or published, published)
        return Size(count, count * text, "published count")
    if source.startswith(HUB):
        raise ConfigError(
            f"corpus.source={source!r}: the passages of such a folder are not counted here; run `rag-lightning corpus`"
        )
    count = text = 0
    for passage in read_passages(Path(source), config.corpus.quoting, Work(processes_of(config))):
        count, text = count + 1, text + len(passage.title.encode()) + len(passage.text.encode())
        if count == limit:
            break
    if not count:
        raise DataError(source, "has no passages")
    return Size(count, text, "counted")


def generator_shape(config: ExperimentConfig) -> Shape:
    """The shape of the generator; of a warm-started one, that of its encoder with decoder_layers decoder layers.

    Raises:
        ConfigError: a shape that is unknown before the download, or not a generator.
    """
    if config.generator.init != "warm_start":
        found = shape_of(config.generator.init, "generator")
        if not found.decoder_layers:
            raise ConfigError(f"generator.init={config.generator.init!r}: is an encoder, not a generator")
        return found
    source = shape_of(config.generator.encoder, "encoder")
    return replace(source, positions=source.positions + BART_ROWS, decoder_layers=config.generator.decoder_layers)


def _task(config: ExperimentConfig) -> Iterator[Line]:
    task, k = get_task(config.task.name), 0 if config.formulation == "closed_book" else config.decoding.k
    yield Line("task", task.name, f"{task.title}: {task.citation}")
    yield Line(
        "metrics",
        ", ".join(metric_names(task, True, k, config.corpus.language)),
        "if the examples have the needed fields",
    )


def _decodings(config: ExperimentConfig) -> Iterator[Line]:
    for strategy in strategies_of(config.formulation):
        mine = " (configured)" if strategy == config.decoding.strategy else ""
        decoded = replace(config, decoding=replace(config.decoding, strategy=strategy))
        work = pairs(decoded) * decoded.decoding.made().beams
        yield Line(f"decoding {strategy}{mine}", f"{work:,} per question", "pairs x beams")


def _vectors(config: ExperimentConfig, size: Size, width: int) -> Iterator[Line]:
    stored = config.encoder.stored
    yield Line("vectors", _bytes(NUMBER[stored] * size.passages * width), f"size {width}, {stored}")
    for kind in INDEX_KINDS:
        mine = " (configured)" if kind == config.index.kind and config.retriever.made().encodes else ""
        basis = "arithmetic"
        try:
            made: IndexKind = replace(config.index, kind=kind).made()
            value = _bytes(made.bytes(size.passages, width))
            basis += f"; {made.rules(size.passages, width)}"
        except ConfigError as error:
            if mine:
                raise
            value = f"not possible: {error}"
        yield Line(f"index {kind}{mine}", value, basis)


def _space(config: ExperimentConfig, size: Size, encoder: Shape, generator: Shape) -> Iterator[Line]:
    flat, index, stored = 0, 0, NUMBER[config.encoder.stored]
    if rates.encodes(config):
        flat = 4 * size.passages * encoder.width
        index = config.index.made().bytes(size.passages, encoder.width) if config.retriever.made().encodes else 0
    bm25 = size.passages * BM25_BYTES
    learns = rates.learns(config)
    training = flat + TRAINED * generator.parameters + (TRAINED if learns else USED) * encoder.parameters
    predicting = max(index, bm25) + USED * (generator.parameters + encoder.parameters)
    basis = "derived: exact index, float32 weights, gradients and moments; without activations"
    yield Line("memory", _bytes(max(training, predicting)), basis)
    files = size.text + bm25 + USED * (2 * generator.parameters + encoder.parameters)
    files += flat + flat * stored // 4 + (index if config.index.kind != "flat" else 0)
    yield Line("disk", _bytes(files), "derived: text, vectors, indexes, reader and model; without downloads")


def _hours(rates: rates.Rates, passages: int, points: Sequence[Mapping[str, Any]]) -> Iterator[Line]:
    total = 0.0
    for part in rates.parts(passages):
        total += part.seconds
        yield Line(part.what, f"{part.seconds / 3600:,.2f} h", f"derived: {part.amount}, {part.basis}")
    yield Line("total hours", f"{total / 3600:,.2f} h", f"derived, for this machine ({rates.machine})")
    for part in rates.predictions(points):
        yield Line(part.what, f"{part.seconds / 3600:,.3f} h", f"derived: {part.amount}, {part.basis}")


def _bytes(count: int) -> str:
    for unit, size in (("GB", 10**9), ("MB", 10**6)):
        if count >= size:
            return f"{count / size:,.1f} {unit}"
    return f"{count:,} bytes"
