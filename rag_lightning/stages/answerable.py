"""The choice of training examples by the passages that training begins with: train.targets, train.answerable_only.

The passages are the first train.k of the retriever of training, with the query encoder that training starts from. The
paper trains on every (question, answer) pair (appendix D); both choices are ours.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rag_lightning.config.digesting import effective_training
from rag_lightning.config.experiment import ExperimentConfig
from rag_lightning.core.errors import ConfigError
from rag_lightning.core.records import Example, passage_text
from rag_lightning.generator.inputs import TITLE_END
from rag_lightning.metrics.answers import AnswerMatcher
from rag_lightning.stages import corpus, targets, training_retrieval
from rag_lightning.stages.workspace import Workspace
from rag_lightning.tasks.spec import get_task
from rag_lightning.training.batches import Item
from rag_lightning.training.distractors import is_distractor

BATCH = 64
Rows = NDArray[np.int64]


def check(config: ExperimentConfig) -> None:
    """Raise ConfigError for a choice or a loss that looks for targets in passages, of a task with labels."""
    train, task = effective_training(config), get_task(config.task.name)
    if not task.labels:
        return
    said = f"the targets of {task.name} are labels, which stand in no passage"
    if train.distractor_loss != "none":
        raise ConfigError(f"train.distractor_loss={train.distractor_loss}: {said}; set train.distractor_loss=none")
    if train.answerable_only:
        raise ConfigError(f"train.answerable_only=true: {said}; set train.answerable_only=false")


def choose(workspace: Workspace, items: Sequence[Item]) -> tuple[list[Item], dict[str, Any]]:
    """The training examples that train.targets and train.answerable_only keep, and counts for the model's info.

    Args:
        workspace: Workspace of the training.
        items: One example for each (question, target) pair.

    Returns:
        The examples; `questions`, and how many of them have `one_target`; with answerable_only those `left_out`; with
        a distractor loss the passages that training begins with and how many of them are `distractors`.

    Raises:
        ConfigError: answerable_only leaves nothing, or no passage is a distractor.
    """
    train = effective_training(workspace.config)
    own: dict[str, list[Item]] = {}
    for item in items:
        own.setdefault(item.example_id, []).append(item)
    plain = train.targets == "all" and not train.answerable_only and train.distractor_loss == "none"
    if plain or not train.steps:
        return list(items), _counts(workspace, own)
    asked = [example for example in targets.training_examples(workspace) if example.example_id in own]
    if workspace.config.formulation == "closed_book":
        return [of[0] for of in own.values()], _counts(workspace, own)
    started = _Started(workspace, [own[example.example_id][0] for example in asked])
    kept = {e.example_id: started.chosen(e, own[e.example_id], train.targets == "first") for e in asked}
    standing = {
        name: found for name, (found, is_answerable) in kept.items() if is_answerable or not train.answerable_only
    }
    left_out = len(own) - len(standing)
    if not standing:
        raise ConfigError(
            f"train.answerable_only=true: none of {len(own)} train questions has an answer in the first {train.k} "
            "passages that training begins with; raise train.k, or set train.answerable_only=false"
        )
    counts = _counts(workspace, standing)
    if train.answerable_only:
        counts["left_out"] = left_out
        workspace.announce(
            f"{left_out} of {len(own)} train questions are left out: no answer in the first {train.k} passages that "
            "training begins with (train.answerable_only)"
        )
    chosen = [item for of in standing.values() for item in of]
    if train.distractor_loss != "none":
        counts |= started.distractors(chosen)
    return chosen, counts


def _counts(workspace: Workspace, own: dict[str, list[Item]]) -> dict[str, Any]:
    """The number of questions, and of those with one target, also shown as details."""
    single = sum(len(of) == 1 for of in own.values())
    workspace.detail(f"{single} of {len(own)} train questions have one training target")
    return {"questions": len(own), "one_target": single}


class _Started:
    """The passages that training begins with.

    Args:
        workspace: Workspace of a formulation with passages.
        asked: One training example of each question.
    """

    def __init__(self, workspace: Workspace, asked: Sequence[Item]) -> None:
        self.train, self.store = workspace.config.train, corpus.open_store(workspace)
        retrieval = training_retrieval.open_retrieval(workspace, asked).eval()
        found = [retrieval.ranked(asked[i : i + BATCH], self.train.k)[0] for i in range(0, len(asked), BATCH)]
        lines = [line[line >= 0].tolist() for rows in found for line in rows]
        self.rows: dict[str, list[int]] = dict(zip((item.example_id for item in asked), lines, strict=True))
        self._matcher = AnswerMatcher(lambda row: passage_text(self.store[row], TITLE_END))

    def chosen(self, example: Example, items: list[Item], first: bool) -> tuple[list[Item], bool]:
        """The examples of a question, and whether a passage holds an answer, or is gold if answers are not copied."""
        rows, kind = self.rows[example.example_id], items[0].kind
        if kind != "copied":
            gold = {self.store.row(name) for name in example.gold_passage_ids}
            return items[:1] if first else items, bool(gold.intersection(rows))
        answers = example.targets or example.answers
        standing = next((answer for answer in answers if any(self._matcher.hits([answer], rows))), None)
        if first:
            items = [items[0] if standing is None else replace(items[0], target=standing)]
        return items, standing is not None

    def distractors(self, items: Sequence[Item]) -> dict[str, int]:
        """Counts of the passages of all examples, and of the distractors among them.

        Raises:
            ConfigError: no passage is a distractor.
        """
        read = [(item, self.store[row]) for item in items for row in self.rows[item.example_id]]
        wrong = sum(is_distractor(item, passage) for item, passage in read)
        if not wrong:
            raise ConfigError(
                f"train.distractor_loss={self.train.distractor_loss}: each of the first {self.train.k} passages that "
                "training begins with holds its target; raise train.k, or set train.distractor_loss=none"
            )
        return {"passages": len(read), "distractors": wrong}
