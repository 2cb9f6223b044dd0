"""Names of countries in texts, so that questions about some countries can be kept out of training (`task.without`)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence

from rag_lightning.core.records import Example, Passage
from rag_lightning.corpus.store import PassageStore
from rag_lightning.metrics.answers import has_answer
from rag_lightning.mini.splits import ALIASES, entity_key
from rag_lightning.mini.text import COUNTRY_FORMS, fold

CHOSEN_ON = ("train", "dev")
"""Splits that a model is trained or chosen on."""

PRONOUN = "US"
"""A form that cannot be told from a word where case does not count."""


def country_key(name: str) -> str:
    """One key for the names that editions and sources give a country."""
    return fold(entity_key(name))


class CountryNames:
    """The names of some countries, found as whole words, without regard to case and accents.

    Args:
        countries: Names of the countries.
    """

    def __init__(self, countries: Collection[str]) -> None:
        forms = {form for name in countries for form in (name, ALIASES.get(name, name), *COUNTRY_FORMS.get(name, ()))}
        forms |= {name for name, other in ALIASES.items() if other in countries}
        forms |= {name for name, others in COUNTRY_FORMS.items() if {*others} & {*countries}}
        self._forms = tuple(sorted(fold(form) for form in forms - {PRONOUN}))

    def in_text(self, *texts: str) -> bool:
        """Whether one of the texts names one of the countries."""
        return bool(self._forms) and has_answer(self._forms, fold("\n".join(texts)))

    def in_passage(self, passage: Passage) -> bool:
        """Whether title or text of a passage names one of the countries."""
        return self.in_text(passage.title, passage.text)


def without_countries(
    splits: Mapping[str, Sequence[Example]], store: PassageStore, countries: Collection[str]
) -> tuple[dict[str, list[Example]], dict[str, int]]:
    """Leave out of train and dev every example that is about one of the countries, and count them.

    An example is, where its question, entity, an answer, a gold article or its first gold passage names one.

    Args:
        splits: Split -> examples.
        store: The corpus.
        countries: Names of the countries.
    """
    names, dropped = CountryNames(countries), Counter[str]()
    kept: dict[str, list[Example]] = {}
    for split, examples in splits.items():
        kept[split] = list(examples)
        if split in CHOSEN_ON:
            kept[split] = [example for example in examples if not _about(example, store, names)]
            dropped[f"{split}: dropped for a country of task.without"] += len(examples) - len(kept[split])
    return kept, dict(dropped)


def _about(example: Example, store: PassageStore, names: CountryNames) -> bool:
    if names.in_text(example.query, example.entity, *example.answers, *example.targets, *example.gold_titles):
        return True
    return any(names.in_passage(store[store.row(gold)]) for gold in example.gold_passage_ids[:1])
