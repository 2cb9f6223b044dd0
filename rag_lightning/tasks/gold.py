"""Gold passages of questions that were asked about a paragraph (SQuAD): those cut from it that hold an answer."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from rag_lightning.core.records import Example, Passage
from rag_lightning.metrics.answers import has_answer, tokenize

KEY_WORDS = 5
"""Tokens by which a passage is looked up in the paragraphs; shorter passages are never gold."""


def assign_gold(found: Sequence[tuple[Example, str]], passages: Iterable[Passage]) -> list[Example]:
    """Give gold passage ids to the examples that have a context and no gold ids; the others stay as they are.

    The corpus is read once, in its order; its passages are not kept.

    Args:
        found: Examples and their paragraphs ("" for none).
        passages: The corpus.
    """
    contexts = {context for example, context in found if context and not example.gold_passage_ids}
    cut_from = _passages_of(sorted(contexts), passages)
    return [_with_gold(example, cut_from.get(context, [])) for example, context in found]


def _with_gold(example: Example, passages: Sequence[Passage]) -> Example:
    if example.gold_passage_ids:
        return example
    gold = (passage.passage_id for passage in passages if has_answer(example.answers, passage.text))
    return replace(example, gold_passage_ids=tuple(gold))


def _passages_of(contexts: Sequence[str], passages: Iterable[Passage]) -> dict[str, list[Passage]]:
    """Context -> the passages whose tokens stand in it."""
    joined = {context: _joined(tokenize(context)) for context in contexts}
    by_key: dict[tuple[str, ...], set[str]] = defaultdict(set)
    for context in contexts:
        for key in _keys(joined[context].split()):
            by_key[key].add(context)
    found: dict[str, list[Passage]] = defaultdict(list)
    for passage in passages if contexts else ():
        for context in _holders(passage, by_key, joined):
            found[context].append(passage)
    return found


def _holders(passage: Passage, by_key: dict[tuple[str, ...], set[str]], joined: dict[str, str]) -> Iterator[str]:
    words = tokenize(passage.text)
    title = tokenize(passage.title)
    if words[: len(title)] == title and tuple(words[:KEY_WORDS]) not in by_key:
        words = words[len(title) :]  # DPR writes the title before the first passage of an article
    text = _joined(words)
    return (context for context in sorted(by_key.get(tuple(words[:KEY_WORDS]), ())) if text in joined[context])


def _keys(words: Sequence[str]) -> Iterator[tuple[str, ...]]:
    return (tuple(words[start : start + KEY_WORDS]) for start in range(len(words) - KEY_WORDS + 1))


def _joined(words: Sequence[str]) -> str:
    return f" {' '.join(words)} "
