"""Checks of data and configuration that training would meet late, or only the prediction after it.

Every stage that trains, or whose inputs are trained, makes them before its inputs are built (`Stage.check_data`).
Labels and gold passage ids are checked where files are read, values of the configuration where digests are computed.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

from rag_lightning.checkpoints.loading import generator_tokenizer
from rag_lightning.config.generator import GeneratorConfig
from rag_lightning.config.retrieval import training_retriever, trains_encoder
from rag_lightning.core.errors import ConfigError, DataError
from rag_lightning.core.records import Example, read_jsonl
from rag_lightning.generator.inputs import leaves_room, query_lengths
from rag_lightning.retrieval.encoders import encoder_width
from rag_lightning.retrieval.retriever import RetrieverKind
from rag_lightning.stages import corpus, examples, given, vectors
from rag_lightning.stages.workspace import Workspace, check_device
from rag_lightning.tasks.load import find_row

BATCH = 1 << 12


def check(workspace: Workspace) -> None:
    """Check an experiment for training and for the prediction of its split.

    Raises:
        ConfigError, DataError: see `check_training` and `check_retrieval`.
    """
    check_training(workspace, (workspace.config.split,))
    check_retrieval(workspace)


def check_training(workspace: Workspace, splits: Sequence[str]) -> None:
    """Check the questions of all splits, k and the widths of vectors.

    Args:
        workspace: The experiment.
        splits: Splits that the trained model will answer.

    Raises:
        ConfigError: a device that is not there, k above the corpus, encoders of different widths, or a question without
            a given vector.
        DataError: a question that is too long for the generator, or vectors that do not fit the corpus.
    """
    config = workspace.config
    check_device(workspace)
    if config.decoding.made().from_train:
        return
    _check_lengths(workspace)
    if _retrieves(workspace):
        _check_passages(workspace)
        _check_asked(workspace, training_retriever(config.retriever), ("train", "dev", *splits))
        _check_asked(workspace, config.retriever.made(), splits)


def check_retrieval(workspace: Workspace) -> None:
    """Check k, the widths of vectors, the index, and given vectors of the questions of the split.

    Raises:
        ConfigError, DataError: as `check_training`; an index that cannot be built of so many vectors of this width.
    """
    if _retrieves(workspace):
        _check_passages(workspace)
        kind: RetrieverKind = workspace.config.retriever.made()
        _check_asked(workspace, kind, (workspace.config.split,))
        if "index" in kind.searches:
            workspace.config.index.made().bytes(len(corpus.open_store(workspace)), _passage_width(workspace))


def _retrieves(workspace: Workspace) -> bool:
    return workspace.config.formulation != "closed_book" and workspace.config.retriever.kind != "none"


def _check_asked(workspace: Workspace, kind: RetrieverKind, splits: Sequence[str]) -> None:
    """Check that a kind which knows its questions beforehand knows these."""
    if "given" in kind.searches:
        given.build(workspace)
    elif not kind.answers_new:
        asked = [example for split in dict.fromkeys(splits) for example in examples.read(workspace, split)]
        kind.check(asked, _passage_width(workspace))


def _check_passages(workspace: Workspace) -> None:
    """Check k against the corpus, and the widths of queries and passages against each other."""
    config, count = workspace.config, len(corpus.open_store(workspace))
    for name, k in {"retriever.k_max": config.retriever.k_max, "train.k": config.train.k}.items():
        if not 1 <= k <= count:
            raise ConfigError(f"{name}={k}, but the corpus has {count} passages; choose 1 to {count}")
    if not (config.retriever.made().encodes or trains_encoder(config.retriever)):
        return
    query, passage = encoder_width(workspace.model_source(config.encoder.model)), _passage_width(workspace)
    if query != passage:
        named = "passage_vectors" if config.encoder.passage_vectors else "passage_model"
        raise ConfigError(
            f"encoder.model={config.encoder.model} gives vectors of width {query}, encoder.{named}="
            f"{getattr(config.encoder, named)} of width {passage}; give two of one width"
        )


def _passage_width(workspace: Workspace) -> int:
    encoder = workspace.config.encoder
    if encoder.passage_vectors:
        return int(vectors.PRETRAINED.build(workspace).info["dim"])
    return encoder_width(workspace.model_source(encoder.passage_model or encoder.model))


def _check_lengths(workspace: Workspace) -> None:
    """Raise DataError for the first question that leaves no room for a passage; queries are never cut there."""
    config = workspace.config
    generator, built = config.generator, examples.build(workspace)
    if generator.template == "hf_rag":
        return
    source, closed = workspace.model_source(generator.source), config.formulation == "closed_book"
    for split in built.info["counts"]:
        limit = config.task.limit if split != "train" else 0
        found = _first_long(built.path / f"{split}.jsonl", limit or None, source, generator, closed)
        if found is None:
            continue
        example, length, count = found
        path, row = find_row(config.task, split, example.query) or (built.path / f"{split}.jsonl", None)
        problem = (
            f"the question of {split} has {length:,} tokens, too many for generator.max_source_length="
            f"{generator.max_source_length}{f' (the first of {count:,} such questions)' if count > 1 else ''}"
        )
        hint = "questions are never cut for the generator: raise it, or shorten or remove the row"
        raise DataError(path, problem, row=row, field="question", value=example.query, hint=hint)


@lru_cache(maxsize=32)
def _first_long(
    path: Path, limit: int | None, source: Path, generator: GeneratorConfig, closed: bool
) -> tuple[Example, int, int] | None:
    """The first question that is too long, its tokens, and the number of such questions; None if all leave room."""
    asked, tokenizer = list(read_jsonl(path, Example))[:limit], generator_tokenizer(source)
    lengths: list[int] = []
    for start in range(0, len(asked), BATCH):
        texts = [example.query for example in asked[start : start + BATCH]]
        lengths += query_lengths(tokenizer, texts, generator.template, closed)
    long = [at for at, length in enumerate(lengths) if not leaves_room(length, generator.max_source_length)]
    return (asked[long[0]], lengths[long[0]], len(long)) if long else None
