"""The code of the MLflow model (models from code): copied into the model and run when it is loaded."""

from __future__ import annotations

from typing import Any

import pandas as pd
from mlflow.models import set_model
from mlflow.pyfunc.model import PythonModel


class _ServedModel(PythonModel):
    """A system that answers questions."""

    def load_context(self, context: Any) -> None:
        """Open the system after a check of its files."""
        from rag_lightning.serving.opening import open_parts  # imported here, because saving a model needs no torch

        self.system = open_parts(context.artifacts, (context.model_config or {}).get("artifacts", ""))

    def predict(
        self, context: Any, model_input: pd.DataFrame, params: dict[str, Any] | None = None
    ) -> list[dict[str, Any]]:
        """The answer to each question of column `question`."""
        from rag_lightning.serving.opening import answer_all

        return answer_all(self.system, model_input["question"])


set_model(_ServedModel())
