"""What MLflow gets of a final system beside its run: the model, and traces of a sample of its answers."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mlflow.tracking import MlflowClient

from rag_lightning.config.retrieval import retriever_kind
from rag_lightning.serving.register import log_model
from rag_lightning.serving.traces import log_traces


def log_extras(client: MlflowClient, run_id: str, folder: Path, record: Mapping[str, Any]) -> None:
    """Log the model and the traces of a finished final run; what is there is not sent again.

    A system that answers only questions with given vectors is no model that others could ask.

    Args:
        client: Client of the store that holds the run.
        run_id: The MLflow run.
        folder: The run folder, runs/<sweep>/<run_id>.
        record: Its run.json.

    Raises:
        MlflowException: the store refuses.
        ArtifactError: an artifact of the run is missing or altered.
    """
    kind = retriever_kind(record["config"]["retriever"]["kind"])
    model_id = log_model(client, run_id, folder, record) if kind.answers_new else ""
    log_traces(client, run_id, folder.parents[2], record, model_id)
