"""Command `score`: score the configured system, stored predictions or a result file, and print the estimates.

What is scored on test or test2 goes into the ledger. Scoring stored predictions and result files does not import torch.
"""

from __future__ import annotations

from pathlib import Path

from rag_lightning.config.experiment import ExperimentConfig
from rag_lightning.core.artifacts import Artifact
from rag_lightning.runs import ledger
from rag_lightning.runs.system import label_of
from rag_lightning.stages import score
from rag_lightning.stages.score_results import Request, score_request
from rag_lightning.stages.workspace import Workspace


def run(
    config: ExperimentConfig, predictions: str = "", format: str = "ours", questions: str = "", export: str = ""
) -> None:
    """Score the configured split, or given predictions, and print the estimates.

    Args:
        config: The experiment.
        predictions: Folder of artifacts/predictions, or a result file; empty for the configured system.
        format: Format of the result file.
        questions: File of the questions it answers; empty for the configured split.
        export: FORMAT:FILE; the results are also written to FILE in that format.

    Raises:
        ConfigError: options that contradict each other.
    """
    workspace = Workspace(config)
    artifact = score_request(workspace, Request(predictions, format, questions, export))
    enter(config, artifact, Path(predictions).name if predictions else label_of(config))
    for line in score.lines(artifact):
        workspace.announce(line)
    workspace.announce(f"scores in {artifact.path}")


def enter(config: ExperimentConfig, scores: Artifact, label: str) -> None:
    """Enter scores that belong to no run into the ledger, if they are of test or test2.

    Args:
        config: The experiment.
        scores: Artifact of the scores.
        label: Label of the system, or what was scored.

    Raises:
        DataError: the ledger is damaged.
    """
    split = scores.manifest["config"]["split"]
    ledger.append(
        config.folder,
        ledger.Evaluation("", "", label, ledger.COMMAND, split, config.task.dataset, scores.digest),
    )
