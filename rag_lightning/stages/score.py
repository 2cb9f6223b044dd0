"""Stage `score`: predictions and rankings -> artifacts/scores: scores per example and a summary. Needs no model."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from rag_lightning.config.digesting import settings
from rag_lightning.config.languages import ENGLISH, LANGUAGES
from rag_lightning.config.registries import METRICS
from rag_lightning.core.artifacts import Artifact, open_artifact
from rag_lightning.core.errors import ArtifactError, ConfigError
from rag_lightning.core.files import write_json
from rag_lightning.core.records import write_jsonl
from rag_lightning.core.stage import Bound, Stage
from rag_lightning.metrics import summary
from rag_lightning.metrics.metric import EVERY_TASK, AnyMetric, Estimate, Family, Need, parse_metric
from rag_lightning.metrics.outcomes import Outcomes, from_artifacts, has_patterns
from rag_lightning.stages import corpus, examples
from rag_lightning.stages.workspace import Workspace
from rag_lightning.tasks.spec import TaskSpec, get_task

VERSION = 5
SCORES, SUMMARY = "scores.jsonl", "summary.json"


def build(workspace: Workspace, split: str) -> Artifact:
    """Scores of the configured system's predictions and rankings on a split."""
    return announced(workspace, stage(workspace.on(split)).build())


def stage(workspace: Workspace) -> Bound[Workspace]:
    """The stage that scores the configured system on the workspace's split; its digest identifies a run."""
    from rag_lightning.stages import predict, retrieve  # imported here: scoring stored predictions needs no torch

    made = predict.STAGE.at(workspace)
    closed = workspace.config.formulation == "closed_book"
    return _bound(workspace, made, None if closed else retrieve.stage().at(workspace))


def of_stored(workspace: Workspace, folder: Path) -> Artifact:
    """Scores of an existing artifact of predictions; predicts nothing and does not import torch.

    Raises:
        ArtifactError: no predictions, damaged ones, or their rankings are missing.
        ConfigError: the predictions are for other examples than the configuration's.
    """
    made, rankings, k = stored(workspace, folder)
    settings = made.manifest["config"]
    task = replace(workspace.config.task, limit=settings["task.limit"])
    return of(workspace.with_config(task=task), settings["split"], made, rankings, k)


def stored(workspace: Workspace, folder: Path) -> tuple[Artifact, Artifact | None, int]:
    """Predictions, their rankings (None for closed book), and the number of passages per question.

    Raises:
        ArtifactError, ConfigError: as `of_stored`.
    """
    made = open_artifact(folder)
    inputs = made.manifest["inputs"]
    if made.kind != "predictions":
        raise ArtifactError(f"{folder}: holds {made.kind}, not predictions; give a folder of artifacts/predictions")
    _check_made_for(workspace, made, "examples")
    if "rankings" not in inputs:
        return made, None, 0
    rankings = workspace.store.find("rankings", inputs["rankings"])
    if rankings is None:
        raise ArtifactError(f"{folder}: its rankings {inputs['rankings']} are missing; run retrieve again")
    _check_made_for(workspace, rankings, "corpus")
    return made, rankings, int(made.manifest["config"]["decoding.k"])


def _check_made_for(workspace: Workspace, made: Artifact, name: str) -> None:
    """Raise ConfigError unless an artifact has the configuration's examples (or corpus) as input."""
    stage = {"examples": examples, "corpus": corpus}[name].STAGE
    theirs, ours = made.manifest["inputs"][name], stage.digest(workspace)
    if theirs != ours:
        problem = f"{made.path}: was made for {name} {theirs}, the configuration's {name} has digest {ours}"
        raise ConfigError(f"{problem}; use the configuration that made it")


def of(workspace: Workspace, split: str, predictions: Artifact | None, rankings: Artifact | None, k: int) -> Artifact:
    """Scores of predictions and of the first k passages of rankings; one of them may be None."""
    decoding = replace(workspace.config.decoding, k=k or workspace.config.decoding.k)
    placed = workspace.on(split).with_config(decoding=decoding)
    return announced(workspace, _bound(placed, predictions, rankings).build())


Made = Bound[Workspace] | Artifact | None


