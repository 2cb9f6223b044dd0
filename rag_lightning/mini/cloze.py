"""Cloze questions for the reader's warm-up: a sentence asks for a span that was taken out of it.

Only passages that the caller gives are used; `train_passages` leaves out everything the held-out splits are about.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from rag_lightning.core.records import Example, Passage
from rag_lightning.core.seeds import generator
from rag_lightning.metrics.answers import has_answer
from rag_lightning.mini.splits import entity_key
from rag_lightning.mini.text import MONTHS, as_typed, sentences, strip_parentheses

_DATE = re.compile(rf"\b\d{{1,2}} (?:{MONTHS}) \d{{3,4}}\b|\b(?:{MONTHS}) \d{{1,2}}, \d{{4}}\b")
_YEAR = re.compile(r"(?<=\bin )(?:1[0-9]{3}|20[0-2]\d)\b(?!-)")
_NUMBER = re.compile(r"(?<![\w.-])(?<!c\. )\d[\d,.]*\d(?: (?:million|billion|percent))?(?:%|\b)(?![\w-])")
_NAME = re.compile(r"(?<=[a-z,] )[A-ZÀ-Þ][\w'\u2019-]+(?: (?:(?:of|de|the|van|von|al) )?[A-ZÀ-Þ][\w'\u2019-]+){0,3}")
_PERSON = re.compile(
    r"\b(?:by|president|king|queen|emperor|minister|poet|author|philosopher|general|scientist|director)\s$", re.I
)
_PLACE = re.compile(r"\b(?:in|at|near|from|to|into|across)\s$")
_FIELD = re.compile(r"(?P<label>(?:[A-Z][A-Za-z]+(?: and [A-Z][a-z]+| [A-Z][a-z]+)*) - [^:]{3,60}): ")
_PART = re.compile(r"(?:^|; )(?P<name>[a-z][^:;()]{2,40}): (?P<value>[^;:()]{1,60}?)(?= \(|;|$)")
_FORMS = (
    "what is the {name} of {x} ({field})",
    "{x} {field} {name}",
    "{field} of {x}: {name}",
    "{name} of {x} {field}",
)


class Span(NamedTuple):
    """A piece of a sentence that can be asked for."""

    start: int
    end: int
    wh: str


def train_passages(passages: Sequence[Passage], examples: Mapping[str, Iterable[Example]]) -> list[Passage]:
    """Passages that neither are about an entity of a split other than train nor are gold for one of its questions.

    Args:
        examples: `MiniData.splits`.
    """
    held = [example for split, listed in examples.items() if split != "train" for example in listed]
    entities = {entity_key(example.entity) for example in held}
    gold = {passage_id for example in held for passage_id in example.gold_passage_ids}
    return [p for p in passages if entity_key(p.title) not in entities and p.passage_id not in gold]


def build_cloze(passages_for_train: Sequence[Passage], seed: int, count: int) -> list[Example]:
    """Up to `count` cloze questions in random order, at most one per (passage, answer).

    Passages are visited in random rounds, each giving one question a round, so that few are asked twice before all
    are asked once. The only gold passage is the one the question was made from; its text holds the answer verbatim.
    """
    rng = generator(seed, "mini-nq/cloze")
    made: list[Example] = []
    queues = {row: _candidates(passage, rng) for row, passage in enumerate(passages_for_train)}
    while queues and len(made) < count:
        rows = list(queues)
        for index in rng.permutation(len(rows)):
            row = rows[index]
            example = next(queues[row], None)
            if example is None:
                del queues[row]
            elif len(made) < count:
                made.append(example)
    return made


def _candidates(passage: Passage, rng: np.random.Generator) -> Iterator[Example]:
    """Questions of one passage, in random order."""
    is_profile = bool(_FIELD.match(passage.text))
    found = list(_field_questions(passage, rng) if is_profile else _sentence_questions(passage))
    seen: set[str] = set()
    for index in rng.permutation(len(found)):
        question, answer = found[index]
        if answer.lower() not in seen and has_answer([answer], passage.text):
            seen.add(answer.lower())
            tags = {"family": "cloze", "relation": "field" if is_profile else "sentence"}
            name = f"cloze/{passage.passage_id}/{len(seen)}"
            yield Example(name, as_typed(question), (answer,), (passage.passage_id,), passage.title, tags)


def _sentence_questions(passage: Passage) -> Iterator[tuple[str, str]]:
    title = strip_parentheses(passage.title)
    for sentence in sentences(passage.text):
        words = len(sentence.split())
        if not 6 <= words <= 40:
            continue
        # A sentence that says "it" cannot be asked without its subject.
        named = re.sub(r"^(?:It|He|She|They)\b(?!')", lambda _: title, sentence)  # as it is, also with a backslash
        if title.lower() not in named.lower() and words < 14:
            named = f"{title}: {named}"
        for span in _spans(named):
            answer = named[span.start : span.end]
            rest = named[: span.start] + named[span.end :]
            if answer.lower() not in rest.lower() and answer in passage.text and answer.lower() not in title.lower():
                yield f"{named[: span.start]}{span.wh}{named[span.end :]}", answer


def _spans(sentence: str) -> Iterator[Span]:
    taken: list[tuple[int, int]] = []
    for pattern, wh in ((_DATE, "when"), (_YEAR, "what year"), (_NUMBER, "how many"), (_NAME, "")):
        for match in pattern.finditer(sentence):
            if any(match.start() < end and start < match.end() for start, end in taken):
                continue
            taken.append(match.span())
            yield Span(match.start(), match.end(), wh or _wh(sentence[: match.start()]))


def _wh(before: str) -> str:
    if _PERSON.search(before):
        return "who"
    return "what place" if _PLACE.search(before) else "what"


def _field_questions(passage: Passage, rng: np.random.Generator) -> Iterator[tuple[str, str]]:
    marks = list(_FIELD.finditer(passage.text))
    ends = [mark.start() for mark in marks[1:]] + [len(passage.text)]
    for mark, end in zip(marks, ends, strict=True):
        body = passage.text[mark.end() : end].strip()
        field = mark["label"].split(" - ", 1)[1]
        parts = list(_PART.finditer(body))
        if not parts and 0 < len(body.split()) <= 8:
            value = body.split(";")[0].split(" (")[0].strip()
            if value:
                yield f"{field} of {passage.title}", value
        for part in parts:
            if part["name"] in ("note", "signed, but not ratified", "other", "size unknown"):
                continue
            form = _FORMS[int(rng.integers(len(_FORMS)))]
            value = part["value"].strip()
            if value in passage.text and 0 < len(value.split()) <= 8:
                yield form.format(name=part["name"], x=passage.title, field=field), value
