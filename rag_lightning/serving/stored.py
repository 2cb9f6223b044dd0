"""A finished run: its stored answers, read without a model, and its system, opened for other questions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rag_lightning.config.loading import experiment_of
from rag_lightning.core.artifacts import Artifact, folder_of, open_artifact
from rag_lightning.core.errors import ArtifactError
from rag_lightning.core.files import content_digest
from rag_lightning.core.records import Example, Passage, Prediction, Ranking, Score, by_id, read_jsonl
from rag_lightning.corpus.store import PassageStore
from rag_lightning.decoding.question import Question, questions
from rag_lightning.stages import score
from rag_lightning.stages.answer import EMPTY, Answer, answer_of
from rag_lightning.stages.ask import OpenSystem, open_system
from rag_lightning.stages.workspace import Workspace

OPENED = ("corpus", "index", "bm25", "bm25_scale", "hybrid_weight", "biencoder", "retriever_warmup", "model")
"""Kinds of artifacts that a system is opened from."""


@dataclass(frozen=True)
class Stored:
    """The artifacts' content on one question.

    Args:
        asked: The question with the scores of the passages that were read.
        answer: The prediction and those passages; without p(z|x,y_i) of tokens, which is not stored.
        score: The scores of the prediction.
    """

    asked: Question
    answer: Answer
    score: Score

    @property
    def example(self) -> Example:
        """The question."""
        return self.asked.example

    @property
    def prediction(self) -> Prediction:
        """The prediction with its hypotheses."""
        return self.answer.prediction


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
    predictions, asked_for = _predicted(root, record)
    return _read(root, record, predictions, sorted(asked_for, key=lambda one: content_digest(one.example_id))[:sample])


def read_one(root: Path, record: Mapping[str, Any], example_id: str) -> Stored | None:
    """One question of a run; None if the run has predicted none of this id.

    Raises:
        ArtifactError, DataError: as `read_sample`.
    """
    predictions, asked_for = _predicted(root, record)
    found = [one for one in asked_for if one.example_id == example_id]
    return _read(root, record, predictions, found)[0] if found else None


def open_run(root: Path, record: Mapping[str, Any]) -> OpenSystem:
    """The system of a run, opened to answer other questions; nothing is trained or built anew.

    Raises:
        ArtifactError: a part of it is gone, or would be made otherwise by this version of the code.
        ConfigError: a baseline without a model.
    """
    config = experiment_of({**record["config"], "folder": str(root)}, str(record["run_id"]))
    workspace = Workspace(config).on(str(record["split"]))
    now, there = score.stage(workspace).lineage(), record.get("digests", {})
    for kind in OPENED:
        if kind in now and (now[kind] != there.get(kind) or not (root / "artifacts" / kind / now[kind]).is_dir()):
            raise ArtifactError(
                f"the {kind} of {record['run_id']} is gone, or made by another version of the code; run it again"
            )
    return open_system(workspace)


def _predicted(root: Path, record: Mapping[str, Any]) -> tuple[dict[str, Prediction], list[Example]]:
    """Id -> prediction, and the questions that have one: a run may be limited."""
    listed = read_jsonl(_open(root, record, "predictions").path / "predictions.jsonl", Prediction)
    predictions = by_id(listed)
    examples = read_jsonl(_open(root, record, "examples").path / f"{record['split']}.jsonl", Example)
    return predictions, [example for example in examples if example.example_id in predictions]


def _read(
    root: Path, record: Mapping[str, Any], predictions: Mapping[str, Prediction], chosen: list[Example]
) -> list[Stored]:
    ids = {example.example_id for example in chosen}
    scored = read_jsonl(_open(root, record, "scores").path / "scores.jsonl", Score)
    scores = by_id(one for one in scored if one.example_id in ids)
    if record["config"]["formulation"] == "closed_book":
        asked, store = questions(chosen, None, 1.0, 0), None
    else:
        asked, store = _asked(root, record, chosen, ids), PassageStore(_open(root, record, "corpus").path)
    found = []
    for one in asked:
        example_id = one.example.example_id
        passages: tuple[Passage, ...] = ()
        if store and (one.rows or one.null_score is not None):
            passages = tuple(EMPTY if row is None else store[row] for row in one.read_rows)
        answer = answer_of(record["config"]["formulation"], one, passages, predictions[example_id])
        found.append(Stored(one, answer, scores[example_id]))
    return found


def _asked(root: Path, record: Mapping[str, Any], chosen: list[Example], ids: set[str]) -> list[Question]:
    artifact, config = _open(root, record, "rankings"), record["config"]
    ranked = read_jsonl(artifact.path / "rankings.jsonl", Ranking)
    null = None
    if config["retriever"]["null_document"] != "none":
        null = float(_open(root, record, "model").info["null_bias"])
    scale = float(artifact.info["score_scale"])
    return questions(chosen, [one for one in ranked if one.example_id in ids], scale, config["decoding"]["k"], null)


def _open(root: Path, record: Mapping[str, Any], kind: str) -> Artifact:
    return open_artifact(folder_of(root / "artifacts", kind, record.get("digests", {}).get(kind)), kind)