def _bound(workspace: Workspace, predictions: Made, rankings: Made) -> Bound[Workspace]:
    task = get_task(workspace.config.task.name)
    k = 0 if rankings is None else workspace.config.decoding.k
    names = metric_names(task, predictions is not None, k, workspace.config.corpus.language)
    given = {"predictions": predictions, "rankings": rankings}

    def inputs(place: Workspace) -> dict[str, str | Bound[Workspace]]:
        found: dict[str, str | Bound[Workspace]] = {"examples": examples.STAGE.at(place)}
        return found | {n: m.digest if isinstance(m, Artifact) else m for n, m in given.items() if m is not None}

    def make(place: Workspace, folder: Path) -> dict[str, Any]:
        asked = examples.read(place, place.config.split)
        passages = corpus.open_store(place) if rankings is not None else None
        built = [made.build() if isinstance(made, Bound) else made for made in (predictions, rankings)]
        return write(place, folder, from_artifacts(task, passages, asked, built[0], built[1], k), names, task.labels)

    def all_settings(place: Workspace) -> dict[str, Any]:
        return settings(place.config, "scores") | {"metrics": names, "k": k} | tools(names)

    return Stage("scores", VERSION, all_settings, inputs, make).at(workspace)


def announced(workspace: Workspace, scores: Artifact) -> Artifact:
    """The scores, after a warning about invalid answer patterns and missing predictions."""
    for fault in scores.info.get("pattern_faults", ()):
        workspace.announce(f"answer pattern {fault['pattern']!r} {fault['reason']}; {fault['examples']} examples")
    if unanswered := scores.info.get("unanswered"):
        workspace.announce(f"{unanswered} examples without a prediction count as the worst value")
    return scores


def tools(names: Iterable[str]) -> dict[str, Any]:
    """Versions that the metrics depend on, as a part of a recipe; empty if there are none."""
    found = summary.tools(names)
    return {"made_with": found} if found else {}


def write(
    workspace: Workspace, folder: Path, outcomes: Outcomes, names: list[str], labels: Sequence[str] = ()
) -> dict[str, Any]:
    """Write scores and summary into a folder; returns the info of the manifest, with the counts of faults."""
    scores, found = summary.scored(outcomes, names, labels, seed=workspace.config.seed)
    write_jsonl(folder / SCORES, scores)
    write_json(folder / SUMMARY, found)
    return {"examples": len(scores), "metrics": names, **_faults(outcomes)}


def _faults(outcomes: Outcomes) -> dict[str, Any]:
    faults = [{**asdict(fault), "examples": count} for fault, count in outcomes.faults.items()]
    found: dict[str, Any] = {"unanswered": len(outcomes.unanswered)} if outcomes.unanswered else {}
    return found | ({"pattern_faults": faults} if faults else {})


def metric_names(task: TaskSpec, predicted: bool, k: int, language: str = ENGLISH) -> list[str]:
    """Names of the task's metrics that can be computed, then of the metrics registered to go beside them.

    Metrics of gold passages, gold articles and pages are removed later if no example has any.

    Args:
        task: The task.
        predicted: Whether there are predictions.
        k: Number of passages a question; 0 without retrieval.
        language: corpus.language; some metrics are for languages without spaces only.
    """
    spaced = LANGUAGES[language].spaced
    there: set[Need] = {"gold"}
    there |= {"prediction"} if predicted else set()
    there |= {"passages"} if k else set()
    there |= {"answers"} if task.extractive else set()
    there |= set() if has_patterns(task) else {"strings"}
    names = [name for name in task.metrics if _possible(name, there, k)]
    for name in METRICS:
        metric: AnyMetric | Family = METRICS.get(name)
        if metric.unspaced and spaced:
            continue
        if {*task.metrics, EVERY_TASK} & set(metric.beside) and there.issuperset(metric.needs):
            names += metric.up_to(k) if isinstance(metric, Family) else [name]
    return list(dict.fromkeys(names))


def _possible(name: str, there: set[Need], k: int) -> bool:
    """Whether a metric that the task lists can be computed from predictions and k passages."""
    metric, cutoff = parse_metric(name), name.partition("@")[2]
    return there.issuperset({"prediction", "passages"} & set(metric.needs)) and int(cutoff or 0) <= k


def lines(artifact: Artifact) -> list[str]:
    """One line per metric (value, interval if it has one, n), what sets like metrics apart, then the notes."""
    made = json.loads((artifact.path / SUMMARY).read_text(encoding="utf-8"))
    found = [
        f"{name:20} {e['mean']:8.2f}{e['unit']:1}  {_interval(e)}n={e['n']}" for name, e in made["metrics"].items()
    ]
    told = [f"{name}: {about}" for name in made["metrics"] if (about := parse_metric(name).about)]
    return found + (told if len(told) > 1 else []) + note_lines(made)


def note_lines(made: Mapping[str, Any]) -> list[str]:
    """The notes of a summary, one line each."""
    return [f"{', '.join(note['metrics'])}: {note['text']}" for note in made["notes"]]


def _interval(estimate: Mapping[str, Any]) -> str:
    if estimate["low"] is None:
        return ""
    mark = "approximate " if Estimate(**estimate).approximate else ""
    return f"{mark}[{estimate['low']:.2f}, {estimate['high']:.2f}]  "
