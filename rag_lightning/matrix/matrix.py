"""The matrix of experiments/matrix.yaml: its cells are task x system at a scale, each one experiment.

The name of a cell is `<task>_<system><suffix of the scale>`. If the folder has an experiment file of that name, it is
the cell; otherwise the cell is `<task>_rag_sequence.yaml`, updated with the values of scale, system and decoding.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from fnmatch import fnmatchcase
from functools import cached_property
from pathlib import Path
from typing import Any, get_args

from rag_lightning.config.experiment import ExperimentConfig, Formulation
from rag_lightning.config.loading import experiment_of, merged
from rag_lightning.config.registries import TASKS
from rag_lightning.config.yaml_files import build, check_file_name, read_yaml
from rag_lightning.core.errors import DataError, UnknownNameError
from rag_lightning.core.registry import check_name
from rag_lightning.tasks.spec import get_task

BASE = "rag_sequence"
"""The system whose file is the base of the other systems of a task."""
EXTRA = "extra"
Values = Mapping[str, Any]


@dataclass(frozen=True)
class ScaleRow:
    """One scale: suffix of the names of its cells, its tasks (empty for all), and the values it changes.

    `own_files` is true if it needs the user's passages and questions, given on the command line.
    """

    suffix: str = ""
    tasks: tuple[str, ...] = ()
    own_files: bool = False
    values: Mapping[str, Any] = field(default_factory=dict)
    task_values: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


@dataclass(frozen=True)
class SystemRow:
    """One system: row in the paper, formulation, tasks and scales (empty for all), and the values it changes."""

    row: str
    formulation: str = ""
    tasks: tuple[str, ...] = ()
    scales: tuple[str, ...] = ()
    values: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Skip:
    """A reason why cells cannot run: those of the given scale, task and system (empty for any)."""

    reason: str
    scale: str = ""
    task: str = ""
    system: str = ""


@dataclass(frozen=True)
class Cell:
    """One experiment without its seed.

    Args:
        name: Name of the cell.
        task: Name of the task.
        system: Name in the matrix, or "extra" for an experiment file outside of it.
        scale: Scale of the matrix.
        row: Row of the paper's tables.
        values: Values of the experiment.
        source: Its file, and whether values of the matrix update it.
        skip: Reason why it cannot run; empty if it can.
    """

    name: str
    task: str
    system: str
    scale: str
    row: str
    values: Values
    source: str
    skip: str = ""

    def experiment(self, seed: int, **changes: Any) -> ExperimentConfig:
        """The configuration with a seed; changes override all other values.

        Raises:
            ConfigError: an unknown key, or a value of a wrong type.
        """
        return experiment_of(merged(self.values, {"name": self.name, "seed": seed}, changes), f"cell {self.name}")


@dataclass(frozen=True)
class Matrix:
    """The content of the matrix file.

    Args:
        path: Path of the file.
        seeds: Seeds of the trainings.
        questions_seed: Seed of the questions, one for all trainings.
        reader_seed: Seed of the reader, one for trainings of all seeds.
        tasks: In the order of the tables.
        systems: Name -> row.
        scales: Name -> scale.
        decoding: Scale -> kind of task (qa, generation, classification) -> formulation -> keys of `decoding`.
        skips: What cannot run here.
        extra: Experiment file without ending -> why it is no cell.
    """

    path: Path
    seeds: tuple[int, ...]
    questions_seed: int
    reader_seed: int
    tasks: tuple[str, ...]
    systems: Mapping[str, SystemRow]
    scales: Mapping[str, ScaleRow]
    decoding: Mapping[str, Mapping[str, Mapping[str, Mapping[str, Any]]]]
    skips: tuple[Skip, ...] = ()
    extra: Mapping[str, str] = field(default_factory=dict)

    @cached_property
    def files(self) -> dict[str, Values]:
        """Experiment files beside the matrix: name without ending -> their keys."""
        found = {path.stem: path for path in sorted(self.path.parent.glob("*.yaml"))}
        read = {name: read_yaml(path) for name, path in found.items()}
        return {name: values for name, values in read.items() if isinstance(values, dict) and "name" in values}

    def cells(self, scale: str) -> list[Cell]:
        """Every cell of a scale, in the order of the file."""
        check_name("scale", scale, list(self.scales))
        tasks = self.scales[scale].tasks or self.tasks
        systems = {name: row for name, row in self.systems.items() if scale in (row.scales or self.scales)}
        pairs = [(task, name) for task in tasks for name, row in systems.items() if task in (row.tasks or tasks)]
        return [self._cell(scale, task, name) for task, name in pairs]

    def extras(self) -> list[Cell]:
        """The files that are no cells."""
        found = []
        for name in self.extra:
            values = self._asked_alike(self.files[name], name)
            task = values["task"].get("name", "nq")
            scale = values.get("scale", "mini")
            found.append(Cell(name, task, EXTRA, scale, EXTRA, values, self._file(name)))
        return found

    def _cell(self, scale: str, task: str, system: str) -> Cell:
        row, at = self.systems[system], self.scales[scale]
        name = f"{task}_{system}{at.suffix}"
        skip = next((s.reason for s in self.skips if _covers(s, scale, task, system)), "")
        if name in self.files:
            values = self._asked_alike(self.files[name], name)
            if values["task"].get("name", "nq") != task or (
                row.formulation and values.get("formulation", row.formulation) != row.formulation
            ):
                raise DataError(self._file(name), f"is not {task} {row.formulation}, as its name says", field="task")
            return Cell(name, task, system, scale, row.row, values, self._file(name), skip)
        base = f"{task}_{BASE}"
        if skip and base not in self.files:
            return Cell(name, task, system, scale, row.row, {}, "", skip)
        layers = [self.files[base], at.values, at.task_values.get(task, {}), row.values]
        if row.formulation:
            decoding = self.decoding.get(scale, {}).get(kind_of(task), {}).get(row.formulation, {})
            layers += [{"formulation": row.formulation, "decoding": decoding}]
        values = self._asked_alike(merged(*layers), base)
        return Cell(name, task, system, scale, row.row, values, f"{self._file(base)} and {self.path}", skip)

    def _asked_alike(self, values: Values, name: str) -> dict[str, Any]:
        for section in ("task", "reader"):
            if not isinstance(values.get(section, {}), Mapping):
                raise DataError(self._file(name), "must be a mapping", field=section, value=values[section])
        return merged(values, {"task": {"seed": self.questions_seed}, "reader": {"seed": self.reader_seed}})

    def _file(self, name: str) -> str:
        return str(self.path.with_name(f"{name}.yaml"))


def load_matrix(path: Path) -> Matrix:
    """Read and check the matrix file.

    Raises:
        DataError: missing, not YAML, a key that is missing or of a wrong type, or a task without a base file.
        UnknownNameError: an unknown key, task, system or scale; suggests the nearest.
    """
    raw = read_yaml(path)
    if isinstance(raw, dict) and "path" in raw:
        raise DataError(path, "is not a key of a matrix", field="path", value=raw["path"])
    matrix = build(Matrix, {**raw, "path": path} if isinstance(raw, dict) else raw, path)
    _check_names(matrix, path)
    for task in matrix.tasks:
        check_name(f"task of {path}", task, list(TASKS))
        if f"{task}_{BASE}" not in matrix.files:
            raise DataError(path, f"needs {task}_{BASE}.yaml beside it", field="tasks", value=task)
    for where, names, known in _mentioned(matrix):
        for name in names:
            check_name(f"{where} of {path}", name, list(known))
    return matrix


def _check_names(matrix: Matrix, path: Path) -> None:
    """Check that tasks, systems and seeds are not empty, without repetition, and valid in file names."""
    listed: dict[str, Sequence[Any]] = {"tasks": matrix.tasks, "systems": list(matrix.systems), "seeds": matrix.seeds}
    for field_, values in listed.items():
        if not values or len(set(values)) < len(values):
            raise DataError(path, "must name at least one, each once", field=field_, value=list(values))
    for system in matrix.systems:
        check_file_name(path, "systems", system)
    for scale, row in matrix.scales.items():
        check_file_name(path, f"scales.{scale}.suffix", row.suffix or "_")


def select(cells: Sequence[Cell], only: Sequence[str]) -> list[Cell]:
    """The cells with these names (* matches anything), in the order of the matrix; all cells without names.

    Raises:
        UnknownNameError: the name of no cell; suggests the nearest.
    """
    names = [cell.name for cell in cells]
    for pattern in only:
        if not any(fnmatchcase(name, pattern) for name in names):
            near = get_close_matches(pattern, names, n=3, cutoff=0.5)
            guess = f"did you mean {' or '.join(map(repr, near))}? " if near else ""
            hint = "`rag-lightning matrix --list_only true` lists all"  # too many for one line
            raise UnknownNameError(f"unknown experiment {pattern!r}: {guess}{hint}")
    return [cell for cell in cells if not only or any(fnmatchcase(cell.name, pattern) for pattern in only)]


def kind_of(task: str) -> str:
    """The kind of a task: qa, generation or classification."""
    spec = get_task(task)
    if spec.labels:
        return "classification"
    return "qa" if spec.extractive else "generation"


def _covers(skip: Skip, scale: str, task: str, system: str) -> bool:
    return skip.scale in ("", scale) and skip.task in ("", task) and skip.system in ("", system)


def _mentioned(matrix: Matrix) -> list[tuple[str, list[str], Sequence[str]]]:
    """(place, names, known names) of all names in the file."""
    scales, tasks, systems = list(matrix.scales), list(matrix.tasks), list(matrix.systems)
    found: list[tuple[str, list[str], Sequence[str]]] = [
        ("scale in decoding", list(matrix.decoding), scales),
        ("extra", list(matrix.extra), list(matrix.files)),
    ]
    for kinds in matrix.decoding.values():
        found += [("kind of task in decoding", list(kinds), ("qa", "generation", "classification"))]
        found += [("formulation in decoding", list(of), get_args(Formulation)) for of in kinds.values()]
    for scale in matrix.scales.values():
        found += [("task of a scale", [*scale.tasks, *scale.task_values], tasks)]
    for system in matrix.systems.values():
        found += [("task of a system", list(system.tasks), tasks), ("scale of a system", list(system.scales), scales)]
    for skip in matrix.skips:
        found += [("scale in skips", [skip.scale] if skip.scale else [], scales)]
        found += [("task in skips", [skip.task] if skip.task else [], tasks)]
        found += [("system in skips", [skip.system] if skip.system else [], systems)]
    return found
