"""What the reader and the training show of passages without the answer, and which questions they leave out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rag_lightning.config.experiment import ExperimentConfig
from rag_lightning.config.training import ReaderConfig
from rag_lightning.core.errors import ConfigError
from rag_lightning.core.records import Example, Passage, passage_text
from rag_lightning.metrics.answers import has_answer
from rag_lightning.stages import answerable, examples, reader, reader_items, train, vectors
from rag_lightning.stages.workspace import Workspace
from rag_lightning.training.batches import Item
from tests.tiny_project import experiment, questions, write_data, write_lines

SPREAD: dict[str, Any] = {"distractors": 0.5, "distractor_retriever": "dense", "distractor_loss": "spread_first"}


@pytest.fixture
def project(tmp_path: Path, bert_folder: Path) -> ExperimentConfig:
    write_data(tmp_path / "data")
    made = experiment(tmp_path, tmp_path / "data", bert_folder)
    made = replace(made, formulation="rag_sequence", retriever_warmup=replace(made.retriever_warmup, steps=0))
    return replace(made, reader=replace(made.reader, steps=4, batch_size=4, warmup=0))


def changed(config: ExperimentConfig, section: str, **values: Any) -> Workspace:
    return Workspace(replace(config, **{section: replace(getattr(config, section), **values)}))


def test_distractors_of_the_reader_are_dense_hits_without_an_answer_in_text_or_title(
    project: ExperimentConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    asks = Example("c", "the capital of b0a is what", ("paris",), ("p0",))  # the tiny corpus has no sentence to ask for
    monkeypatch.setattr(reader_items, "build_cloze", lambda passages, seed, count: [asks] * count)
    workspace = changed(project, "reader", **SPREAD, cloze="windows", window=5, rounds=3)
    asked = {example.example_id: example for example in examples.read(workspace, "train")}
    items = reader_items.training_items(workspace)
    shown = [item for item in items if item.example_id]
    assert len(shown) == 3 * 40 and len(items) == 2 * len(shown), "half of what windows show is cloze"
    wrong = [item for item in shown if item.distractor]
    assert len(wrong) / len(shown) == pytest.approx(0.5, abs=0.12)
    for item in wrong:
        example = asked[item.example_id]
        assert item.passage and item.passage.passage_id not in example.gold_passage_ids
        assert not has_answer(example.answers, passage_text(item.passage))
    first, last = reader_items.lessons(items, replace(workspace.config.reader, window_share=0.5), seed=0)
    assert len(first.items) == len(items) and first.steps == 2
    assert list(last.items) == shown, "whole passages are of questions alone"
    with pytest.raises(ConfigError, match=r"reader\.cloze=windows: no train question has a gold passage"):
        reader_items.lessons([replace(item, example_id="") for item in items], workspace.config.reader, seed=0)


def test_the_window_of_a_distractor_shares_most_words_with_the_question() -> None:
    text = "the rain in spain falls on the plain and the old capital of france lies on a river far from it"
    item = Item("what is the capital of france", "paris", Passage("p", "t", text), distractor=True)
    seen = {w.text for n in range(30) if (w := reader_items.window(item, 7, np.random.default_rng(n), nearest=True))}
    assert all("the old capital of france" in one and len(one.split()) == 7 for one in seen) and len(seen) == 3
    plain = reader_items.window(item, 5, np.random.default_rng(0))
    assert plain and plain.text == "the rain in spain falls"
    whole = reader_items.window(item, 200, np.random.default_rng(0), nearest=True)
    assert whole and whole.text == text


def test_vectors_are_inputs_of_a_reader_with_dense_distractors_only(project: ExperimentConfig) -> None:
    plain, dense = reader.bound(Workspace(project)), reader.bound(changed(project, "reader", **SPREAD))
    assert "vectors" not in plain.inputs and not any(name.startswith("encoder.") for name in plain.recipe.config)
    assert dense.recipe.inputs["vectors"] == vectors.PRETRAINED.digest(Workspace(project))
    longer = changed(replace(project, reader=replace(project.reader, **SPREAD)), "encoder", max_query_length=9)
    assert reader.bound(longer).digest != dense.digest


def test_a_reader_and_a_training_with_spread_train(project: ExperimentConfig) -> None:
    told: list[str] = []
    section = replace(project.train, steps=2, k=3, eval_every=0, targets="first", answerable_only=True)
    config = replace(
        project,
        reader=replace(project.reader, **SPREAD, cloze="windows"),
        train=replace(section, distractor_loss="spread_all"),
    )
    model = train.build(Workspace(config, told.append))
    info, before = train.read_info(model), reader.build(Workspace(config)).info
    assert info["steps"] == 2 and before["distractors"] > 0
    assert info["questions"] + info["left_out"] == 40 and 0 < info["left_out"] < 40
    assert info["items"] == info["one_target"] == info["questions"] and info["passages"] == 3 * info["items"]
    assert 0 < info["distractors"] < info["passages"]
    assert any(f"{info['left_out']} of 40 train questions are left out" in line for line in told)


@pytest.fixture
def rows(project: ExperimentConfig) -> list[dict[str, Any]]:
    """The first question has a spelling that stands nowhere before the right one."""
    found: list[dict[str, Any]] = [dict(row) for row in questions("train")]
    found[0]["answers"] = ["the eternal city", "paris", "b0a"]
    write_lines(Path(project.task.train[0]), found)
    return found


def test_the_first_target_stands_in_a_passage_read(project: ExperimentConfig, rows: list[dict[str, Any]]) -> None:
    workspace = changed(project, "train", targets="first", k=64)
    items, counts = answerable.choose(workspace, train.training_items(workspace))
    assert [item.target for item in items[:2]] == ["paris", "rome"] and len(items) == 40
    assert counts == {"questions": 40, "one_target": 40}
    plain, counts = answerable.choose(Workspace(project), train.training_items(Workspace(project)))
    assert [item.target for item in plain[:3]] == ["paris", "b0a", "rome"]
    assert counts == {"questions": 40, "one_target": 39}, "all targets of questions with one: counted, no error"
    closed = Workspace(replace(workspace.config, formulation="closed_book"))
    assert len(answerable.choose(closed, train.training_items(closed))[0]) == 40


def nothing_answers(config: ExperimentConfig) -> Workspace:
    write_lines(Path(config.task.train[0]), [{**row, "answers": ["no such word"]} for row in questions("train")])
    return changed(config, "train", answerable_only=True)


def all_answer(config: ExperimentConfig) -> Workspace:
    write_lines(Path(config.task.train[0]), [{**row, "answers": ["capital"]} for row in questions("train")])
    return changed(config, "train", distractor_loss="spread_first")


def labels(section: str, **values: Any) -> Callable[[ExperimentConfig], Workspace]:
    return lambda config: changed(replace(config, task=replace(config.task, name="fever2")), section, **values)


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (nothing_answers, r"train\.answerable_only=true: none of 40 train questions has an answer in the first 2"),
        (all_answer, r"train\.distractor_loss=spread_first: each of the first 2 passages"),
        (labels("train", distractor_loss="spread_all"), r"train\.distractor_loss=spread_all: the targets of fever2"),
        (labels("train", answerable_only=True), r"train\.answerable_only=true: the targets of fever2 are labels"),
        (labels("reader", distractor_loss="spread_all"), r"reader\.distractor_loss=spread_all: the targets of fever2"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_one_line(
    project: ExperimentConfig, made: Callable[[ExperimentConfig], Workspace], said: str
) -> None:
    with pytest.raises(ConfigError, match=said):
        train.build(made(project))


def test_a_reader_without_distractors_has_no_loss_for_them() -> None:
    with pytest.raises(ConfigError, match=r"reader\.distractor_loss=spread_all has nothing to work on with reader\."):
        ReaderConfig(distractors=0.0, distractor_loss="spread_all")
