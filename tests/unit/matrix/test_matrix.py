"""The matrix: files and cells hold together, cells are experiments that can run, mistakes are named."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from rag_lightning.config.experiment import ExperimentConfig
from rag_lightning.config.fields import to_dict
from rag_lightning.config.generator import check_generator
from rag_lightning.config.loading import load_experiment
from rag_lightning.config.retrieval import check_retriever
from rag_lightning.core.errors import ConfigError, DataError, RagLightningError, UnknownNameError
from rag_lightning.decoding.strategy import strategies_of
from rag_lightning.matrix.cells import Job, make_job
from rag_lightning.matrix.matrix import BASE, Cell, Matrix, load_matrix, select
from rag_lightning.report.paper import paper_system
from rag_lightning.runs.evaluate import folder_of
from rag_lightning.runs.folders import EXPERIMENTS
from rag_lightning.runs.identity import by_reuse, reuse_key
from rag_lightning.runs.system import label_of
from rag_lightning.stages import classes

FOLDER = Path(__file__).parents[3] / "experiments"
TABLES = ("matrix", "claims", "index_bench")
TRAINING = ("biencoder", "retriever_warmup", "reader", "train", "generator", "encoder", "formulation", "retriever")
Experiments = dict[str, ExperimentConfig]


@pytest.fixture(scope="module")
def matrix() -> Matrix:
    return load_matrix(FOLDER / "matrix.yaml")


@pytest.fixture(scope="module")
def cells(matrix: Matrix) -> dict[str, Cell]:
    return {cell.name: cell for scale in matrix.scales for cell in matrix.cells(scale)}


@pytest.fixture(scope="module")
def experiments(cells: dict[str, Cell]) -> Experiments:
    """Of every cell that can run, with seed 3."""
    return {name: cell.experiment(seed=3) for name, cell in cells.items() if not cell.skip}


def write(folder: Path, matrix: Mapping[str, Any], **files: Mapping[str, Any]) -> Path:
    for name, values in {"matrix": matrix, **files}.items():
        (folder / f"{name}.yaml").write_text(yaml.safe_dump(dict(values), sort_keys=False))
    return folder / "matrix.yaml"


def small(**changes: Any) -> dict[str, Any]:
    """A matrix of one task and two systems."""
    systems = {BASE: {"row": "RAG"}, "other": {"row": "RAG, other", "values": {"train": {"k": 2}}}}
    scales = {"mini": {}}
    raw = {
        "seeds": [0, 1],
        "questions_seed": 0,
        "reader_seed": 0,
        "tasks": ["nq"],
        "systems": systems,
        "scales": scales,
        "decoding": {},
    }
    return raw | changes


# --- the files of the project ----------------------------------------------------------


def test_every_file_stands_in_the_matrix_or_is_named_as_extra(matrix: Matrix, cells: dict[str, Cell]) -> None:
    files = {path.stem for path in FOLDER.glob("*.yaml")} - set(TABLES)
    assert files == set(matrix.files)
    assert not set(matrix.extra) & set(cells)
    assert files - set(matrix.extra) <= set(cells)
    assert set(matrix.extra) <= files
    assert all(reason for reason in matrix.extra.values())


def test_every_cell_names_a_file_or_an_expansion_of_one(matrix: Matrix, cells: dict[str, Cell]) -> None:
    for name, cell in cells.items():
        file = cell.source.partition(" and ")[0]
        if name in matrix.files:
            assert cell.source == str(FOLDER / f"{name}.yaml")
        elif not cell.skip:
            assert file == str(FOLDER / f"{cell.task}_{BASE}.yaml") and Path(file).is_file()
        assert cell.skip or cell.values


def test_every_cell_that_can_run_is_an_experiment_of_its_task(cells: dict[str, Cell], experiments: Experiments) -> None:
    assert len(experiments) > 100
    for name, config in experiments.items():
        cell = cells[name]
        assert (config.name, config.seed, config.task.name, config.task.seed) == (cell.name, 3, cell.task, 0)
        assert config.reader.seed == 0
        own = cell.scale == "nq-subset"
        assert config.scale == ("mini" if own else cell.scale)
        assert ("mini-" in config.task.dataset) == (cell.scale != "paper" and not own)
        classes.check(config)
        assert config.decoding.strategy in strategies_of(config.formulation)
        assert (config.formulation == "closed_book") == (config.retriever.kind == "none")
        assert config.decoding.k <= config.retriever.k_max
        check_retriever(config.retriever, config.formulation)
        check_generator(config.generator, config.formulation)


def test_a_file_trains_as_the_matrix_would_without_it(matrix: Matrix) -> None:
    bare = replace(matrix)
    bare.__dict__["files"] = {f"{task}_{BASE}": matrix.files[f"{task}_{BASE}"] for task in matrix.tasks}
    expanded = {cell.name: cell for scale in matrix.scales for cell in bare.cells(scale)}
    for name in set(matrix.files) & set(expanded):
        config, other = load_experiment(FOLDER / f"{name}.yaml", {}), expanded[name].experiment(0)
        config = replace(config, reader=replace(config.reader, seed=matrix.reader_seed))  # as its cell has it
        for section in TRAINING:
            assert getattr(config, section) == getattr(other, section), f"{name}: {section}"


def test_frozen_differs_from_the_full_model_in_nothing_else(cells: dict[str, Cell]) -> None:
    full, frozen = (cells[f"fever3_{name}"].experiment(0) for name in ("rag_token", "rag_token_frozen"))
    assert replace(full, name=frozen.name, retriever=replace(full.retriever, train=False)) == frozen
    assert full.retriever.train and full.train.retriever_lr > 0


def test_rows_of_the_paper_are_called_as_the_paper_does(cells: dict[str, Cell], experiments: Experiments) -> None:
    for name, config in experiments.items():
        if (cell := cells[name]).scale == "paper":
            continue
        found = paper_system(to_dict(config))
        asked = cell.row.partition(" (")[0]
        if "Table" in cell.row and cell.system != "closed_book":
            assert found == asked, name
        elif "no row" in cell.row and "as_it_came" not in name:
            assert found not in ("RAG-Token", "RAG-Sequence", "RAG-Token-BM25", "RAG-Sequence-BM25"), name


def test_the_paper_decodes_with_its_own_k(cells: dict[str, Cell]) -> None:
    k = {name: cells[f"{name}_paper"].experiment(0).decoding.k for name in ("nq_rag_token", "nq_rag_sequence")}
    assert k == {"nq_rag_token": 15, "nq_rag_sequence": 50}
    assert cells["msmarco_rag_sequence_paper"].experiment(0).decoding.num_beams == 4


def test_what_cannot_run_says_why(cells: dict[str, Cell]) -> None:
    assert "no gold passages" in cells["nq_rag_token_oracle_paper"].skip
    assert "CuratedTREC" in cells["curatedtrec_rag_token_paper"].skip


# --- order ----------------------------------------------------------------------------


def test_experiments_that_share_come_after_each_other(cells: dict[str, Cell]) -> None:
    assert len(cells) > 200
    names = ["nq_rag_sequence", "fever3_rag_sequence", "nq_closed_book", "nq_rag_sequence_bm25", "fever3_closed_book"]
    jobs = [(name, seed) for seed in (0, 1) for name in names]
    ordered = by_reuse(jobs, lambda job: cells[job[0]].experiment(job[1]))
    assert sorted(ordered) == sorted(jobs)
    assert ordered == [
        ("nq_rag_sequence", 0),
        ("nq_rag_sequence_bm25", 0),
        ("nq_closed_book", 0),
        ("nq_rag_sequence", 1),
        ("nq_rag_sequence_bm25", 1),
        ("nq_closed_book", 1),
        ("fever3_rag_sequence", 0),
        ("fever3_closed_book", 0),
        ("fever3_rag_sequence", 1),
        ("fever3_closed_book", 1),
    ], "closed book shares the questions of its task, and the vectors behind its reader's distractors"


def test_what_changes_only_decoding_shares_everything() -> None:
    config = ExperimentConfig(formulation="rag_token")
    assert reuse_key(config) == reuse_key(replace(config, decoding=replace(config.decoding, k=1)))
    other = replace(config, seed=1)
    assert reuse_key(config)[0] == reuse_key(other)[0] and reuse_key(config)[1] != reuse_key(other)[1]
    same_questions = [replace(made, task=replace(made.task, seed=0)) for made in (config, other)]
    first, second = map(reuse_key, same_questions)
    assert first[:3] == second[:3] and first[3] != second[3]


def place(job: Job) -> Path:
    return folder_of(job.system, EXPERIMENTS, "dev")


def test_run_folders_are_unique_to_cell_seed_and_passages(cells: dict[str, Cell]) -> None:
    cell = cells["nq_rag_sequence"]
    folders = {place(make_job(cell, seed, "here", "", k)) for seed in (0, 1) for k in (0, 1)}
    assert len(folders) == 4
    assert place(make_job(cell, 0, "here", "", 5)) == place(make_job(cell, 0, "here", ""))
    assert all(folder.parent == Path("here/runs/experiments") for folder in folders)


# --- names and mistakes -----------------------------------------------------------------


def test_cells_are_selected_by_name_and_pattern(cells: dict[str, Cell]) -> None:
    listed = list(cells.values())
    assert [cell.name for cell in select(listed, ["nq_closed_book"])] == ["nq_closed_book"]
    assert len(select(listed, ["fever?_closed_book"])) == 2
    assert select(listed, []) == listed
    with pytest.raises(UnknownNameError, match="did you mean 'nq_closed_book'"):
        select(listed, ["nq_closedbook"])


def test_a_small_matrix_expands(tmp_path: Path) -> None:
    path = write(tmp_path, small(), nq_rag_sequence={"name": "nq_rag_sequence", "train": {"k": 1, "steps": 9}})
    made = {cell.name: cell for cell in load_matrix(path).cells("mini")}
    assert list(made) == ["nq_rag_sequence", "nq_other"]
    config = made["nq_other"].experiment(5)
    assert (config.name, config.seed, config.train.k, config.train.steps) == ("nq_other", 5, 2, 9)


def test_a_system_can_belong_to_a_scale(tmp_path: Path) -> None:
    systems = {BASE: {"row": "RAG"}, "other": {"row": "RAG, other", "scales": ["long"]}}
    raw = small(systems=systems, scales={"mini": {}, "long": {"suffix": "_long"}})
    found = load_matrix(write(tmp_path, raw, nq_rag_sequence={"name": "nq_rag_sequence"}))
    named = {scale: [cell.name for cell in found.cells(scale)] for scale in found.scales}
    assert named == {"mini": ["nq_rag_sequence"], "long": ["nq_rag_sequence_long", "nq_other_long"]}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"tasks": ["nqq"]}, "unknown task of .*matrix.yaml 'nqq': did you mean 'nq'"),
        ({"tasks": ["jeopardy"]}, "needs jeopardy_rag_sequence.yaml"),
        ({"seed": [0]}, "unknown key of .* 'seed': did you mean 'seeds'"),
        ({"seeds": 0}, "'seeds': must be a list"),
        ({"seeds": []}, "'seeds': must name at least one, each once"),
        ({"tasks": ["nq", "nq"]}, "'tasks': must name at least one, each once"),
        ({"systems": {}}, "'systems': must name at least one"),
        ({"systems": {"../x": {"row": "x"}}}, "'systems': must be 1 to 80 letters"),
        ({"path": "x"}, "'path': is not a key of a matrix"),
        ({"decoding": {"mini": {"qaa": {}}}}, "unknown kind of task in decoding .*did you mean 'qa'"),
        (
            {"decoding": {"mini": {"qa": {"rag_tokn": {}}}}},
            "unknown formulation in decoding .*did you mean 'rag_token'",
        ),
        ({"seeds": ["a"]}, r"'seeds\[0\]': must be int .*'a'"),
        ({"systems": {BASE: {}}}, "'systems.rag_sequence.row': is missing"),
        ({"systems": {BASE: "x"}}, "'systems.rag_sequence': must be a mapping"),
        ({"skips": [{"reason": "x", "system": "othr"}]}, "unknown system in skips .*'othr': did you mean 'other'"),
        ({"systems": {BASE: {"row": "x", "scales": ["minni"]}}}, "unknown scale of a system .*did you mean 'mini'"),
        ({"extra": {"gone": "x"}}, "unknown extra of .*'gone'"),
        ({"decoding": {"minni": {}}}, "unknown scale in decoding .*'minni': did you mean 'mini'"),
    ],
)
def test_a_bad_matrix_is_named(changes: dict[str, Any], said: str, tmp_path: Path) -> None:
    path = write(tmp_path, small(**changes), nq_rag_sequence={"name": "nq_rag_sequence"})
    with pytest.raises(RagLightningError, match=said):
        load_matrix(path)


@pytest.mark.parametrize(
    ("other", "said"),
    [
        ({"task": "nq"}, "'task': must be a mapping"),
        ({"reader": 5}, "'reader': must be a mapping"),
        ({"task": {"name": "fever3"}}, "is not nq rag_token, as its name says"),
        ({"formulation": "closed_book"}, "is not nq rag_token, as its name says"),
    ],
)
def test_a_file_that_is_not_its_cell_is_named(other: dict[str, Any], said: str, tmp_path: Path) -> None:
    systems = {BASE: {"row": "RAG"}, "rag_token": {"row": "RAG", "formulation": "rag_token"}}
    files = {"nq_rag_sequence": {"name": "nq_rag_sequence"}, "nq_rag_token": {"name": "nq_rag_token"} | other}
    path = write(tmp_path, small(systems=systems), **files)
    with pytest.raises(DataError, match=said):
        load_matrix(path).cells("mini")


def test_a_cell_with_an_unknown_key_is_named(tmp_path: Path) -> None:
    systems = {BASE: {"row": "RAG"}, "bad": {"row": "x", "values": {"index": {"knd": "flat"}}}}
    path = write(tmp_path, small(systems=systems), nq_rag_sequence={"name": "nq_rag_sequence"})
    with pytest.raises(ConfigError, match=r"cell nq_bad: .*knd"):
        load_matrix(path).cells("mini")[1].experiment(0)


@pytest.mark.parametrize(
    ("text", "said"), [("a: [", "is not YAML"), ("", "must be a mapping"), (None, "does not exist")]
)
def test_a_file_that_is_none_is_named(text: str | None, said: str, tmp_path: Path) -> None:
    path = tmp_path / "matrix.yaml"
    if text is not None:
        path.write_text(text)
    with pytest.raises(RagLightningError, match=said):
        load_matrix(path)


def test_the_point_of_an_experiment_is_that_of_a_sweep(cells: dict[str, Cell]) -> None:
    assert label_of(cells["nq_closed_book"].experiment(0)) == "Closed book · greedy"
    bm25 = label_of(cells["nq_rag_sequence_bm25"].experiment(0))
    assert bm25 == "RAG-Sequence · bm25 · k=5 · thorough"
