"""What the models are trained on, and small rules of the stages."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from rag_lightning.config.commands import SweepConfig
from rag_lightning.config.experiment import ExperimentConfig
from rag_lightning.config.training import ReaderConfig
from rag_lightning.core.records import Example, Passage
from rag_lightning.metrics.answers import has_answer
from rag_lightning.retrieval.retriever import Hits
from rag_lightning.stages import bm25, bm25_scale, corpus, examples, reader_items, retrieve, score, train
from rag_lightning.stages.workspace import Workspace
from rag_lightning.tasks.spec import get_task
from rag_lightning.training.batches import Item, Lesson
from tests.tiny_project import experiment, passages, questions, write_data, write_lines


@pytest.fixture
def project(tmp_path: Path, bert_folder: Path) -> ExperimentConfig:
    write_data(tmp_path / "data")
    return experiment(tmp_path, tmp_path / "data", bert_folder)


def test_warm_up_questions_show_gold_or_a_passage_without_an_answer(tiny_sweep: SweepConfig) -> None:
    workspace = Workspace(tiny_sweep.experiment)
    store = corpus.open_store(workspace)
    asked = {example.query: example for example in examples.read(workspace, "train")}
    known = reader_items.known_examples(workspace, store)
    shown = [
        item
        for seed in range(25)
        for item in reader_items.question_items(workspace, store, known, np.random.default_rng(seed))
    ]
    assert len(shown) == 25 * 40
    distractors = [
        item for item in shown if item.passage and item.passage.passage_id not in asked[item.query].gold_passage_ids
    ]
    for item in distractors:
        assert item.passage and not has_answer(asked[item.query].answers, item.passage.text)
    assert len(distractors) / len(shown) == pytest.approx(ReaderConfig.distractors, abs=0.03)
    assert {i.passage for i in shown if i.distractor} == {i.passage for i in distractors}
    assert all(item.target in asked[item.query].answers for item in shown)


def test_a_question_without_gold_passage_gets_the_first_bm25_hit_with_an_answer(
    project: ExperimentConfig, tmp_path: Path
) -> None:
    lines = [json.loads(line) for line in (tmp_path / "data" / "train.jsonl").read_text().splitlines()]
    for row in lines[1:]:
        del row["gold_passage_id"]
    lines[2]["answers"] = ["nowhere to be found"]
    (tmp_path / "data" / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in lines))
    details: list[str] = []
    workspace = Workspace(project, detail=details.append)
    store = corpus.open_store(workspace)
    known = reader_items.known_examples(workspace, store)
    assert [e.example_id for e in known] == [row["id"] for row in (*lines[:2], *lines[3:])]
    assert any(f"reader: 1 of {len(lines)} train questions have no known passage" in line for line in details)
    assert known[0].gold_passage_ids == (lines[0]["gold_passage_id"],)
    lexical = bm25.open_bm25(workspace)
    for example in known[1:]:
        (hits,) = lexical.retrieve([example.query], 20)
        right = [store[int(row)] for row in hits.rows if has_answer(example.answers, store[int(row)].text)]
        assert example.gold_passage_ids == (right[0].passage_id,)
    wanted = replace(project.reader, distractors=0.0)
    items = reader_items.training_items(Workspace(replace(project, reader=wanted)))
    assert {item.example_id for item in items} >= {example.example_id for example in known}


def test_warm_up_items_are_half_cloze_and_come_from_train_alone(tiny_sweep: SweepConfig) -> None:
    workspace = Workspace(tiny_sweep.experiment)
    held = {p for split in ("dev", "test") for e in examples.read(workspace, split) for p in e.gold_passage_ids}
    queries = {example.query for example in examples.read(workspace, "train")}
    items = reader_items.training_items(workspace)
    cloze = [item for item in items if item.query not in queries]
    assert all(item.passage and item.passage.passage_id not in held for item in cloze)
    assert len(items) - len(cloze) == len(queries)
    assert reader_items.training_items(workspace) == items, "the same seed, the same items"
    other = workspace.with_config(seed=1)
    assert [item.query for item in reader_items.training_items(other)] != [item.query for item in items]


@pytest.mark.parametrize("words", [1, 5, 12, 40, 200])
def test_a_window_holds_the_target_and_no_more_words_than_asked(words: int) -> None:
    text = " ".join(f"w{i}" for i in range(60)) + " Porto-Novo is here " + " ".join(f"v{i}" for i in range(37))
    item = Item("q", "porto-novo is", Passage("p", "Benin", text))
    random = np.random.default_rng(0)
    seen = [reader_items.window(item, words, random) for _ in range(40)]
    for passage in seen:
        assert passage and passage.title == "Benin" and passage.text in text
        assert len(passage.text.split()) == min(words, 100)
        assert "Porto-Novo" in passage.text and (words == 1 or "Porto-Novo is" in passage.text)
    assert len({passage.text for passage in seen if passage}) > (1 if 2 < words < 100 else 0)


def test_a_window_of_a_passage_without_the_target_is_its_beginning() -> None:
    random = np.random.default_rng(0)
    found = reader_items.window(Item("q", "absent", Passage("p", "t", "one two three four")), 2, random)
    assert found and found.text == "one two"
    assert reader_items.window(Item("q", "t"), 2, random) is None


def test_the_warm_up_shows_windows_first_and_whole_passages_to_its_end() -> None:
    items = [Item("q", "w3", Passage(str(i), "t", " ".join(f"w{n}" for n in range(50)))) for i in range(30)]
    config = ReaderConfig(steps=10, batch_size=3, window=8, window_share=0.6)
    first, last = reader_items.lessons(items, config, seed=0)
    assert (first.steps, first.batch_size, last.batch_size) == (6, 3, 3)
    assert {len(i.passage.text.split()) for i in first.items if i.passage} == {8} and last.items == items
    assert reader_items.lessons(items, replace(config, window_share=0.0), seed=0) == [Lesson(items, 3)]


def test_batches_are_grouped_by_tokens_of_what_the_generator_reads() -> None:
    words = ["incomprehensibility " * 2, "a b c d e f g h", "of in"]
    items = [Item("q", "t", Passage(str(i), "t", text)) for i, text in enumerate(words)]
    reads = SimpleNamespace(source_ids=lambda pairs: [["id"] * len(pair.passage.text.split()) for pair in pairs])
    lesson = reader_items.sized(Lesson(items, 2, 7), cast(Any, reads))
    assert [item.size for item in lesson.items] == [2, 8, 2] and (lesson.batch_size, lesson.steps) == (2, 7)
    assert [item.size for item in items] == [41, 16, 6], "characters would put the first apart"


def test_answers_that_stand_in_a_gold_passage_are_the_targets(project: ExperimentConfig) -> None:
    rows = questions("train")
    rows[0] |= {"answers": ["the eternal city", "paris", "b0a"]}
    rows[1] |= {"answers": ["nowhere", "elsewhere"]}
    rows[2] |= {"gold_passage_id": []}
    write_lines(Path(project.task.train[0]), rows)
    items = train.training_items(Workspace(project))
    assert [item.target for item in items[:3]] == ["paris", "b0a", "nowhere"]
    assert [item.query for item in items[:3]] == [rows[0]["question"]] * 2 + [rows[1]["question"]]
    assert (items[3].query, items[3].target) == (rows[2]["question"], "porto")
    assert len(items) == 41 and all(item.passage is None for item in items)


def test_standing_answers_may_be_a_title() -> None:
    example = Example("e", "q", ("Mantle", "the mantle", "core"))
    assert reader_items.standing_answers(example, [Passage("p", "Mantle", "a layer of rock")]) == ["Mantle"]
    assert reader_items.standing_answers(example, []) == ["Mantle"]


class Ranked:
    """Finds the gold passage of the tiny project's questions at a place of the ranking."""

    def __init__(self, place: int | None) -> None:
        self.place = place

    def retrieve(self, queries: Sequence[str], k: int) -> list[Hits]:
        return [self.hits(number) for number in range(len(queries))]

    def hits(self, number: int) -> Hits:
        gold = 40 + number
        rows = [gold + 1, gold + 2, gold + 3]  # other capitals
        if self.place is not None:
            rows[self.place] = gold
        return Hits(np.array(rows) % 64, np.array([3.0, 2.0, 1.0], dtype=np.float32))


