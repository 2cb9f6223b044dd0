"""Command `matrix`: run the cells of a scale; a failure does not stop the others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from time import perf_counter

import yaml

from rag_lightning.config.commands import MatrixConfig
from rag_lightning.core.console import say, time_left
from rag_lightning.core.errors import ConfigError, RagLightningError
from rag_lightning.core.files import write_text
from rag_lightning.core.links import make_folder
from rag_lightning.core.shipped import find_shipped
from rag_lightning.core.tables import Head, LiveTable
from rag_lightning.matrix.cells import FAILURES, Job, make_job, reachable, run_job
from rag_lightning.matrix.matrix import Cell, Matrix, load_matrix, select
from rag_lightning.metrics.metric import Estimate
from rag_lightning.metrics.outcomes import objectives
from rag_lightning.metrics.over_seeds import mean_over_seeds
from rag_lightning.metrics.statistics import effective_clusters
from rag_lightning.metrics.summary import align
from rag_lightning.report.page import Page, write_page
from rag_lightning.report.tables import NOTHING, Column, Row, Table, estimated, number
from rag_lightning.report.tables import Cell as TableCell
from rag_lightning.runs import folders
from rag_lightning.runs.evaluate import scores_of
from rag_lightning.runs.identity import by_reuse
from rag_lightning.runs.record import read_summary
from rag_lightning.tasks.spec import get_task
from rag_lightning.tracking.track import Mirrors

NOTES = (
    "One seed: mean with its 95 % bootstrap interval, entities as clusters. All seeds: mean with its 95 % t interval, "
    "which holds the variance of training (between seeds) and that of entities.",
)


def run(config: MatrixConfig) -> None:
    """Run the experiments that have no finished run, and write the table; failures are an error at the end.

    Raises:
        DataError, UnknownNameError: an invalid matrix, or the name of no cell.
        ConfigError: no cell of these names can run.
        RagLightningError: at least one experiment failed.
    """
    matrix = load_matrix(find_shipped(config.file))
    cells = chosen(matrix, config)
    cells = cells if config.list_only and not config.corpus else reachable(matrix, cells, config)
    skipped = [cell for cell in cells if cell.skip]
    for cell in skipped:
        say(f"{cell.name}: cannot run here: {cell.skip}")
    if not cells:
        raise ConfigError(f"the matrix {config.file} has no experiment at scale {config.scale}")
    if len(skipped) == len(cells):
        raise ConfigError(f"none of {len(cells)} experiments can run here: {cells[0].name}: {cells[0].skip}")
    jobs = in_order(matrix, [cell for cell in cells if not cell.skip], config)
    if config.list_only:
        for job in jobs:
            say(f"{job.label} ({job.cell.source})")
        say(f"written as files: {write_cells(folders.report(config.folder, 'cells'), jobs)}")
        return
    done, failed = _run_all(jobs, config)
    place = folders.report(config.folder, f"matrix-{config.scale}-{config.split}")
    title = f"Experiments of scale {config.scale} on {config.split}"
    answer = f"{len(done)} of {len(jobs)} experiments finished"
    answer += f"; {len(failed)} failed" if failed else ""
    answer += f"; cells that cannot run here: {len(skipped)}" if skipped else ""
    page = Page(title, [table(title, jobs, skipped, done, failed)], answer=answer)
    say(f"page: {write_page(place, page)}")
    if failed:
        first = next(iter(failed.items()))
        raise RagLightningError(f"{len(failed)} of {len(jobs)} experiments failed; {first[0]}: {first[1]}")


def chosen(matrix: Matrix, config: MatrixConfig) -> list[Cell]:
    """The cells to run: those of the scale, or the named cells, extra files, and cells of other scales.

    Raises:
        UnknownNameError: the name of no cell.
    """
    mine = matrix.cells(config.scale)
    if not config.only:
        return mine
    others = [cell for scale in matrix.scales if scale != config.scale for cell in matrix.cells(scale)]
    named = [cell for cell in others if cell.name in config.only]
    return select([*mine, *matrix.extras(), *named], config.only)


def in_order(matrix: Matrix, cells: Sequence[Cell], config: MatrixConfig) -> list[Job]:
    """The jobs of all cells and seeds, ordered so that those with shared artifacts follow each other.

    Raises:
        ConfigError: a cell with invalid values.
    """
    seeds = tuple(dict.fromkeys(config.seeds or matrix.seeds))
    jobs = [make_job(cell, seed, config.folder, config.tracking_uri) for seed in seeds for cell in cells]
    return by_reuse(jobs, lambda job: job.config)


def write_cells(folder: Path, jobs: Sequence[Job]) -> Path:
    """Write each cell as an experiment file, which every command reads with --config; returns the folder."""
    make_folder(folder, folder.parent)
    for job in jobs:
        text = yaml.safe_dump({**job.cell.values, "name": job.cell.name}, sort_keys=False, allow_unicode=True)
        write_text(folder / f"{job.cell.name}.yaml", text)
    return folder


def _run_all(jobs: Sequence[Job], config: MatrixConfig) -> tuple[dict[str, Path], dict[str, str]]:
    """(label -> run folder, label -> error)."""
    done: dict[str, Path] = {}
    failed: dict[str, str] = {}
    mirrors = Mirrors(config.folder, config.tracking_uri)
    numbers = (Head("seconds", 8), Head("time left", 12))
    rows = LiveTable((Head("done", 7), Head("experiment", align="<"), Head(config.split, 18), *numbers))
    seconds: list[float] = []
    for count, job in enumerate(jobs, 1):
        started = perf_counter()
        try:
            done[job.label] = run_job(job, config.split, mirrors)
            metric, found = first_estimate(job, done[job.label])
            result = f"{metric} {found.mean:.1f}" if found else metric
        except FAILURES as error:
            failed[job.label] = f"{type(error).__name__}: {' '.join(str(error).split())}"
            say(f"{job.label}: FAILED: {failed[job.label]}")
            result = "failed"
        seconds.append(perf_counter() - started)
        left = time_left(seconds, len(jobs) - count)
        rows.add(f"{count}/{len(jobs)}", job.label, result, f"{seconds[-1]:.1f}", left)
    mirrors.wait()
    return done, failed


def first_estimate(job: Job, folder: Path) -> tuple[str, Estimate | None]:
    """The first metric of the task, and its estimate in a finished run."""
    metric = objectives(get_task(job.cell.task))[0].name
    found = read_summary(folder)["metrics"].get(metric)
    return metric, Estimate(**found) if found else None


def table(
    title: str, jobs: Sequence[Job], skipped: Sequence[Cell], done: Mapping[str, Path], failed: Mapping[str, str]
) -> Table:
    """The table: one row per job with the first metric of its task, then the cells that cannot run here."""
    columns = [Column(head, numeric=False) for head in ("experiment", "row of the paper")]
    columns += [Column("seed"), Column("metric", numeric=False), Column("value"), Column("n")]
    columns += [Column("state", numeric=False)]
    rows = []
    for job in jobs:
        metric = objectives(get_task(job.cell.task))[0].name
        estimate = first_estimate(job, done[job.label])[1] if job.label in done else None
        state = f"failed: {failed[job.label]}" if job.label in failed else "finished"
        cells = (TableCell(job.cell.name), TableCell(job.cell.row), number(job.config.seed, 0), TableCell(metric))
        count = number(estimate.n if estimate else None, 0)
        rows.append(Row((*cells, estimated(estimate), count, TableCell(state))))
    rows += [_over_seeds(listed, done) for listed in _by_cell(jobs, done) if len(listed) > 1]
    for cell in skipped:
        blank = TableCell(NOTHING)
        texts = (TableCell(cell.name), TableCell(cell.row), blank, blank, blank, blank)
        rows.append(Row((*texts, TableCell(f"cannot run here: {cell.skip}"))))
    return Table(title, tuple(columns), tuple(rows), NOTES)


def _by_cell(jobs: Sequence[Job], done: Mapping[str, Path]) -> list[list[Job]]:
    """The finished jobs of each cell."""
    found: dict[str, list[Job]] = {}
    for job in jobs:
        if job.label in done:
            found.setdefault(job.cell.name, []).append(job)
    return list(found.values())


def _over_seeds(jobs: Sequence[Job], done: Mapping[str, Path]) -> Row:
    """The row of a cell over its seeds, with the interval that holds the variance of training."""
    cell, metric = jobs[0].cell, objectives(get_task(jobs[0].cell.task))[0]
    scores = {job.label: scores_of(done[job.label], job.config.folder) for job in jobs}
    arrays, entities = align(scores, metric.name)
    over = mean_over_seeds(list(arrays.values()), entities, seed=0)
    mean, low, high = (metric.scale * value for value in (over.mean, over.low, over.high))
    estimate = Estimate(mean, low, high, len(entities), metric.unit, effective_clusters(entities))
    texts = (TableCell(cell.name), TableCell(cell.row), TableCell(f"all {len(jobs)}"), TableCell(metric.name))
    return Row((*texts, estimated(estimate), number(len(entities), 0), TableCell("finished")), strong=True)
