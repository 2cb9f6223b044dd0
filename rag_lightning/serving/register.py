"""A finished final run as a logged and registered MLflow model."""

from __future__ import annotations

import json
import logging
import os
import re
import shutil
import tempfile
import warnings
from collections.abc import Iterator, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

from mlflow.entities import LoggedModel, LoggedModelOutput, LoggedModelStatus, Metric
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient
from mlflow.types.schema import Array, ColSpec, Object, Property, Schema
from mlflow.utils.mlflow_tags import MLFLOW_MODEL_VERSIONS

import rag_lightning
from rag_lightning.core.files import read_sealed, write_sealed
from rag_lightning.core.records import Example, read_jsonl
from rag_lightning.serving import parts as packing
from rag_lightning.tasks.spec import get_task

with warnings.catch_warnings():
    # mlflow 3.17 warns of its own type hints when mlflow.pyfunc is first imported.
    warnings.filterwarnings("ignore", ".*Any type hint is inferred as AnyType", UserWarning)
    import mlflow.pyfunc
    from mlflow.models import Model, ModelSignature

    from rag_lightning.serving import served_model

PASSAGE = Object(
    [
        Property("id", "string"),
        Property("title", "string"),
        Property("text", "string"),
        Property("prior", "double"),
        Property("posterior", "double", required=False),
    ]
)
SIGNATURE = ModelSignature(
    Schema([ColSpec("string", "question")]),
    Schema(
        [
            ColSpec("string", "prediction"),
            ColSpec("double", "log_prob"),
            ColSpec(Array(PASSAGE), "passages"),
            ColSpec(Array(Object([Property("text", "string"), Property("log_prob", "double")])), "hypotheses"),
        ]
    ),
)
MARKDOWN = re.compile(r"([\\`*_{}\[\]()<>#+!|~&-])")
"""Characters with a meaning in Markdown or HTML."""


def registered_name(sweep: str) -> str:
    """Name of the registered model of a sweep.

    >>> registered_name("nq"), registered_name("my sweep: 2")
    ('rag-lightning-nq', 'rag-lightning-my-sweep-2')
    """
    return f"rag-lightning-{re.sub(r'[^A-Za-z0-9_.]+', '-', sweep).strip('-')}"


def log_model(client: MlflowClient, run_id: str, folder: Path, record: Mapping[str, Any]) -> str:
    """Log and register the model of a finished run, except what is done already; returns the id of the logged model.

    The alias of the formulation (rag_sequence, rag_token, closed_book, fid) moves to a new version.

    Args:
        client: Client of the store that holds the run.
        run_id: The MLflow run.
        folder: The run folder, runs/<sweep>/<run_id>.
        record: Its run.json.

    Raises:
        MlflowException: the store refuses.
        ArtifactError: an artifact of the run is missing or altered.
    """
    name, model = registered_name(record["sweep"]), _find(client, run_id)
    known = client.search_model_versions(f"name = '{name}' and run_id = '{run_id}'")
    if model is None or not known:
        scores = _scores(folder, record)
        model = model or _log(client, run_id, folder.parents[2], record, scores)
        if not known:
            _register(client, name, model, record, scores)
    return str(model.model_id)


def requirements() -> list[str]:
    """The dependencies of this package, each with the installed version."""
    names = [re.split(r"[\s\[<>=!~;(]", line, maxsplit=1)[0] for line in _dependencies()]
    return [f"{name}=={metadata.version(name).partition('+')[0]}" for name in names]


def _dependencies() -> list[str]:
    return [line for line in metadata.requires("rag-lightning") or [] if "extra ==" not in line]


def _find(client: MlflowClient, run_id: str) -> LoggedModel | None:
    """The logged model of a run; what an interrupted attempt left is removed."""
    for found in client.search_logged_models(
        [client.get_run(run_id).info.experiment_id], f"source_run_id = '{run_id}'"
    ):
        if found.status == LoggedModelStatus.READY:
            return found
        client.delete_logged_model(found.model_id)
    return None


def _log(
    client: MlflowClient, run_id: str, root: Path, record: Mapping[str, Any], scores: Mapping[str, str]
) -> LoggedModel:
    parts, described = packing.collect(record, root)
    run, name = client.get_run(run_id), f"{record['task']}-{record['config']['formulation']}"
    tags = _tags(record, scores)
    model = client.create_logged_model(run.info.experiment_id, name, run_id, tags, _params(record), "rag")
    with tempfile.TemporaryDirectory(prefix="rag-lightning-") as place:
        _save(Path(place), parts, described, model, _question(record, root))
        client.log_model_artifacts(model.model_id, str(Path(place, "model")))
    client.log_outputs(run_id, [LoggedModelOutput(model.model_id, 0)])
    client.log_batch(run_id, list(_metrics(client, run_id, set(run.data.metrics), record, model.model_id)))
    return client.finalize_logged_model(model.model_id, LoggedModelStatus.READY)


