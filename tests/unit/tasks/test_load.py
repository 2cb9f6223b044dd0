"""Held-out splits: no title and no question on two sides, gold passages by containment, every drop counted."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import pytest
import yaml

from rag_lightning.config.data import TaskConfig
from rag_lightning.config.registries import TASKS
from rag_lightning.core.errors import ConfigError, DataError, UnknownNameError
from rag_lightning.core.records import Example, Passage
from rag_lightning.corpus.store import PassageStore, write_passages
from rag_lightning.metrics.questions import NearDuplicates
from rag_lightning.tasks.holdout import assign_gold, drop_like, drop_near_duplicates, split_by_title
from rag_lightning.tasks.load import load_examples
from rag_lightning.tasks.spec import get_task

CONTEXT = (
    "The red barn was built in 1901 by Anna Berg. It burned down in the dry summer of 1950, and was never rebuilt."
)
PIECES = [
    "The red barn was built in 1901 by Anna Berg. It",
    "burned down in the dry summer of 1950, and was never rebuilt.",
]


def example(i: int | str, query: str = "", **values: tuple[str, ...]) -> Example:
    return Example(str(i), query or f"q{i}", ("a",), **values)


@pytest.fixture
def store(tmp_path: Path) -> PassageStore:
    folder = tmp_path / "corpus"
    folder.mkdir()
    passages = [Passage(str(i), f"Title {i // 2}", f"text {i}") for i in range(60)]
    passages += [Passage(f"s{i}", "Red barn", piece) for i, piece in enumerate(PIECES)]
    write_passages(folder, passages)
    return PassageStore(folder)


def gold_file(path: Path, extra: tuple[dict[str, object], ...] = ()) -> str:
    rows = [
        {"question": f"who made thing{i} of kind{i} in place{i}", "answers": [f"text {i}"], "gold_passage_id": i}
        for i in range(60)
    ]
    path.write_text("\n".join(map(json.dumps, [*rows, *extra])))
    return str(path)


def squad_file(path: Path, *questions: str) -> str:
    qas = [{"id": f"sq{i}", "question": q, "answers": [{"text": "Anna Berg"}]} for i, q in enumerate(questions)]
    article = {"title": "Title_3", "paragraphs": [{"context": CONTEXT, "qas": qas}]}
    path.write_text(json.dumps({"data": [article]}))
    return str(path)


def test_hold_out(store: PassageStore, tmp_path: Path) -> None:
    twin = {"question": "who made Thing7 of kind7 in place7?", "answers": ["text 7"], "gold_passage_id": 7}
    files = (squad_file(tmp_path / "s.json", "who built it", "who owned it"), gold_file(tmp_path / "g.jsonl", (twin,)))
    split = load_examples(TaskConfig(train=files), store, seed=0)
    parts = split.parts
    assert split.notes["near-duplicates dropped"] == 1
    assert (len(parts["dev"]), len(parts["test"])) == (12, 24)
    titles = {part: {e.entity for e in examples} for part, examples in parts.items()}
    assert not any(titles[a] & titles[b] for a, b in itertools.combinations(titles, 2))
    assert "Title 3" in titles["train"]
    assert {e.example_id for e in parts["train"]} > {"sq0", "sq1"}
    assert split.notes["train with gold passage"] == len(parts["train"]) == split.notes["train"]
    again = load_examples(TaskConfig(train=files), store, seed=0)
    assert again == split
    assert load_examples(TaskConfig(train=files), store, seed=1).parts != parts


def test_training_questions_like_held_out_ones_are_dropped(store: PassageStore, tmp_path: Path) -> None:
    leaks = [f"who made thing{i} of kind{i} in place{i} ?" for i in range(60)]
    files = (squad_file(tmp_path / "s.json", *leaks), gold_file(tmp_path / "g.jsonl"))
    split = load_examples(TaskConfig(train=files), store, seed=0)
    held_out = len(split.parts["dev"]) + len(split.parts["test"])
    assert split.notes["train dropped for likeness to dev or test"] == held_out


def test_given_files_are_read_as_they_are(store: PassageStore, tmp_path: Path) -> None:
    file = gold_file(tmp_path / "g.jsonl")
    split = load_examples(TaskConfig(train=(file, file), dev=file, test=file), store, seed=0)
    assert {part: len(examples) for part, examples in split.parts.items()} == {"train": 120, "dev": 60, "test": 60}
    assert len({e.example_id for e in split.parts["train"]}) == 120


def test_gold_passages_outside_of_a_limited_corpus_are_left_out_and_counted(
    store: PassageStore, tmp_path: Path
) -> None:
    more = {"question": "who else", "answers": ["x"], "gold_passage_ids": [3, "far", "away"]}
    file = gold_file(tmp_path / "g.jsonl", (more,))
    config = TaskConfig(train=(file,), dev=file, test=file)
    with pytest.raises(DataError, match=r"no such passage .*got 'far'\); use the corpus .* all of it .corpus\.limit 0"):
        load_examples(config, store, seed=0)
    split = load_examples(config, store, seed=0, limited=True)
    assert split.parts["train"][-1].gold_passage_ids == ("3",) and len(split.parts["dev"]) == 61
    assert split.notes["test gold passages outside of the limited corpus"] == 2
    with pytest.raises(DataError, match="got 'far'"):
        load_examples(TaskConfig(train=(file,)), store, seed=0, limited=True)


def test_counts_that_differ_from_the_whole_data_set_are_noted(store: PassageStore, tmp_path: Path) -> None:
    file = gold_file(tmp_path / "g.jsonl")
    notes = load_examples(TaskConfig(train=(file,), dev=file, test=file), store, seed=0).notes
    assert (notes["test read"], notes["test expected, the whole data set"]) == (60, 3_610)
    assert notes["test printed in the paper"] == 3_611


def test_what_a_task_drops_is_noted_by_split(store: PassageStore, tmp_path: Path) -> None:
    claim = {"label": "REFUTES", "claim": "c", "evidence": [[[1, 2, "A", 0]]]}
    rows = [{**claim, "id": 1}, {**claim, "id": 2, "label": "NOT ENOUGH INFO"}]
    (tmp_path / "f.jsonl").write_text("\n".join(map(json.dumps, rows)))
    file = str(tmp_path / "f.jsonl")
    split = load_examples(TaskConfig(name="fever2", train=(file, file), dev=file, test=file), store, seed=0)
    assert [e.example_id for e in split.parts["train"]] == ["1", "1#2"]
    assert split.notes["train dropped: NOT ENOUGH INFO"] == 2 and split.notes["dev dropped: NOT ENOUGH INFO"] == 1


def test_what_cannot_be_loaded(store: PassageStore, tmp_path: Path) -> None:
    file = gold_file(tmp_path / "g.jsonl")
    with pytest.raises(ConfigError, match=r"both task\.dev and task\.test"):
        load_examples(TaskConfig(train=(file,), dev=file), store, seed=0)
    with pytest.raises(ConfigError, match="names gold passages"):
        load_examples(TaskConfig(train=(squad_file(tmp_path / "s.json", "q"),)), store, seed=0)
    with pytest.raises(UnknownNameError, match="'nq'"):
        load_examples(TaskConfig(name="nqq", train=(file,)), store, seed=0)
    unknown = gold_file(tmp_path / "h.jsonl", ({"question": "q", "answers": ["a"], "gold_passage_id": 999},))
    with pytest.raises(DataError, match="no such passage in the corpus"):
        load_examples(TaskConfig(train=(unknown,)), store, seed=0)


def test_gold_is_cut_from_the_context_and_holds_an_answer() -> None:
    passages = [
        Passage("1", "Red barn", PIECES[0]),
        Passage("2", "Red barn", PIECES[1]),
        Passage("3", "Red barn", "Red barn " + PIECES[0]),
        Passage("4", "Other", "Anna Berg is a painter who lives in Oslo."),
        Passage("5", "Red barn", "It was built in 1901 by Anna Berg, they say"),
    ]
    who = Example("w", "who", ("Anna Berg",))
    when = Example("n", "when", ("1950",))
    known = Example("k", "known", ("Anna Berg",), gold_passage_ids=("9",))
    found = assign_gold([(who, CONTEXT), (when, CONTEXT), (known, CONTEXT), (who, "")], passages)
    assert [e.gold_passage_ids for e in found] == [("1", "3"), ("2",), ("9",), ()]


def test_titles_connected_through_an_example_stay_together() -> None:
    titles = [["A"], ["A", "B"], ["b"], ["C"], [], ["D"], ["E"], ["F"]]
    for seed in range(20):
        parts = split_by_title([example(i) for i in range(8)], titles, seed, {"train": 0.4, "dev": 0.2, "test": 0.4})
        side = {e.example_id: part for part, examples in parts.items() for e in examples}
        assert side["0"] == side["1"] == side["2"]
        assert len(parts["test"]) >= 4 or len(parts["dev"]) == 0


def test_near_duplicates() -> None:
    queries = [
        "who wrote the book dracula in 1897",
        "Who wrote the book Dracula in 1897?",
        "in 1897 who wrote dracula the book",
    ]
    others = ["who wrote the book ulysses in 1922", "???", "!"]
    kept = drop_near_duplicates([example(i, q) for i, q in enumerate(queries + others)])
    assert [e.example_id for e in kept] == ["0", "3", "4", "5"]
    assert (
        drop_like([example("a", queries[1]), example("b", others[0])], [example("c", queries[0])])[0].example_id == "b"
    )


def test_prefix_filter_finds_what_comparing_all_pairs_finds() -> None:
    words = [f"w{i}" for i in range(9)]
    texts = [" ".join(combination) for size in (3, 4, 5) for combination in itertools.combinations(words[:7], size)]
    texts += [" ".join(words), " ".join(words[:8])]
    for threshold in (0.6, 0.75, 0.8, 1.0):
        for left in texts[::5]:
            pool = NearDuplicates(texts, threshold)
            pool.add(left)
            for right in texts:
                a, b = set(left.split()), set(right.split())
                assert (right in pool) == (len(a & b) >= threshold * len(a | b)), (left, right, threshold)


PAPER = yaml.safe_load(Path("reports/paper.yaml").read_text(encoding="utf-8"))
COUNTS = {row["dataset"]: row for row in PAPER["counts"]}


@pytest.mark.parametrize("name", sorted(TASKS))
def test_counts_are_those_of_the_paper_and_of_the_data(name: str) -> None:
    task, known = get_task(name), COUNTS[name]
    assert [task.printed[part] for part in ("train", "dev", "test")] == known["printed"]
    for part, actual in zip(("train", "dev", "test"), known["actual"], strict=True):
        assert actual is None or task.counts[part] == actual
