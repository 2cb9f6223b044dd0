"""Fact verification: FEVER (Thorne et al. 2018, https://aclanthology.org/N18-1074), three-way and two-way.

- FEVER JSONL: `id label claim evidence`; evidence is a list of alternative sets of [annotation, id, article, sentence],
  null in rows of NOT ENOUGH INFO; in FEVER-symmetric (Schuster et al. 2019) it is the sentence itself
- KILT JSONL: `id input output`, each output with the label as `answer` and its evidence set as `provenance`
- the hub's columns: one row for each piece of evidence

The claim is the query, the label in lower case the answer. `gold_titles` hold the evidence articles.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import groupby
from pathlib import Path
from typing import Any

from rag_lightning.core.errors import DataError
from rag_lightning.tasks.examples import Dropped, RawExample, Row, objects, own_id, question_text, title_sets
from rag_lightning.tasks.hub import PARQUET, HubSource
from rag_lightning.tasks.layout import Layout, ParseRow, rows
from rag_lightning.tasks.spec import TaskSpec

LABELS = ("supports", "refutes", "not enough info")
UNDECIDED = LABELS[2]
Counts = tuple[int, int, int]
METRICS = ("label_accuracy", "gold_title@1", "gold_title@10", "page_r_precision")
_TITLE = 2
"""Place of the article in a piece of evidence."""


def fever_row(path: Path, row: int, values: Mapping[str, Any]) -> RawExample:
    """One claim of FEVER's own layout.

    Raises:
        DataError: a field is missing or of a wrong type, a label outside the set, a decided claim without evidence.
    """
    claim = question_text(path, row, "claim", values.get("claim"))
    label = _label(path, row, "label", values.get("label"))
    evidence, identifier = values.get("evidence"), own_id(path, row, values)
    if isinstance(evidence, str) and evidence.strip():
        return RawExample(row, claim, (label,), own_id=identifier, paragraph=evidence.strip())
    titles = () if label == UNDECIDED else _titles(path, row, evidence)
    return RawExample(row, claim, (label,), own_id=identifier, titles=titles)


def kilt_row(path: Path, row: int, values: Mapping[str, Any]) -> RawExample:
    """One claim of KILT's layout; the outputs' provenances are alternatives.

    Raises:
        DataError: a field is missing or of a wrong type, a label outside the set, two labels.
    """
    claim = question_text(path, row, "input", values.get("input"))
    outputs = objects(path, row, "output", values.get("output"))
    given = [output.get("answer") for output in outputs if output.get("answer") is not None] or [None]
    labels = {_label(path, row, "output.answer", answer) for answer in given}
    if len(labels) > 1:
        raise DataError(path, "holds more than one label", row=row, field="output.answer", value=sorted(labels))
    sets = []
    for output in outputs:
        pages = objects(path, row, "output.provenance", output.get("provenance", []))
        sets.append([page.get("title", page.get("wikipedia_title")) for page in pages])
    return RawExample(row, claim, tuple(labels), own_id=own_id(path, row, values), titles=title_sets(sets))


def hub_rows(path: Path, rows: Iterable[Mapping[str, Any]]) -> Iterator[RawExample]:
    """The hub's columns, where a claim's rows follow each other; the number is that of its first row.

    Raises:
        DataError: as `fever_row`, or a claim's rows do not follow each other (an id comes again).
    """
    for _, group in groupby(enumerate(rows, 1), key=lambda numbered: numbered[1].get("id")):
        numbered = list(group)
        row, first = numbered[0]
        sets: dict[Any, list[list[Any]]] = {}
        for _, values in numbered:
            piece = [None, None, values.get("evidence_wiki_url") or None, values.get("evidence_sentence_id")]
            sets.setdefault(values.get("evidence_id"), []).append(piece)
        yield fever_row(path, row, {**first, "evidence": list(sets.values())})


def _label(path: Path, row: int, field: str, value: Any) -> str:
    if value is None:
        raise DataError(path, "is missing", row=row, field=field, hint="unlabelled files cannot be scored")
    label = " ".join(value.lower().split()) if isinstance(value, str) else ""
    if label not in LABELS:
        hint = f"one of {', '.join(LABELS).upper()}"
        raise DataError(path, "is no label of FEVER", row=row, field=field, value=value, hint=hint)
    return label


def _titles(path: Path, row: int, evidence: Any) -> tuple[str, ...]:
    """The articles of each evidence set of a decided claim."""
    if not isinstance(evidence, list) or not all(_is_set(pieces) for pieces in evidence):
        problem = "is missing" if evidence is None else "must be a list of evidence sets"
        raise DataError(path, problem, row=row, field="evidence", value=evidence)
    titles = title_sets([[piece[_TITLE] for piece in pieces] for pieces in evidence])
    if not titles:
        hint = "a claim that is supported or refuted needs evidence"
        raise DataError(path, "names no article", row=row, field="evidence", value=evidence, hint=hint)
    return titles


def _is_set(pieces: Any) -> bool:
    return isinstance(pieces, list) and all(isinstance(piece, list) and len(piece) > _TITLE for piece in pieces)


def _of(labels: tuple[str, ...], row: RawExample) -> Row:
    label = row.answers[0]
    return row if label in labels else Dropped(row.row, label.upper())


def _restricted(labels: tuple[str, ...], parse: Callable[[Path, int, Mapping[str, Any]], RawExample]) -> ParseRow:
    return lambda path, row, values: _of(labels, parse(path, row, values))


def _layouts(labels: tuple[str, ...]) -> tuple[Layout, ...]:
    return (
        rows("FEVER", {"claim": str, "label": str}, _restricted(labels, fever_row)),
        rows("KILT", {"input": str, "output": list}, _restricted(labels, kilt_row)),
    )


def _hub(labels: tuple[str, ...]) -> HubSource:
    def claims(path: Path, given: Iterable[Mapping[str, Any]]) -> Iterator[Row]:
        return (_of(labels, row) for row in hub_rows(path, given))

    return HubSource("fever/fever", "v1.0", claims, dev="paper_dev", test="paper_test", revision=PARQUET)


def _spec(name: str, title: str, labels: tuple[str, ...], counts: Counts, printed: Counts) -> TaskSpec:
    parts = ("train", "dev", "test")
    return TaskSpec(
        name=name,
        title=title,
        citation="Thorne et al. 2018 (https://aclanthology.org/N18-1074)",
        licence="CC BY-SA 3.0",
        layouts=_layouts(labels),
        metrics=METRICS,
        counts=dict(zip(parts, counts, strict=True)),
        printed=dict(zip(parts, printed, strict=True)),
        hub=_hub(labels),
        labels=labels,
        mini=f"rag_lightning.mini.fever:build_{name}",
    )


FEVER3 = _spec("fever3", "FVR3", LABELS, (145_449, 9_999, 9_999), (145_450, 10_000, 10_000))
"""Train's count is from no primary source; dev and test are FEVER's paper_dev and paper_test, 3,333 a label."""
FEVER2 = _spec("fever2", "FVR2", LABELS[:2], (109_810, 6_666, 6_666), (96_966, 6_666, 6_666))
"""Without NOT ENOUGH INFO. The printed 96,966 is two thirds of fever3's train, not a count."""
