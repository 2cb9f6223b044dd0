"""Classification and shared readers in the stages: what fits together, what digests hold, what is read."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rag_lightning.config.data import TaskConfig
from rag_lightning.config.decoding import DecodingConfig
from rag_lightning.config.experiment import ExperimentConfig
from rag_lightning.config.generator import GeneratorConfig
from rag_lightning.config.registries import TASKS
from rag_lightning.config.training import ReaderConfig
from rag_lightning.core.errors import ConfigError, UnknownNameError
from rag_lightning.core.records import Example, Passage, Ranking
from rag_lightning.metrics.outcomes import evidence_hits
from rag_lightning.retrieval.retriever import Hits
from rag_lightning.stages import classes, corpus, predict, reader, reader_items, train
from rag_lightning.stages.workspace import Workspace
from rag_lightning.tasks.spec import get_task
from rag_lightning.training.batches import Item
from tests.tiny_claims import LABELS, claims, experiment, registered, write_data

PLAIN = ExperimentConfig()
CLUES = replace(get_task("nq"), name="tiny_clues", metrics=("tiny_accuracy",))


@pytest.fixture(autouse=True)
def known(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with registered():
        monkeypatch.setitem(TASKS._targets, "tiny_clues", "tests.unit.stages.test_classes:CLUES")
        yield


@pytest.fixture
def project(tmp_path: Path, bert_folder: Path) -> ExperimentConfig:
    write_data(tmp_path / "data")
    return experiment(tmp_path, tmp_path / "data", bert_folder, "label_token")


@pytest.mark.parametrize(
    ("task", "head", "strategy", "says"),
    [
        ("nq", "class_head", "classify", "task nq has no labels"),
        ("tiny_claims", "none", "classify", "classify needs label_token or class_head"),
        ("tiny_claims", "label_token", "greedy", "classify needs label_token or class_head"),
    ],
)
def test_task_head_and_decoding_must_agree(task: str, head: Any, strategy: Any, says: str) -> None:
    config = ExperimentConfig(
        formulation="closed_book",
        task=TaskConfig(name=task),
        generator=GeneratorConfig(head=head),
        decoding=DecodingConfig(strategy=strategy),
    )
    with pytest.raises(ConfigError, match=says):
        predict.build(Workspace(config), "dev")


def test_training_a_head_for_a_task_without_labels_builds_nothing(project: ExperimentConfig) -> None:
    said: list[str] = []
    config = replace(project, task=replace(project.task, name="nq"))
    with pytest.raises(ConfigError, match="task nq has no labels"):
        train.build(Workspace(config, said.append))
    assert not said and not (Path(config.folder) / "artifacts").exists()


def test_labels_may_be_written_as_text() -> None:
    config = ExperimentConfig(task=TaskConfig(name="tiny_claims"))
    classes.check(config)
    assert classes.labels(config) == ()
    assert reader_items.kind_of(Workspace(config)) == "written"


def test_labels_and_verbalisers_are_in_a_digest_only_where_there_is_a_head() -> None:
    def recipe(**generator: Any) -> dict[str, Any]:
        config = replace(PLAIN, task=TaskConfig(name="tiny_claims"), generator=GeneratorConfig(**generator))
        return dict(reader.bound(Workspace(config)).recipe.config)

    assert recipe()["labels"] == [] and recipe(head="class_head")["labels"] == list(LABELS)
    words = ("yes", "no", "maybe")
    assert recipe(verbalisers=words) == recipe()
    assert recipe(verbalisers=words, head="class_head") != recipe(head="class_head")


def test_claims_are_warmed_up_on_their_evidence(project: ExperimentConfig) -> None:
    workspace = Workspace(project)
    store = corpus.open_store(workspace)
    asked = reader_items.known_examples(workspace, store)
    items = list(reader_items.question_items(workspace, store, asked, np.random.default_rng(0)))
    assert len(items) == len(claims("train")) == 60 and {item.kind for item in items} == {"label"}
    rows = {row["question"]: row for row in claims("train")}
    for item in items:
        row = rows[item.query]
        assert item.passage is not None and [item.target] == row["answers"]
        assert item.passage.title in item.query, "gold, or what lexical search finds first"
    whole = [item.passage for item in items]
    assert [item.passage for item in reader_items.lessons(items, ReaderConfig(window=2), 0)[0].items] == whole


def test_written_targets_see_gold_passages_alone(project: ExperimentConfig) -> None:
    workspace = Workspace(replace(project, task=replace(project.task, name="tiny_clues"), generator=GeneratorConfig()))
    store = corpus.open_store(workspace)
    asked = reader_items.known_examples(workspace, store)
    items = list(reader_items.question_items(workspace, store, asked, np.random.default_rng(0)))
    assert len(items) == 40 and {item.kind for item in items} == {"written"}
    assert all(item.passage and item.passage.title in item.query for item in items)
    assert {item.kind for item in train.training_items(workspace)} == {"written"}


def hits(*rows: int) -> Hits:
    return Hits(np.array(rows, dtype=np.int64), np.ones(len(rows), dtype=np.float32))


def test_evidence_is_gold_then_of_a_gold_article_then_the_first_hit() -> None:
    store: Any = [Passage("p0", "Rome", ""), Passage("p1", "Porto-Novo_(city)", ""), Passage("p2", "Paris", "")]
    rng = np.random.default_rng(0)
    titled = Example("e", "q", ("supports",), gold_titles=("Porto-Novo (city)|Rome", "Novo"))
    assert reader_items.evidence(titled, hits(2, 1, 0), store, rng) == store[1]
    assert reader_items.evidence(titled, hits(2), store, rng) == store[2]
    assert reader_items.evidence(Example("e", "q", ("refutes",)), hits(), store, rng) is None


def test_the_scale_of_bm25_trusts_evidence_where_answers_are_labels() -> None:
    store: Any = [Passage("p0", "Rome", "supports"), Passage("p1", "Porto_Novo", ""), Passage("p2", "Paris", "")]
    example = Example("e", "q", ("supports",), gold_passage_ids=("p2",), gold_titles=("Porto Novo",))
    ranked = [Ranking("e", (0, 1, 2), (3.0, 2.0, 1.0))]
    assert evidence_hits(get_task("tiny_claims"), store, [example], ranked) == [(False, True, True)]
    assert evidence_hits(get_task("nq"), store, [example], ranked) == [(True, False, False)]


def reader_digest(config: ExperimentConfig) -> str:
    """The digest of a configuration's reader; nothing is built."""
    return reader.bound(Workspace(config)).digest


