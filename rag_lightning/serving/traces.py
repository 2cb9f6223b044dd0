"""MLflow traces of stored answers: question, retrieved passages, hypotheses, and whether the prediction is correct.

A run stores no time of each question: the traces follow each other from its start, each as long as the mean question.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from mlflow.entities import (
    Assessment,
    AssessmentSource,
    Document,
    Expectation,
    Feedback,
    Span,
    SpanType,
    TraceInfo,
    TraceLocation,
    TraceState,
)
from mlflow.tracing.client import TracingClient
from mlflow.tracing.constant import SpanAttributeKey, TraceMetadataKey, TraceTagKey
from mlflow.tracking import MlflowClient

from rag_lightning.core.files import content_digest
from rag_lightning.metrics.outcomes import objectives
from rag_lightning.serving.stored import Stored, read_sample
from rag_lightning.stages.answer import log_priors
from rag_lightning.tasks.spec import get_task

SAMPLE = 20
"""Number of questions of a run with a trace."""
NO_POSTERIOR = "none: fid reads all passages together"
PREVIEW = 1000
"""Largest number of characters of question and prediction in the list of traces."""


def log_traces(
    client: MlflowClient, run_id: str, root: Path, record: Mapping[str, Any], model_id: str = "", sample: int = SAMPLE
) -> int:
    """Send the traces of a sample of a run's questions, except those that are there; returns how many were sent.

    Args:
        client: Client of the store that holds the run.
        run_id: The MLflow run.
        root: Project folder.
        record: The run's run.json.
        model_id: The logged model of the run, to which the traces are linked.
        sample: Number of questions.

    Raises:
        MlflowException: the store refuses.
        ArtifactError: an artifact of the run is missing or altered.
    """
    tracing, place = TracingClient(client.tracking_uri), client.get_run(run_id).info.experiment_id
    there = tracing.search_traces(locations=[place], run_id=run_id, max_results=sample, include_spans=False)
    known = {trace.info.trace_id for trace in there}
    if len(known) >= sample:
        return 0
    source = {TraceMetadataKey.SOURCE_RUN: run_id} | ({TraceMetadataKey.MODEL_ID: model_id} if model_id else {})
    made = [
        _Trace(stored, position, record, source, place)
        for position, stored in enumerate(read_sample(root, record, sample))
    ]
    missing = [trace for trace in made if trace.trace_id not in known]
    # A trace is found by its run only after start_trace, so an interrupted attempt is repeated whole.
    tracing.log_spans(place, [span for trace in missing for span in trace.spans()])
    for trace in missing:
        tracing.start_trace(trace.info())
    return len(missing)


@dataclass(frozen=True)
class _Trace:
    """One question as a trace; its id is a digest of the MLflow run and the question's id."""

    stored: Stored
    position: int
    record: Mapping[str, Any]
    source: Mapping[str, str]
    experiment_id: str

    @property
    def trace_id(self) -> str:
        return f"tr-{self._digest('', 32)}"

    def info(self) -> TraceInfo:
        record, stored = self.record, self.stored
        return TraceInfo(
            trace_id=self.trace_id,
            trace_location=TraceLocation.from_experiment_id(self.experiment_id),
            request_time=self._start // 10**6,
            execution_duration=self._seconds("seconds_per_query") // 10**6,
            state=TraceState.OK,
            request_preview=stored.example.query[:PREVIEW],
            response_preview=stored.prediction.text[:PREVIEW],
            client_request_id=stored.example.example_id,
            trace_metadata=dict(self.source),
            tags={TraceTagKey.TRACE_NAME: record["label"], "run_id": record["run_id"], "split": record["split"]},
            assessments=self._assessments(),
        )

    def spans(self) -> list[Span]:
        """The whole question, its retrieval, and its generation."""
        stored, retrieved = self.stored, self._start + self._seconds("retrieve")
        ended = self._start + self._seconds("seconds_per_query")
        question = {"question": stored.example.query}
        shares = stored.answer.posteriors
        answered = {"prediction": stored.prediction.text, "log_prob": stored.prediction.log_prob}
        seen = {
            "example_id": stored.example.example_id,
            "passage_ids": [passage.passage_id for passage in stored.answer.passages],
            "prior": list(stored.answer.priors),
            "posterior": NO_POSTERIOR if self.record["config"]["formulation"] == "fid" else list(shares),
            "time": "mean of the run's questions",
        }
        found = [self._span("question", SpanType.CHAIN, (self._start, ended), question, answered, seen)]
        if stored.answer.passages:
            documents = [document.to_dict() for document in self._passages()]
            found.append(self._span("retrieve", SpanType.RETRIEVER, (self._start, retrieved), question, documents))
        hypotheses = [{"text": one.text, "log_prob": one.log_prob} for one in stored.prediction.hypotheses]
        given = question | {"passages": seen["passage_ids"]}
        return [*found, self._span("generate", SpanType.LLM, (retrieved, ended), given, {"hypotheses": hypotheses})]

    def _passages(self) -> list[Document]:
        """The passages in the layout that MLflow shows as documents."""
        found, priors = self.stored.answer, log_priors(self.stored.asked).tolist()
        shares = found.posteriors or (None,) * len(found.passages)
        columns = zip(found.passages, found.doc_scores, priors, shares, strict=True)
        return [
            Document(
                passage.text,
                {"title": passage.title, "doc_score": round(score, 4), "doc_log_prob": round(prior, 4)}
                | ({} if share is None else {"posterior": round(share, 4)}),
                passage.passage_id,
            )
            for passage, score, prior, share in columns
        ]

    def _assessments(self) -> list[Assessment]:
        """The accepted answers, and the objective of the task on the prediction: correct or not where it is 0 or 1."""
        stored, record = self.stored, self.record
        answers = Expectation(
            "answers", list(stored.example.answers), AssessmentSource("HUMAN", record["dataset"]), self.trace_id
        )
        objective = objectives(get_task(record["task"]))[0].name
        value = stored.score.values.get(objective)
        if value is None:
            return [answers]
        source = AssessmentSource("CODE", f"rag-lightning {objective}")
        name, shown = ("correct", value == 1.0) if value in (0.0, 1.0) else (objective, value)
        return [answers, Feedback(name, shown, source=source, trace_id=self.trace_id)]

    @property
    def _start(self) -> int:
        """Start in nanoseconds."""
        started = int(datetime.fromisoformat(self.record["started"]).timestamp() * 1000) * 10**6
        return started + self.position * self._seconds("seconds_per_query")

    def _seconds(self, timing: str) -> int:
        """A mean time of the run, in nanoseconds."""
        return int(self.record["timings"][timing] * 10**9)

    def _digest(self, part: str, length: int) -> str:
        run = self.source[TraceMetadataKey.SOURCE_RUN]
        return content_digest(json.dumps([run, self.stored.example.example_id, part]), length)

    def _span(
        self,
        name: str,
        span_type: str,
        times: tuple[int, int],
        inputs: Any,
        outputs: Any,
        attributes: Mapping[str, Any] | None = None,
    ) -> Span:
        """A finished span; all but the first have the first as parent."""
        values = {
            SpanAttributeKey.REQUEST_ID: self.trace_id,
            SpanAttributeKey.SPAN_TYPE: span_type,
            SpanAttributeKey.INPUTS: inputs,
            SpanAttributeKey.OUTPUTS: outputs,
            **(attributes or {}),
        }
        root = name == "question"
        return Span.from_dict(
            {
                "trace_id": _base64(self._digest("", 32)),
                "span_id": _base64(self._digest(name, 16)),
                "parent_span_id": None if root else _base64(self._digest("question", 16)),
                "name": name,
                "start_time_unix_nano": times[0],
                "end_time_unix_nano": times[1],
                "status": {"code": "STATUS_CODE_OK", "message": ""},
                "attributes": {key: json.dumps(value, ensure_ascii=False) for key, value in values.items()},
            }
        )


def _base64(hexadecimal: str) -> str:
    return base64.b64encode(bytes.fromhex(hexadecimal)).decode()
