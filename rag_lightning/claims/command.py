"""Command `claims`: run or reuse the experiments of each claim, test it, print the verdict, write the report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from rag_lightning.claims import record, table
from rag_lightning.claims.claims import Claim, load_claims
from rag_lightning.claims.verdicts import Arm, Outcome, judge
from rag_lightning.config.commands import ClaimsConfig
from rag_lightning.config.data import TESTS
from rag_lightning.config.loading import merged
from rag_lightning.core.console import say
from rag_lightning.core.errors import ConfigError, RagLightningError
from rag_lightning.core.registry import check_name
from rag_lightning.core.shipped import find_shipped
from rag_lightning.matrix.cells import FAILURES, Job, make_job, reachable, run_job
from rag_lightning.matrix.matrix import Cell, load_matrix
from rag_lightning.report.page import write_page
from rag_lightning.runs import folders
from rag_lightning.runs.evaluate import degraded_of, scores_of
from rag_lightning.runs.identity import by_reuse
from rag_lightning.runs.system import CLOSED_BOOK
from rag_lightning.runs.together import predict_together
from rag_lightning.stages.score import metric_names
from rag_lightning.tasks.spec import get_task
from rag_lightning.tracking.contents import metric_name
from rag_lightning.tracking.track import Mirrors


@dataclass(frozen=True)
class Plan:
    """A claim with its experiments, or the reason why it cannot run."""

    claim: Claim
    arms: dict[Arm, list[Job]]
    obstacle: str = ""

    @property
    def jobs(self) -> list[Job]:
        """All experiments, ordered so that those with shared artifacts follow each other."""
        return by_reuse([job for jobs in self.arms.values() for job in jobs], lambda job: job.config)


def run(config: ClaimsConfig) -> None:
    """Test the claims. A claim that cannot run here gets that verdict; failures are reported as an error at the end.

    Raises:
        DataError, UnknownNameError, ConfigError: invalid claims or matrix; a claim was tested on test before with
            other settings.
        RagLightningError: the experiments of a claim failed; the other claims were tested.
    """
    matrix = load_matrix(find_shipped(config.matrix))
    claims = load_claims(find_shipped(config.file), matrix)
    for name in config.only:
        check_name("claim", name, [claim.name for claim in claims])
    cells = {(cell.task, cell.system): cell for cell in reachable(matrix, matrix.cells(config.scale), config)}
    plans = [plan(claim, cells, config) for claim in claims]
    asked = [made for made in plans if not config.only or made.claim.name in config.only]
    for made in plans:  # report a damaged record now, not when the report is written
        if not made.obstacle:
            _entry(made, config).stored()
    if config.split in TESTS:  # check all claims before one is tested on test
        entries = [_entry(made, config) for made in asked if not made.obstacle]
        for entry in entries:
            entry.check()
        for entry in entries:
            entry.touch_test()
    failed: dict[str, str] = {}
    mirrors = Mirrors(config.folder, config.tracking_uri)
    for made in asked:
        try:
            _test(made, config, mirrors)
        except FAILURES as error:
            failed[made.claim.name] = f"{type(error).__name__}: {' '.join(str(error).split())}"
            say(f"claim {made.claim.name}: FAILED: {failed[made.claim.name]}")
    mirrors.wait()
    _report(plans, config, failed)
    if failed:
        name, reason = next(iter(failed.items()))
        raise RagLightningError(f"{len(failed)} of {len(asked)} claims failed; {name}: {reason}")


def plan(claim: Claim, cells: dict[tuple[str, str], Cell], config: ClaimsConfig) -> Plan:
    """The experiments of a claim at the configured scale.

    Raises:
        ConfigError: a cell with invalid values.
    """
    if claim.scale and claim.scale != config.scale:
        return Plan(claim, {}, f"only for scale {claim.scale}")
    if claim.decided_beside(config.split):
        return Plan(claim, {}, f"decided on {claim.split}")
    arms: dict[Arm, list[Job]] = {}
    for task, system, k in claim.arms():
        cell = cells.get((task, system))
        if cell is None or cell.skip:
            reason = cell.skip if cell else f"the matrix has no such cell at scale {config.scale}"
            return Plan(claim, {}, f"{task}_{system}: {reason}")
        own = replace(cell, values=merged(cell.values, claim.values))
        arms[task, system, k] = [make_job(own, s, config.folder, config.tracking_uri, k) for s in claim.seeds]
    check_metrics(claim, arms)
    return Plan(claim, arms)


def check_metrics(claim: Claim, arms: Mapping[Arm, Sequence[Job]]) -> None:
    """Check, before anything runs, that every system has the metric of its comparison.

    Raises:
        ConfigError: a metric that the task or system does not have, or k above retriever.k_max.
    """
    asked = [(c.metric, (c.task, *arm)) for c in claim.comparisons for pair in c.arms() for arm in pair]
    asked += [(c.metric, (c.task, system, k)) for c in claim.curves for system in c.systems for k in c.k]
    for metric, arm in asked:
        job = arms[arm][0]  # the seeds do not matter here
        k = 0 if job.config.formulation == CLOSED_BOOK else job.config.decoding.k
        most = job.config.retriever.k_max
        if k > most:
            raise ConfigError(f"claim {claim.name}: k={k} of {job.cell.name} exceeds retriever.k_max={most}")
        known = metric_names(get_task(arm[0]), True, k, job.config.corpus.language)
        if metric not in known:
            raise ConfigError(
                f"claim {claim.name}: {job.cell.name} has no {metric} with k={k}; it has {', '.join(known)}"
            )


def _entry(made: Plan, config: ClaimsConfig) -> record.Entry:
    return record.entry(Path(config.folder), made.claim, config.scale, config.split, made.jobs)


def _test(made: Plan, config: ClaimsConfig, mirrors: Mirrors) -> None:
    claim = made.claim
    say(f"claim {claim.name} on {config.split}: {claim.says}")
    if made.obstacle:
        say(f"  cannot run here: {made.obstacle}")
        return
    found = _run_all(made, config, mirrors)
    scores = {
        arm: {job.config.seed: scores_of(found[job.label], config.folder) for job in jobs}
        for arm, jobs in made.arms.items()
    }
    degraded = {
        arm: frozenset[str]().union(*(degraded_of(found[job.label]) for job in jobs)) for arm, jobs in made.arms.items()
    }
    outcome = judge(claim, scores, degraded)
    _entry(made, config).write(outcome.as_dict())
    for line in table.lines(outcome):
        say(f"  {line}")
    _log(claim, outcome, config, mirrors)


def _run_all(made: Plan, config: ClaimsConfig, mirrors: Mirrors) -> dict[str, Path]:
    """Label -> run folder of all experiments of a claim."""
    found: dict[str, Path] = {}
    jobs = made.jobs
    predict_together([job.system for job in jobs], config.split)
    for count, job in enumerate(jobs, 1):
        say(f"  experiment {count} of {len(jobs)}: {job.label}")
        found[job.label] = run_job(job, config.split, mirrors)
    return found


def _log(claim: Claim, outcome: Outcome, config: ClaimsConfig, mirrors: Mirrors) -> None:
    """Send one MLflow run per claim, scale and split, in the experiment `claims`."""
    store = mirrors.of("claims")
    name = f"{claim.name} {config.scale} {config.split}"
    metrics = {"supported": float(outcome.verdict == "supported"), "null": float(outcome.verdict == "null")}
    for one in outcome.tested:
        about = metric_name(f"{one.metric}/{one.system} - {one.baseline}".replace(",", ""))
        metrics |= {f"{about}/{part}": float(getattr(one, part)) for part in ("difference", "low", "high", "p_holm")}
    store.single(name, claim.as_dict(), metrics)


def _report(plans: Sequence[Plan], config: ClaimsConfig, failed: dict[str, str]) -> None:
    """Write the report of all claims of the file; stored outcomes with other settings count as not tested."""
    found = []
    for made in plans:
        name = made.claim.name
        stored = None if made.obstacle else _entry(made, config).outcome()
        if made.obstacle:
            found.append((made.claim, table.without("cannot run here", made.obstacle)))
        elif name in failed:
            found.append((made.claim, table.without("cannot run here", f"failed: {failed[name]}")))
        else:
            found.append((made.claim, stored or table.without("not tested yet", "")))
    title = f"Claims at scale {config.scale} on {config.split}"
    place = folders.report(config.folder, "claims", f"{config.scale}-{config.split}")
    say(f"page: {write_page(place, table.page(title, config.split, found))}")
