"""The stored answers of a finished run: what its artifacts hold of a sample of questions; no model is loaded."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar

import torch

from rag_lightning.core.artifacts import Artifact, open_artifact
from rag_lightning.core.files import content_digest
from rag_lightning.core.records import Example, Passage, Prediction, Ranking, Score, read_jsonl
from rag_lightning.corpus.store import PassageStore
from rag_lightning.decoding import posterior
from rag_lightning.decoding.question import Question, questions
from rag_lightning.generator.likelihoods import doc_log_probs
from rag_lightning.stages.ask import EMPTY


class _HasExample(Protocol):
    @property
    def example_id(self) -> str: ...


R = TypeVar("R", bound=_HasExample)


@dataclass(frozen=True)
class Stored:
    """The artifacts' content on one question.

    Args:
        example: The question.
        prediction: The prediction with its hypotheses.
        score: The scores of the prediction.
        passages: The passages that were read, best first.
        doc_scores: Their scores, scaled: the logits of p(z|x).
        priors: log p(z|x) of each.
        posteriors: p(z|x,y) of each; empty for RAG-Token, where it differs by token and is not stored.
    """

    example: Example
    prediction: Prediction
    score: Score
    passages: tuple[Passage, ...] = ()
    doc_scores: tuple[float, ...] = ()
    priors: tuple[float, ...] = ()
    posteriors: tuple[float, ...] = ()


def read_sample(root: Path, record: Mapping[str, Any], sample: int) -> list[Stored]:
    """The questions of a run that come first by the digest of their ids: the same ones for every system.

    Args:
        root: Project folder.
        record: The run's run.json.
        sample: Number of questions.

    Raises:
        ArtifactError: an artifact of the run is missing or altered.
        DataError: one of its files cannot be read.
    """
    predicted = read_jsonl(_open(root, record, "predictions").path / "predictions.jsonl", Prediction)
    predictions = {prediction.example_id: prediction for prediction in predicted}
    examples = read_jsonl(_open(root, record, "examples").path / f"{record['split']}.jsonl", Example)
    asked_for = [example for example in examples if example.example_id in predictions]  # a run may be limited
    chosen = sorted(asked_for, key=lambda example: content_digest(example.example_id))[:sample]
    ids = {example.example_id for example in chosen}
    scores = _by_id(ids, read_jsonl(_open(root, record, "scores").path / "scores.jsonl", Score))
    if record["config"]["formulation"] == "closed_book":
        return [Stored(one, predictions[one.example_id], scores[one.example_id]) for one in chosen]
    store = PassageStore(_open(root, record, "corpus").path)
    asked = _asked(root, record, chosen, ids)
    return [_stored(one, predictions[one.example.example_id], scores[one.example.example_id], store) for one in asked]


def _asked(root: Path, record: Mapping[str, Any], chosen: list[Example], ids: set[str]) -> list[Question]:
    artifact, config = _open(root, record, "rankings"), record["config"]
    rankings = _by_id(ids, read_jsonl(artifact.path / "rankings.jsonl", Ranking))
    null = None
    if config["retriever"]["null_document"] != "none":
        null = float(_open(root, record, "model").info["null_bias"])
    scale = float(artifact.info["score_scale"])
    return questions(chosen, list(rankings.values()), scale, config["decoding"]["k"], null)


def _stored(asked: Question, prediction: Prediction, score: Score, store: PassageStore) -> Stored:
    if not asked.rows and asked.null_score is None:
        return Stored(asked.example, prediction, score)
    passages = tuple(EMPTY if row is None else store[row] for row in asked.read_rows)
    priors = doc_log_probs(torch.tensor([asked.logits]))[0]
    scored, shares = prediction.hypotheses[0].passage_log_probs, ()
    if scored:
        shares = tuple(posterior.of_sequence(scored, priors).tolist())
    return Stored(asked.example, prediction, score, passages, asked.logits, tuple(priors.tolist()), shares)


def _open(root: Path, record: Mapping[str, Any], kind: str) -> Artifact:
    return open_artifact(root / "artifacts" / kind / record["digests"][kind], kind)


def _by_id(ids: set[str], records: Iterable[R]) -> dict[str, R]:
    return {record.example_id: record for record in records if record.example_id in ids}
