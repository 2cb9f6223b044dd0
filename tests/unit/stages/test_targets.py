"""What training writes where answers are no targets as they stand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from rag_lightning.config.data import TargetsConfig
from rag_lightning.config.experiment import ExperimentConfig
from rag_lightning.config.registries import TASKS
from rag_lightning.core.errors import ConfigError
from rag_lightning.core.records import Example, Passage, read_jsonl
from rag_lightning.stages import examples, reader, reader_items, retriever_warmup, targets, train
from rag_lightning.stages.targets import Mined, Patterns, Present
from rag_lightning.stages.workspace import Workspace
from rag_lightning.tasks.spec import get_task
from tests.tiny_project import experiment, place, questions, write_data, write_lines

TEXTS = (
    "Rome is old. rome, ROME.",
    "In April 1865 and 14 April 1865",
    "Paris or paris, 14 april 1865",
    "Zürich in 1865",
)
STORE: Any = [Passage(str(i), "t", text) for i, text in enumerate(TEXTS)]
ROWS = (0, 1, 2, 3)
PRESENT = replace(get_task("nq"), name="tiny_present", mine="present")
REGEX = replace(get_task("nq"), name="tiny_regex", metrics=("em_regex",), mine="regex")


def example(*answers: str) -> Example:
    return Example("e", "q", answers)


def test_answers_that_stand_nowhere_are_no_targets() -> None:
    rule = Present(STORE)
    found = rule(example("Milan", "ROME", "1865", "April 1864"), ROWS)
    assert found == Mined("e", ("ROME", "1865"), ("not found", "found", "found", "not found"))
    assert rule(example("Paris"), (0, 1)) == Mined("e", (), ("not found",))
    assert rule(example("Paris"), ()) == Mined("e", (), ("not found",))


@pytest.mark.parametrize(
    ("pattern", "rows", "target", "outcome"),
    [
        (r"rome|paris", ROWS, ("Rome",), "matched"),  # three times, the first spelling
        (r"(14 )?April 1865", ROWS, ("14 April 1865",), "matched"),
        (r"(14 )?April 1865", (1,), ("April 1865",), "matched"),  # once each: the first
        (r"zürich", ROWS, ("Zürich",), "matched"),  # composed again
        (r"Mil(an|ano)", ROWS, ("Milan", "Milano"), "expanded"),
        (r"Milan", (), ("Milan",), "expanded"),
        (r"x*", ROWS, ("x",), "expanded"),  # matches nothing but the empty string
        (r"\d{9}", ROWS, (), "of no use"),
        (r"(", ROWS, (), "of no use"),
    ],
)
def test_the_string_a_pattern_matches_most_often_is_the_target(
    pattern: str, rows: tuple[int, ...], target: tuple[str, ...], outcome: str
) -> None:
    assert Patterns(STORE)(example(pattern), rows) == Mined("e", target, (outcome,))


def test_several_patterns_give_several_targets_and_faulty_ones_are_named() -> None:
    rule = Patterns(STORE)
    found = rule(example("rome", "(", "paris|rome", "["), ROWS)
    assert found == Mined("e", ("Rome",), ("matched", "of no use", "matched", "of no use"))
    assert [fault.pattern for fault in rule.faults] == ["(", "["]
    assert all("does not compile" in fault.reason for fault in rule.faults)


@pytest.fixture
def known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(TASKS._targets, "tiny_present", "tests.unit.stages.test_targets:PRESENT")
    monkeypatch.setitem(TASKS._targets, "tiny_regex", "tests.unit.stages.test_targets:REGEX")


def project(root: Path, bert: Path, task: str, answers: dict[int, list[str]], **settings: Any) -> ExperimentConfig:
    """The tiny project with other answers for some of its train questions."""
    write_data(root / "data")
    rows = questions("train")
    for i, listed in answers.items():
        rows[i]["answers"] = listed
    write_lines(root / "data" / "train.jsonl", rows)
    base = experiment(root, root / "data", bert)
    return replace(base, task=replace(base.task, name=task), targets=TargetsConfig(**settings))


def announced(config: ExperimentConfig) -> tuple[Workspace, list[str]]:
    said: list[str] = []
    return Workspace(config, said.append, said.append), said


@pytest.mark.usefixtures("known")
@pytest.mark.parametrize("retriever", ["bm25", "dense"])
def test_questions_without_a_target_are_counted_and_not_trained_on(
    tmp_path: Path, bert_folder: Path, retriever: str
) -> None:
    answers = {0: ["paris", "nowhere"], 1: ["nowhere"], 2: ["absent", "missing"]}
    workspace, said = announced(project(tmp_path, bert_folder, "tiny_present", answers, retriever=retriever))
    info = targets.build(workspace).info
    assert (info["questions"], info["dropped"]) == (40, 2)
    assert info["answers"] == {"found": 38, "not found": 4}
    assert any("2 of 40 train questions have no target" in line for line in said)
    trained = targets.training_examples(workspace)
    assert [e.example_id for e in trained] == [f"q{i}" for i in (0, *range(3, 40))]
    assert trained[0].targets == ("paris",) and trained[0].answers == ("paris", "nowhere")
    items = train.training_items(workspace)
    assert len(items) == 38 and items[0].target == "paris" and {item.kind for item in items} == {"copied"}


@pytest.mark.usefixtures("known")
def test_fewer_passages_find_less(tmp_path: Path, bert_folder: Path) -> None:
    """q3's own capital is novo; porto stands in other places' passages."""
    config = project(tmp_path, bert_folder, "tiny_present", {3: ["porto"]}, k=1)
    assert targets.build(Workspace(config)).info["dropped"] == 1
    wide = replace(config, targets=TargetsConfig(k=1000))
    assert targets.build(Workspace(wide)).info["dropped"] == 0, "all passages where the corpus has fewer"


@pytest.mark.usefixtures("known")
def test_patterns_are_trained_as_the_strings_they_match(tmp_path: Path, bert_folder: Path) -> None:
    every = {i: [f"capital of {place(i)} is (paris|rome|porto|novo)"] for i in range(40)}
    every[1] = ["mil(an|ano)"]
    every[2] = ["("]
    workspace, said = announced(project(tmp_path, bert_folder, "tiny_regex", every))
    info = targets.build(workspace).info
    assert "named" not in info
    assert info["answers"] == {"matched": 38, "expanded": 1, "of no use": 1} and info["dropped"] == 1
    assert any("does not compile" in line for line in said) and len(info["faults"]) == 1
    items = train.training_items(workspace)
    assert [item.target for item in items[:3]] == ["capital of b0a is paris", "milan", "milano"]
    assert len(items) == 40
    mined = list(read_jsonl(targets.build(workspace).path / targets.TARGETS, Mined))
    assert [one.example_id for one in mined] == [f"q{i}" for i in range(40)]
    shown = reader_items.training_items(workspace)
    assert all("(" not in item.target for item in shown)
    assert any(item.target == "capital of b5f is rome" for item in shown)


@pytest.mark.usefixtures("known")
def test_targets_that_examples_name_are_compared_with_what_is_found(
    tmp_path: Path, bert_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace, said = announced(project(tmp_path, bert_folder, "tiny_regex", {}))
    real = examples.read

    def read(at: Workspace, split: str, limited: bool = True) -> list[Example]:
        first, second, *rest = real(at, split, limited)
        return [replace(first, targets=("paris",)), replace(second, targets=("elsewhere",)), *rest]

    monkeypatch.setattr(examples, "read", read)
    info = targets.build(workspace).info
    assert (info["named"], info["agreed"]) == (2, 1)
    assert any("1 of 2 questions with a given target" in line for line in said)
    assert [e.targets for e in targets.training_examples(workspace)[:2]] == [("paris",), ("rome",)]


@pytest.mark.usefixtures("known")
def test_what_trains_on_mined_targets_has_them_as_input(tmp_path: Path, bert_folder: Path) -> None:
    config = project(tmp_path, bert_folder, "tiny_present", {})

    def inputs(workspace: Workspace) -> list[Any]:
        trained = train.STAGE.at(workspace), reader.bound(workspace), retriever_warmup.STAGE.at(workspace)
        return [one.recipe.inputs.get("targets") for one in trained]

    assert inputs(Workspace(config)) == [targets.STAGE.digest(Workspace(config))] * 3
    assert inputs(Workspace(replace(config, task=replace(config.task, name="nq")))) == [None] * 3
    assert not (tmp_path / "artifacts").exists(), "nothing is built"


def test_a_task_that_trains_on_its_answers_has_no_targets(tmp_path: Path, bert_folder: Path) -> None:
    config = project(tmp_path, bert_folder, "nq", {})
    with pytest.raises(ConfigError, match=r"task\.name=nq trains on its answers"):
        targets.build(Workspace(config))
    assert all(not e.targets for e in targets.training_examples(Workspace(config)))


@pytest.mark.usefixtures("known")
def test_nothing_to_train_on_is_an_error(tmp_path: Path, bert_folder: Path) -> None:
    config = project(tmp_path, bert_folder, "tiny_present", {i: ["absent"] for i in range(40)})
    with pytest.raises(ConfigError, match="no train question has a target in its top 1000"):
        targets.build(Workspace(config))
    with pytest.raises(ConfigError, match=r"targets\.k=0: must be at least 1"):
        TargetsConfig(k=0)


def test_named_targets_are_trained_as_they_are(
    tmp_path: Path, bert_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace = Workspace(project(tmp_path, bert_folder, "nq", {}))
    real: Sequence[Example] = targets.training_examples(workspace)
    named = [replace(real[0], targets=("one", "two")), *real[1:]]
    monkeypatch.setattr(targets, "training_examples", lambda _: named)
    assert [item.target for item in train.training_items(workspace)[:3]] == ["one", "two", "rome"]
