"""Task data `mini-fever3` and `mini-fever2`: claims about countries that their profiles support, refute or leave open.

Nothing in a claim tells its label. Every value is claimed once of its own country, once of another whose value
differs and, in fever3, once of a country whose profile has no such field; the three share one phrasing, so that
relations, templates and values are as often in one label as in any other. Which facts are used is a circulation
(`balance.py`): every country has as many facts that are told as facts that are not.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from rag_lightning.core.records import Example, Passage
from rag_lightning.core.seeds import generator
from rag_lightning.mini.ask import UNSEEN_SHARE
from rag_lightning.mini.assign import Assignment
from rag_lightning.mini.balance import balanced, capped, deranged
from rag_lightning.mini.claims import (
    NAMED,
    Telling,
    claim_forms,
    claimable,
    country_in_claims,
    gather_tellings,
    gather_untold,
)
from rag_lightning.mini.data import SPLITS, MiniData
from rag_lightning.mini.deal import Plan, finish
from rag_lightning.mini.nq import gather_facts
from rag_lightning.mini.split import MAX_RELATION_SHARE
from rag_lightning.mini.world import World, read_world

LABELS = ("supports", "refutes", "not enough info")
SIZES = {"train": 9000, "dev": 450, "test": 900}


def build_fever3(passages: Sequence[Passage], wiki_json: Path, factbook_dir: Path, seed: int = 0) -> MiniData:
    """Claims with three labels.

    Args:
        passages: The corpus that `mini.corpus.build_passages` makes of the same files.
        wiki_json: `summaries_en-us.json` of the wiki asset.
        factbook_dir: The folder that holds the factbook asset's region folders.
        seed: Decides split, pairing, phrasing and order.

    Raises:
        DataError: a file that is missing or not what it should be.
    """
    return _build(read_world(passages, wiki_json, factbook_dir), seed, LABELS, "fever3")


def build_fever2(passages: Sequence[Passage], wiki_json: Path, factbook_dir: Path, seed: int = 0) -> MiniData:
    """Claims with two labels: those of `build_fever3` without "not enough info", as the paper makes FEVER2 of FEVER3.

    Raises:
        DataError: a file that is missing or not what it should be.
    """
    return _build(read_world(passages, wiki_json, factbook_dir), seed, LABELS[:2], "fever2")


@dataclass(frozen=True)
class _Matter:
    """What claims are made from, in one split."""

    tellings: Mapping[tuple[str, str], Telling]
    untold: Sequence[tuple[str, str]]
    names: Mapping[str, str]


def _build(world: World, seed: int, labels: Sequence[str], task: str) -> MiniData:
    dropped: Counter[str] = Counter()
    facts = gather_facts(world, Counter())
    split_of = Assignment(facts, seed).split
    tellings = {(told.country, told.relation): told for told in gather_tellings(world, facts, dropped)}
    untold = list(gather_untold(world))
    names = {profile.name: country_in_claims(profile) for profile in claimable(world)}
    splits = {}
    for split in SPLITS:
        here = {key: told for key, told in tellings.items() if split_of(key[0]) == split}
        matter = _Matter(here, [pair for pair in untold if split_of(pair[0]) == split], names)
        rng = generator(seed, f"mini-{task}/{split}")
        made = list(_claims(matter, split, labels, rng, dropped))
        splits[split] = [made[index] for index in rng.permutation(len(made))]
    return finish(splits, Plan(task, SIZES), dropped)


def _claims(
    matter: _Matter, split: str, labels: Sequence[str], rng: np.random.Generator, dropped: Counter[str]
) -> Iterator[Example]:
    """The claims of one split, one of every label for each value."""
    groups = SIZES[split] // len(labels)
    told = capped(matter.tellings, int(MAX_RELATION_SHARE * groups), rng)
    chosen: dict[str, list[tuple[Telling, str]]] = {}
    if len(labels) == 2:
        pairs = [(country, relation) for country, relations in told.items() for relation in relations]
        steps = [(*pairs[index], "") for index in rng.permutation(len(pairs))[:groups]]
    else:
        steps = balanced(told, capped(matter.untold, len(matter.untold), rng), groups, rng)[:groups]
    for country, relation, other in steps:
        chosen.setdefault(relation, []).append((matter.tellings[country, relation], other))
    for found in chosen.values():
        kept, mixed = refutable(found, rng)
        dropped[f"{split}: values of a relation that are too alike to be refuted"] += len(found) - len(kept)
        for (telling, open_country), refuted in zip(kept, mixed, strict=True):
            subjects = (telling.country, refuted.country, open_country)
            yield from _group(telling, refuted, subjects, split, labels, matter.names, rng)


def refutable(
    found: Sequence[tuple[Telling, str]], rng: np.random.Generator
) -> tuple[list[tuple[Telling, str]], list[Telling]]:
    """The tellings that can be paired, and for each the one its value is false of; the commonest value gives way."""
    kept = list(found)
    while kept:
        tellings = [telling for telling, _ in kept]
        mixed = deranged(tellings, Telling.differs, rng)
        if mixed is not None:
            return kept, mixed
        alike = [sum(not one.differs(other) for other in tellings) for one in tellings]
        kept.pop(alike.index(max(alike)))
    return [], []


def _group(
    telling: Telling,
    refuted: Telling,
    subjects: Sequence[str],
    split: str,
    labels: Sequence[str],
    names: Mapping[str, str],
    rng: np.random.Generator,
) -> Iterator[Example]:
    """One value claimed of the country it is true of, of one it is false of, and of one that nothing is told of."""
    *seen, unseen = claim_forms(telling.relation)
    new = split == "test" and rng.random() < UNSEEN_SHARE
    form = unseen if new else seen[int(rng.integers(len(seen)))]
    evidence = (telling.gold, refuted.gold, ())
    for label, country, gold in zip(labels, subjects, evidence, strict=False):
        text = form.format(x=names[country], v=telling.value)
        name = "/".join((split, telling.relation, "_".join(telling.country.split()), label.replace(" ", "_")))
        tags = {
            "family": "name" if telling.relation in NAMED else "number",
            "relation": telling.relation,
            "phrasing": "unseen" if new else "seen",
        }
        titles = (country,) if gold else ()
        yield Example(name, f"{text[0].upper()}{text[1:]}.", (label,), gold, country, tags, titles)
