"""Queries with judgements: BEIR's folders (https://github.com/beir-cellar/beir), MTEB's parquet of them; TREC topics.

- judgements (qrels): `query-id, corpus-id, score`, TSV with a header, JSON lines or parquet, in a folder `qrels`; they
  say which queries a split has, and what is scored above 0 is gold. The queries lie beside that folder:
  `queries.jsonl`, TSV with a header, or parquet
- queries: `_id` and `text`. BEIR's have no answers; those that some sets keep in `metadata` are taken (`answer` or
  `answers`), and queries without any are dropped and counted; retrieval of those with gold passages can be scored
- TREC topics hold no answers: they are counted only
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from rag_lightning.core.errors import DataError
from rag_lightning.core.files import digest, read_lines
from rag_lightning.core.rows import data_digest, read_rows
from rag_lightning.tasks.examples import Dropped, RawExample, Row, answer_list, own_id, question_text
from rag_lightning.tasks.layout import Layout, rows

FOLDER, QUERIES_FILE = "qrels", "queries*"
NO_ANSWERS = "query without answers (answer or answers, in the row or its metadata)"
_TOPIC = re.compile(r"<(top|topic)\b")


def query_row(path: Path, row: int, values: Mapping[str, Any]) -> Row:
    """One query.

    Raises:
        DataError: a field is missing or of a wrong type, or the row is a passage.
    """
    if "title" in values:
        raise DataError(path, "is a passage, with a title", row=row, hint="give a corpus as corpus.source")
    metadata = values.get("metadata")
    given = {**(metadata if isinstance(metadata, dict) else {}), **values}
    question = question_text(path, row, "text", values.get("text"))
    name = "answers" if given.get("answers") else "answer"
    identifier = own_id(path, row, values, "_id")
    if not given.get(name):
        return Dropped(row, NO_ANSWERS, unanswered=RawExample(row, question, (), own_id=identifier))
    return RawExample(row, question, answer_list(path, row, name, given[name]), own_id=identifier)


def read_judged(path: Path) -> Iterator[Row]:
    """The queries that a file of judgements names, in their own order, with their gold passages.

    The row of an example is that of its first judgement.

    Raises:
        DataError: no queries beside it; a judgement of another form, or of a query that is not there; a bad query.
    """
    gold: dict[str, list[str]] = {}
    first: dict[str, int] = {}
    for row, values in read_rows(path):
        query, passage = (own_id(path, row, values, name) for name in ("query-id", "corpus-id"))
        if not query or not passage:
            raise DataError(path, "names no query or no passage", row=row, value=values)
        first.setdefault(query, row)
        if _is_above_0(path, row, values.get("score")):
            gold.setdefault(query, []).append(passage)
    queries = find_queries(path)
    for row, values in read_rows(queries):
        identifier = own_id(queries, row, values, "_id")
        judged = first.pop(identifier, None)
        if judged is None:
            continue
        found, right = query_row(queries, row, values), tuple(dict.fromkeys(gold.get(identifier, ())))
        raw = found.unanswered if isinstance(found, Dropped) else found
        asked = raw and replace(raw, row=judged, gold=right, id_field="query-id")
        yield replace(found, unanswered=asked) if isinstance(found, Dropped) else asked or found
    for identifier, row in first.items():
        problem = f"is no query of {queries.name}"
        raise DataError(path, problem, row=row, field="query-id", value=identifier)


def _is_above_0(path: Path, row: int, score: Any) -> bool:
    try:
        return float(score) > 0
    except (TypeError, ValueError) as error:
        raise DataError(path, "must be a number", row=row, field="score", value=score) from error


def find_queries(path: Path) -> Path:
    """The queries beside the folder `qrels` of a file of judgements.

    Raises:
        DataError: none.
    """
    beside = sorted(path.parent.parent.glob(QUERIES_FILE)) if path.parent.name == FOLDER else []
    if not beside:
        hint = "put it into a folder qrels beside queries.jsonl, as BEIR does"
        raise DataError(path, "holds judgements of passages (qrels), and no queries lie beside them", hint=hint)
    return beside[0]


def questions_digest(path: Path) -> str:
    """16 hex digits over a file or folder of questions; of judgements also over their queries.

    Raises:
        DataError: missing or empty, or judgements without queries.
    """
    if path.parent.name != FOLDER:
        return data_digest(path)
    return digest([data_digest(path), data_digest(find_queries(path))])


def read_topics(path: Path) -> Iterator[Row]:
    """TREC topics, of which none is an example."""
    for row, line in enumerate(read_lines(path), 1):
        if _TOPIC.match(line.strip()):
            yield Dropped(row, "topic without answers; its judgements and results are read by `score --format trec`")


JUDGED = Layout("BEIR judgements", "rows", read_judged, {"query-id": object, "corpus-id": object})
QUERIES = rows("BEIR queries", {"_id": (str, int), "text": str}, query_row)
TOPICS = Layout("TREC topics", "topics", read_topics)
BEIR_LAYOUTS = (JUDGED, QUERIES, TOPICS)