def tuned(config: ExperimentConfig, monkeypatch: pytest.MonkeyPatch, lexical: Ranked) -> float:
    """The scale that is tuned where BM25 finds this."""
    monkeypatch.setattr(bm25, "open_bm25", lambda workspace: lexical)
    return bm25_scale.score_scale(Workspace(config))


@pytest.mark.parametrize(("place", "scale"), [(0, max(bm25_scale.SCALES)), (2, min(bm25_scale.SCALES)), (None, 1.0)])
def test_the_scale_of_bm25_trusts_scores_as_far_as_they_are_right(
    project: ExperimentConfig, monkeypatch: pytest.MonkeyPatch, place: int | None, scale: float
) -> None:
    assert tuned(project, monkeypatch, Ranked(place)) == scale


def test_a_scale_between_is_found(project: ExperimentConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    """Right three times of four at the first place, else at the second: p of the first should be near 3/4."""

    class Mixed(Ranked):
        def hits(self, number: int) -> Hits:
            return Ranked(0 if number % 4 else 1).hits(number)

    assert min(bm25_scale.SCALES) < tuned(project, monkeypatch, Mixed(None)) < max(bm25_scale.SCALES)


def test_a_scale_that_is_given_is_not_tuned(tiny_sweep: SweepConfig) -> None:
    config = tiny_sweep.experiment
    swapped_in = replace(config.retriever, kind="bm25", trained_with="dense")
    given = replace(config, retriever=swapped_in, bm25=replace(config.bm25, score_scale=0.7))
    assert retrieve.open_retriever(Workspace(given))[1] == 0.7


EXACT = ["em", "f1", "em_kilt", "em_lm_eval", "em_contains"]


def retrieved(*cutoffs: int) -> set[str]:
    families = ("answer_recall", "answer_precision", "gold_recall", "gold_title", "success")
    return {"mrr", "page_r_precision", *(f"{family}@{cutoff}" for family in families for cutoff in cutoffs)}


@pytest.mark.parametrize(
    ("predicted", "k", "names"),
    [
        (True, 0, {*EXACT}),
        (False, 1, retrieved(1)),
        (True, 3, {*EXACT, *retrieved(1, 2, 3), "kilt_em", "kilt_f1", "em_unanswerable@3"}),
        (False, 0, set()),
    ],
)
def test_metrics_go_as_far_as_the_passages(predicted: bool, k: int, names: set[str]) -> None:
    found = score.metric_names(get_task("nq"), predicted, k)
    assert set(found) == names and len(found) == len(names)
    assert [name for name in found if name in EXACT] == [name for name in EXACT if predicted]


def test_a_limit_cuts_dev_and_test_but_not_train(project: ExperimentConfig) -> None:
    workspace = Workspace(replace(project, task=replace(project.task, limit=3)))
    assert [len(examples.read(workspace, split)) for split in examples.SPLITS] == [40, 3, 3]
    assert len(examples.read(workspace, "dev", limited=False)) == 12
    assert len(passages()) == len(corpus.open_store(workspace))
