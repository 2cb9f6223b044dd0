"""A whole sweep: build, train, search on dev, select, evaluate on test once, report."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from time import perf_counter
from typing import Any

from rag_lightning.config.commands import SweepConfig
from rag_lightning.config.fields import to_dict
from rag_lightning.core.console import LiveTable, say, within
from rag_lightning.core.errors import ConfigError, DataError, TrainingError
from rag_lightning.core.files import write_json
from rag_lightning.metrics import outcomes
from rag_lightning.report.reading import need, read
from rag_lightning.runs import evaluate, folders
from rag_lightning.runs.monitor import sampled
from rag_lightning.runs.record import is_finished
from rag_lightning.runs.system import System
from rag_lightning.runs.together import predict_together
from rag_lightning.stages import corpus, examples, train
from rag_lightning.stages.workspace import Workspace
from rag_lightning.sweep import importances, notes, objectives, selection, shown
from rag_lightning.sweep.objectives import quality
from rag_lightning.sweep.space import SPLIT, Space, open_space
from rag_lightning.sweep.study import Found, completed, evaluated_values, open_study, search
from rag_lightning.tasks.spec import get_task
from rag_lightning.tracking.track import Mirrors, Sender

MINILM_NOTE = (
    "pretrained retrieval is all-MiniLM-L6-v2, which its authors trained on public question-answer data that includes "
    "NQ and SQuAD training questions"
)


def run(config: SweepConfig) -> None:
    """Run or continue a sweep.

    Raises:
        ConfigError, UnknownNameError: an invalid search space.
        AssetError: a model or data set that cannot be fetched.
        TrainingError: a training that cannot continue; the sweep is marked as failed.
        DataError: another process runs this sweep, or a file of it is damaged.
    """
    space = open_space(config)
    with _alone(config):
        _run_alone(space)


def _run_alone(space: Space) -> None:
    config = space.config
    count = f" of {len(space.points):,} points" if space.points is not None else ""
    say(f"{'sweep':<17} {config.name}: {space.budget} trials{count}, {len(space.always)} baselines")
    workspace = Workspace(config.experiment)
    examples.build(workspace)
    _check_corpus(workspace)
    folder = _open_folder(space)
    try:
        with sampled(folder):
            _train_and_run(space, folder)
    except TrainingError as error:
        _describe(space, folder, problem=str(error))
        raise


def _train_and_run(space: Space, folder: Path) -> None:
    for system in space.shared_models:  # the others are trained when their first trial runs
        train.build(Workspace(system.config))
    _run(space, folder)


@contextmanager
def _alone(config: SweepConfig) -> Iterator[None]:
    """Hold the sweep's lock: a second process would close the trials of the first."""
    runs = folders.runs(config.experiment.folder)
    runs.mkdir(parents=True, exist_ok=True)
    path = runs / f"{config.name}.lock"
    with path.open("w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise DataError(path, "is held: this sweep is running", hint="wait for it, or give another name") from error
        yield


def _run(space: Space, folder: Path) -> None:
    config = space.config
    mirrors = Mirrors(config.experiment.folder, config.experiment.tracking_uri)
    mirror, table = mirrors.of(config.experiment.task.name), shown.evaluated_table(quality(config))
    mirror.parent(config.name)
    tried = _search(space, mirror)
    _evaluate(config, mirror, table, space.always, "dev", "baseline")
    chosen = selection.select(config, tried)
    _evaluate(config, mirror, table, space.always, "test", "baseline")
    _evaluate(config, mirror, table, chosen, "test", "final")
    with within("retrieval by itself"):
        _describe(space, folder, chosen=chosen, finished=True)
    mirror.finish(config.name)
    shown.show_end(space, chosen, folder, mirrors.uri)


def _check_corpus(workspace: Workspace) -> None:
    """Check, before anything is trained, that the corpus has as many passages as k_max and train.k need."""
    count = len(corpus.open_store(workspace))
    wanted = {"retriever.k_max": workspace.config.retriever.k_max, "train.k": workspace.config.train.k}
    for name, k in wanted.items():
        if not 1 <= k <= count:
            raise ConfigError(f"experiment.{name}={k}, but the corpus has {count} passages; choose 1 to {count}")


def _search(space: Space, mirror: Sender) -> list[System]:
    """Run the search; returns the systems evaluated on dev, in the order of their first trial."""
    config, study = space.config, open_study(space)
    position, before = config.objectives.index(quality(config)), evaluated_values(space, study)
    trials = shown.Trials(quality(config), space.budget, [values[position] for values, _ in before.values()])

    def value_of(system: System) -> Found:
        started = perf_counter()
        folder = evaluate.run(system, config.name, SPLIT, "trial")
        mirror.child(folder)
        values = objectives.values_of(config, folder)
        trials.add(system.label, values[position], perf_counter() - started)
        return values, dict(zip(config.constraints, objectives.constraints_of(config, folder), strict=True))

    if config.sampler == "grid":
        unseen = [point for point in space.grid if space.digest_of(point) not in before]
        predict_together([space.system_of(point) for point in unseen[: space.budget - len(before)]], SPLIT)
    search(space, study, value_of)
    importances.write(space, completed(study), folders.run_group(config.experiment.folder, config.name))
    return [space.system_of(digest) for digest in evaluated_values(space, study)]


def _evaluate(
    config: SweepConfig, mirror: Sender, table: LiveTable, systems: Sequence[System], split: str, role: str
) -> None:
    """Run systems outside of the search; prints a row for each new run."""
    predict_together(systems, split)
    for system in systems:
        started, folder = perf_counter(), evaluate.folder_of(system, config.name, split)
        before = folder.exists() and is_finished(folder)
        mirror.child(evaluate.run(system, config.name, split, role))
        if not before:
            value, seconds = shown.score(folder, quality(config)).mean, perf_counter() - started
            table.add(split, system.label, role, f"{value:.1f}", f"{seconds:.1f}")


def _open_folder(space: Space) -> Path:
    """The sweep's folder; a folder with another experiment or search space is renamed, and restored when needed."""
    config = space.config
    folder = folders.run_group(config.experiment.folder, config.name)
    stored = folder / "space.json"
    if stored.exists():
        earlier = need(stored, read(stored), "digest", str)
        if earlier != space.digest:
            aside = folder.with_name(f"{folder.name}.{earlier[:8]}")
            folder.rename(aside)
            say(f"sweep {config.name}: its experiment or search space has changed; the earlier runs are in {aside}")
    begun = folder.with_name(f"{folder.name}.{space.digest[:8]}")
    if begun.exists() and not folder.exists():
        begun.rename(folder)
        say(f"sweep {config.name}: an earlier folder with these settings is continued")
    folder.mkdir(parents=True, exist_ok=True)
    write_json(stored, {"digest": space.digest, "spec": space.spec})
    _describe(space, folder)
    return folder


def _touched_before(config: SweepConfig, chosen: Sequence[System]) -> list[str]:
    """A note if an earlier search with fewer trials has already run its choice on test."""
    labels = selection.superseded(config, chosen)
    if not labels:
        return []
    return [f"test was run more than once: a search with fewer trials had chosen {', '.join(labels)}"]


def _describe(
    space: Space, folder: Path, *, chosen: Sequence[System] = (), finished: bool = False, problem: str = ""
) -> None:
    """Write sweep.json, with status failed if there is a problem."""
    config, base = space.config, space.config.experiment
    models = _models(space, chosen)
    value: dict[str, Any] = {
        "name": config.name,
        "dataset": base.task.dataset,
        "scale": base.scale,
        "objective": quality(config),
        "objectives": list(config.objectives),
        "spec": to_dict(config),
        "retrieval": notes.rows(space, models) if finished else [],
        "warnings": _warnings(config, models, chosen) if finished else [],
        "finished": finished,
    }
    if problem:
        value |= {"status": "failed", "problem": problem}
    write_json(folder / "sweep.json", value)


def _warnings(config: SweepConfig, models: dict[str, System], chosen: Sequence[System]) -> list[str]:
    return [*selection.problems(config), *_notes(config, models), *_touched_before(config, chosen)]


def _models(space: Space, chosen: Sequence[System]) -> dict[str, System]:
    """Formulation -> a system with its trained model: chosen systems, then systems with shared models."""
    found: dict[str, System] = {}
    for system in [*chosen, *space.shared_models]:
        found.setdefault(system.config.formulation, system)
    order = dict.fromkeys(system.config.formulation for system in space.systems)
    return {formulation: found[formulation] for formulation in order if formulation in found}


def _notes(config: SweepConfig, models: dict[str, System]) -> list[str]:
    """Notes for the readers of the tables."""
    lines = [MINILM_NOTE] if config.experiment.encoder.model == "mini" else []
    task = get_task(config.experiment.task.name)
    if task.metrics[0] == "em":
        lines.append(notes.note(Workspace(config.experiment)))
    metric = outcomes.objectives(task)[0].name
    for formulation, system in models.items():
        info = train.read_info(train.build(Workspace(system.config)))
        lines.append(
            f"{formulation}: score_scale {info['score_scale']:.2f} after training, dev {metric} of its checkpoint "
            f"{100 * (info['dev_score'] or 0):.1f} (first questions of dev, k={system.config.train.k})"
        )
        lines += [f"{formulation}: {line}" for line in train.alarms(info)]
    return lines
