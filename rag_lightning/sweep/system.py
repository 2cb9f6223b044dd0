"""A system is a point of the search space: formulation, decoding strategy, retriever, k."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any

from rag_lightning.core.config import ExperimentConfig, to_dict
from rag_lightning.core.digest import digest
from rag_lightning.core.errors import ConfigError
from rag_lightning.core.registry import check_name
from rag_lightning.core.trainer_config import recipe_settings

TITLES = {"rag_token": "RAG-Token", "rag_sequence": "RAG-Sequence", "closed_book": "Closed book"}
INDEX_KINDS = ("flat", "hnsw", "ivf_flat", "ivf_pq", "sq8")
RETRIEVERS = (*INDEX_KINDS, "bm25", "none")
DECODINGS = (
    "rag_token/greedy",
    "rag_token/beam",
    "rag_token/classify",
    "rag_sequence/thorough",
    "rag_sequence/fast",
    "rag_sequence/classify",
    "closed_book/greedy",
    "closed_book/beam",
    "closed_book/classify",
)


@dataclass(frozen=True)
class System:
    """One cell of the sweep; retriever is an index kind, bm25 or none."""

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

    @property
    def label(self) -> str:
        """As tables print it."""
        if self.formulation == "closed_book":
            return f"{TITLES[self.formulation]} · {self.decoding}"
        return f"{TITLES[self.formulation]} · {self.retriever} · k={self.k} · {self.decoding}"

    def configure(self, base: ExperimentConfig) -> ExperimentConfig:
        """The experiment of this system."""
        retriever = replace(base.retriever, kind=self._retriever_kind())
        index = replace(base.index, kind=self.retriever) if self.retriever in INDEX_KINDS else base.index  # type: ignore[arg-type]
        decoding = replace(base.decoding, strategy=self.decoding, k=self.k or base.decoding.k)  # type: ignore[arg-type]
        return replace(base, formulation=self.formulation, retriever=retriever, index=index, decoding=decoding)  # type: ignore[arg-type]

    def run_id(self, base: ExperimentConfig, split: str) -> str:
        """Name of the run folder: readable, and unique to the resolved configuration."""
        unique = digest([identity(self.configure(base)), split])[:8]
        return f"{split}-{self.formulation}-{self.decoding}-{self.retriever}-k{self.k}-{unique}"

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for run.json."""
        return asdict(self)

    def _retriever_kind(self) -> Any:
        if self.retriever == "none":
            return "none"
        return "bm25" if self.retriever == "bm25" else "dense"


def identity(experiment: ExperimentConfig) -> dict[str, Any]:
    """What makes two experiments the same: everything but where they are kept and shown, and how much is kept."""
    kept = {name: value for name, value in to_dict(experiment).items() if name not in ("folder", "tracking_uri")}
    del kept["decoding"]["pair_store_mb"]
    if not experiment.decoding.length_penalty:  # runs made before there was one stay known
        del kept["decoding"]["length_penalty"]
    for section in ("biencoder", "retriever_warmup", "warmup", "train"):
        kept[section] = recipe_settings(kept[section])
    return kept
