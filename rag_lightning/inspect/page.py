"""One answer as a page: passages, what each token or hypothesis rests on, hypotheses."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rag_lightning.core.plain import shorten
from rag_lightning.report.page import Page
from rag_lightning.report.tables import Cell, Column, Row, Table, number
from rag_lightning.stages.answer import Answer, passages_title

if TYPE_CHECKING:
    from rag_lightning.inspect.command import Inspected

MOST = 8
"""Passages with a column of their own."""
TITLE, LENGTH = 40, 1000
"""Characters of a passage's title in the head of a column, and of a passage, which has at most 100 words."""


def page_of(found: Inspected) -> Page:
    """The page of an answer."""
    answer = found.answer
    parts = [part for part in (_tokens(answer), _hypotheses(answer), _passages(answer)) if part.rows]
    facts = {"log p(y|x)": f"{answer.prediction.log_prob:.3f}", "passages read": str(len(answer.passages))}
    facts |= {name: f"{value:.2f}" for name, value in found.values.items() if "@" not in name}
    lead = [f"Question: {shorten(found.query)}"]
    lead += [f"Accepted: {shorten('; '.join(found.accepted))}."] if found.accepted else []
    return Page(
        title=shorten(f"{found.system} — {found.source}"),
        answer=shorten(answer.prediction.text) or "(an empty answer)",
        lead=lead,
        facts=facts,
        parts=parts,
        warnings=[shorten(note) for note in found.notes],
    )


def _passages(answer: Answer) -> Table:
    """The passages with p(z|x) and, where one stands behind the whole output, p(z|x,y)."""
    whole = bool(answer.posteriors)
    columns = [Column("passage", numeric=False), *[Column("p(z|x,y)", bar=True)] * whole, Column("p(z|x)", bar=True)]
    columns += [Column("score")]
    rows = []
    for z, passage in enumerate(answer.passages):
        shares = [_share(answer.posteriors[z])] if whole else []
        name = Cell(f"z={z + 1} {passage.title}", below=shorten(passage.text, LENGTH))
        rows.append(Row((name, *shares, _share(answer.priors[z]), number(answer.doc_scores[z], 3))))
    notes = ("p(z|x): before reading, from the retriever's score, which is shown scaled: the logit of p(z|x).",)
    title = passages_title(answer)
    return Table(title[:1].upper() + title[1:], tuple(columns), tuple(rows), notes, ordered=True)


def _share(value: float) -> Cell:
    return Cell(f"{100 * value:.1f} %", 100 * value)


def _tokens(answer: Answer) -> Table:
    lead = "p(z|x,y_i): from which passage each token comes, given the tokens before it. A row adds up to 100 %."
    rows = [(shorten(name, TITLE), None, shares) for name, shares in answer.tokens]
    return _shares("The passages behind each token", "token", lead, answer, rows)


def _hypotheses(answer: Answer) -> Table:
    listed = answer.prediction.hypotheses
    if not answer.by_hypothesis:
        columns = (Column("log p(y|x)"), Column("hypothesis", numeric=False))
        rows = tuple(Row((number(one.log_prob, 3), Cell(one.text))) for one in listed)
        return Table("Hypotheses", columns, rows, ordered=True)
    lead = "p(z|x,y): which passage stands behind each hypothesis. A row adds up to 100 %."
    found = [(one.text, one.log_prob, shares) for one, shares in zip(listed, answer.by_hypothesis, strict=True)]
    return _shares("Hypotheses, and the passages behind them", "hypothesis", lead, answer, found)


def _shares(
    title: str, what: str, lead: str, answer: Answer, found: Sequence[tuple[str, float | None, Sequence[float]]]
) -> Table:
    """A row for each token or hypothesis, a column for each of the passages that have most of them."""
    total = [sum(column) for column in zip(*(shares for _, _, shares in found), strict=True)]
    places = sorted(sorted(range(len(total)), key=lambda z: -total[z])[:MOST])
    logs = any(log is not None for _, log, _ in found)
    heads = [f"z={z + 1} {shorten(answer.passages[z].title, TITLE)}".strip() for z in places]
    columns = [Column(what, numeric=False), *[Column("log p(y|x)")] * logs, *(Column(head, bar=True) for head in heads)]
    more = len(total) > len(places)
    columns += [Column("the others", bar=True)] * more
    rows = []
    for text, log, shares in found:
        shown = [shares[z] for z in places]
        cells = [*map(_share, shown), *[_share(max(0.0, sum(shares) - sum(shown)))] * more]
        rows.append(Row((Cell(text or "(empty)"), *[number(log, 3)] * logs, *cells)))
    return Table(title, tuple(columns), tuple(rows), lead=lead, ordered=True)
