"""`sweep.json` of a sweep's folder: its settings, retrieval by itself, warnings, and the trials that failed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from optuna.trial import FrozenTrial

from rag_lightning.config.commands import SweepConfig
from rag_lightning.config.fields import to_dict
from rag_lightning.core.errors import DataError
from rag_lightning.core.files import digest, read_sealed, write_sealed
from rag_lightning.core.redact import redact, redacted
from rag_lightning.metrics import outcomes
from rag_lightning.runs.system import System
from rag_lightning.stages import train
from rag_lightning.stages.workspace import Workspace
from rag_lightning.sweep import notes, selection
from rag_lightning.sweep.attributes import SYSTEM, reason_of
from rag_lightning.sweep.objectives import quality
from rag_lightning.sweep.space import Space
from rag_lightning.tasks.spec import get_task

MINILM_NOTE = (
    "pretrained retrieval is all-MiniLM-L6-v2, which its authors trained on public question-answer data that includes "
    "NQ and SQuAD training questions"
)

SEARCH = ("trials", "sampler", "seed", "always", "trivial", "alpha")
"""Fields of a sweep that decide, beside its space, what is evaluated and chosen."""


def describe(
    space: Space,
    folder: Path,
    *,
    chosen: Sequence[System] = (),
    failed: Sequence[FrozenTrial] = (),
    finished: bool = False,
    problem: str = "",
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
        "spec": redacted(to_dict(config)),
        "retrieval": notes.rows(space, models) if finished else [],
        "warnings": _warnings(config, models, chosen) if finished else [],
        "failed": [{"label": trial.user_attrs[SYSTEM], "reason": reason_of(trial)} for trial in failed],
        "finished": finished,
    }
    if problem:
        value |= {"status": "failed", "problem": redact(problem)}
    write_sealed(folder / "sweep.json", value)


def is_done(space: Space, folder: Path) -> bool:
    """Whether sweep.json describes the end of this very search, which stays where another run of it is interrupted."""
    file, now = folder / "sweep.json", redacted(to_dict(space.config))
    try:
        stored = read_sealed(file) if file.exists() else {}
    except DataError:
        return False  # it is written again
    before = stored.get("spec")
    if not isinstance(before, dict) or stored.get("finished") is not True:
        return False
    return all(digest(before.get(name)) == digest(now[name]) for name in SEARCH)


def _touched_before(config: SweepConfig, chosen: Sequence[System]) -> list[str]:
    """A note if an earlier search with fewer trials has already run its choice on test."""
    labels = selection.superseded(config, chosen)
    if not labels:
        return []
    return [f"test was run more than once: a search with fewer trials had chosen {', '.join(labels)}"]


def _warnings(config: SweepConfig, models: dict[str, System], chosen: Sequence[System]) -> list[str]:
    return [*selection.problems(config), *_notes(config, models), *_touched_before(config, chosen)]


def _models(space: Space, chosen: Sequence[System]) -> dict[str, System]:
    """Formulation -> a system with its trained model: chosen systems, then systems with shared models."""
    found: dict[str, System] = {}
    for system in [*chosen, *space.shared_models]:
        if system.config.decoding.made().from_train:
            continue
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
        state = f"score_scale {info['score_scale']:.2f} after training"
        state = "retriever not trained" if formulation == "fid" else state
        lines.append(
            f"{formulation}: {state}, dev {metric} of its checkpoint "
            f"{100 * (info['dev_score'] or 0):.1f} (first questions of dev, k={system.config.train.k})"
        )
        lines += [f"{formulation}: {line}" for line in train.alarms(info)]
    return lines
