"""A system opened from the parts of its MLflow model, and its answers as plain values."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from rag_lightning.config.experiment import ExperimentConfig
from rag_lightning.config.loading import experiment_of
from rag_lightning.core.arrays import open_floats
from rag_lightning.core.devices import device_class, resolve_device
from rag_lightning.core.errors import ArtifactError, ConfigError
from rag_lightning.core.hardware import resolve_dtype
from rag_lightning.corpus.store import PassageStore
from rag_lightning.decoding.encodings import Encodings
from rag_lightning.index.index import FaissIndex, Floats, load_index
from rag_lightning.retrieval.bm25 import BM25Retriever
from rag_lightning.retrieval.embed import VECTORS
from rag_lightning.retrieval.encoders import TextEncoder
from rag_lightning.retrieval.retriever import DenseRetriever, Retriever
from rag_lightning.retrieval.words import rule_of
from rag_lightning.serving.parts import GENERATOR, QUERY_ENCODER, RERANKER, SYSTEM, check, read_system
from rag_lightning.stages import train
from rag_lightning.stages.answer import Answer
from rag_lightning.stages.ask import OpenSystem
from rag_lightning.stages.memory import Memories, open_memory


def open_parts(given: Mapping[str, str], artifacts: str = "") -> OpenSystem:
    """The system of a model.

    Args:
        given: Name -> path of the parts that travelled, and of `system.json`.
        artifacts: Folder of artifacts to take the other parts from; empty for their recorded paths.

    Raises:
        ArtifactError: a part is absent, altered, or has another digest.
        DataError: `system.json` cannot be read.
    """
    path = Path(given[SYSTEM])
    described = read_system(path)
    folders = check(described, given, artifacts)
    config = experiment_of(described["config"], str(path))
    if config.device != "cpu":  # that of the machine which trained; this may have another
        config = replace(config, device="auto")
    device = resolve_device(config.device)
    generator = train.open_generator(folders[GENERATOR], config).to(device)
    encodings = Encodings(generator, resolve_dtype(config.decoding.dtype, device_class(device)))
    if config.formulation == "closed_book":
        return OpenSystem(config, encodings)
    parts = _StoredParts(config, folders, float(described.get("bm25_weight", 0)))
    memories = Memories(open_memory(config, parts))
    scale, null = float(described["score_scale"]), described.get("null_score")
    return OpenSystem(config, encodings, memories, scale, null, parts.encoder)


def answer_all(system: OpenSystem, questions: Iterable[str]) -> list[dict[str, Any]]:
    """The answers to questions as plain values.

    Raises:
        ConfigError: a question that cannot be asked; it names its row.
    """
    found = []
    for row, question in enumerate(questions, 1):
        try:
            found.append(plain(system.answer(question)))
        except ConfigError as error:
            raise ConfigError(f"row {row}, field 'question': {error}") from error
    return found


def plain(answer: Answer) -> dict[str, Any]:
    """An answer as JSON values: prediction, log_prob, passages and hypotheses, the best first.

    A passage has its p(z|x) as `prior` and, where one passage stands behind the whole output, p(z|x,y) as `posterior`.
    """
    shares = answer.posteriors or (None,) * len(answer.passages)
    return {
        "prediction": answer.prediction.text,
        "log_prob": answer.prediction.log_prob,
        "passages": [
            {"id": passage.passage_id, "title": passage.title, "text": passage.text, "prior": prior}
            | ({} if share is None else {"posterior": share})
            for passage, prior, share in zip(answer.passages, answer.priors, shares, strict=True)
        ],
        "hypotheses": [{"text": one.text, "log_prob": one.log_prob} for one in answer.prediction.hypotheses],
    }


class _StoredParts:
    """The parts that a retriever is opened from, in the folders of a model.

    Attributes:
        encoder: The query encoder, once it is opened.
    """

    encoder: TextEncoder | None = None

    def __init__(self, config: ExperimentConfig, folders: Mapping[str, Path], weight: float) -> None:
        self._config, self._folders, self._weight = config, folders, weight
        self.device = resolve_device(config.device)
        self.seed, self.store = config.seed, PassageStore(self._folder("corpus"))

    def dense(self) -> DenseRetriever:
        if self.encoder is None:
            encoder = TextEncoder(self._config.encoder, self._folder(QUERY_ENCODER), "query")
            self.encoder = encoder.to(self.device).eval()
        return DenseRetriever(self.encoder, self.index())

    def vectors(self) -> Floats:
        return open_floats(self._folder("vectors") / VECTORS)

    def index(self) -> FaissIndex:
        config = self._config.index
        refined = getattr(config.made(), "refine", 0) > 0
        return load_index(self._folder("index"), config, self.vectors() if refined else None)

    def bm25(self) -> BM25Retriever:
        return BM25Retriever.load(self._folder("bm25"), rule_of(self._config))

    def given(self) -> Retriever:
        """Raise ArtifactError: the passages of question files answer no other question."""
        raise ArtifactError(f"a model with retriever {self._config.retriever.kind} answers no new question")

    def model(self, name: str) -> Path:
        return self._folder(RERANKER)

    def bm25_weight(self) -> float:
        return self._weight

    def _folder(self, name: str) -> Path:
        if name not in self._folders:
            raise ArtifactError(f"the model holds no {name}, which retriever {self._config.retriever.kind} needs")
        return self._folders[name]
