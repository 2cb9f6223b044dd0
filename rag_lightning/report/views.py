"""The full tables of a sweep, split by the question that each part answers: a page shows these, CSV files the whole."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from rag_lightning.metrics.metric import Estimate
from rag_lightning.report.collect import Retrieved, Sweep, found_family
from rag_lightning.report.tables import Cell, Column, Row, Table, estimated, number

MOST = 6
"""Measures that one table shows."""
CUTOFF = 5
"""k of the table of retrieval, if it was measured."""


def main_views(table: Table, sweep: Sweep) -> list[Table]:
    """The systems on test beside the paper, then their other measures, at most six in a table."""
    heads = [column.head for column in table.columns]
    objective = heads.index(sweep.objective)
    beside = [*heads[:objective], sweep.objective, "n", *heads[objective + 1 : heads.index("verdict") + 1]]
    first = replace(table.view(table.title, beside, table.notes), lead=table.lead)
    others = [head for head in heads if head not in beside]
    parts = [others[at : at + MOST] for at in range(0, len(others), MOST)]
    title = f"Other measures of the same systems on {sweep.dataset} test"
    views = [table.view(title if not at else f"{title}, continued", ["system", *part]) for at, part in enumerate(parts)]
    return [first, *(view for view in views if len(view.columns) > 1 and view.rows)]


def trial_views(table: Table, sweep: Sweep) -> list[Table]:
    """The trials by quality, and by cost."""
    family = next((column.head for column in table.columns if column.head.endswith("@k")), "")
    quality = ["rank", "system", sweep.objective, family, "to the best", "p", "not worse", "chosen"]
    cost = ["rank", "system", sweep.objective, "pairs x beams", "index MB", "s/query"]
    costs = table.view(f"What each configuration costs on {sweep.dataset} dev", cost)
    return [table.view(table.title, quality, table.notes, table.lead), replace(costs, folded=True)]


def retrieval_views(sweep: Sweep) -> list[Table]:
    """How often an answer is found, a column per query encoder; and what each retriever costs."""
    family = found_family(row.estimates for row in sweep.retrieval)
    cutoffs = sorted({int(k) for row in sweep.retrieval for name in row.estimates if (k := _cutoff(name, family))})
    if not cutoffs:
        return []
    shown = CUTOFF if CUTOFF in cutoffs else cutoffs[-1]
    ends = [f"{family}@{cutoff}" for cutoff in (cutoffs[0], cutoffs[-1])]
    return [_by_encoder(sweep, f"{family}@{shown}"), _costs(sweep, ends)]


def _by_encoder(sweep: Sweep, metric: str) -> Table:
    encoders = list(dict.fromkeys(row.model for row in sweep.retrieval if row.model and row.model != "words"))
    grouped: dict[str, list[Retrieved]] = {}
    for row in sweep.retrieval:
        grouped.setdefault(row.retriever, []).append(row)
    columns = (Column("retriever", numeric=False), *(Column(name.replace("_", " "), bar=True) for name in encoders))
    alone = any(_value(rows, "words", metric) or _value(rows, "", metric) for rows in grouped.values())
    columns += (Column("no encoder", bar=True),) if alone else ()
    rows = []
    for name, found in grouped.items():
        cells = [estimated(_value(found, encoder, metric)) for encoder in encoders]
        cells += [estimated(_value(found, "words", metric) or _value(found, "", metric))] if alone else []
        rows.append(Row((Cell(name), *cells)))
    splits = ", ".join(dict.fromkeys(row.split for row in sweep.retrieval if row.split))
    notes = (
        "Query encoder: pretrained, not trained by us; warmed up, after the retriever warm-up; trained, after RAG "
        "training of that model; frozen, not updated by RAG training.",
        "All cut-offs and metrics are in retrieval.csv.",
    )
    title = f"Retrieval on {sweep.dataset} {splits}".strip() + f": {metric.replace('_', ' ')}, %"
    return Table(title, columns, tuple(rows), notes)


def _costs(sweep: Sweep, metrics: Sequence[str]) -> Table:
    """Each retriever with its last query encoder, the trained one if there is one."""
    last = {row.retriever: row for row in sweep.retrieval}
    metrics = list(dict.fromkeys(metrics))
    columns = [Column("retriever", numeric=False), Column("index MB"), Column("build s"), Column("ms/query")]
    columns += [Column(metric.replace("_", " ")) for metric in metrics]
    rows = []
    for row in last.values():
        size = None if row.index_bytes is None else row.index_bytes * 1e-6
        time = None if row.seconds_per_query is None else row.seconds_per_query * 1e3
        cells = [Cell(row.retriever), number(size), number(row.build_seconds), number(time, 2)]
        rows.append(Row((*cells, *(estimated(row.estimates.get(metric)) for metric in metrics))))
    encoders = ", ".join(dict.fromkeys(row.model.replace("_", " ") for row in last.values() if row.model))
    notes = (f"Query encoder of the last columns: {encoders}.",) if encoders else ()
    return Table(f"What each retriever costs on {sweep.dataset}", tuple(columns), tuple(rows), notes)


def _value(rows: Sequence[Retrieved], encoder: str, metric: str) -> Estimate | None:
    return next((row.estimates.get(metric) for row in rows if row.model == encoder), None)


def _cutoff(name: str, family: str) -> str:
    found, _, cutoff = name.partition("@")
    return cutoff if found == family and cutoff.isdigit() else ""
