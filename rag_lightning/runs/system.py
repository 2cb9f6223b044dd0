"""A system is a point of the search space: formulation, decoding strategy, retriever, k."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any

from rag_lightning.config.experiment import ExperimentConfig
from rag_lightning.core.errors import ConfigError
from rag_lightning.core.registry import check_name
from rag_lightning.config.retrieval import RetrieverConfig, training_kind
from rag_lightning.stages import score
from rag_lightning.stages.workspace import Workspace

TITLES = {"rag_token": "RAG-Token", "rag_sequence": "RAG-Sequence", "closed_book": "Closed book"}
NO_READER = {"first_entity": "No reader"}
"""Decodings of RAG-Sequence that ask no generator."""
INDEX_KINDS = ("flat", "hnsw", "ivf_flat", "ivf_pq", "sq8")
OWN_KINDS = ("bm25", "oracle", "random", "none")
"""Retrievers that are a kind of their own; an index kind is dense retrieval through it."""
RETRIEVERS = (*INDEX_KINDS, *OWN_KINDS)
DECODINGS = (
    "rag_token/greedy",
    "rag_token/beam",
    "rag_token/classify",
    "rag_sequence/thorough",
    "rag_sequence/fast",
    "rag_sequence/first_entity",
    "rag_sequence/classify",
    "closed_book/greedy",
    "closed_book/beam",
    "closed_book/classify",
)


@dataclass(frozen=True)
class System:
    """One cell of the sweep; retriever is an index kind (dense retrieval), or a kind of its own."""

    formulation: str
    decoding: str
    retriever: str
    k: int

    @classmethod
    def parse(cls, text: str) -> System:
        """From `formulation/strategy/retriever/k`, as sweep files write it.

        Raises:
            ConfigError: not four parts, or k not a number that fits the retriever.
            UnknownNameError: an unknown decoding or retriever.
        """
        parts = text.split("/")
        if len(parts) != 4 or not parts[3].isdigit():
            raise ConfigError(f"system {text!r}: write formulation/strategy/retriever/k, e.g. rag_token/greedy/flat/5")
        return cls.make(f"{parts[0]}/{parts[1]}", parts[2], int(parts[3]))

    @classmethod
    def make(cls, decoding: str, retriever: str, k: int) -> System:
        """Checked parts to a system.

        Raises:
            UnknownNameError: an unknown decoding or retriever.
            ConfigError: closed book with passages, or a RAG model without.
        """
        check_name("decoding", decoding, DECODINGS)
        check_name("retriever", retriever, RETRIEVERS)
        formulation, _, strategy = decoding.partition("/")
        if (formulation == "closed_book") != (retriever == "none") or (retriever == "none") != (k == 0):
            raise ConfigError(f"{decoding} with retriever {retriever} and k={k}: closed_book goes with none and 0 only")
        return cls(formulation, strategy, retriever, k)

    @classmethod
    def of(cls, config: ExperimentConfig) -> System:
        """The point that an experiment is."""
        if config.formulation == "closed_book":
            return cls(config.formulation, config.decoding.strategy, "none", 0)
        dense = config.retriever.kind == "dense"
        retriever = config.index.kind if dense else config.retriever.kind
        return cls(config.formulation, config.decoding.strategy, retriever, config.decoding.k)

    @property
    def label(self) -> str:
        """As tables print it, of a model trained as ever: with dense retrieval, its query encoder too."""
        if self.formulation == "closed_book":
            return f"{TITLES[self.formulation]} · {self.decoding}"
        title = NO_READER.get(self.decoding, TITLES[self.formulation])
        return f"{title} · {self.retriever} · k={self.k} · {self.decoding}"

    def configure(self, base: ExperimentConfig) -> ExperimentConfig:
        """The experiment of this system."""
        retriever = self._retriever(base.retriever)
        index = replace(base.index, kind=self.retriever) if self.retriever in INDEX_KINDS else base.index
        decoding = replace(base.decoding, strategy=self.decoding, k=self.k or base.decoding.k)  # type: ignore[arg-type]
        return replace(base, formulation=self.formulation, retriever=retriever, index=index, decoding=decoding)  # type: ignore[arg-type]

    def run_id(self, base: ExperimentConfig, split: str) -> str:
        """Name of the run folder: readable, and unique to the resolved configuration."""
        unique = run_digest(self.configure(base), split)[:8]
        return f"{split}-{self.formulation}-{self.decoding}-{self.retriever}-k{self.k}-{unique}"

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for run.json."""
        return asdict(self)

    def label_in(self, base: ExperimentConfig) -> str:
        """The label, with how the experiment trains where that is another way."""
        config = self.configure(base).retriever
        if self.formulation == "closed_book":
            return self.label
        trained = training_kind(config)
        how = [] if trained == "dense" else [f"trained with {trained}"]
        how += [] if config.train else ["frozen"]
        how += [] if config.null_document == "none" else ["null document"]
        return " · ".join([self.label, *how])

    def _retriever(self, base: RetrieverConfig) -> RetrieverConfig:
        """What the experiment trains with stays; another kind is swapped in."""
        kind: Any = self.retriever if self.retriever in OWN_KINDS else "dense"
        if kind == "none":
            return replace(base, kind=kind)
        trained = training_kind(base)
        trained = "dense" if trained == "none" else trained
        return replace(base, kind=kind, trained_with="same" if kind == trained else trained)


def run_digest(config: ExperimentConfig, split: str) -> str:
    """What identifies a run: the digest of its scores."""
    return score.stage(Workspace(config).on(split)).digest