def _register(
    client: MlflowClient, name: str, model: LoggedModel, record: Mapping[str, Any], scores: Mapping[str, str]
) -> None:
    """Make a version of the registered model, which is created if it does not exist."""
    try:
        client.create_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    made = client.create_model_version(
        name,
        model.artifact_location,  # not models:/ID, which a local registry looks up in the default store of the process
        model.source_run_id,
        _tags(record, scores),
        description=_description(record, scores),
        model_id=model.model_id,
        await_creation_for=0,
    )
    versions = json.dumps([{"name": name, "version": made.version}])
    client.set_logged_model_tags(model.model_id, {MLFLOW_MODEL_VERSIONS: versions})
    client.set_registered_model_alias(name, record["config"]["formulation"], made.version)


def _save(
    place: Path, parts: Mapping[str, packing.Part], described: dict[str, Any], model: LoggedModel, question: str
) -> None:
    """Write the model's folder, `model`; nothing is run."""
    logging.getLogger("mlflow.pyfunc").setLevel(logging.WARNING)
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    outside = packing.is_outside(parts)
    system = place / f"{packing.SYSTEM}.json"
    write_sealed(system, {**described, "parts": packing.describe(parts, outside)})
    given = {packing.SYSTEM: system}
    for name, part in parts.items():
        if not (outside and part.kind):
            given[name] = _linked(place / name, part)
    mlflow.pyfunc.save_model(
        path=str(place / "model"),
        python_model=served_model.__file__,
        artifacts={name: path.resolve().as_uri() for name, path in given.items()},
        code_paths=[str(Path(rag_lightning.__file__).parent)],
        signature=SIGNATURE,
        input_example=[{"question": question}],
        pip_requirements=requirements(),
        model_config={"artifacts": ""},
        mlflow_model=Model(
            artifact_path=model.artifact_location,
            model_uuid=model.model_id,
            model_id=model.model_id,
            run_id=model.source_run_id,
        ),
    )


def _linked(folder: Path, part: packing.Part) -> Path:
    """A folder with the files of a part and no others; hard links, because MLflow refuses symbolic ones."""
    for name in part.files:
        source, target = (part.folder / name).resolve(), folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            target.hardlink_to(source)
        except OSError:  # another file system, or one without links
            shutil.copyfile(source, target)
    return folder


def _question(record: Mapping[str, Any], root: Path) -> str:
    """The first question of the run's split."""
    path = root / "artifacts" / "examples" / record["digests"]["examples"] / f"{record['split']}.jsonl"
    return next(read_jsonl(path, Example)).query


def _tags(record: Mapping[str, Any], scores: Mapping[str, str]) -> dict[str, str]:
    return {"run_id": record["run_id"], "label": record["label"], **scores}


def _params(record: Mapping[str, Any]) -> dict[str, str]:
    config = record["config"]
    found = {"formulation": config["formulation"], "decoding": config["decoding"]["strategy"]}
    if config["formulation"] != "closed_book":
        kind = config["retriever"]["kind"]
        found |= {"retriever": kind, "k": str(config["decoding"]["k"])}
        found |= {"index": config["index"]["kind"]} if kind == "dense" else {}
    return found


def _metrics(
    client: MlflowClient, run_id: str, sent: set[str], record: Mapping[str, Any], model_id: str
) -> Iterator[Metric]:
    """The task's metrics as the run has them, linked to the model."""
    for name in sorted(sent & set(get_task(record["task"]).metrics)):
        last = client.get_metric_history(run_id, name)[-1]
        yield Metric(name, last.value, last.timestamp, last.step, model_id=model_id, run_id=run_id)


def _scores(folder: Path, record: Mapping[str, Any]) -> dict[str, str]:
    """`test_em` and `dev_em` (with the task's objective) of a system, where its runs are finished."""
    objective = get_task(record["task"]).metrics[0]
    found = {}
    for other in sorted(folder.parent.glob("*/summary.json")):
        run = read_sealed(other.with_name("run.json"))
        if run["label"] == record["label"] and run["status"] == "finished":
            estimate = read_sealed(other)["metrics"].get(objective)
            if estimate is not None:
                found[f"{run['split']}_{objective}"] = f"{estimate['mean']:.2f}"
    return found


def _description(record: Mapping[str, Any], scores: Mapping[str, str]) -> str:
    """The description of a version in Markdown."""
    shown = ", ".join(f"{name.replace('_', ' ', 1)} {value}" for name, value in sorted(scores.items()))
    text = f"{record['label']} on {record['dataset']}; {shown}; run {record['run_id']}"
    return MARKDOWN.sub(r"\\\1", text)
