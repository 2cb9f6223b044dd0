"""Baselines that answer from the training examples: every answer here is found by hand."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from rag_lightning.core.errors import ConfigError
from rag_lightning.core.records import Example
from rag_lightning.decoding.strategy import strategies_of
from rag_lightning.decoding.trivial import KNNVote, MostCommon, MostCommonByType, NearestQuestion, Trained, vote
from rag_lightning.report.paper import paper_system
from rag_lightning.runs import evaluate, ledger
from rag_lightning.runs.record import read_run, read_summary
from rag_lightning.runs.system import make_system
from rag_lightning.stages import ask, cost, predict
from rag_lightning.stages.workspace import Workspace
from tests.tiny_project import experiment

TRAIN = [
    Example("0", "who wrote emma", ("Jane Austen",), entity="Emma", tags={"relation": "author"}),
    Example(
        "1", "what is the capital of peru", ("Lima is the capital of Peru",), entity="Peru", tags={"relation": "c"}
    ),
    Example("2", "who wrote persuasion", ("jane austen",), entity="Persuasion", tags={"relation": "author"}),
    Example("3", "what is the river of peru", ("Amazon",), entity="Peru", tags={"relation": "river"}),
    Example("4", "who wrote ulysses", ("James Joyce",), entity="Ulysses", tags={"relation": "author"}),
]
WORDS = [set(example.query.split()) for example in TRAIN]


def by_shared_words(query: str, k: int) -> list[int]:
    """Rows of the questions with most shared words, the lower row first at equal numbers."""
    shared = [len(set(query.split()) & words) for words in WORDS]
    return sorted((row for row in range(len(TRAIN)) if shared[row]), key=lambda row: (-shared[row], row))[:k]


TRAINED = Trained(TRAIN, [example.answers[0] for example in TRAIN], by_shared_words)


def asked(query: str, entity: str = "", relation: str = "") -> list[Example]:
    return [Example("x", query, ("?",), entity=entity, tags={"relation": relation} if relation else {})]


def test_the_most_common_answer_in_its_first_spelling_at_equal_counts() -> None:
    """Jane Austen stands twice, in two spellings; the first one is written, with 2 of 5 votes."""
    (found,) = MostCommon().answers(TRAINED, asked("anything"))
    assert (found.example_id, found.text) == ("x", "Jane Austen")
    assert found.log_prob == found.hypotheses[0].log_prob == pytest.approx(math.log(2 / 5))
    assert vote(["b", "a"]) == ("b", 0.5), "equal counts: the first"
    labels = Trained(TRAIN, ["supports", "refutes", "refutes", "supports", "refutes"], by_shared_words)
    assert MostCommon().answers(labels, asked("a claim"))[0].text == "refutes"


def test_by_type_it_is_the_relation_where_all_have_one_else_the_question_word() -> None:
    def answer(example: list[Example]) -> str:
        return MostCommonByType().answers(TRAINED, example)[0].text

    assert answer(asked("where does it flow", relation="river")) == "Amazon"
    assert answer(asked("where does it flow", relation="unseen")) == "Jane Austen"
    assert answer(asked("what is it")) == "Lima is the capital of Peru", "no relation: what is, 1 of 2, the first"
    assert answer(asked("tell me, who was it")) == "Jane Austen"


def test_the_nearest_question_answers_with_the_entity_put_in() -> None:
    def answer(query: str, entity: str = "") -> str:
        return NearestQuestion().answers(TRAINED, asked(query, entity))[0].text

    assert answer("what is the capital of chad", "Chad") == "Lima is the capital of Chad"
    assert answer("what is the capital of chad") == "Lima is the capital of Peru", "no entity is known"
    assert answer("what is the capital of the land", "Chad") == "Lima is the capital of Peru", "not in the question"
    assert answer("who wrote dubliners") == "Jane Austen", "three questions share two words: the first"
    assert answer("nothing shared") == "Jane Austen", "the most common of all"


def test_the_nearest_vote() -> None:
    def answer(neighbours: int, query: str = "who wrote ulysses") -> tuple[str, float]:
        (found,) = KNNVote(neighbours=neighbours).answers(TRAINED, asked(query))
        return found.text, round(math.exp(found.log_prob), 3)

    assert answer(1) == ("James Joyce", 1.0)
    assert answer(2) == ("James Joyce", 0.5), "one each: the nearer"
    assert answer(3) == ("Jane Austen", 0.667)
    assert answer(3, "nothing shared") == ("Jane Austen", 0.4)


def test_a_trivial_system_is_evaluated_without_a_model(tiny_data: Path, bert_folder: Path, tmp_path: Path) -> None:
    """The tiny questions are alike but for the place, so that ten questions with equal words vote."""
    base = experiment(tmp_path, tiny_data, bert_folder)
    system = make_system(base, {"decoding": "trivial/most_common"})
    folder = evaluate.run(system, "s", "test", "baseline")
    test = [json.loads(line) for line in (tiny_data / "test.jsonl").read_text().splitlines()]
    train = [json.loads(line)["answers"][0] for line in (tiny_data / "train.jsonl").read_text().splitlines()]
    common = vote(train)[0]
    right = 100 * sum(common in one["answers"] for one in test) / len(test)
    assert read_summary(folder)["metrics"]["em"]["mean"] == pytest.approx(right)
    record = read_run(folder)
    assert record["work"] == {"pairs": 0, "beams": 1, "index_bytes": 0} and record["timings"]["retrieve"] == 0
    assert [line["label"] for line in ledger.read(tmp_path)] == ["Trivial · most_common"]
    built = {path.name for path in (tmp_path / "artifacts").iterdir()}
    assert not built & {"model", "reader", "rankings", "vectors"}
    assert paper_system(record["config"]) == "trivial, most common answer"
    nearest = make_system(base, {"decoding": "trivial/knn_vote", "decoding.neighbours": 3})
    assert "decoding.neighbours=3" in nearest.label
    assert cost.build(Workspace(nearest.config)).info["questions"] == 8
    assert predict.build(Workspace(nearest.config), "dev").info["pairs_generated"] == 0
    with pytest.raises(ConfigError, match="'knn_vote' has no model to ask"):
        ask.answer(Workspace(nearest.config), "what is it")


def test_they_are_closed_book_by_name() -> None:
    assert strategies_of("closed_book")[-4:] == ["most_common", "most_common_by_type", "nearest_question", "knn_vote"]
