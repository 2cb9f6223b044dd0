"""CuratedTREC (Baudiš and Šedivý 2015): questions whose answers are regular expressions.

- DPR csv, and rows of question and answers, the answers a list of patterns
  (https://github.com/facebookresearch/DPR); FlashRAG's rows
- TSV: `qid \\t question \\t pattern`, or `qid \\t factoid \\t question \\t pattern` as in
  https://github.com/brmson/dataset-factoid-curated; nothing in it is quoted

A pattern that does not compile, or runs too long on a string made to provoke it, is an error of its row: scoring
would count it as wrong for every prediction. One that only does not compile in NFD is kept, counted and named: it
scores predictions by DrQA's rule, and is found in no passage, as by DPR's.

Training targets are strings a pattern was written for (Lewis et al. 2020, section 3.1). Where no passage holds a match,
the paper enumerates what the pattern could match, with a space for what it leaves open. Alternatives and optional parts
are followed; classes of characters and wildcards become a space. Reads the tree of Python's own parser (`re._parser`),
which takes `(8|9)` for the class `[89]`: a class of few letters or digits is read as alternatives.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from importlib import import_module
from itertools import islice
from pathlib import Path
from typing import Any

from rag_lightning.core.errors import DataError
from rag_lightning.core.files import read_lines
from rag_lightning.metrics.patterns import PatternFault, match_patterns, nfd_fault, search_patterns
from rag_lightning.tasks.examples import RawExample, Row, answer_list, question_text
from rag_lightning.tasks.layout import Layout, ParseRow, rows
from rag_lightning.tasks.open_qa import DPR_CSV
from rag_lightning.tasks.qa_layouts import FLASHRAG, PLAIN
from rag_lightning.tasks.spec import QA_METRICS, TaskSpec

SECONDS = 0.2
"""Longest run of a pattern on one probe; ordinary ones take microseconds."""
PASSAGE_HEADER = {"id", "text", "title"}
_LENGTH, _LETTERS = 40, 6
_ESCAPE = re.compile(r"\\.")


def read_trec(path: Path) -> Iterator[RawExample]:
    """Every question with its one pattern; only outer white space is removed.

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
    """The fault of a pattern, or None: it does not compile, or runs too long on repetitions of its own letters."""
    letters = dict.fromkeys(c for c in _ESCAPE.sub("", pattern) if c.isalnum())
    for letter in ("", *list(letters)[:_LETTERS], "1", " "):
        probe = letter * _LENGTH + "!"
        found = match_patterns(probe, (pattern,), SECONDS).faults or search_patterns(probe, [pattern], SECONDS).faults
        if found and found[0] != nfd_fault(pattern):
            return found[0]
    return None


def _check(path: Path, row: Row, field: str) -> Row:
    """The row, whose patterns were tried, with a note of those that are found in no passage."""
    for pattern in row.answers if isinstance(row, RawExample) else ():
        if fault := find_fault(pattern):
            hint = "correct the pattern or remove the row"
            raise DataError(path, fault.reason, row=row.row, field=field, value=pattern, hint=hint)
    return _noted(row) if isinstance(row, RawExample) else row


def _usable(read: Callable[[Path], Iterable[Row]], field: str) -> Callable[[Path], Iterator[Row]]:
    return lambda path: (_check(path, row, field) for row in read(path))


def _of_patterns(layout: Layout) -> Layout:
    parse: ParseRow | None = layout.parse
    assert parse is not None
    return rows(
        f"{layout.name} of patterns",
        layout.needs,
        lambda path, row, values: _check(path, parse(path, row, values), "answers"),
    )


def _asks(cells: Sequence[str]) -> bool:
    """Whether the cell of the question holds words, as no judgement does."""
    return len(cells[-2].split()) > 1


def _noted(row: RawExample) -> RawExample:
    """The row, with a note of a pattern that is found in no passage."""
    faults = filter(None, map(nfd_fault, row.answers))
    named = "; ".join(f"pattern {fault.pattern!r} of row {row.row} {fault.reason}" for fault in faults)
    return replace(row, note=f"found in no passage: {named}") if named else row


