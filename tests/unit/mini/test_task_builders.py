"""Every builder on a made-up world: splits, gold, tags; claims that do not tell their label."""

import os
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import regex

from rag_lightning.config import registries
from rag_lightning.config.data import TESTS
from rag_lightning.core.assets import asset_path
from rag_lightning.core.errors import UnknownNameError
from rag_lightning.core.records import Example, Passage
from rag_lightning.metrics.answers import has_answer, tokenize
from rag_lightning.mini.corpus import build_passages
from rag_lightning.mini.curatedtrec import FLAGS
from rag_lightning.mini.deal import MiniData, content, near_duplicates
from rag_lightning.mini.registry import builder_of
from rag_lightning.mini.splits import SPLITS, entity_key
from rag_lightning.mini.splits import TARGETS as SHARES
from rag_lightning.mini.text import as_typed, stems
from tests.unit.mini.made_up import sources

TASKS = [name for name in registries.TASKS if name != "nq"]
QA = ("triviaqa", "webquestions")


@pytest.fixture(scope="module", autouse=True)
def few_of_nq() -> Iterator[None]:
    """mini-nq takes the first thousand facts of a small world for test and dev; here it may take a few."""
    shares = {
        "test": {"definition": 20, "profile": 60, "lead_fact": 5},
        "dev": {"definition": 10, "profile": 40, "lead_fact": 5},
        "test2": {"definition": 10, "profile": 40, "lead_fact": 5},
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("rag_lightning.mini.splits.TARGETS", shares)
        yield


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[Passage], Path, Path]:
    wiki, factbook = sources(tmp_path_factory.mktemp("sources"))
    return list(build_passages(wiki, factbook)), wiki, factbook


@pytest.fixture(scope="module")
def built(world: tuple[list[Passage], Path, Path]) -> dict[str, MiniData]:
    return {task: builder_of(task)(*world, 0) for task in TASKS}


def test_an_unknown_task_is_answered_with_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="triviaqa"):
        builder_of("trivia")


@pytest.mark.parametrize("task", TASKS)
def test_a_build_holds_what_every_task_promises(
    task: str, built: dict[str, MiniData], world: tuple[list[Passage], Path, Path]
) -> None:
    data = built[task]
    check(task, data, world[0], every=4)
    assert data.counts["train"] == len(data.splits["train"]) > 0 < len(data.splits["test"])
    assert data.splits["test2"]
    assert all(count > 0 for count in data.dropped.values())


@pytest.mark.parametrize("task", ["jeopardy", "fever3"])
def test_a_build_is_the_same_twice_and_changes_with_the_seed(
    task: str, built: dict[str, MiniData], world: tuple[list[Passage], Path, Path]
) -> None:
    assert built[task].splits == builder_of(task)(*world, 0).splits
    assert built[task].splits != builder_of(task)(*world, 1).splits


def test_two_tasks_agree_on_the_split_of_an_entity(built: dict[str, MiniData]) -> None:
    owners: dict[str, str] = {}
    for data in built.values():
        for split, examples in data.splits.items():
            for example in examples:
                assert owners.setdefault(example.entity, split) == split


def check(task: str, data: MiniData, passages: Sequence[Passage], every: int = 1) -> None:
    """Entities and questions of one split only, tags, gold; answers, in train those of some."""
    text = {passage.passage_id: passage for passage in passages}
    owners: dict[str, str] = {}
    for split, examples in data.splits.items():
        assert len({e.example_id for e in examples}) == len({e.query for e in examples}) == len(examples)
        others = near_duplicates(e.query for name in ("dev", *TESTS) if name != split for e in data.splits[name])
        for number, example in enumerate(examples):
            assert owners.setdefault(entity_key(example.entity), split) == split
            assert set(example.tags) == {"family", "relation", "phrasing"}
            assert example.tags["phrasing"] == "seen" or split in TESTS
            assert content(example.query) not in others
            if split != "train" or number % every == 0:
                check_answer(task, example, text)


