"""The records that packages exchange, and their JSONL form.

corpus -> Passage; tasks -> Example; retrieval -> Ranking; decoding -> Hypothesis, Prediction; metrics -> Score.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Protocol, TypeVar, Union, get_args, get_origin, get_type_hints

from rag_lightning.core.errors import DataError
from rag_lightning.core.files import decode_line, read_value, write_lines

R = TypeVar("R")


class OnExample(Protocol):
    """A record on one example."""

    @property
    def example_id(self) -> str:
        """The example's id."""


E = TypeVar("E", bound=OnExample)


@dataclass(frozen=True, slots=True)
class Passage:
    """A unit of at most 100 words of an article; `title` is the article's."""

    passage_id: str
    title: str
    text: str


def passage_text(passage: Passage, separator: str = " ") -> str:
    """The title and the text of a passage as one string; the text alone where the title is empty.

    Args:
        passage: The passage.
        separator: Stands between the two. Encoders and BM25 use a blank, as sentence-transformers' models were
            trained; the input of a generator uses ". ", so that the title is a sentence of its own.
    """
    return f"{passage.title}{separator}{passage.text}" if passage.title else passage.text


@dataclass(frozen=True, slots=True)
class Example:
    """One query of a task.

    `entity` is the cluster that statistics resample ("" = the example is its own cluster); `tags` names the
    slices it belongs to, e.g. {"family": "definition", "relation": "capital"}; `gold_titles` are the articles that
    hold the evidence, where a task names articles (FEVER, KILT); `targets` are the outputs of training, where they are
    not the answers (CuratedTREC's answers are regular expressions; empty = the answers).
    """

    example_id: str
    query: str
    answers: tuple[str, ...]
    gold_passage_ids: tuple[str, ...] = ()
    entity: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)
    gold_titles: tuple[str, ...] = ()
    targets: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Ranking:
    """The passages a retriever returned for one query, best first; rows are positions in the corpus, never -1."""

    example_id: str
    rows: tuple[int, ...]
    scores: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Hypothesis:
    """A decoded string.

    `log_prob` is the true log p(y|x). `passage_log_probs` are the log p(y|x,z) of the k passages in the order of the
    ranking; None where Fast decoding did not score it and takes p(y|x,z) as 0; empty under RAG-Token, where no passage
    stands behind a whole output.
    """

    text: str
    log_prob: float
    token_ids: tuple[int, ...] = ()
    passage_log_probs: tuple[float | None, ...] = ()


@dataclass(frozen=True, slots=True)
class Prediction:
    """The answer to one query: metrics see `text` (surface realised), `raw_text` is the decoder's output."""

    example_id: str
    text: str
    raw_text: str
    log_prob: float
    hypotheses: tuple[Hypothesis, ...] = ()


@dataclass(frozen=True, slots=True)
class Score:
    """The values of every metric on one example; `statistics` are its contribution to corpus-level metrics."""

    example_id: str
    entity: str
    values: Mapping[str, float]
    tags: Mapping[str, str] = field(default_factory=dict)
    statistics: Mapping[str, Sequence[Any]] = field(default_factory=dict)


def to_json(record: Any) -> str:
    """One record as one line of JSON (UTF-8, no newline)."""
    return json.dumps(dataclasses.asdict(record), ensure_ascii=False)


def write_jsonl(path: Path, records: Iterable[Any]) -> int:
    """Write records, one a line, whole or not at all; returns how many."""
    return write_lines(path, map(to_json, records))


def read_jsonl(path: Path, cls: type[R]) -> Iterator[R]:
    """Read records of one class back.

    Raises:
        DataError: a line that is not UTF-8 or not JSON, or whose fields are not the record's.
    """
    hints = {f.name: f for f in dataclasses.fields(cls)}  # type: ignore[arg-type]
    with path.open("rb") as handle:
        for row, encoded in enumerate(handle, 1):
            line = decode_line(path, row, encoded)
            raw = read_value(path, row, line)
            if not isinstance(raw, dict) or not set(raw) <= set(hints):
                raise DataError(path, f"is not a {cls.__name__}", row=row, value=line.strip())
            try:
                yield _from_dict(cls, raw)
            except (TypeError, AttributeError) as error:
                raise DataError(path, f"is not a {cls.__name__}: {error}", row=row, value=line.strip()) from error


def _from_dict(cls: type[R], raw: Mapping[str, Any]) -> R:
    """JSON lists become tuples; hypotheses become records."""
    values = {name: tuple(value) if isinstance(value, list) else value for name, value in raw.items()}
    if "hypotheses" in values:
        values["hypotheses"] = tuple(_from_dict(Hypothesis, item) for item in values["hypotheses"])
    return cls(**values)


def by_id(records: Iterable[E]) -> dict[str, E]:
    """Id of the example -> the record; of two with one id the last."""
    return {record.example_id: record for record in records}


def read_checked(path: Path, cls: type[R]) -> list[R]:
    """The records of a file that anybody may have written, each field checked for its type.

    Raises:
        DataError: missing or empty, or a line that is no such record.
    """
    if not path.is_file():
        raise DataError(path, "does not exist")
    found = list(read_jsonl(path, cls))
    for row, record in enumerate(found, 1):
        if not fits(record, cls):
            raise DataError(path, f"is not a {cls.__name__}: a field has the wrong type", row=row)
    if not found:
        raise DataError(path, "is empty")
    return found


def fits(value: Any, hint: Any) -> bool:
    """Whether a value has the type of a field of a record; numbers must be finite.

    >>> fits(("a",), tuple[str, ...]), fits(True, int), fits(float("nan"), float), fits({"a": 1}, Mapping[str, float])
    (True, False, False, True)
    """
    origin, args = get_origin(hint), get_args(hint)
    if origin is None:
        return _fits_plain(value, hint)
    if origin in (Union, UnionType):
        return any(fits(value, arg) for arg in args)
    if origin is tuple:
        return isinstance(value, tuple) and all(fits(one, args[0]) for one in value)
    if issubclass(origin, Mapping):
        return isinstance(value, dict) and all(fits(one, args[1]) for one in value.values())
    return isinstance(value, (list, tuple)) and all(fits(one, args[0]) for one in value)


def _fits_plain(value: Any, hint: Any) -> bool:
    if hint in (int, float):
        kinds = (int,) if hint is int else (int, float)
        return isinstance(value, kinds) and not isinstance(value, bool) and -1e300 < value < 1e300
    if dataclasses.is_dataclass(hint):
        return isinstance(value, hint) and all(fits(getattr(value, name), one) for name, one in _hints(hint).items())  # type: ignore[arg-type]
    if hint is NoneType or hint is Any:
        return hint is Any or value is None
    return isinstance(value, hint)


@lru_cache
def _hints(cls: Any) -> dict[str, Any]:
    return get_type_hints(cls)
