"""Jeopardy question generation: answer entity -> clue, from the clues of SearchQA (Dunn et al. 2017,
https://arxiv.org/abs/1704.05179).

- JSON list or lines of `category, air_date, question, value, answer, round, show_number`: `question` is the clue, in
  single quotes, with HTML links; `answer` the entity
- TSV with a header: `clue` and `answer`; or `answer` and `question` as in
  https://github.com/jwolle1/jeopardy_clue_dataset, where as on the show `answer` is the clue, `question` the entity
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from rag_lightning.core.errors import DataError
from rag_lightning.core.files import read_lines
from rag_lightning.tasks.examples import Dropped, RawExample, Row
from rag_lightning.tasks.hub import PARQUET, HubSource, by_row
from rag_lightning.tasks.layout import Layout, rows
from rag_lightning.tasks.spec import TaskSpec

EMPTY = "no clue or no answer is left without its HTML"
_TAG = re.compile(r"</?[A-Za-z][^<>]*>")
_NEEDS = ("question", "answer", "category")
_COLUMNS = (*_NEEDS, "round")


def clean(text: str) -> str:
    r"""Remove HTML and backslashes before quotes, and collapse white space.

    >>> clean(r'The <a href="x.jpg">Shelburne</a>&#39;s city,<br />dude\'s')
    "The Shelburne's city, dude's"
    """
    plain = html.unescape(_TAG.sub(lambda tag: " " if tag[0].lower().startswith("<br") else "", text))
    return " ".join(plain.replace("\\'", "'").replace('\\"', '"').split())


def without_quotes(text: str, quote: str) -> str:
    """Remove the quotes around the whole text, if there are any.

    >>> without_quotes("'In 1963, Art's show'", "'")
    "In 1963, Art's show"
    """
    text = text.strip()
    return text[1:-1] if len(text) > 1 and text[0] == text[-1] == quote else text


def clue_row(path: Path, row: int, values: Mapping[str, Any]) -> Row:
    """One clue of the raw JSON.

    Raises:
        DataError: a field is missing or of a wrong type.
    """
    clue, entity = (_text(path, row, field, values.get(field)) for field in ("question", "answer"))
    return _example(row, entity, without_quotes(clue, "'"), str(values.get("round") or ""))


def read_clues(path: Path) -> Iterator[Row]:
    """Every clue of a TSV with a header; a cell may be in double quotes, with inner ones doubled.

    Raises:
        DataError: the header names no clue and entity, or a row has another number of cells.
    """
    names: list[str] = []
    for row, line in enumerate(read_lines(path), 1):
        if not line.strip():
            continue
        cells = [_cell(cell) for cell in line.rstrip("\r\n").split("\t")]
        if not names:
            names = [cell.lower() for cell in cells]
            clue, entity = _columns(path, row, names)
            continue
        if len(cells) != len(names):
            raise DataError(path, f"has {len(cells)} fields instead of {len(names)}", row=row, value=cells[0])
        values = dict(zip(names, cells, strict=True))
        yield _example(row, values[entity], values[clue], values.get("round", ""))


def _columns(path: Path, row: int, names: list[str]) -> tuple[str, str]:
    """Which columns hold clue and entity."""
    for clue, entity in (("clue", "answer"), ("answer", "question")):
        if {clue, entity} <= set(names):
            return clue, entity
    hint = "the first row must name clue and answer, or answer (the clue) and question (the entity)"
    raise DataError(path, "names no clue and entity", row=row, field="header", value=names, hint=hint)


def _cell(text: str) -> str:
    inner = without_quotes(text, '"')
    return inner.replace('""', '"') if '"' not in inner.replace('""', "") else text.strip()


def _text(path: Path, row: int, field: str, value: Any) -> str:
    if not isinstance(value, str):
        problem = "is missing" if value is None else "must be a string"
        raise DataError(path, problem, row=row, field=field, value=value)
    return value


def _example(row: int, entity: str, clue: str, game_round: str) -> Row:
    entity, clue = clean(entity), clean(clue)
    if not entity or not clue:
        return Dropped(row, EMPTY)
    return RawExample(row, entity, (clue,), entity=entity.casefold(), tags={"round": game_round} if game_round else {})


JEOPARDY = TaskSpec(
    name="jeopardy",
    title="Jeopardy",
    citation="Lewis et al. 2020, from SearchQA (Dunn et al. 2017, https://arxiv.org/abs/1704.05179)",
    licence="clues: Jeopardy Productions, Inc.; SearchQA's code BSD 3-clause",
    layouts=(
        rows("SearchQA", dict.fromkeys(_NEEDS, str), clue_row),
        Layout("TSV of clues", "tab-separated text", read_clues, {"answer": str}),
    ),
    metrics=("q_bleu1", "q_bleu1_2018", "bleu1", "bleu1_sentence", "rouge_l", "distinct_trigrams"),
    counts={"train": 97_391, "dev": 13_713, "test": 26_848},
    printed={"train": 97_392, "dev": 13_714, "test": 26_849},
    hub=HubSource(
        "kyunghyuncho/search_qa",
        "train_test_val",
        by_row(clue_row),
        dev="validation",
        revision=PARQUET,
        columns=_COLUMNS,
    ),
    mini="rag_lightning.mini.jeopardy:build",
)
"""Which of SearchQA's clues the paper kept is not published: the hub's splits are larger than the counts."""