MOST = 32
"""Number of strings of one pattern."""
COPIES = 8
"""Copies of a part that is repeated at least so often."""
FEW = 4
"""Letters or digits of a class that is read as alternatives."""
SPACE = " "
Tree = Iterable[tuple[Any, Any]]


def expand(pattern: str, most: int = MOST) -> tuple[str, ...]:
    """At most `most` distinct strings, white space collapsed, none of them empty; earlier alternatives first.

    >>> expand(r"(January|Jan\\.?) 1[,\\s]+1863", most=3)
    ('January 1 1863', 'Jan. 1 1863', 'Jan 1 1863')

    Raises:
        DataError: Python's parser does not read the pattern.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a pattern's style is not at issue
            tree = import_module("re._parser").parse(pattern)
        strings = list(_sequence(list(tree), most))
    except (re.error, OverflowError, RecursionError) as error:
        raise DataError("answers", f"cannot be expanded ({error})", field="pattern", value=pattern) from error
    tidy = (" ".join(string.split()) for string in strings)
    return tuple(islice(dict.fromkeys(string for string in tidy if string), most))


def _sequence(tree: list[tuple[Any, Any]], most: int) -> Iterator[str]:
    """Strings of parts that stand one after the other."""
    made = [""]
    for part in tree:
        ends = list(dict.fromkeys(islice(_part(part, most), most)))
        made = list(islice((start + end for start in made for end in ends), most))
    yield from made


def _part(part: tuple[Any, Any], most: int) -> Iterator[str]:
    name, value = str(part[0]), part[1]
    known: dict[str, Callable[[], Iterator[str]]] = {
        "LITERAL": lambda: iter([chr(value)]),
        "IN": lambda: iter(_class(value)),
        "BRANCH": lambda: (string for way in value[1] for string in _sequence(list(way), most)),
        "SUBPATTERN": lambda: _sequence(list(value[-1]), most),
        "ATOMIC_GROUP": lambda: _sequence(list(value), most),
        "MAX_REPEAT": lambda: _repeated(value[0], value[2], most),
        "MIN_REPEAT": lambda: _repeated(value[0], value[2], most),
        "POSSESSIVE_REPEAT": lambda: _repeated(value[0], value[2], most),
        "AT": lambda: iter([""]),
        "ASSERT": lambda: iter([""]),
        "ASSERT_NOT": lambda: iter([""]),
    }
    yield from known.get(name, lambda: iter([SPACE]))()


def _class(members: list[tuple[Any, Any]]) -> list[str]:
    """Few letters or digits, each in the case that stands first, or one character; else a space."""
    if any(str(name) != "LITERAL" for name, _ in members):
        return [SPACE]
    signs = {sign.casefold(): sign for sign in reversed([chr(value) for _, value in members])}
    found = list(reversed(signs.values()))
    return found if len(found) == 1 or (len(found) <= FEW and all(map(str.isalnum, found))) else [SPACE]


def _repeated(low: Any, tree: Any, most: int) -> Iterator[str]:
    """As often as it must stand, once if it need not; an optional part is also left out."""
    for string in islice(_sequence(list(tree), most), most):
        yield string * min(max(int(low), 1), COPIES)
    if low == 0:
        yield ""


CURATED_TREC = TaskSpec(
    name="curatedtrec",
    title="CT",
    citation="Baudiš and Šedivý 2015 (https://doi.org/10.1007/978-3-319-24027-5_20)",
    licence="not stated; questions and patterns are NIST's (TREC)",
    layouts=(
        _of_patterns(FLASHRAG),
        _of_patterns(PLAIN),
        Layout("DPR csv of patterns", DPR_CSV.shape, _usable(DPR_CSV.read, "answers"), cells=(2,), like=DPR_CSV.like),
        Layout("CuratedTREC TSV", "tab-separated text", _usable(read_trec, "pattern"), cells=(3, 4), like=_asks),
    ),
    metrics=("em_regex", *QA_METRICS),
    counts={"train": 1_353, "dev": 133, "test": 694},
    mine="regex",
    printed={"train": 635, "dev": 134, "test": 635},
    mini="rag_lightning.mini.curatedtrec:build",
)
"""Counts are of DPR's files; why the paper prints 635 is not known. The hub has no official data set of it."""
