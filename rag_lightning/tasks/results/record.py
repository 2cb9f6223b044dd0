"""The records that all result files share, whatever their format, and how they meet our examples.

Results meet examples by id, or by the question's text where ids cannot agree. Exported files are written whole or not
at all.
"""

from __future__ import annotations

import json
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from rag_lightning.core.compression import LONGEST
from rag_lightning.core.errors import DataError
from rag_lightning.core.files import UNREADABLE, read_head, read_jsonl_objects, write_lines
from rag_lightning.core.json_stream import json_members, json_objects
from rag_lightning.core.plain import is_whole
from rag_lightning.core.records import Example
from rag_lightning.core.registry import Registry
from rag_lightning.metrics.outcomes import join_by_id
from rag_lightning.tasks.layout import Head

LARGEST = (2 - 2**-23) * 2.0**127
"""The largest number of float32."""


@dataclass(frozen=True, slots=True)
class RetrievedPassage:
    """A passage as a result file names it; title or text are None where the format has none.

    `passage_id` is a page's id in KILT files.
    """

    passage_id: str
    score: float = 0.0
    title: str | None = None
    text: str | None = None


@dataclass(frozen=True, slots=True)
class Result:
    """One question of a result file; `example_id` is "" in formats without ids of questions.

    Args:
        example_id: The file's id.
        question: "" where the format has none.
        answers: The accepted answers, written where a format carries them.
        prediction: None in files of retrieval only.
        passages: Best first; None in files of predictions only.
    """

    example_id: str
    question: str = ""
    answers: tuple[str, ...] = ()
    prediction: str | None = None
    passages: tuple[RetrievedPassage, ...] | None = None


@dataclass(frozen=True, slots=True)
class Format:
    """A kind of result file: `read` gives its results in file order, `write` returns how many it wrote.

    Args:
        name: Its name on the command line.
        read: File -> results.
        write: (file, results) -> rows written.
        fits: Whether the beginning of a file looks like one.
        pages: Whether its passages are pages, whose ids are no passage ids of a corpus.
    """

    name: str
    read: Callable[[Path], list[Result]]
    write: Callable[[Path, Iterable[Result]], int]
    fits: Callable[[Head], bool]
    pages: bool = False


FORMATS = Registry(
    "result format",
    {
        "ours": "rag_lightning.tasks.results.ours:OURS",
        "trec": "rag_lightning.tasks.results.trec:TREC",
        "trec_rag": "rag_lightning.tasks.results.trec_rag:TREC_RAG",
        "dpr": "rag_lightning.tasks.results.dpr:DPR",
        "kilt": "rag_lightning.tasks.results.kilt:KILT",
        "flashrag": "rag_lightning.tasks.results.flashrag:FLASHRAG",
    },
)


def get_format(name: str) -> Format:
    """The format of a name.

    Raises:
        UnknownNameError: no such format; the message offers the nearest.
    """
    found: Format = FORMATS.get(name)
    return found


def has_fields(types: Mapping[str | tuple[str, ...], type]) -> Callable[[Head], bool]:
    """Whether the first row of a file has these fields, of a tuple one, with values of these types."""

    def fits(head: Head) -> bool:
        first = head.rows[0] if head.rows and not head.cells else {}
        wanted = {(name,) if isinstance(name, str) else name: of for name, of in types.items()}
        return all(any(isinstance(first.get(name), of) for name in names) for names, of in wanted.items())

    return fits


def text_of(path: Path, row: int, field: str, value: Any) -> str:
    """A field that must be a string.

    Raises:
        DataError: missing, of another type, or holding half of a surrogate pair, which no file can be written with.
    """
    if not isinstance(value, str):
        raise DataError(path, "is missing" if value is None else "must be a string", row=row, field=field, value=value)
    return _whole(path, row, field, value)


def _whole(path: Path, row: int, field: str, text: str) -> str:
    if not is_whole(text):
        raise DataError(path, "holds half of a surrogate pair", row=row, field=field, hint="write the whole character")
    return text


def id_of(path: Path, row: int, field: str, value: Any) -> str:
    """An id, a string or a whole number in the file.

    Raises:
        DataError: missing, empty, of another type, or holding half of a surrogate pair.
    """
    if value is None:
        raise DataError(path, "is missing", row=row, field=field)
    if isinstance(value, bool) or not isinstance(value, (str, int)) or not str(value).strip():
        raise DataError(path, "must be a string or a whole number", row=row, field=field, value=value)
    return _whole(path, row, field, str(value).strip())


