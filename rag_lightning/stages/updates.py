"""Updates of a memory: passages added, replaced and removed; the result answers as one that is built anew."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path

import numpy as np

from rag_lightning.config.experiment import ExperimentConfig
from rag_lightning.core.errors import ConfigError, shown
from rag_lightning.core.numbering import Left
from rag_lightning.core.plain import is_whole
from rag_lightning.core.records import Passage
from rag_lightning.corpus.store import PassageStore
from rag_lightning.corpus.updates import UpdatedStore
from rag_lightning.index.index import Floats, Index, build_index
from rag_lightning.index.updates import UpdatedIndex
from rag_lightning.retrieval.bm25 import BM25Retriever
from rag_lightning.retrieval.encoders import TextEncoder
from rag_lightning.retrieval.retriever import DenseRetriever, Parts, Retriever
from rag_lightning.retrieval.words import rule_of
from rag_lightning.stages import biencoder
from rag_lightning.stages.memory import Memory, open_memory
from rag_lightning.stages.workspace import Workspace

COMPACTED_AT = 0.1
"""Share of the base's rows that are removed or added from which an index is built anew of all vectors."""
Encode = Callable[[Sequence[Passage]], Floats]


class UpdatedParts:
    """The parts of a memory with some passages removed and others added.

    Of the index, removed rows are skipped (tombstones) and added vectors are searched beside it (delta); when there
    are many of both, it is built anew of the vectors at hand (compaction). BM25 is built anew by every update: each of
    its scores depends on counts of the whole corpus.

    Args:
        config: Sections encoder, index and bm25, and the language of the corpus.
        base: The parts that are updated.
        encode: Passages -> vectors, of the model's passage encoder.
        removed: Rows of the base that are gone.
        added: Passage id -> added passage, in their order.
        known: Passage -> its vector, of those that were encoded before.
    """

    def __init__(
        self,
        config: ExperimentConfig,
        base: Parts,
        encode: Encode,
        removed: Collection[int] = (),
        added: Mapping[str, Passage] | None = None,
        known: Mapping[Passage, Floats] | None = None,
    ) -> None:
        self._config, self._base, self._encode = config, base, encode
        self._from, self._added = base.store, dict(added or {})
        self._left = Left(len(self._from), removed)
        self._known = {passage: vector for passage, vector in (known or {}).items() if passage in self._passages}
        self._index: Index | None = None
        self.seed, self.store = base.seed, UpdatedStore(self._from, self._left, self._passages)

    def changed(self, passages: Sequence[Passage], removed: Collection[str]) -> UpdatedParts:
        """These parts with passages added, or replaced where one has their id, and others removed.

        Args:
            passages: They stand at the end of the corpus, in this order.
            removed: Ids of passages.

        Raises:
            ConfigError: an id is removed that the corpus does not hold, or given twice, a passage without text or
                with half of a surrogate pair, or nothing would be left.
        """
        if self._compacts:  # the built index is the base of what follows
            return UpdatedParts(self._config, self, self._encode).changed(passages, removed)
        _check(self.store, passages, removed)
        gone = [*removed, *(passage.passage_id for passage in passages)]
        rows = {row for name in gone if name not in self._added and (row := self._from.find(name)) is not None}
        added = {name: passage for name, passage in self._added.items() if name not in gone}
        added |= {passage.passage_id: passage for passage in passages}
        everything = rows | {int(row) for row in self._left.removed}
        if len(self._from) - len(everything) + len(added) == 0:
            raise ConfigError("every passage would be removed; leave at least one in the corpus")
        return UpdatedParts(self._config, self._base, self._encode, everything, added, self._known)

    @property
    def _compacts(self) -> bool:
        return len(self._left.removed) + len(self._added) > COMPACTED_AT * self._left.count

    @property
    def _passages(self) -> tuple[Passage, ...]:
        return tuple(self._added.values())

    @property
    def device(self) -> str:
        """The base's."""
        return self._base.device

    def dense(self) -> DenseRetriever:
        """The base's query encoder with the updated index."""
        return DenseRetriever(self._base.dense().encoder, self.index())

    def vectors(self) -> Floats:
        """[N, D] float32 of all passages."""
        return np.concatenate([np.delete(self._base.vectors(), self._left.removed, axis=0), self._delta()])

    def index(self) -> Index:
        """The updated index."""
        if self._index is None:
            if self._compacts:
                self._index = build_index(self._config.index, self.vectors())
            else:
                self._index = UpdatedIndex(self._base.index(), self._left, self._delta())
        return self._index

    def bm25(self) -> BM25Retriever:
        """BM25 over the updated corpus."""
        return BM25Retriever.build(self._config.bm25, self.store, rule_of(self._config))

    def given(self) -> Retriever:
        """Raise ConfigError: the passages of question files are rows of the corpus as it was."""
        raise ConfigError("retriever.kind=given has its passages from the question files; give others there")

    def model(self, name: str) -> Path:
        """The base's."""
        return self._base.model(name)

    def bm25_weight(self) -> float:
        """The weight that was fitted with the base."""
        return self._base.bm25_weight()

    def _delta(self) -> Floats:
        """[M, D] float32 of the added passages; each is encoded once, and rounded as the stored vectors are."""
        if missing := [passage for passage in self._passages if passage not in self._known]:
            self._known |= dict(zip(missing, self._encode(missing), strict=True))
        width = self._base.index().dim
        vectors = np.array([self._known[passage] for passage in self._passages], self._config.encoder.stored)
        return vectors.astype(np.float32).reshape(-1, width)


