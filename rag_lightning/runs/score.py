"""Command `score`: score the configured system, stored predictions or a result file, and print the estimates.

What is scored on test goes into the ledger. Scoring stored predictions and result files does not import torch.
"""

from __future__ import annotations

from pathlib import Path

from rag_lightning.config.experiment import ExperimentConfig
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
    label = Path(predictions).name if predictions else label_of(config)
    split = artifact.manifest["config"]["split"]
    done = ledger.Evaluation("", "", label, ledger.COMMAND, split, config.task.dataset, artifact.digest)
    ledger.append(config.folder, done)
    for line in score.lines(artifact):
        workspace.announce(line)
    workspace.announce(f"scores in {artifact.path}")