def test_tasks_that_name_another_share_its_reader() -> None:
    shared = replace(PLAIN, task=TaskConfig("tiny_clues", "mini-clues"), reader=ReaderConfig(task="nq"))
    headed = replace(
        shared,
        task=TaskConfig("tiny_claims", "mini-claims"),
        generator=GeneratorConfig(head="class_head", max_target_length=48),
    )
    found = {reader_digest(c) for c in (PLAIN, shared, headed, replace(PLAIN, reader=ReaderConfig(task="nq")))}
    (one,) = found
    assert reader_digest(replace(shared, reader=ReaderConfig())) != one
    assert reader_digest(replace(shared, reader=ReaderConfig(task="nq", steps=7))) != one
    assert len({train.STAGE.digest(Workspace(config)) for config in (PLAIN, shared, headed)}) == 3
    own = reader.bound(Workspace(replace(headed, reader=ReaderConfig()))).recipe
    assert own.config["generator.head"] == "class_head"


def test_seeds_share_the_reader_of_one() -> None:
    other = ExperimentConfig(seed=1, reader=ReaderConfig(seed=0))
    questions = reader.reading(Workspace(other)).config
    assert (questions.seed, questions.task.seed) == (0, 1), "the questions stay those of the experiment"
    asked = TaskConfig(seed=3)
    first, second = (ExperimentConfig(seed=n, task=asked, reader=ReaderConfig(seed=0)) for n in (0, 1))
    assert reader_digest(first) == reader_digest(second) != reader_digest(replace(second, reader=ReaderConfig()))
    assert train.STAGE.digest(Workspace(first)) != train.STAGE.digest(Workspace(second))


def test_a_shared_reader_reads_the_mini_corpus(project: ExperimentConfig) -> None:
    shared = replace(project, reader=replace(project.reader, task="nq"))
    with pytest.raises(ConfigError, match=r"mini questions need corpus\.source=mini"):
        reader.build(Workspace(shared))
    with pytest.raises(UnknownNameError, match="did you mean 'nq'"):
        reader.build(Workspace(replace(shared, reader=replace(shared.reader, task="nqq"))))


def test_an_item_is_copied_unless_it_says_otherwise() -> None:
    assert Item("q", "t").kind == "copied"
