"""A run in the format of Every Eval Ever: one JSON of model, data, metrics and estimates with their intervals
(https://github.com/evaleval/every_eval_ever, eval.schema.json, version 0.3.0).

Where the schema asks for what a run does not know, such as the organisation, it says unknown. Values per example are in
the bundle of the run, not here.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from rag_lightning.bundle.public import publishable
from rag_lightning.metrics.metric import Estimate, parse_metric
from rag_lightning.report.answer import FIELDS, value_at
from rag_lightning.report.collect import Run

SCHEMA_VERSION = "0.3.0"
UNKNOWN = "unknown"
INTERVAL = "BCa bootstrap, 2,000 resamples; examples about one entity are resampled together"


def every_eval(run: Run) -> dict[str, Any]:
    """The record of a finished run; the same each time."""
    record, config = publishable(run.record), publishable(run.config)
    ended = str(record.get("ended") or record["started"])
    stamp = str(int(datetime.fromisoformat(ended).timestamp()))
    model = f"{UNKNOWN}/{run.run_id.removeprefix(f'{run.split}-')}"
    version = str(record.get("packages", {}).get("rag-lightning", UNKNOWN))
    return {
        "schema_version": SCHEMA_VERSION,
        "evaluation_id": f"{run.dataset}.{run.split}/{model}/{stamp}",
        "evaluation_timestamp": ended,
        "retrieved_timestamp": stamp,
        "source_metadata": {
            "source_name": "rag-lightning",
            "source_type": "evaluation_run",
            "source_organization_name": UNKNOWN,
            "evaluator_relationship": "first_party",
        },
        "eval_library": {"name": "rag-lightning", "version": version},
        "model_info": {
            "name": run.label,
            "id": model,
            "developer": UNKNOWN,
            "inference_engine": {"name": "rag-lightning", "version": version},
            "additional_details": {
                "deployment_type": "self_deployed",
                "model_availability": UNKNOWN,
                **_details(config),
                **{f"artifact {kind}": str(digest) for kind, digest in record.get("digests", {}).items()},
                "commit": str(record.get("git", {}).get("sha") or UNKNOWN),
            },
        },
        "evaluation_results": [_result(run, config, record, name, one) for name, one in run.estimates.items()],
    }


def _result(
    run: Run, config: Mapping[str, Any], record: Mapping[str, Any], name: str, estimate: Estimate
) -> dict[str, Any]:
    metric = parse_metric(name)
    details = {"n": str(estimate.n)}
    if name in run.degraded:
        details["degraded"] = "the value is less reliable than usual; see the notes of the run"
    details_of_score: dict[str, Any] = {"score": estimate.mean, "details": details}
    if estimate.low is not None and estimate.high is not None:
        interval = {"lower": estimate.low, "upper": estimate.high, "confidence_level": 0.95, "method": INTERVAL}
        details_of_score["uncertainty"] = {"confidence_interval": interval, "num_samples": estimate.n}
    family, _, cutoff = name.partition("@")
    return {
        "evaluation_result_id": f"{run.dataset}.{run.split}.{name}",
        "evaluation_name": f"{run.dataset}.{run.split}",
        "source_data": _data(run, config),
        "evaluation_timestamp": str(record.get("ended") or record["started"]),
        "metric_config": {
            "metric_id": f"rag_lightning.{name}",
            "metric_name": name,
            "metric_kind": family,
            "metric_unit": "percent" if metric.unit == "%" else "proportion",
            "metric_parameters": {"k": int(cutoff)} if cutoff else {},
            "lower_is_better": metric.direction == "lower",
            "score_type": "continuous",
            "min_score": 0.0,
            "max_score": metric.scale,
        },
        "score_details": details_of_score,
        "generation_config": {
            "generation_args": {"execution_command": str(record.get("command") or UNKNOWN)},
            "additional_details": {name: str(value) for name, value in config["decoding"].items()},
        },
    }


def _data(run: Run, config: Mapping[str, Any]) -> dict[str, Any]:
    details = {"split": run.split, "scale": run.scale, "corpus": str(value_at(config, ("corpus", "source")))}
    details |= {"examples": str(run.record.get("digests", {}).get("examples", UNKNOWN))}
    return {"dataset_name": run.dataset, "source_type": "other", "additional_details": details}


def _details(config: Mapping[str, Any]) -> dict[str, str]:
    found = {".".join(path): value_at(config, path) for path in FIELDS}
    return {name: str(value) for name, value in found.items() if value is not None}
