"""The memory under a loaded model is swapped whole: no answer mixes two versions."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from rag_lightning import Experiment
from rag_lightning.config.experiment import ExperimentConfig
from rag_lightning.config.retrieval import EncoderConfig
from rag_lightning.core.errors import ConfigError, DataError, UnknownNameError
from rag_lightning.retrieval import encoders
from rag_lightning.stages import train
from rag_lightning.stages.memory import KEPT, Memories, Memory
from tests.tiny_project import PLACES, barely_trained, passages, place, write_lines

QUESTIONS = [f"what is the capital of {place(i)}" for i in range(0, PLACES, 8)]


def edition(folder: Path, name: str, count: int = PLACES) -> str:
    """The tiny corpus in which every title and id says whose edition it is; its rows are in another order."""
    rows = [{**row, "id": f"{name}-{row['id']}", "title": f"{row['title']} {name}"} for row in passages()[:count]]
    return str(write_lines(folder / f"{name}.jsonl", rows[::-1] if name == "newer" else rows))


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory, bert_folder: Path) -> ExperimentConfig:
    folder = tmp_path_factory.mktemp("swap")
    return barely_trained(folder, bert_folder)


@pytest.fixture
def opened(project: ExperimentConfig) -> Experiment:
    return Experiment(project)


def test_an_answer_under_swaps_is_that_of_exactly_one_version(opened: Experiment, tmp_path: Path) -> None:
    told = {}
    for name in ("older", "newer"):
        opened.swap({"corpus.source": edition(tmp_path, name)}, name)
        told[name] = {question: opened.ask(question) for question in QUESTIONS}
    versions = {name: next(m for m in opened.system.memories._versions if m.name == name) for name in told}
    asking, found = threading.Event(), []

    def ask(thread: int) -> None:
        turn = 0
        while asking.is_set() or not turn:
            question = QUESTIONS[(thread + turn) % len(QUESTIONS)]
            found.append((question, opened.ask(question)))
            turn += 1

    asking.set()
    with ThreadPoolExecutor(8) as pool:
        threads = [pool.submit(ask, thread) for thread in range(8)]
        for swap in range(200):
            before = len(found)
            opened.system.swap(versions["older" if swap % 2 else "newer"])
            while swap % 10 == 9 and len(found) == before and not any(one.done() for one in threads):
                time.sleep(0.001)  # some swaps wait for an answer, so that both versions give some
        asking.clear()
        for one in threads:
            one.result()
    seen = {name: 0 for name in told}
    for question, answer in found:
        (whose,) = {passage.title.split()[1] for passage in answer.passages}
        seen[whose] += 1
        expected = told[whose][question]
        assert answer.passages == expected.passages
        assert answer.prediction.text == expected.prediction.text
    assert all(seen.values()) and sum(seen.values()) >= 20


def test_neither_generator_nor_query_encoder_is_loaded_for_a_swap(
    opened: Experiment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, loaded, load = opened.ask(QUESTIONS[0]), [], encoders._load

    def record(source: Path | str, role: encoders.Role, config: EncoderConfig) -> object:
        loaded.append(role)
        return load(source, role, config)

    def refuse(*given: object) -> object:
        raise AssertionError("the generator is loaded")

    monkeypatch.setattr(encoders, "_load", record)
    monkeypatch.setattr(train, "open_generator", refuse)
    opened.swap({"corpus.source": edition(tmp_path, "latest"), "index.kind": "ivf_flat"}, "latest")
    assert loaded == ["passage"]
    assert opened.ask(QUESTIONS[0]).passages[0].title.endswith("latest")
    opened.rollback()
    assert opened.ask(QUESTIONS[0]) == first and loaded == ["passage"]


def test_versions_are_listed_and_rolled_back(opened: Experiment, tmp_path: Path) -> None:
    assert opened.system.versions == ("corpus.jsonl · flat",)
    with pytest.raises(ConfigError, match="no version of the memory before"):
        opened.rollback()
    source = edition(tmp_path, "newer")
    assert opened.swap({"corpus.source": source}, "b") == ("corpus.jsonl · flat", "b")
    assert opened.rollback() == ("b", "corpus.jsonl · flat")
    assert opened.rollback() == ("corpus.jsonl · flat", "b")
    with pytest.raises(UnknownNameError, match="'c'"):
        opened.rollback("c")
    assert opened.system.versions[-1] == "b"


def test_another_corpus_of_the_same_file_name_is_a_version_of_its_own(opened: Experiment, tmp_path: Path) -> None:
    first = opened.ask(QUESTIONS[0])
    (tmp_path / "a").mkdir()
    named = Path(edition(tmp_path, "other")).rename(tmp_path / "corpus.jsonl")
    versions = ("corpus.jsonl · flat", "corpus.jsonl · flat (2)")
    assert opened.swap({"corpus.source": str(named)}) == versions
    assert opened.swap({"corpus.source": str(named)}) == versions, "the same memory once"
    Path(edition(tmp_path / "a", "third")).rename(named)
    assert opened.swap({"corpus.source": str(named)}) == (*versions, "corpus.jsonl · flat (3)")
    assert opened.swap({}) == (*versions[1:], "corpus.jsonl · flat (3)", versions[0])
    assert opened.ask(QUESTIONS[0]) == first
    opened.rollback(versions[1])
    assert opened.ask(QUESTIONS[0]).passages[0].title.endswith("other")


def test_bm25_is_swapped_with_the_corpus(project: ExperimentConfig, tmp_path: Path) -> None:
    opened = Experiment(replace(project, retriever=replace(project.retriever, kind="bm25", trained_with="dense")))
    assert opened.system.versions == ("corpus.jsonl · bm25",)
    opened.swap({"corpus.source": edition(tmp_path, "newer")})
    assert opened.ask(QUESTIONS[1]).passages[0].title == f"{place(8)} newer"


def test_only_the_versions_used_last_are_kept() -> None:
    def memory(name: str) -> Memory:
        return Memory(name, None, None, None, None)  # type: ignore[arg-type]

    memories = Memories(memory("0"))
    for number in range(1, KEPT + 3):
        memories.publish(memory(str(number)))
    assert memories.names == tuple(str(number) for number in range(3, KEPT + 3))
    memories.publish(memory("4"))
    assert memories.names == ("3", "5", "6", "4")


def test_a_swap_that_fails_leaves_the_memory_in_use(opened: Experiment, tmp_path: Path) -> None:
    first = opened.ask(QUESTIONS[0])
    with pytest.raises(DataError):
        opened.swap({"corpus.source": str(tmp_path / "absent.jsonl")})
    with pytest.raises(ConfigError, match="k is 3, but the corpus has 2 passages"):
        opened.swap({"corpus.source": edition(tmp_path, "short", 2)})
    with pytest.raises(ConfigError, match=r"decoding.k belongs to the model"):
        opened.swap({"decoding.k": 2})
    with pytest.raises(UnknownNameError, match=r"index.kind"):
        opened.swap({"index.kin": "flat"})
    assert opened.system.versions == ("corpus.jsonl · flat",) and opened.ask(QUESTIONS[0]) == first


def test_closed_book_has_nothing_to_swap(project: ExperimentConfig) -> None:
    closed = replace(project, formulation="closed_book", retriever=replace(project.retriever, kind="none"))
    with pytest.raises(ConfigError, match="closed book has no memory"):
        Experiment(closed).swap({"index.kind": "hnsw"})