def update_memory(
    workspace: Workspace, memory: Memory, passages: Sequence[Passage], removed: Collection[str], name: str = ""
) -> Memory:
    """A memory with passages added or replaced, and others removed; the one it is made from stays as it is.

    Args:
        workspace: The workspace of the model.
        memory: The memory.
        passages: Passages to add; one whose id the corpus holds replaces it.
        removed: Ids of passages to remove.
        name: Name of the version; empty for the memory's own.

    Raises:
        ConfigError: as `UpdatedParts.changed`, something else than a list of passages and one of ids, or decoding.k is
            larger than the corpus.
    """
    _check_given(passages, removed)
    parts = memory.parts
    if not isinstance(parts, UpdatedParts):
        parts = UpdatedParts(memory.config, parts, _encoder(workspace))
    return open_memory(memory.config, parts.changed(passages, removed), name or memory.name)


def _encoder(workspace: Workspace) -> Encode:
    """The passage encoder of the model, loaded at its first use."""
    loaded: list[TextEncoder] = []

    def encode(passages: Sequence[Passage]) -> Floats:
        if not loaded:
            source = biencoder.passage_start(workspace).source
            loaded.append(TextEncoder(workspace.config.encoder, source, "passage").to(workspace.device).eval())
        return loaded[0].encode_texts(passages)

    return encode


def _check_given(passages: object, removed: object) -> None:
    """Raise ConfigError for what is no list of passages or of ids: a text is one of letters, a generator is read once.

    The types say so, but a notebook checks none.
    """
    if not isinstance(passages, Sequence) or isinstance(passages, str):
        raise ConfigError(f"passages={shown(passages)}: must be a list of Passage")
    if not isinstance(removed, Collection) or isinstance(removed, str | Mapping):
        raise ConfigError(f"removed={shown(removed)}: must be a list of ids, which are texts")
    for one in passages:
        texts = (one.passage_id, one.title, one.text) if isinstance(one, Passage) else (None,)
        if not all(isinstance(text, str) for text in texts):
            raise ConfigError(f"passages: {shown(one)} is no Passage of three texts: id, title, text")
    for name in removed:
        if not isinstance(name, str):
            raise ConfigError(f"removed: {shown(name)} is no id, which is a text; write {str(name)!r}")


def _check(store: PassageStore, passages: Sequence[Passage], removed: Collection[str]) -> None:
    texts = (text for one in passages for text in (one.passage_id, one.title, one.text))
    if (broken := next((text for text in (*removed, *texts) if not is_whole(text)), None)) is not None:
        raise ConfigError(f"{shown(broken)} holds half of a surrogate pair; write the whole character")
    names = [*removed, *(passage.passage_id for passage in passages)]
    if twice := next((name for name, count in Counter(names).items() if count > 1), None):
        raise ConfigError(f"passage {twice!r} is given twice in one update; give it once")
    if absent := next((name for name in removed if store.find(name) is None), None):
        raise ConfigError(f"passage {absent!r} cannot be removed: the corpus does not hold it")
    if not all(passage.passage_id.strip() for passage in passages):
        raise ConfigError("a passage has no id; give it one, by which it can be replaced and removed")
    if empty := next((passage for passage in passages if not passage.text.strip()), None):
        raise ConfigError(f"passage {empty.passage_id!r} has no text; remove it by its id")
