"""The whole sweep: build, train, search on dev, select, touch test once, report."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rag_lightning.config.commands import SweepConfig
from rag_lightning.config.fields import to_dict
from rag_lightning.core.errors import ConfigError, TrainingError
from rag_lightning.core.files import digest, write_json
from rag_lightning.metrics.outcomes import objectives
from rag_lightning.runs import evaluate
from rag_lightning.runs.mlflow import Mirror, default_uri
from rag_lightning.runs.record import read_summary
from rag_lightning.runs.system import System
from rag_lightning.stages import corpus, examples, train
from rag_lightning.stages.workspace import Workspace, say
from rag_lightning.sweep import notes, selection
from rag_lightning.sweep.study import check, open_study, search, space
from rag_lightning.tasks.spec import get_task

MINILM_NOTE = (
    "frozen retrieval is all-MiniLM-L6-v2, which its authors trained on public question-answer data that includes "
    "NQ and SQuAD training questions"
)


def run(config: SweepConfig) -> None:
    """Run, or go on with, a sweep; ends with where its report is.

    Raises:
        ConfigError, UnknownNameError: a search space that cannot be run.
        AssetError: a model or data set that cannot be fetched.
    """
    systems = check(config)
    workspace = Workspace(config.experiment)
    examples.build(workspace)
    _check_corpus(workspace)
    folder = _open_folder(config)
    try:
        for trained in _trained(config, systems).values():
            train.build(trained)
    except TrainingError as error:
        _describe(config, folder, finished=False, problem=str(error))
        raise
    mirror = Mirror(
        default_uri(workspace.root, config.experiment.tracking_uri), config.experiment.task.name, workspace.root, say
    )
    mirror.parent(config.name, to_dict(config))
    tried = _search(config, mirror)
    always = [System.parse(text) for text in config.always]
    _evaluate(config, mirror, always, "dev", "baseline")
    chosen = selection.select(config, tried)
    _evaluate(config, mirror, always, "test", "baseline")
    _evaluate(config, mirror, [system for system in chosen if system not in always], "test", "final")
    _describe(config, folder, finished=True, again=_touched_before(config, chosen))
    mirror.finish_parent(config.name)
    say(f"sweep {config.name}: finished; runs in {folder}")


def _trained(config: SweepConfig, systems: Sequence[System]) -> dict[str, Workspace]:
    """Of each formulation where its model is trained: all its systems share it."""
    return {system.formulation: Workspace(system.configure(config.experiment)) for system in systems}


def _check_corpus(workspace: Workspace) -> None:
    """Before anything is trained: are there as many passages as will be asked for."""
    count = len(corpus.open_store(workspace))
    wanted = {"retriever.k_max": workspace.config.retriever.k_max, "train.k": workspace.config.train.k}
    for name, k in wanted.items():
        if not 1 <= k <= count:
            raise ConfigError(f"experiment.{name}={k}, but the corpus has {count} passages; choose 1 to {count}")


def _search(config: SweepConfig, mirror: Mirror) -> list[System]:
    """The systems tried on dev, in the order they were first tried."""
    study = open_study(config)
    tried: dict[System, float] = {}

    def value_of(system: System) -> float:
        folder = evaluate.run(config, system, "dev", "trial")
        mirror.child(folder)
        value = float(read_summary(folder)["metrics"][config.objective]["mean"])
        say(f"{system.label}: dev {config.objective} {value:.1f}")
        return value

    search(config, study, value_of)
    for done in study.get_trials(deepcopy=False):
        if done.value is not None:
            tried[System.make(done.params["decoding"], done.params["retriever"], done.params["k"])] = done.value
    return list(tried)


def _evaluate(config: SweepConfig, mirror: Mirror, systems: Sequence[System], split: str, role: str) -> None:
    for system in systems:
        mirror.child(evaluate.run(config, system, split, role))


def _open_folder(config: SweepConfig) -> Path:
    """The sweep's folder; that of another experiment or search space is put aside, and taken up when it returns."""
    folder, spec = evaluate.sweep_folder(config), space(config)
    mark, current = folder / "space.json", digest(spec)
    if mark.exists():
        known = json.loads(mark.read_text(encoding="utf-8"))["digest"]
        if known != current:
            aside = folder.with_name(f"{folder.name}.{known[:8]}")
            folder.rename(aside)
            say(f"sweep {config.name}: its experiment or search space has changed; the earlier runs are in {aside}")
            earlier = folder.with_name(f"{folder.name}.{current[:8]}")
            if earlier.exists():
                earlier.rename(folder)
                say(f"sweep {config.name}: this one was begun before; going on with it")
    folder.mkdir(parents=True, exist_ok=True)
    write_json(mark, {"digest": current, "spec": spec})
    _describe(config, folder, finished=False)
    return folder


def _touched_before(config: SweepConfig, chosen: Sequence[System]) -> list[str]:
    """A note where a search with fewer trials had already run its own choice on test."""
    labels = selection.superseded(config, chosen)
    if not labels:
        return []
    return [f"test was run more than once: a search with fewer trials had chosen {', '.join(labels)}"]


def _describe(
    config: SweepConfig, folder: Path, *, finished: bool, again: Sequence[str] = (), problem: str = ""
) -> None:
    """Write sweep.json; with a problem the sweep has failed."""
    base = config.experiment
    value: dict[str, Any] = {
        "name": config.name,
        "dataset": base.task.dataset,
        "scale": base.scale,
        "objective": config.objective,
        "spec": to_dict(config),
        "retrieval": notes.rows(config) if finished else [],
        "warnings": [*_notes(config), *again] if finished else [],
        "finished": finished,
    }
    if problem:
        value |= {"status": "failed", "problem": problem}
    write_json(folder / "sweep.json", value)


def _notes(config: SweepConfig) -> list[str]:
    """What the reader of the tables must know."""
    lines = [MINILM_NOTE] if config.experiment.encoder.model == "mini" else []
    workspace = Workspace(config.experiment)
    task = get_task(config.experiment.task.name)
    if task.metrics[0] == "em":
        lines.append(notes.note(workspace))
    objective = objectives(task)[0].name
    trained = _trained(config, check(config))
    for formulation in dict.fromkeys(decoding.partition("/")[0] for decoding in config.decoding):
        info = train.read_info(train.build(trained[formulation]))
        lines.append(
            f"{formulation}: score_scale {info['score_scale']:.2f} after training, dev {objective} of its checkpoint "
            f"{100 * (info['dev_score'] or 0):.1f} (first questions of dev, k={config.experiment.train.k})"
        )
        lines += [f"{formulation}: {line}" for line in train.alarms(info)]
    return lines
