"""The one rule of identity, for every field there is: it changes the digests of the stages it names, and no others."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from functools import cache
from operator import attrgetter
from pathlib import Path
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin

import pytest

from rag_lightning.config import digesting
from rag_lightning.config.data import TargetsConfig, TaskConfig
from rag_lightning.config.decoding import DecodingConfig
from rag_lightning.config.experiment import ExperimentConfig
from rag_lightning.config.fields import KindSection, Leaf, Section, leaves, sections_of
from rag_lightning.config.registries import DECODINGS, INDEX_KINDS, RETRIEVERS
from rag_lightning.config.retrieval import IndexConfig, RetrieverConfig
from rag_lightning.config.training import BiencoderConfig, TrainConfig
from rag_lightning.core.console import ignore
from rag_lightning.core.errors import ConfigError
from rag_lightning.core.stage import Bound, Stage
from rag_lightning.stages import (
    biencoder,
    bm25,
    bm25_scale,
    corpus,
    embed,
    examples,
    index,
    predict,
    reader,
    retrieve,
    retriever_warmup,
    score,
    targets,
    train,
)
from rag_lightning.stages.workspace import Workspace
from tests.points import changed
from tests.tiny_project import experiment

STAGES: dict[str, Stage[Workspace]] = {
    stage.kind: stage
    for stage in (
        corpus.STAGE, examples.STAGE, bm25.STAGE, bm25_scale.STAGE, targets.STAGE, biencoder.STAGE, embed.STAGE,
        index.STAGE, retriever_warmup.STAGE, reader.STAGE, train.STAGE, retrieve.stage(), predict.STAGE,
    )
}  # fmt: skip
NAMES = [*STAGES, "scores"]
WITHOUT_PASSAGES = {"rankings", "bm25_scale"}
"""Stages that closed book does not have."""
LEAVES = list(leaves(ExperimentConfig))
CONTENT = [leaf for leaf in LEAVES if leaf.digest == "by content"]
NAMED: Mapping[str, Iterable[str]] = {
    "index.kind": INDEX_KINDS, "decoding.strategy": DECODINGS, "retriever.kind": RETRIEVERS,
    "retriever.trained_with": RETRIEVERS,
}  # fmt: skip
"""Names that a field takes."""
path_of = attrgetter("path")
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


def others(leaf: Leaf, value: Any) -> list[Any]:
    """Values of a field's type that it does not have."""
    hint = leaf.hint
    if get_origin(hint) in (Union, UnionType):
        hint = next(one for one in get_args(hint) if one is not type(None))
    if get_origin(hint) is Literal:
        found: list[Any] = list(get_args(hint))
    elif get_origin(hint) is tuple:
        found = [("other",)]
    elif get_origin(hint) is not None:
        found = [{"precision": "bf16-mixed"}]
    elif hint is str:
        found = list(NAMED.get(leaf.path, ["other", "triviaqa"]))
    elif hint is bool:
        found = [True, False]
    else:
        found = [1, 2, 3] if getattr(hint, "_type", hint) is int else [0.5, 0.25, 1e-6]
    return [one for one in found if one != value]


def variants(config: ExperimentConfig, leaf: Leaf) -> Iterator[ExperimentConfig]:
    """The configuration with other values of one field, as far as it is a configuration; none where it has no field."""
    section, _, name = leaf.path.rpartition(".")
    value = digesting.value_of(config, leaf)
    holder = getattr(config, section) if section else config
    if isinstance(holder, KindSection) and holder.is_option(name) and value is None:
        return
    for other in others(leaf, value):
        with suppress(ConfigError):
            yield changed(config, leaf.path, other)


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
    wanted = set(leaf.stages) if leaf.digest == "always" else set()
    for (_, other), stages in zip(pairs, found, strict=True):
        assert stages <= wanted, f"{leaf.path}={digesting.value_of(other, leaf)} changes stages that it does not name"
    assert set().union(*found) == wanted, f"no base shows an effect of {leaf.path} on the stages that it names"


@pytest.mark.parametrize("leaf", LEAVES, ids=path_of)
def test_a_field_names_stages_that_there_are_or_says_why_none(leaf: Leaf) -> None:
    assert set(leaf.stages) <= set(NAMES)
    assert leaf.stages or leaf.digest == "never", f"{leaf.path}: give it stages, or digest='never' and its reason"


# --- real stages ---------------------------------------------------------------------------------


@pytest.fixture
def tiny(tiny_data: Path, bert_folder: Path, tmp_path: Path) -> ExperimentConfig:
    """A project of files, in which every stage is used; nothing of it is built."""
    config = experiment(tmp_path / "project", tiny_data, bert_folder)
    return replace(
        config,
        task=replace(config.task, name="triviaqa", seed=3),
        retriever=replace(config.retriever, trained_with="dense"),
        targets=TargetsConfig(k=5, retriever="dense"),
        biencoder=BiencoderConfig(steps=1),
        reader=replace(config.reader, distractor_retriever="dense"),
        decoding=replace(config.decoding, k=2),
    )


def bound(config: ExperimentConfig) -> dict[str, Bound[Workspace]]:
    workspace = Workspace(config, ignore)
    found = {name: stage.at(workspace) for name, stage in STAGES.items()}
    return found | {"reader": reader.bound(workspace), "scores": score.stage(workspace)}


