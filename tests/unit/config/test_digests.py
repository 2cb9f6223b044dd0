"""The one rule of identity, for every field there is: it changes the digests of the stages it names, and no others."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from functools import cache
from typing import Any

import pytest

from rag_lightning.config import digesting
from rag_lightning.config.data import CorpusConfig, TaskConfig
from rag_lightning.config.decoding import DecodingConfig
from rag_lightning.config.experiment import ExperimentConfig
from rag_lightning.config.fields import KindSection, Leaf, Section, sections_of
from rag_lightning.config.registries import DECODINGS, INDEX_KINDS, RETRIEVERS
from rag_lightning.config.retrieval import IndexConfig, RetrieverConfig
from rag_lightning.config.training import TrainConfig
from rag_lightning.core.console import ignore
from rag_lightning.core.errors import ConfigError
from rag_lightning.stages import reader
from rag_lightning.stages.workspace import Workspace
from tests.identity import LEAVES, NAMES, path_of, variants

WITHOUT_PASSAGES = {"rankings", "bm25_scale"}
"""Stages that closed book does not have."""
All = Mapping[str, Mapping[str, Any]]


def bases() -> list[ExperimentConfig]:
    """Configurations, so that every field has an effect under one of them; seeds that follow `seed` are given."""
    plain = ExperimentConfig(task=TaskConfig(seed=3), retriever=RetrieverConfig(trained_with="dense"))
    found = [
        replace(plain, retriever=RetrieverConfig(kind, trained_with=kind)) for kind in RETRIEVERS if kind != "none"
    ]
    found += [
        replace(plain, formulation=DECODINGS.get(name).formulations[0], decoding=DecodingConfig(name))
        for name in DECODINGS
    ]
    found += [replace(plain, index=IndexConfig(kind)) for kind in INDEX_KINDS]
    found += [
        replace(plain, generator=replace(plain.generator, **of)) for of in ({"train": "lora"}, {"head": "class_head"})
    ]
    found += [
        plain,
        replace(plain, formulation="closed_book", retriever=RetrieverConfig("none")),
        replace(plain, train=TrainConfig(decay="polynomial", end_lr=1e-5, power=2.0)),
        replace(plain, train=TrainConfig(distractor_loss="spread_first")),
    ]
    return found


def settings(config: ExperimentConfig) -> All:
    """Settings of every stage that the configuration has."""
    closed = config.formulation == "closed_book" or config.retriever.kind == "none"
    found = {}
    for stage in set(NAMES) - (WITHOUT_PASSAGES if closed else set()):
        with suppress(ConfigError):  # no task of that name
            place = reader.reading(Workspace(config, ignore)).config if stage == "reader" else config
            found[stage] = digesting.settings(place, stage)
    return found


@cache
def settings_of_bases() -> list[tuple[ExperimentConfig, All]]:
    return [(base, settings(base)) for base in bases()]


def stages_that_change(before: All, after: All, leaf: Leaf) -> set[str]:
    """A kind brings its own fields; of itself only its name counts."""
    section, _, name = leaf.path.rpartition(".")
    cls = sections_of(ExperimentConfig).get(section, Section)
    kind = issubclass(cls, KindSection) and name == cls.KIND

    def own(values: Mapping[str, Any]) -> dict[str, Any]:
        return {n: v for n, v in values.items() if not kind or n == leaf.path or not n.startswith(f"{section}.")}

    return {stage for stage in before.keys() & after.keys() if own(before[stage]) != own(after[stage])}


@pytest.mark.parametrize("leaf", LEAVES, ids=path_of)
def test_a_field_changes_the_settings_of_the_stages_it_names(leaf: Leaf) -> None:
    pairs = [(before, other) for base, before in settings_of_bases() for other in variants(base, leaf)]
    found = [stages_that_change(before, settings(other), leaf) for before, other in pairs]
    wanted = set(leaf.stages) if leaf.digest in ("always", "unless default") else set()
    for (_, other), stages in zip(pairs, found, strict=True):
        assert stages <= wanted, f"{leaf.path}={digesting.value_of(other, leaf)} changes stages that it does not name"
    assert set().union(*found) == wanted, f"no base shows an effect of {leaf.path} on the stages that it names"


def test_results_of_english_are_those_before_there_were_languages() -> None:
    german = ExperimentConfig(corpus=CorpusConfig(language="german"))
    assert digesting.settings(ExperimentConfig(), "bm25") == {"bm25.k1": 0.9, "bm25.b": 0.4, "bm25.stemmer": "english"}
    assert digesting.settings(german, "bm25") == {
        "bm25.k1": 0.9, "bm25.b": 0.4, "bm25.stemmer": "german", "corpus.language": "german",
    }  # fmt: skip
    assert "corpus.language" not in digesting.settings(ExperimentConfig(), "predictions")


@pytest.mark.parametrize("leaf", LEAVES, ids=path_of)
def test_a_field_names_stages_that_there_are_or_says_why_none(leaf: Leaf) -> None:
    assert set(leaf.stages) <= set(NAMES)
    assert leaf.stages or leaf.digest == "never", f"{leaf.path}: give it stages, or digest='never' and its reason"