def score_of(path: Path, row: int, value: Any) -> float:
    """A score, a number or one in quotes; 0 where there is none.

    Raises:
        DataError: not a number, or one that is not finite as float32, in which scores are kept.
    """
    if isinstance(value, bool):
        raise DataError(path, "must be a number", row=row, field="score", value=value)
    try:
        number = float(0.0 if value is None else value)
    except (TypeError, ValueError, OverflowError) as error:
        raise DataError(path, "must be a number", row=row, field="score", value=value) from error
    if not abs(number) <= LARGEST:
        raise DataError(path, "must be a finite number of float32", row=row, field="score", value=value)
    return number


def list_of(path: Path, row: int, field: str, value: Any) -> list[dict[str, Any]]:
    """A field that must be a list of objects.

    Raises:
        DataError: missing, or anything else.
    """
    if value is None or value == [None]:
        raise DataError(path, "is missing", row=row, field=field)
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        raise DataError(path, "must be a list of objects", row=row, field=field, value=value)
    return value


def items_of(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield (row, object) of a JSON list of objects, of an object that holds them by id, or of JSON lines.

    Raises:
        DataError: none of these.
    """
    by_id = mapping_of(path, lambda found: all(isinstance(value, dict) for value in found.values()))
    if by_id is not None:
        return iter(enumerate(by_id.values(), 1))
    if _first_line(path).startswith("{"):
        return read_jsonl_objects(path)
    return json_objects(path)


def mapping_of(path: Path, is_like: Callable[[dict[str, Any]], bool]) -> dict[str, Any] | None:
    """The object that a whole file is, None for a list or lines.

    Args:
        path: The file.
        is_like: Whether an object is the whole file, and not one of its lines.

    Raises:
        DataError: not JSON.
    """
    start = _first_line(path)
    if not start.startswith("{"):
        return None
    try:
        found = json.loads(start)
    except UNREADABLE:
        found = dict(json_members(path))
    return found if isinstance(found, dict) and found and is_like(found) else None


def _first_line(path: Path) -> str:
    """The first line that is not blank; cut where it is longer than a row may be, as a whole file in one line is."""
    return read_head(path, LONGEST).strip().partition("\n")[0]


def passages_of(result: Result) -> tuple[RetrievedPassage, ...]:
    """The passages of a result that is to be written as retrieval.

    Raises:
        DataError: it has none.
    """
    if result.passages is None:
        raise DataError("results", "has no passages to write", field="example_id", value=result.example_id)
    return result.passages


def export_lines(path: Path, lines: Iterable[str]) -> int:
    """Write one string a line, UTF-8, whole or not at all; returns how many.

    Raises:
        DataError: the file cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return write_lines(path, lines)
    except OSError as error:
        raise DataError(path, f"cannot be written: {error.strerror}", hint="give another file to export to") from error


def export_list(path: Path, items: Iterable[dict[str, Any]]) -> int:
    """Write a JSON list of objects, one a line, whole or not at all; returns how many.

    Raises:
        DataError: the file cannot be written.
    """
    listed = [json.dumps(item, ensure_ascii=False) for item in items]
    export_lines(path, ["[", ",\n".join(listed), "]"])
    return len(listed)


@dataclass(frozen=True)
class Matched:
    """Each example with its result, in the order of the examples; `by` names the field they were joined by."""

    pairs: list[tuple[Result, Example]]
    by: Literal["id", "question"]


def match(results: Sequence[Result], examples: Sequence[Example], source: Path | str) -> Matched:
    """Join by id; by question where no id of the file is an example's and every result has its question.

    The n-th result of a repeated question belongs to its n-th example.

    Raises:
        DataError: missing, extra or double ids, or questions; the message lists them.
    """
    ids = {example.example_id for example in examples}
    if any(result.example_id in ids for result in results) or not all(result.question for result in results):
        return Matched(join_by_id(results, examples, source), "id")
    waiting: dict[str, deque[str]] = defaultdict(deque)
    for example in examples:
        waiting[_key(example.query)].append(example.example_id)
    named, extra = [], []
    for result in results:
        left = waiting[_key(result.question)]
        if left:
            named.append(replace(result, example_id=left.popleft()))
        else:
            extra.append(result.question)
    unmatched = {identifier for queue in waiting.values() for identifier in queue}
    missing = [example.query for example in examples if example.example_id in unmatched]
    _check(missing, extra, source)
    return Matched(join_by_id(named, examples, source), "question")


def _key(question: str) -> str:
    return " ".join(question.split())


def _check(missing: Sequence[str], extra: Sequence[str], source: Path | str) -> None:
    problems = [
        f"{len(questions)} {kind}: {', '.join(map(repr, questions[:10]))}{' and more' if len(questions) > 10 else ''}"
        for kind, questions in (("missing", missing), ("extra", extra))
        if questions
    ]
    if problems:
        hint = "give the examples these results were made for"
        raise DataError(source, "; ".join(problems), field="question", hint=hint)
