"""Digests of real stages: a field counts for its stages and what is made from them; what it names by its content."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, get_origin

import pytest

from rag_lightning.config.data import TargetsConfig
from rag_lightning.config.experiment import ExperimentConfig
from rag_lightning.config.fields import Leaf
from rag_lightning.config.training import BiencoderConfig
from rag_lightning.core.console import ignore
from rag_lightning.core.errors import ConfigError
from rag_lightning.core.stage import Bound
from rag_lightning.stages import reader, score, train
from rag_lightning.stages.workspace import Workspace
from tests.identity import LEAVES, NAMES, STAGES, path_of, variants
from tests.points import changed
from tests.tiny_project import experiment

PASSAGES = ("encoder.passage_vectors", "encoder.passage_ids")
QUERIES = ("retriever.query_vectors", "retriever.query_ids")
CONTENT = [leaf for leaf in LEAVES if leaf.digest == "by content"]


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
        "biencoder.lr", "retriever_warmup.lr", "index.kind", "decoding.pairs_per_batch", "corpus.limit",
        "corpus.language"]  # fmt: skip


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
        "retriever.reranker": bert_folder,
        **dict.fromkeys((*PASSAGES, *QUERIES), lessons),
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


def with_use_for(config: ExperimentConfig, path: str, file: Path) -> ExperimentConfig:
    """The project with given vectors, or a reranker, if the field is one of theirs."""
    if path == "retriever.reranker":
        return replace(config, retriever=replace(config.retriever, kind="reranked", options={"reranker": str(file)}))
    if path in PASSAGES:
        encoder = replace(config.encoder, passage_vectors=str(file))
        return replace(config, encoder=encoder, biencoder=BiencoderConfig())
    if path in QUERIES:
        options = {"query_vectors": (str(file),)}
        retriever = replace(config.retriever, kind="vectors", trained_with="same", train=False, options=options)
        return replace(config, retriever=retriever)
    return config


@pytest.mark.parametrize("leaf", CONTENT, ids=path_of)
def test_a_field_that_names_something_counts_by_its_content(
    leaf: Leaf, tiny: ExperimentConfig, material: Mapping[str, Path], tmp_path: Path
) -> None:
    source = material[leaf.path]
    one, copy = (placed(source, tmp_path / name) for name in ("one", "copy"))
    altered = placed(source, tmp_path / "altered", altered=True)
    base = with_use_for(tiny, leaf.path, source)
    first, same, other = (changed(base, leaf.path, named(leaf, path)) for path in (one, copy, altered))
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
