"""CuratedTREC (Baudiš and Šedivý 2015): questions whose answers are regular expressions.

- DPR csv and JSONL, the answers a list of patterns (https://github.com/facebookresearch/DPR)
- TSV: `qid \\t question \\t pattern`, or `qid \\t factoid \\t question \\t pattern` as in
  https://github.com/brmson/dataset-factoid-curated; nothing in it is quoted

A pattern that does not compile, or runs too long on a string made to provoke it, is an error of its row: scoring
would count it as wrong for every prediction.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from rag_lightning.core.errors import DataError
from rag_lightning.core.files import read_lines
from rag_lightning.metrics.patterns import PatternFault, match_patterns, search_patterns
from rag_lightning.tasks.examples import RawExample, Row, answer_list, question_text
from rag_lightning.tasks.layout import Layout, json_lines
from rag_lightning.tasks.open_qa import DPR_CSV, question_row
from rag_lightning.tasks.spec import QA_METRICS, TaskSpec

SECONDS = 0.2
"""Longest run of a pattern on one probe; ordinary ones take microseconds."""
PASSAGE_HEADER = {"id", "text", "title"}
_LENGTH, _LETTERS = 40, 6
_ESCAPE = re.compile(r"\\.")


def read_trec(path: Path) -> Iterator[RawExample]:
    """Every question with its one pattern, kept as it is but for white space around it.

    Raises:
        DataError: a row that has neither three nor four cells, no question, or no pattern.
    """
    for row, line in enumerate(read_lines(path), 1):
        if not line.strip():
            continue
        cells = [cell.strip() for cell in line.rstrip("\r\n").split("\t")]
        if len(cells) not in (3, 4):
            hint = "expected qid, tab, question, tab, pattern"
            raise DataError(path, f"has {len(cells)} fields instead of 3 or 4", row=row, value=cells[0], hint=hint)
        if row == 1 and set(cells) == PASSAGE_HEADER:
            raise DataError(path, "is the header of a file of passages", row=row, hint="give it as corpus.source")
        if not cells[0]:
            raise DataError(path, "is empty", row=row, field="qid")
        question = question_text(path, row, "question", cells[-2])
        patterns = answer_list(path, row, "pattern", [cells[-1]])
        yield RawExample(row, question, patterns, own_id=cells[0], id_field="qid")


def find_fault(pattern: str) -> PatternFault | None:
    """What is wrong with a pattern: it does not compile, or runs too long on runs of a letter of its own."""
    letters = dict.fromkeys(c for c in _ESCAPE.sub("", pattern) if c.isalnum())
    for letter in ("", *list(letters)[:_LETTERS], "1", " "):
        probe = letter * _LENGTH + "!"
        found = match_patterns(probe, (pattern,), SECONDS).faults or search_patterns(probe, [pattern], SECONDS).faults
        if found:
            return found[0]
    return None


def _usable(read: Callable[[Path], Iterable[Row]], field: str) -> Callable[[Path], Iterator[Row]]:
    """The rows of a reader, whose patterns were tried."""

    def rows(path: Path) -> Iterator[Row]:
        for row in read(path):
            for pattern in row.answers if isinstance(row, RawExample) else ():
                if fault := find_fault(pattern):
                    hint = "correct the pattern or remove the row"
                    raise DataError(path, fault.reason, row=row.row, field=field, value=pattern, hint=hint)
            yield row

    return rows


_JSONL = json_lines("DPR JSONL of patterns", ("question",), question_row)
CURATED_TREC = TaskSpec(
    name="curatedtrec",
    title="CT",
    citation="Baudiš and Šedivý 2015 (https://doi.org/10.1007/978-3-319-24027-5_20)",
    licence="not stated; questions and patterns are NIST's (TREC)",
    layouts=(
        Layout("DPR csv of patterns", DPR_CSV.shape, _usable(DPR_CSV.read, "answers"), cells=(2,)),
        Layout(_JSONL.name, _JSONL.shape, _usable(_JSONL.read, "answers"), _JSONL.needs),
        Layout("CuratedTREC TSV", "tab-separated text", _usable(read_trec, "pattern"), cells=(3, 4)),
    ),
    metrics=("em_regex", *QA_METRICS),
    counts={"train": 1_353, "dev": 133, "test": 694},
    mine="regex",
    printed={"train": 635, "dev": 134, "test": 635},
)
"""Counts are of DPR's files; why the paper prints 635 is not known. The hub has no official data set of it."""
