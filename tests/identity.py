"""Every stage, every field of the configuration, and configurations that differ in one field."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from operator import attrgetter
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin

from rag_lightning.config import digesting
from rag_lightning.config.experiment import ExperimentConfig
from rag_lightning.config.fields import KindSection, Leaf, leaves
from rag_lightning.config.languages import LANGUAGES
from rag_lightning.config.registries import DECODINGS, INDEX_KINDS, RETRIEVERS
from rag_lightning.core.errors import ConfigError
from rag_lightning.core.stage import Stage
from rag_lightning.stages import (
    biencoder,
    bm25,
    bm25_scale,
    corpus,
    embed,
    examples,
    index,
    predict,
    reader,
    retrieve,
    retriever_warmup,
    targets,
    train,
)
from rag_lightning.stages.workspace import Workspace
from tests.points import changed

STAGES: dict[str, Stage[Workspace]] = {
    stage.kind: stage
    for stage in (
        corpus.STAGE, examples.STAGE, bm25.STAGE, bm25_scale.STAGE, targets.STAGE, biencoder.STAGE, embed.STAGE,
        index.STAGE, retriever_warmup.STAGE, reader.STAGE, train.STAGE, retrieve.stage(), predict.STAGE,
    )
}  # fmt: skip
NAMES = [*STAGES, "scores"]
LEAVES = list(leaves(ExperimentConfig))
NAMED: Mapping[str, Iterable[str]] = {
    "index.kind": INDEX_KINDS, "decoding.strategy": DECODINGS, "retriever.kind": RETRIEVERS,
    "retriever.trained_with": RETRIEVERS, "corpus.language": LANGUAGES, "index.uri": ("", "http://localhost:19530"),
    "device": ("cuda",),
}  # fmt: skip
"""Names that a field takes."""
path_of = attrgetter("path")


def others(leaf: Leaf, value: Any) -> list[Any]:
    """Values of a field's type that it does not have."""
    hint = leaf.hint
    if get_origin(hint) in (Union, UnionType):
        hint = next(one for one in get_args(hint) if one is not type(None))
    if get_origin(hint) is Literal:
        found: list[Any] = list(get_args(hint))
    elif get_origin(hint) is tuple:
        found = [("other",)]
    elif get_origin(hint) is not None:
        columns = {"query": "q", "answers": "a"}
        found = [columns if leaf.path == "task.columns" else {"precision": "bf16-mixed"}]
    elif getattr(hint, "_type", hint) is str:
        found = list(NAMED.get(leaf.path, ["other", "triviaqa"]))
    elif hint is bool:
        found = [True, False]
    else:
        found = [1, 2, 3] if getattr(hint, "_type", hint) is int else [0.5, 0.25, 1e-6]
    return [one for one in found if one != value]


def variants(config: ExperimentConfig, leaf: Leaf) -> Iterator[ExperimentConfig]:
    """The configuration with other values of one field, as far as it is a configuration; none where it has no field."""
    section, _, name = leaf.path.rpartition(".")
    value = digesting.value_of(config, leaf)
    holder = getattr(config, section) if section else config
    if isinstance(holder, KindSection) and holder.is_option(name) and value is None:
        return
    for other in others(leaf, value):
        with suppress(ConfigError):
            yield changed(config, leaf.path, other)