def digests(config: ExperimentConfig) -> dict[str, str]:
    """Of every stage that can be."""
    found = {}
    for name, stage in bound(config).items():
        with suppress(ConfigError):
            found[name] = stage.digest
    return found


def differing(before: Mapping[str, str], after: Mapping[str, str]) -> set[str]:
    return {name for name in before.keys() & after.keys() if before[name] != after[name]}


SOME = ["train.lr", "train.checkpoint_encoder", "reader.seed", "encoder.max_passage_length", "encoder.tokens_per_batch",
        "bm25.k1", "targets.k", "seed", "split", "name", "decoding.k", "retriever.k_max", "generator.dropout",
        "biencoder.lr", "retriever_warmup.lr", "index.kind", "decoding.pairs_per_batch", "corpus.limit"]  # fmt: skip


@pytest.mark.parametrize("leaf", [leaf for leaf in LEAVES if leaf.path in SOME], ids=path_of)
def test_a_field_changes_its_stages_and_what_is_made_from_them(leaf: Leaf, tiny: ExperimentConfig) -> None:
    before = digests(tiny)
    assert set(before) == set(NAMES)
    downstream = {name for name, stage in bound(tiny).items() if set(leaf.stages) & set(stage.lineage())}
    found = [differing(before, digests(other)) for other in variants(tiny, leaf)]
    union = set().union(*found)
    assert found and union <= downstream
    assert union >= (set() if leaf.digest == "never" else set(leaf.stages))
    assert not Path(tiny.folder).exists(), "a digest needs nothing to be built"


def test_a_projects_folder_is_no_part_of_any_digest(tiny: ExperimentConfig, tmp_path: Path) -> None:
    assert digests(replace(tiny, folder=str(tmp_path / "elsewhere"))) == digests(tiny)


# --- by content ----------------------------------------------------------------------------------


@pytest.fixture
def material(tiny_data: Path, bert_folder: Path, toy_folder: Path, tmp_path: Path) -> dict[str, Path]:
    """Field -> a file or folder that it can name."""
    trained = tmp_path / "trained"
    trained.mkdir()
    (trained / "rag.json").write_text('{"formulation": "rag_token", "score_scale": 20.0}')
    lessons = tmp_path / "lessons.json"
    lessons.write_text("[]")
    return {
        "init_from": trained,
        "task.source": tiny_data,
        "task.train": tiny_data / "train.jsonl",
        "task.dev": tiny_data / "dev.jsonl",
        "task.test": tiny_data / "test.jsonl",
        "task.test2": tiny_data / "test.jsonl",
        "corpus.source": tiny_data / "corpus.jsonl",
        "encoder.model": bert_folder,
        "encoder.passage_model": bert_folder,
        "generator.init": toy_folder,
        "generator.encoder": bert_folder,
        "biencoder.files": lessons,
    }


def placed(source: Path, folder: Path, *, altered: bool = False) -> Path:
    """A copy in a folder; altered by one character more."""
    folder.mkdir()
    target = folder / source.name
    if source.is_dir():
        shutil.copytree(source, target)
        written = sorted(path for path in target.rglob("*.json*") if path.is_file())[0]
    else:
        written = Path(shutil.copy(source, target))
    if altered:
        with written.open("a", encoding="utf-8") as file:
            file.write("\n")
    return target


def named(leaf: Leaf, path: Path) -> Any:
    if get_origin(leaf.hint) is tuple:
        return (str(path),)
    return f"hub:{path}" if leaf.path == "task.source" else str(path)


@pytest.mark.parametrize("leaf", CONTENT, ids=path_of)
def test_a_field_that_names_something_counts_by_its_content(
    leaf: Leaf, tiny: ExperimentConfig, material: Mapping[str, Path], tmp_path: Path
) -> None:
    source = material[leaf.path]
    one, copy = (placed(source, tmp_path / name) for name in ("one", "copy"))
    altered = placed(source, tmp_path / "altered", altered=True)
    first, same, other = (changed(tiny, leaf.path, named(leaf, path)) for path in (one, copy, altered))
    before, after = digests(first), digests(other)
    assert digests(same) == before
    assert differing(before, after) >= set(leaf.stages)
    for name in set(NAMES) - set(leaf.stages):
        stages = [bound(config)[name] for config in (first, other)]
        assert stages[0].recipe.config == stages[1].recipe.config
        assert _from_outside(stages[0]) == _from_outside(stages[1]), (
            f"{leaf.path}: is an input of stage {name}, which it does not name"
        )


def _from_outside(stage: Bound[Workspace]) -> dict[str, str]:
    return {name: given for name, given in stage.inputs.items() if isinstance(given, str)}


def test_a_closed_book_model_has_no_query_encoder_to_start_from(tiny: ExperimentConfig, tmp_path: Path) -> None:
    (tmp_path / "rag.json").write_text('{"formulation": "closed_book"}')
    config = replace(tiny, init_from=str(tmp_path))
    with pytest.raises(ConfigError, match="its formulation is closed_book, the configuration's is rag_token"):
        train.STAGE.digest(Workspace(config, ignore))
