"""Outcomes of claims as lines of output and as tables of the report."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from rag_lightning.claims.claims import Claim
from rag_lightning.claims.verdicts import Outcome
from rag_lightning.metrics.metric import Estimate
from rag_lightning.metrics.statistics import FEW_CLUSTERS
from rag_lightning.report.page import Page
from rag_lightning.report.tables import NOTHING, Cell, Column, Row, Table, estimated, number

Stored = Mapping[str, Any]
"""An Outcome as plain values."""
SHOWN = ("claim", "metric", "system", "baseline", "difference", "adjusted p", "verdict")
"""Columns that the page shows at once; the others are folded, and table.csv has all."""
DETAILS = (*SHOWN[:4], "system's", "baseline's", "n", "seeds", "test", "p", "smallest", "aims")
LEAST_P = 0.0001
"""Smaller p are shown as smaller than this."""
NOTES = (
    "difference: mean over questions of system - baseline, each averaged over seeds, with its 95 % interval: of the t "
    "test with the variance of training and of entities, or beside sign flips a bootstrap of entities.",
    "p: with several seeds t, else signs of whole entities' differences flipped (a claim may ask for sign flips with "
    "several seeds: p and interval then take the trainings as they are); Holm over the comparisons of a claim.",
    "null: no significant difference, which is a result; smallest: the difference the test would find (power 0.8).",
)


def without(verdict: str, why: str) -> Stored:
    """A stored outcome without results."""
    return {"verdict": verdict, "why": why, "tested": [], "points": []}


def lines(outcome: Outcome) -> list[str]:
    """Lines of output: one per comparison, then the curves, then the verdict."""
    found = []
    for one in outcome.tested:
        aims = "".join(f", aim: {aim}" for aim in one.aims)
        found.append(
            f"{one.metric}: {one.system} {one.mean:.2f} - {one.baseline} {one.baseline_mean:.2f} = "
            f"{one.difference:+.2f}{one.unit} [{one.low:.2f}, {one.high:.2f}]{_few(one.clusters)}, n={one.n}, "
            f"seeds={one.seeds}, {test_name(one.freedom)}, p={one.p:.2g}, "
            f"adjusted p={one.p_holm:.2g}: {one.verdict}{aims}"
        )
    for p in outcome.points:
        bounds = f"[{p.low:.2f}, {p.high:.2f}]{_few(p.clusters)}"
        found.append(f"{p.metric}: {p.system}: {p.mean:.2f}{p.unit} {bounds}")
    return [*found, f"verdict: {outcome.verdict} ({outcome.why})"]


def test_name(freedom: float | None) -> str:
    """The name of a test in tables: sign flips, or t with its degrees of freedom."""
    return "sign flips" if freedom is None else f"t({freedom:.1f})"


def _few(clusters: float) -> str:
    return f" (approximate: {clusters:.1f} effective clusters)" if clusters < FEW_CLUSTERS else ""


def page(title: str, split: str, found: Sequence[tuple[Claim, Stored]]) -> Page:
    """The page of claims: how many hold, the verdicts, the comparisons in two tables, and curves if there are any.

    A claim that another test split decides is on the page of that split.
    """
    found = [(claim, stored) for claim, stored in found if not claim.decided_beside(split)]
    counts = Counter(str(stored["verdict"]) for _, stored in found)
    supported = counts.pop("supported", 0)
    others = "".join(f"; {count} {verdict}" for verdict, count in counts.items())
    whole = _comparisons(f"{title}: comparisons", found)
    parts = [_claims(title, split, found)]
    if any(stored["tested"] for _, stored in found):
        parts += [whole.view(whole.title, SHOWN, NOTES)]
        parts += [replace(whole.view(f"{title}: comparisons in full", DETAILS), folded=True)]
    points = [point for _, stored in found for point in stored["points"]]
    parts += [_curves(f"{title}: curves, not tested", points)] if points else []
    return Page(
        title, parts, answer=f"{supported} of {len(found)} claims supported{others}", files={"table.csv": whole}
    )


def _claims(title: str, split: str, found: Sequence[tuple[Claim, Stored]]) -> Table:
    heads = ("claim", "says", "source", "verdict", "why")
    rows = []
    for claim, stored in found:
        texts = (claim.name, claim.says, claim.source, str(stored["verdict"]), str(stored["why"]) or NOTHING)
        rows.append(Row(tuple(map(Cell, texts)), strong=stored["verdict"] == "supported"))
    later: dict[str, list[str]] = {}
    for claim, _ in found:
        later.setdefault(claim.split, []).append(claim.name)
    others = "; ".join(f"{name} decides: {', '.join(claims)}" for name, claims in later.items() if name != split)
    aim = "dev is for exploration; " if split == "dev" else ""
    strict = [f"{claim.name} {claim.alpha}" for claim, _ in found if claim.alpha != Claim.alpha]
    notes = [f"{aim}{others}."] if others else []
    notes += [f"Family-wise level {Claim.alpha}, but {', '.join(strict)}."] if strict else []
    return Table(title, tuple(Column(head, numeric=False) for head in heads), tuple(rows), tuple(notes))


def _comparisons(title: str, found: Sequence[tuple[Claim, Stored]]) -> Table:
    columns = [Column(head, numeric=False) for head in ("claim", "metric", "system", "baseline")]
    columns += [Column("system's"), Column("baseline's"), Column("difference"), Column("n"), Column("seeds")]
    columns += [
        Column("test", numeric=False),
        Column("p"),
        Column("adjusted p"),
        Column("smallest"),
        Column("verdict", numeric=False),
    ]
    columns += [Column("aims", numeric=False)]
    rows = []
    for claim, stored in found:
        for one in stored["tested"]:
            estimate = Estimate(one["difference"], one["low"], one["high"], one["n"], one["unit"], one.get("clusters"))
            digits = 1 if one["unit"] == "%" else 3
            cells = [Cell(claim.name), Cell(one["metric"]), Cell(one["system"]), Cell(one["baseline"])]
            cells += [number(one["mean"], digits), number(one["baseline_mean"], digits), estimated(estimate)]
            cells += [number(one["n"], 0), number(one["seeds"], 0), Cell(test_name(one.get("freedom")))]
            cells += [_probability(one["p"]), _probability(one["p_holm"])]
            cells += [number(one["smallest"], digits), Cell(one["verdict"]), Cell("; ".join(one["aims"]) or NOTHING)]
            rows.append(Row(tuple(cells), strong=one["verdict"] == "supported"))
    return Table(title, tuple(columns), tuple(rows), NOTES)


def _probability(p: float) -> Cell:
    return Cell(f"{p:.4f}" if p >= LEAST_P else f"< {LEAST_P}", p, digits=4)


def _curves(title: str, points: Sequence[Mapping[str, Any]]) -> Table:
    columns = (
        Column("system", numeric=False),
        Column("metric", numeric=False),
        Column("k"),
        Column("value"),
        Column("n"),
    )
    rows = []
    for point in points:
        estimate = Estimate(
            point["mean"], point["low"], point["high"], point["n"], point["unit"], point.get("clusters")
        )
        cells = (Cell(point["system"]), Cell(point["metric"]), number(point["k"], 0), estimated(estimate))
        rows.append(Row((*cells, number(point["n"], 0))))
    return Table(title, columns, tuple(rows))
