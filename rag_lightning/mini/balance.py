"""Which facts to claim, so that no country, relation or value is commoner in one label than in another."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TypeVar

import numpy as np

Pairs = Mapping[str, Sequence[str]]
"""Country -> relations."""
T = TypeVar("T")


def balanced(told: Pairs, untold: Pairs, limit: int, rng: np.random.Generator) -> list[tuple[str, str, str]]:
    """Edge-disjoint cycles country -> relation it tells -> country that does not tell it -> …

    Each step is (country that tells, relation, country that does not). As the steps make up cycles, every country
    is as often a first as a third, and so has as many told facts as untold ones.

    Args:
        told: The relations that a country's profile tells.
        untold: Those that it says nothing about; disjoint from the told ones.
        limit: Stop after the cycle that reaches this many steps.
        rng: Decides which cycles are found.
    """
    onward = {country: _shuffled(sorted(relations), rng) for country, relations in sorted(told.items())}
    lacking: dict[str, list[str]] = {}
    for country in sorted(untold):
        for relation in sorted(untold[country]):
            lacking.setdefault(relation, []).append(country)
    lacking = {relation: _shuffled(countries, rng) for relation, countries in lacking.items()}
    steps: list[tuple[str, str, str]] = []
    for start in _shuffled(sorted(onward), rng):
        path: list[tuple[str, str, str]] = []
        here = start
        while len(steps) < limit:
            step = _step(here, onward, lacking)
            if step is None:
                # Nothing leads on from here, so no cycle runs through it: the step that led here is given up.
                if not path:
                    break
                here = path.pop()[0]
                continue
            path.append(step)
            here = step[2]
            closes = next((n for n, (country, _, _) in enumerate(path) if country == here), None)
            if closes is not None:
                steps += path[closes:]
                del path[closes:]
    return steps


def _step(
    country: str, onward: Mapping[str, list[str]], lacking: Mapping[str, list[str]]
) -> tuple[str, str, str] | None:
    relations = onward.get(country, [])
    while relations:
        relation = relations.pop()
        if lacking.get(relation):
            return country, relation, lacking[relation].pop()
    return None


def _shuffled(found: Sequence[str], rng: np.random.Generator) -> list[str]:
    return [found[index] for index in rng.permutation(len(found))]


def deranged(items: Sequence[T], differ: Callable[[T, T], bool], rng: np.random.Generator) -> list[T] | None:
    """The items in an order in which each stands where one that differs from it stood; None where none is found."""
    order = [int(index) for index in rng.permutation(len(items))]
    for place in range(len(items)):
        if differ(items[place], items[order[place]]):
            continue
        swap = next(
            (
                other
                for other in range(len(items))
                if differ(items[place], items[order[other]]) and differ(items[other], items[order[place]])
            ),
            None,
        )
        if swap is None:
            return None
        order[place], order[swap] = order[swap], order[place]
    return [items[index] for index in order]


def spread(pairs: Iterable[tuple[str, str]], most: int, rng: np.random.Generator) -> dict[str, list[str]]:
    """Country -> relations of (country, relation) pairs, with at most `most` countries of a relation."""
    listed = sorted(pairs)
    times: dict[str, int] = {}
    kept: dict[str, list[str]] = {}
    for index in rng.permutation(len(listed)):
        country, relation = listed[index]
        times[relation] = times.get(relation, 0) + 1
        if times[relation] <= most:
            kept.setdefault(country, []).append(relation)
    return kept
