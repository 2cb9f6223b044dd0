"""Train, dev and test from files without a split: by the title of the gold passages, duplicates removed first.

Gold passages of questions about a paragraph (SQuAD): the passages of that paragraph that hold an answer.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from rag_lightning.core.records import Example, Passage
from rag_lightning.core.seeds import generator
from rag_lightning.metrics.answers import has_answer, tokenize
from rag_lightning.metrics.questions import NearDuplicates

FRACTIONS: Mapping[str, float] = {"train": 0.4, "dev": 0.2, "test": 0.4}


def split_by_title(
    examples: Sequence[Example],
    titles: Sequence[Sequence[str]],
    seed: int,
    fractions: Mapping[str, float] = FRACTIONS,
    train_titles: Collection[str] = (),
) -> dict[str, list[Example]]:
    """Split so that no title is on two sides; examples that share a title, even through others, stay together.

    Args:
        examples: Examples to split; their order is kept within a part.
        titles: The titles of every example's gold passages; the first becomes its entity.
        seed: Seed of the order in which groups are dealt out.
        fractions: Part -> share of the examples; test and dev are filled first and hold at least theirs.
        train_titles: Titles that must not leave train.
    """
    groups = _groups([[_plain(title) for title in names] for names in titles])
    pinned = {_plain(title) for title in train_titles}
    fixed = {i for members, names in groups if names & pinned for i in members}
    free = [members for members, names in groups if not names & pinned]
    part_of = dict.fromkeys(fixed, "train")
    order = [free[i] for i in generator(seed, "split").permutation(len(free))]
    for part in ("test", "dev"):
        taken = 0
        while order and taken < fractions[part] * len(examples):
            members = order.pop()
            part_of.update(dict.fromkeys(members, part))
            taken += len(members)
    parts: dict[str, list[Example]] = {"train": [], "dev": [], "test": []}
    for i, example in enumerate(examples):
        parts[part_of.get(i, "train")].append(replace(example, entity=titles[i][0] if titles[i] else example.entity))
    return parts


def drop_near_duplicates(examples: Sequence[Example]) -> list[Example]:
    """The first of every set of nearly equal questions, in order."""
    seen = NearDuplicates(example.query for example in examples)
    kept = []
    for example in examples:
        if example.query not in seen:
            seen.add(example.query)
            kept.append(example)
    return kept


def drop_like(examples: Sequence[Example], others: Sequence[Example]) -> list[Example]:
    """The examples whose question is not nearly that of one of the others."""
    seen = NearDuplicates(example.query for example in (*examples, *others))
    for other in others:
        seen.add(other.query)
    return [example for example in examples if example.query not in seen]


def _plain(title: str) -> str:
    return " ".join(title.casefold().replace('"', " ").split())


def _groups(names: Sequence[Sequence[str]]) -> list[tuple[list[int], set[str]]]:
    """Positions connected by shared names, with all their names; in the order of their first position."""
    parent: dict[str, str] = {}

    def root(name: str) -> str:
        while parent.setdefault(name, name) != name:
            name = parent[name]
        return name

    keys = [list(own) or [f"\0{i}"] for i, own in enumerate(names)]
    for own in keys:
        for name in own[1:]:
            parent[root(name)] = root(own[0])
    members: dict[str, list[int]] = defaultdict(list)
    titles: dict[str, set[str]] = defaultdict(set)
    for i, own in enumerate(keys):
        members[root(own[0])].append(i)
        titles[root(own[0])].update(own)
    return [(members[key], titles[key]) for key in members]


KEY_WORDS = 5
"""Tokens by which a passage is looked up in the paragraphs; shorter passages are never gold."""


def assign_gold(found: Sequence[tuple[Example, str]], passages: Iterable[Passage]) -> list[Example]:
    """Give gold passage ids to the examples that have a paragraph and no gold ids; the others stay as they are.

    The corpus is read once, in its order; its passages are not kept.

    Args:
        found: Examples and their paragraphs ("" for none).
        passages: The corpus.
    """
    paragraphs = {paragraph for example, paragraph in found if paragraph and not example.gold_passage_ids}
    cut_from = _passages_of(sorted(paragraphs), passages)
    return [_with_gold(example, cut_from.get(paragraph, [])) for example, paragraph in found]


def _with_gold(example: Example, passages: Sequence[Passage]) -> Example:
    if example.gold_passage_ids:
        return example
    gold = (passage.passage_id for passage in passages if has_answer(example.answers, passage.text))
    return replace(example, gold_passage_ids=tuple(gold))


def _passages_of(paragraphs: Sequence[str], passages: Iterable[Passage]) -> dict[str, list[Passage]]:
    """Paragraph -> the passages whose tokens stand in it."""
    joined = {paragraph: _joined(tokenize(paragraph)) for paragraph in paragraphs}
    by_key: dict[tuple[str, ...], set[str]] = defaultdict(set)
    for paragraph in paragraphs:
        for key in _keys(joined[paragraph].split()):
            by_key[key].add(paragraph)
    found: dict[str, list[Passage]] = defaultdict(list)
    for passage in passages if paragraphs else ():
        for paragraph in _holders(passage, by_key, joined):
            found[paragraph].append(passage)
    return found


def _holders(passage: Passage, by_key: dict[tuple[str, ...], set[str]], joined: dict[str, str]) -> Iterator[str]:
    words = tokenize(passage.text)
    title = tokenize(passage.title)
    if words[: len(title)] == title and tuple(words[:KEY_WORDS]) not in by_key:
        words = words[len(title) :]  # DPR writes the title before the first passage of an article
    text = _joined(words)
    return (paragraph for paragraph in sorted(by_key.get(tuple(words[:KEY_WORDS]), ())) if text in joined[paragraph])


def _keys(words: Sequence[str]) -> Iterator[tuple[str, ...]]:
    return (tuple(words[start : start + KEY_WORDS]) for start in range(len(words) - KEY_WORDS + 1))


def _joined(words: Sequence[str]) -> str:
    return f" {' '.join(words)} "
