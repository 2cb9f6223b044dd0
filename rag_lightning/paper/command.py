"""Commands `paper`, the paper's tables and figures from stored runs, and `report`: a sweep, a table, or two runs."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence

from rag_lightning.config.commands import PaperConfig, SweepConfig
from rag_lightning.core.console import say
from rag_lightning.core.errors import ConfigError
from rag_lightning.core.registry import check_name, load
from rag_lightning.core.shipped import find_shipped
from rag_lightning.paper import assessment
from rag_lightning.paper.cells import Measured, Results
from rag_lightning.paper.tables import (
    BASELINES,
    as_json,
    measure_table,
    sizes_table,
    slips_table,
    tables_of,
)
from rag_lightning.report.command import PAPER
from rag_lightning.report.latex import to_latex
from rag_lightning.report.paper import read_paper
from rag_lightning.report.tables import Table, to_markdown
from rag_lightning.runs import folders

MEASURED = tuple(BASELINES)
"""Ids of the tables whose cells are metrics of runs."""
NUMBERS = ("1", "2", "4", "5", "6", "7")
SWEEP_REPORT = "rag_lightning.tracking.track:report"
"""The report of a sweep; imported when it is asked for, because it needs MLflow."""
NEVER = {
    "mini": "Runs of scale mini ask other questions over another, small corpus: none of their numbers can be compared "
    "with the paper's, which stand here only to show what is being reproduced.",
    "mini-long": "Runs of scale mini-long ask other questions over another, small corpus: none of their numbers can be "
    "compared with the paper's.",
    "nq-subset": "The corpus of nq-subset holds the gold passages of NQ and few others: its numbers are higher than "
    "those over Wikipedia, and cannot be compared with the paper's.",
    "paper": "A cell is reproduced if it is within the tolerance of reports/paper.yaml on all examples of the data.",
}


MISSING = (
    "Pointing at a cell, or tapping it, shows its configuration, verdict and command. The cells of dev are run by: "
    "make matrix SCALE={scale}; those of test by: rag-lightning matrix --scale {scale} --split test"
)


def run(config: PaperConfig) -> None:
    """Write reports/out/paper-<scale>/ and print its path; works with no runs at all.

    Raises:
        DataError: a damaged run folder, matrix, or file of published numbers.
        ConfigError: the prediction to show is that of no run.
        ArtifactError: stored scores or predictions were altered.
    """
    # charts need matplotlib, which a single table does not
    from rag_lightning.paper.examples import example_tables
    from rag_lightning.paper.figures import figure2, figure3
    from rag_lightning.paper.posterior import compute, stored
    from rag_lightning.report.page import Page, write_page

    results = Results(config, read_paper(find_shipped(PAPER)))
    shown = [compute(results, config.prediction)] if config.prediction else stored(results)
    measured = {name: measure_table(results, name) for name in MEASURED}
    tables = {name: tables_of(results, name, cells) for name, cells in measured.items()}
    command = f"rag-lightning paper --scale {config.scale} --prediction RUN/EXAMPLE"
    how = f"Figure 2, ours: not run; {command} shows the passages behind each token of a prediction of RAG-Token."
    figures = figure2(results, shown)
    parts = [*tables["table1"], *tables["table2"], *example_tables(results)]
    parts += [*assessment.assessment_tables(results), *tables["table5"], *tables["table6"], sizes_table(results)]
    page = Page(
        title=f"The paper's tables and figures, scale {config.scale}",
        answer=_answer(results, [cell for cells in measured.values() for cell in cells]),
        lead=[NEVER[config.scale], MISSING.format(scale=config.scale), *([] if shown else [how])],
        parts=[*parts, *figures, figure3(results), slips_table(results)],
        facts={"scale": config.scale, "runs": f"{sum(one.finished for one in results.runs)} finished"},
        texts={"paper.json": _json(results, measured)},
    )
    say(f"paper             {write_page(folders.report(config.folder, f'paper-{config.scale}'), page)}")


def report(
    config: SweepConfig, table: str = "", fragment: bool = False, compare: Sequence[str] = (), metric: str = ""
) -> None:
    """Write the report of a sweep, print one table of the paper, as LaTeX if it is a fragment, or compare two runs.

    Raises:
        ConfigError: a fragment of no table, a metric without a comparison, or two systems that cannot be compared.
        UnknownNameError: a table that the paper has not, or no such run.
        DataError, ArtifactError: as `run`, and as the report of a sweep.
    """
    if compare and (table or fragment):
        raise ConfigError("--compare writes a page of its own; leave --table and --fragment out")
    if metric and not compare:
        raise ConfigError("--metric needs --compare A B, the two runs that it compares")
    if compare:
        _compare(config.experiment.folder, compare, metric)
        return
    if not table:
        if fragment:
            raise ConfigError("--fragment needs --table N, the number of a table of the paper")
        load(SWEEP_REPORT)(config)
        return
    check_name("table", table, NUMBERS)
    settings = PaperConfig(scale=config.experiment.scale, folder=config.experiment.folder)
    found = one_table(Results(settings, read_paper(find_shipped(PAPER))), f"table{table}")
    sys.stdout.write(to_latex(found) if fragment else to_markdown(found))


def _compare(root: str, names: Sequence[str], metric: str) -> None:
    """Compare two runs: lines on the console, and a page."""
    # the page needs matplotlib, which a table of the paper does not
    from rag_lightning.report.compare import compare
    from rag_lightning.report.compare_page import lines, write_comparison
    from rag_lightning.report.side import find_side

    left, right = (find_side(root, name) for name in names)
    found = compare(left, right, metric)
    page = write_comparison(found, folders.report(root))
    for line in lines(found):
        say(line)
    say("")
    say(f"compare           {page}")


def one_table(results: Results, name: str) -> list[Table]:
    """A table of the paper, in two parts if it is wide."""
    if name == "table4":
        return [table for table in assessment.assessment_tables(results) if not table.folded]
    if name == "table7":
        return [sizes_table(results)]
    return [table for table in tables_of(results, name, measure_table(results, name)) if not table.folded]


def _answer(results: Results, cells: Sequence[Measured]) -> str:
    ours = [cell for cell in cells if cell.command or cell.runs]
    measured = [cell for cell in ours if cell.runs]
    reproduced = sum(cell.compared.verdict == "reproduced" for cell in ours)
    different = sum(cell.compared.verdict == "different" for cell in ours)
    if results.config.scale != "paper":
        return f"{len(measured)} of {len(ours)} cells measured at scale {results.config.scale}; none can be compared"
    return f"{reproduced} of {len(ours)} cells reproduced, {different} different, {len(ours) - len(measured)} not run"


def _json(results: Results, measured: dict[str, list[Measured]]) -> str:
    tables = {name: [as_json(cell) for cell in cells] for name, cells in measured.items()}
    values = {"schema": 1, "scale": results.config.scale, "tables": tables, "assessments": assessment.as_json(results)}
    return json.dumps(values, indent=1, ensure_ascii=False) + "\n"
