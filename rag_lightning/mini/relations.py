"""The relations of the mini data: the records of `relations.yaml`, read once and checked."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, replace
from functools import cache
from pathlib import Path
from string import Formatter
from typing import Any, Literal

from rag_lightning.config.yaml_files import build, read_yaml
from rag_lightning.core.errors import DataError
from rag_lightning.core.registry import check_name
from rag_lightning.mini.leads import LEAD_READERS
from rag_lightning.mini.lists import LISTS, one_number, verb_of
from rag_lightning.mini.offices import Answer
from rag_lightning.mini.readers import READERS
from rag_lightning.mini.sources import Path3, Profile

RECORDS = Path(__file__).with_name("relations.yaml")
_X = frozenset({"x"})
_PLACES: Mapping[str, tuple[frozenset[str], frozenset[str]]] = {
    "questions": (_X, frozenset({"office"})),
    "web_questions": (_X, frozenset({"office"})),
    "list_questions": (_X, frozenset()),
    "phrases": (_X, frozenset()),
    "claims": (frozenset({"x", "v"}), frozenset()),
    "bridge": (frozenset({"b", "land"}), frozenset()),
    "second_hop": (_X, frozenset()),
    "clue": (frozenset({"a"}), frozenset()),
    "sentence": (frozenset({"x", "a"}), frozenset({"office", "article"})),
}
"""The places that a text of each field must and may have."""
_OF_ONE_ANSWER = ("web_questions", "bridge", "second_hop", "clue", "sentence", "claims")
_MIN_PHRASINGS = 3


@dataclass(frozen=True)
class Relation:
    """One relation: where its answer stands, what reads it, and how each task speaks of it.

    Args:
        name: The record's key; with `years`, the key and the year.
        field: The field of country profiles, its parts between " > "; empty for a fact of leads.
        reader: The reader of the field's one answer (`readers.READERS`); empty where no question has one answer.
        lead_reader: The reader of leads (`leads.LEAD_READERS`).
        pattern: The regular expression that the reader of leads is given.
        years: The record is one relation a year, {year} in its texts.
        test_only: Asked in test only by nq.
        in_capitals: The source prints the family name in capitals.
        lower_case: The subject is written in lower case inside a sentence: an element.
        as_pattern: curatedtrec asks it, with a pattern for the answer: a year, a day or a number.
        implied_by: What implies the value where a profile lacks the field, so that no claim about it is "not enough
            info": other text of the corpus, a field about a chamber of parliament, or that the country is landlocked.
        questions: nq's and msmarco's questions.
        web_questions: webquestions' questions for the one answer.
        list_reader: The reader of the field's several names (`lists.LISTS`).
        list_questions: webquestions' questions for any of these names.
        wrong_if: (field, pattern): where that field of a profile holds the pattern, the answer is not what is asked.
        phrases: Noun phrases of a quantity, for curatedtrec and claims.
        bridge: How the answer names a country in two-hop questions.
        bridge_test_only: Only test has two-hop questions with this bridge.
        second_hop: The question of two-hop questions about a country that a bridge names.
        clue: What a quiz question says of a country; triviaqa.
        sentence: A sentence that states the fact; msmarco's answer.
        claims: What fever claims, without a full stop; a quantity has claims made from its phrases.
    """

    name: str
    field: str = ""
    reader: str = ""
    lead_reader: str = ""
    pattern: str = ""
    years: tuple[int, ...] = ()
    test_only: bool = False
    in_capitals: bool = False
    lower_case: bool = False
    as_pattern: bool = False
    implied_by: Literal["", "other_text", "chambers", "landlocked"] = ""
    questions: tuple[str, ...] = ()
    web_questions: tuple[str, ...] = ()
    list_reader: str = ""
    list_questions: tuple[str, ...] = ()
    wrong_if: tuple[str, ...] = ()
    phrases: tuple[str, ...] = ()
    bridge: str = ""
    bridge_test_only: bool = False
    second_hop: str = ""
    clue: str = ""
    sentence: str = ""
    claims: tuple[str, ...] = ()

    @property
    def path(self) -> Path3:
        """(section, field) or (section, field, subfield)."""
        return tuple(self.field.split(" > "))

    @property
    def label(self) -> str:
        """The label of the field in a passage: "Government - Capital"."""
        return " - ".join(self.path[:2])

    def read(self, profile: Profile) -> Answer | None:
        """The one answer of a profile, None where it is missing or ambiguous."""
        return READERS[self.reader](profile.get(*self.path), profile)

    def wrong(self, profile: Profile) -> bool:
        """Whether the profile says that the answer is not what is asked for, as a royal anthem is no national one."""
        if not self.wrong_if:
            return False
        field, pattern = self.wrong_if
        return bool(re.search(pattern, profile.get(*field.split(" > "))))

    def names(self, profile: Profile) -> list[str]:
        """The names that a profile lists, [] where it lists none or not plainly."""
        return LISTS[self.list_reader](profile.get(*self.path), profile)

    def quantity(self, profile: Profile) -> str | None:
        """The number of a profile as its passage writes it, None where there is not exactly one."""
        return one_number(profile.get(*self.path))

    @property
    def all_claims(self) -> tuple[str, ...]:
        """Claims with {x} and {v}, the last for test only; () for a relation that is not claimed."""
        if self.claims or not self.phrases:
            return self.claims
        first, second = self.phrases[:2]
        return f"{first} {verb_of(first)} {{v}}", f"{second} {verb_of(second)} {{v}}", f"{{v}} {verb_of(first)} {first}"


@cache
def relations() -> Mapping[str, Relation]:
    """Every relation by name, in the order of the records."""
    return load_relations(RECORDS)


def load_relations(path: Path) -> dict[str, Relation]:
    """Read and check a file of records.

    Raises:
        DataError: not YAML, a record without a source or reader, or a text without a place it needs.
        UnknownNameError: a key or a reader that does not exist; with the nearest.
    """
    raw = read_yaml(path)
    if not isinstance(raw, dict) or not raw:
        raise DataError(path, "holds no relation", value=raw)
    found: dict[str, Relation] = {}
    for name, record in raw.items():
        if not isinstance(record, dict):
            raise DataError(path, "must be a mapping of keys to values", field=str(name), value=record)
        for relation in _by_year(build(Relation, {"name": str(name), **record}, path, str(name))):
            _check(relation, path)
            found[relation.name] = relation
    return found


def _by_year(relation: Relation) -> Iterator[Relation]:
    if not relation.years:
        yield relation
    for year in relation.years:
        texts: dict[str, Any] = {field.name: getattr(relation, field.name) for field in fields(relation)}
        for key, value in texts.items():
            if isinstance(value, str):
                texts[key] = value.replace("{year}", str(year))
            elif isinstance(value, tuple) and key != "years":
                texts[key] = tuple(text.replace("{year}", str(year)) for text in value)
        yield replace(relation, **{**texts, "name": f"{relation.name}_{year}"})


def _check(relation: Relation, path: Path) -> None:
    for field, known in (("reader", READERS), ("list_reader", LISTS), ("lead_reader", LEAD_READERS)):
        if getattr(relation, field):
            check_name(f"{field} of {path}, {relation.name}", getattr(relation, field), known)
    for field, problem in (*_source_problems(relation), *_text_problems(relation)):
        value = getattr(relation, field) or None
        raise DataError(path, problem, field=f"{relation.name}.{field}", value=value)


def _source_problems(relation: Relation) -> Iterator[tuple[str, str]]:
    """(field, problem) of what is read."""
    if bool(relation.field) == bool(relation.lead_reader):
        yield "field", "give either the field of profiles or lead_reader"
    if relation.field and len(relation.path) not in (2, 3):
        yield "field", "must be 'section > field' or 'section > field > subfield'"
    try:
        re.compile(relation.pattern)
    except re.error as error:
        yield "pattern", f"is no regular expression ({error})"
    if relation.wrong_if and len(relation.wrong_if) != 2:
        yield "wrong_if", "must be a field and a pattern"
    if bool(relation.questions) != bool(relation.reader or relation.lead_reader):
        yield "questions", "go with a reader of one answer: give both or neither"
    if bool(relation.list_questions) != bool(relation.list_reader):
        yield "list_questions", "go with list_reader: give both or neither"
    if not (relation.questions or relation.list_questions or relation.phrases):
        yield "questions", "are missing, as are list_questions and phrases: nothing is asked"


def _text_problems(relation: Relation) -> Iterator[tuple[str, str]]:
    """(field, problem) of what is said."""
    for field, (needed, allowed) in _PLACES.items():
        given = getattr(relation, field)
        texts = given if isinstance(given, tuple) else tuple(filter(None, [given]))
        if texts is given and texts and (len(set(texts)) < len(texts) or len(texts) < _MIN_PHRASINGS):
            yield field, f"must be {_MIN_PHRASINGS} different phrasings or more"
        if texts and field in _OF_ONE_ANSWER and not relation.questions:
            yield field, "goes with a reader of one answer, which this relation lacks"
        yield from ((field, f"{text!r} {problem}") for text in texts if (problem := _misplaced(text, needed, allowed)))


def _misplaced(text: str, needed: frozenset[str], allowed: frozenset[str]) -> str:
    """What is wrong with the places of a text, "" if nothing is."""
    try:
        found = {name for _, name, _, _ in Formatter().parse(text) if name is not None}
    except ValueError as error:
        return f"is no template ({error})"
    if missing := needed - found:
        return f"lacks {', '.join(f'{{{name}}}' for name in sorted(missing))}"
    unknown = found - needed - allowed
    return f"has no {', '.join(f'{{{name}}}' for name in sorted(unknown))} to fill in" if unknown else ""
