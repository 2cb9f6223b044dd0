"""The non-parametric memory of an open system: passages with the retriever over them, swapped as one value.

A question reads one memory from its beginning to its end. A swap replaces the reference to the memory in use, so that
no question sees the passages of one and the retriever of another.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Lock

from rag_lightning.config.experiment import ExperimentConfig
from rag_lightning.core.errors import ConfigError, shown
from rag_lightning.core.registry import check_name
from rag_lightning.corpus.store import PassageStore
from rag_lightning.index.checks import check_k
from rag_lightning.retrieval.encoders import TextEncoder
from rag_lightning.retrieval.retriever import Parts, QuestionRetriever, RetrieverKind
from rag_lightning.stages import biencoder, retrieve
from rag_lightning.stages.workspace import Workspace

KEPT = 4
"""Versions of a memory that stay open, the one in use included."""
SECTIONS = ("corpus.", "index.", "bm25.")
"""Fields that a swap may change, by how they begin; everything else belongs to the model."""

NO_MEMORY = "closed book has no memory to swap; give a formulation with passages"


@dataclass(frozen=True)
class Memory:
    """A corpus and the retriever over it; never changed, only replaced.

    Args:
        name: Name of the version.
        store: The passages.
        retriever: The retriever, whose rows are those of the passages.
        config: Its configuration: sections corpus, index, bm25 and retriever.
        parts: What the retriever was opened from, for an update.
    """

    name: str
    store: PassageStore
    retriever: QuestionRetriever
    config: ExperimentConfig
    parts: Parts

    def same_as(self, other: Memory) -> bool:
        """Whether another version holds the same passages, searched alike; updated ones never do."""
        mine, theirs = self.config, other.config
        plain = type(self.store) is type(other.store) is PassageStore and self.store.path == other.store.path
        return plain and (mine.index, mine.bm25) == (theirs.index, theirs.bm25)


class Memories:
    """The versions of a memory: one is in use, the others stay open for a rollback.

    Args:
        first: The memory to begin with.
        kept: Number of versions kept; the one that was in use longest ago leaves first.
    """

    def __init__(self, first: Memory, kept: int = KEPT) -> None:
        self._versions: tuple[Memory, ...] = (first,)
        self._kept, self._writing = kept, Lock()

    @property
    def current(self) -> Memory:
        """The memory in use."""
        return self._versions[-1]

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the versions in the order of their last use; the last is in use."""
        return tuple(memory.name for memory in self._versions)

    def publish(self, memory: Memory, replacing: bool = True) -> None:
        """Use a memory for every question asked from now on.

        Args:
            memory: The memory.
            replacing: Whether it replaces a version of its name; else it gets a number where another memory has it.
        """
        with self._writing:
            memory = memory if replacing else self._apart(memory)
            others = [one for one in self._versions if one.name != memory.name]
            self._versions = (*others, memory)[-self._kept :]

    def rollback(self, name: str = "") -> Memory:
        """Use an earlier version again, and return it.

        Args:
            name: Name of the version; empty for the one in use before the current one.

        Raises:
            UnknownNameError: no version of this name is kept.
            ConfigError: there is no earlier version.
        """
        check_version(name)
        with self._writing:
            if not name and len(self._versions) == 1:
                raise ConfigError(f"there is no version of the memory before {self.current.name!r}")
            wanted = name or self._versions[-2].name
            check_name("version of the memory", wanted, self.names)
            found = next(one for one in self._versions if one.name == wanted)
            self._versions = (*(one for one in self._versions if one is not found), found)
        return found

    def _apart(self, memory: Memory) -> Memory:
        """A memory with a number behind its name where another one, with other passages or index, has this name."""
        name, number = memory.name, 1
        while any(one.name == memory.name and not one.same_as(memory) for one in self._versions):
            number += 1
            memory = replace(memory, name=f"{name} ({number})")
        return memory


def open_memory(config: ExperimentConfig, parts: Parts, name: str = "") -> Memory:
    """The memory of a configuration.

    Args:
        config: Its sections corpus, index and retriever.
        parts: What the retriever is opened from.
        name: Name of the version; empty for the names of corpus and index, or retriever.

    Raises:
        ConfigError: decoding.k is larger than the corpus.
    """
    check_version(name)
    kind: RetrieverKind = config.retriever.made()
    searched = config.index.kind if "index" in kind.searches else config.retriever.kind
    store, name = parts.store, name or f"{Path(config.corpus.source).name} · {searched}"
    check_k(config.decoding.k, len(store))
    return Memory(name, store, kind.open(parts), config, parts)


def check_version(name: object) -> None:
    """Raise ConfigError for a name of a version that is no text."""
    if not isinstance(name, str):
        raise ConfigError(f"name={shown(name)}: the name of a version is a text")


def swapped(workspace: Workspace, config: ExperimentConfig) -> Workspace:
    """The workspace of another memory under the model of `workspace`; the passages are encoded as those of the model.

    Args:
        workspace: The workspace of the model.
        config: Its configuration with other values in sections corpus, index and bm25.
    """
    encoder = replace(config.encoder, passage_vectors="", passage_ids="")
    if config.biencoder.steps:  # a passage encoder of ours was trained on the corpus of the model
        encoder = replace(encoder, passage_model=str(biencoder.passage_start(workspace).source))
    return replace(
        workspace,
        config=replace(config, encoder=encoder, biencoder=replace(config.biencoder, steps=0)),
        bound={},
    )


def open_swapped(workspace: Workspace, config: ExperimentConfig, encoder: TextEncoder | None, name: str = "") -> Memory:
    """Build and open another memory for a system that is open; neither generator nor query encoder is loaded again.

    Args:
        workspace: The workspace of the system.
        config: As of `swapped`.
        encoder: The system's query encoder, None if its retriever has none.
        name: As of `open_memory`.

    Raises:
        ConfigError: decoding.k is larger than the corpus.
        DataError: the corpus cannot be read.
    """
    return open_memory(config, retrieve.SystemParts(swapped(workspace, config), encoder=encoder), name)


def check_swap(config: ExperimentConfig, point: Mapping[str, object]) -> None:
    """Check a swap before anything is built.

    Raises:
        ConfigError: closed book, which has no memory, no mapping, or a field that belongs to the model.
    """
    if config.formulation == "closed_book":
        raise ConfigError(NO_MEMORY)
    if not isinstance(point, Mapping):
        raise ConfigError(f"a swap is a mapping such as {{'corpus.source': 'newer.tsv'}}, not {shown(point)}")
    if wrong := [path for path in point if not str(path).startswith(SECTIONS)]:
        allowed = ", ".join(f"{section}*" for section in SECTIONS)
        raise ConfigError(f"a swap changes {allowed}; {wrong[0]} belongs to the model, which stays loaded")
