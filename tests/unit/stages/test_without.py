"""No question or cloze question about the countries of task.without is trained or chosen on; they are counted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from rag_lightning.config.data import TaskConfig
from rag_lightning.config.experiment import ExperimentConfig
from rag_lightning.core.errors import ConfigError
from rag_lightning.core.records import Example, Passage
from rag_lightning.corpus.store import PassageStore, write_passages
from rag_lightning.mini.names import CountryNames, without_countries
from rag_lightning.stages import examples, reader, reader_items
from rag_lightning.stages.workspace import Workspace
from tests.tiny_project import SPLITS, place

NAMED = Passage("p1", "Nile", "A river that flows through Egypt.")
OTHER = Passage("p2", "Rhine", "A river that flows through Germany.")


@pytest.fixture
def store(tmp_path: Path) -> PassageStore:
    write_passages(tmp_path, [NAMED, OTHER])
    return PassageStore(tmp_path)


def one(name: str, query: str, answers: Sequence[str] = ("x",), gold: str = "p2", **more: str) -> Example:
    return Example(name, query, tuple(answers), (gold,), **more)


LISTED = [
    one("query", "what is the capital of EGYPT"),
    one("answer", "where is cairo", ("Egypt",)),
    one("entity", "what is its capital", entity="Egypt"),
    one("gold", "which river is long", gold="p1"),
    one("ivory", "what is the capital of ivory coast"),
    one("kept", "who wrote the egyptian book"),
]


def test_a_question_that_names_a_country_anywhere_is_left_out_of_train_and_dev(store: PassageStore) -> None:
    parts = {"train": LISTED, "dev": LISTED[:1], "test": LISTED, "test2": LISTED}
    kept, counts = without_countries(parts, store, ("Egypt", "Côte d'Ivoire"))
    assert [example.example_id for example in kept["train"]] == ["kept"] and kept["dev"] == []
    assert kept["test"] == kept["test2"] == LISTED
    assert counts == {
        "train: dropped for a country of task.without": 5,
        "dev: dropped for a country of task.without": 1,
    }


@pytest.mark.parametrize(
    ("country", "text", "named"),
    [
        ("Niger", "the capital of nigeria", False),
        ("Niger", "NIGER: a river", True),
        ("Côte d'Ivoire", "the coast of cote d'ivoire", True),
        ("Myanmar", "where is burma", True),
        ("Burma", "where is myanmar", True),
        ("United States", "the president of the usa", True),
        ("United States", "let us go", False),
    ],
)
def test_names_are_found_in_their_forms_as_whole_words(country: str, text: str, named: bool) -> None:
    assert CountryNames((country,)).in_text(text) is named


def test_no_country_is_named_where_none_is_given() -> None:
    assert not CountryNames(()).in_text("egypt")


def held_out(config: ExperimentConfig, *countries: str) -> Workspace:
    return Workspace(replace(config, task=replace(config.task, without=countries)), lambda line: None, print)


def test_training_and_dev_have_nothing_about_the_countries(
    tiny: ExperimentConfig, capsys: pytest.CaptureFixture[str]
) -> None:
    train, dev = place(SPLITS["train"][3]), place(SPLITS["dev"][0])
    workspace = held_out(tiny, train, dev)
    parts = examples.read_all(workspace)
    assert not [e for split in ("train", "dev") for e in parts[split] if {train, dev} & {*e.query.split()}]
    assert {split: len(parts[split]) for split in parts} == {"train": 39, "dev": 11, "test": 12}
    notes = examples.build(workspace).info["notes"]
    assert [notes[f"{split}: dropped for a country of task.without"] for split in ("train", "dev")] == [1, 1]
    items = reader_items.training_items(workspace)
    texts = [
        f"{item.query} {item.target} {item.passage.title} {item.passage.text}" for item in items if not item.distractor
    ]
    assert texts and not [text for text in texts if {train, dev} & {*text.replace(".", " ").replace(":", " ").split()}]
    assert "cloze: 2 of 41 passages name a country of task.without" in capsys.readouterr().out


def test_a_model_without_countries_is_another_one(tiny: ExperimentConfig) -> None:
    digests = [examples.STAGE.digest(held_out(tiny, *countries)) for countries in ((), ("b0a",), ("b1b",))]
    readers = [reader.bound(held_out(tiny, *countries)).digest for countries in ((), ("b0a",), ("b1b",))]
    assert len({*digests}) == len({*readers}) == 3
    assert digests[0] == examples.STAGE.digest(Workspace(tiny))


def test_the_reader_of_another_task_leaves_the_countries_out_too() -> None:
    config = ExperimentConfig(task=TaskConfig(name="jeopardy", dataset="mini-jeopardy", without=("Egypt",)))
    config = replace(config, reader=replace(config.reader, task="triviaqa"))
    assert reader.reading(Workspace(config)).config.task.without == ("Egypt",)


def test_data_of_the_hub_cannot_be_held_out() -> None:
    with pytest.raises(ConfigError, match=r"task\.without.*cannot be given with task\.source"):
        TaskConfig(source="hub:", without=("Egypt",))
