"""The claims of experiments/claims.yaml, fixed before they are tested."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from rag_lightning.config.data import TESTS, Split
from rag_lightning.config.yaml_files import build, check_file_name, read_yaml
from rag_lightning.core.errors import ConfigError, DataError
from rag_lightning.core.registry import check_name
from rag_lightning.matrix.matrix import Matrix
from rag_lightning.metrics.metric import Metric, parse_metric


@dataclass(frozen=True)
class Comparison:
    """Systems against baselines on one task.

    Args:
        task: Name of the task.
        metric: Metric with a value per example.
        systems: Systems of the matrix; each is tested against each baseline.
        baselines: Systems of the matrix; empty for the system itself with `baseline_k` passages.
        k: Number of passages at prediction; 0 for that of the experiment.
        baseline_k: Number of passages at prediction of the baselines; 0 for that of the experiment.
        direction: Whether the system's value should be higher or lower than the baseline's.
        aim: Target of the difference, in the metric's unit; reported as met or not, but not tested. 0 for none.
        reach: Target of the system's value; reported as met or not, but not tested. 0 for none.
    """

    task: str
    metric: str
    systems: tuple[str, ...]
    baselines: tuple[str, ...] = ()
    k: int = 0
    baseline_k: int = 0
    direction: Literal["higher", "lower"] = "higher"
    aim: float = 0.0
    reach: float = 0.0

    def arms(self) -> Iterator[tuple[tuple[str, int], tuple[str, int]]]:
        """((system, k), (baseline, k)) of every comparison."""
        for system in self.systems:
            for baseline in self.baselines or (system,):
                yield (system, self.k), (baseline, self.baseline_k)


@dataclass(frozen=True)
class Curve:
    """A metric as a function of k at prediction; shown, not tested."""

    task: str
    metric: str
    systems: tuple[str, ...]
    k: tuple[int, ...]


@dataclass(frozen=True)
class Claim:
    """One claim; all its comparisons form one family of tests.

    Args:
        name: Name of the claim.
        says: The claim in a sentence.
        source: Its place in the paper.
        seeds: Seeds of the trainings; scores are averaged over them per question.
        comparisons: Comparisons to test.
        curves: Curves to show in addition.
        split: Split that decides the claim; dev is for exploration.
        test: Two-sided statistical test, with Holm's correction over the family: paired_permutation flips the signs of
            whole entities and takes the trainings as they are; t_over_seeds holds the variance of training and needs
            several seeds. Empty for t_over_seeds with several seeds, else paired_permutation.
        alpha: Family-wise significance level.
        scale: Scale of the matrix that the claim is restricted to; empty for any.
        values: Fields of an experiment that all systems of the claim have, over those of their cells.
    """

    name: str
    says: str
    source: str
    seeds: tuple[int, ...] = ()
    comparisons: tuple[Comparison, ...] = ()
    curves: tuple[Curve, ...] = ()
    split: Split = "test"
    test: Literal["", "paired_permutation", "t_over_seeds"] = ""
    alpha: float = 0.05
    scale: str = ""
    values: Mapping[str, Any] = field(default_factory=dict)

    def arms(self) -> Iterator[tuple[str, str, int]]:
        """(task, system, k) of all systems to run, each once."""
        listed = [(c.task, *arm) for c in self.comparisons for pair in c.arms() for arm in pair]
        listed += [(curve.task, system, k) for curve in self.curves for system in curve.systems for k in curve.k]
        yield from dict.fromkeys(listed)

    def decided_beside(self, split: str) -> bool:
        """Whether the other of the two test splits decides it."""
        return {self.split, split} == set(TESTS)

    def as_dict(self) -> dict[str, Any]:
        """The claim as plain values."""
        return asdict(self)


@dataclass(frozen=True)
class ClaimsFile:
    """The content of the claims file."""

    claims: tuple[Claim, ...]


def load_claims(path: Path, matrix: Matrix) -> list[Claim]:
    """Read and check the claims file.

    Raises:
        DataError: missing, not YAML, a key that is missing or of a wrong type, or a claim that tests nothing.
        UnknownNameError: an unknown key, task, system or metric; suggests the nearest.
        ConfigError: a metric without a value per example, or a number that cannot be used.
    """
    claims = list(build(ClaimsFile, read_yaml(path), path).claims)
    names = [claim.name for claim in claims]
    if not claims:
        raise DataError(path, "has no claims", field="claims")
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise DataError(path, "is a repeated name", field="claims", value=repeated[0], hint="rename one of them")
    for claim in claims:
        _check(claim, path, matrix)
    return claims


def _check(claim: Claim, path: Path, matrix: Matrix) -> None:
    where = f"of claim {claim.name} in {path}"
    check_file_name(path, "claims.name", claim.name)
    if len(set(claim.seeds)) < len(claim.seeds):
        raise DataError(path, "repeats a seed", field=f"{claim.name}.seeds", value=list(claim.seeds))
    if not (claim.comparisons and claim.seeds):
        raise DataError(path, "tests nothing", field=claim.name, hint="give comparisons and seeds")
    if claim.test == "t_over_seeds" and len(claim.seeds) < 2:
        raise DataError(
            path, "needs several seeds", field=f"{claim.name}.test", value=claim.test, hint="give more seeds"
        )
    if claim.scale:
        check_name(f"scale {where}", claim.scale, list(matrix.scales))
    if not 0 < claim.alpha < 1:
        raise ConfigError(f"alpha={claim.alpha} {where}: must be between 0 and 1")
    _check_parts(claim, where, matrix)


def _check_parts(claim: Claim, where: str, matrix: Matrix) -> None:
    """Check comparisons and curves; raises the errors of load_claims."""
    parts: list[Comparison | Curve] = [*claim.comparisons, *claim.curves]
    for part in parts:
        check_name(f"task {where}", part.task, list(matrix.tasks))
        metric = parse_metric(part.metric)
        if not isinstance(metric, Metric):
            raise ConfigError(f"metric {part.metric} {where} has no value per example, so pairs cannot be tested")
        named = (*part.systems, *(part.baselines if isinstance(part, Comparison) else ()))
        for system in named:
            check_name(f"experiment {where}", system, list(matrix.systems))
        numbers = part.k if isinstance(part, Curve) else (part.k, part.baseline_k)
        if not part.systems or min(numbers, default=-1) < 0:
            raise ConfigError(f"{part.task}/{part.metric} {where} needs systems, and no k below 0")
    for compared in claim.comparisons:
        if any(system == baseline for system, baseline in compared.arms()):
            raise ConfigError(
                f"{compared.task}/{compared.metric} {where} compares a system with itself; give another k"
            )