def check_answer(task: str, example: Example, text: dict[str, Passage]) -> None:
    gold = [text[passage_id] for passage_id in example.gold_passage_ids]
    if task.startswith("fever"):
        (label,) = example.answers
        assert bool(gold) == bool(example.gold_titles) == (label != "not enough info")
        assert all(passage.title == example.entity for passage in gold)
    elif task == "curatedtrec":
        (pattern,) = example.answers
        assert regex.compile(pattern, regex.I | regex.U | regex.M).search(gold[0].text)
        assert re.compile(pattern, FLAGS).match(example.targets[0]), example
    elif task == "jeopardy":
        assert not stems(example.query) & stems(example.answers[0])
    elif task == "msmarco":
        (sentence,) = example.answers
        first = sentence.lstrip('"')[0]
        assert (first.isupper() or first.isdigit()) and re.search(r" .*\.$", sentence), example
    elif example.tags["family"] == "country":
        # The country may be named by the passage's title only.
        assert example.entity in {passage.title for passage in gold}
    else:
        assert has_answer(example.answers, gold[0].text), example


@pytest.mark.parametrize("task", ["fever3", "fever2"])
def test_every_value_is_claimed_as_often_under_each_label(task: str, built: dict[str, MiniData]) -> None:
    check_balance(built[task])


def check_balance(data: MiniData) -> None:
    for examples in data.splits.values():
        labels = Counter(example.answers[0] for example in examples)
        relations = Counter((example.tags["relation"], example.answers[0]) for example in examples)
        assert max(labels.values()) - min(labels.values()) <= 0.01 * len(examples) + 1
        for relation, _ in relations:
            counts = [relations[relation, label] for label in labels]
            assert max(counts) - min(counts) <= 2, relation


@pytest.mark.parametrize("task", ["fever3", "fever2"])
def test_words_of_a_claim_do_not_tell_its_label(task: str, built: dict[str, MiniData]) -> None:
    check_words_alone(built[task])


def check_words_alone(data: MiniData) -> None:
    """Naive Bayes on the claim's words, trained on train, is at most 5 points above the majority in dev and test."""
    train = data.splits["train"]
    for split in ("dev", *TESTS):
        examples = data.splits[split]
        majority = max(Counter(example.answers[0] for example in examples).values()) / len(examples)
        assert naive_bayes(train, examples) <= majority + 0.05


def naive_bayes(train: Sequence[Example], test: Sequence[Example]) -> float:
    """Accuracy of a multinomial naive Bayes with one as the prior count, on words and pairs of neighbours."""
    rows = {word: row for row, word in enumerate(sorted({w for e in train for w in words(e)}))}
    labels = sorted({example.answers[0] for example in train})
    counts = np.ones((len(labels), len(rows)))
    for example in train:
        for word in words(example):
            counts[labels.index(example.answers[0]), rows[word]] += 1
    log_p = np.log(counts / counts.sum(axis=1, keepdims=True))
    told = [labels[int(np.argmax(log_p[:, [rows[w] for w in words(e) if w in rows]].sum(axis=1)))] for e in test]
    return float(np.mean([label == example.answers[0] for label, example in zip(told, test, strict=True)]))


def words(example: Example) -> list[str]:
    single = tokenize(example.query)
    return [*single, *(f"{left} {right}" for left, right in pairwise(single))]


def test_the_classifier_finds_a_label_that_words_do_tell() -> None:
    """Or the test above could not fail."""
    leaking = [Example(str(n), f"claim {n} is {'not ' * (n % 2)}so", (str(n % 2),)) for n in range(40)]
    assert naive_bayes(leaking, leaking) == 1.0


@pytest.mark.slow
@pytest.mark.skipif("RAG_ASSETS" not in os.environ, reason="RAG_ASSETS names no folder of fetched assets")
@pytest.mark.parametrize("task", TASKS)
def test_the_real_assets(task: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rag_lightning.mini.splits.TARGETS", SHARES)
    root = Path(os.environ["RAG_ASSETS"])
    wiki, factbook = asset_path("wiki", root), asset_path("factbook", root)
    passages = list(build_passages(wiki, factbook))
    data = builder_of(task)(passages, wiki, factbook, 0)
    check(task, data, passages)
    train, dev, test, test2 = (data.splits[split] for split in SPLITS)
    assert len(train) >= 2000 and len(dev) >= 300 and len(test) >= 600 and len(test2) >= 500
    assert max(Counter(e.tags["relation"] for e in test).values()) <= 0.08 * len(test)
    if task.startswith("fever"):
        check_balance(data)
        check_words_alone(data)
    else:
        assert max(Counter(as_typed(e.answers[0]) for e in test).values()) <= 0.01 * len(test)
