"""Entity-disjoint splits, caps, phrasings, determinism, cloze."""

import json
import os
from collections import Counter
from itertools import combinations
from pathlib import Path

import pytest

from rag_lightning.config.data import TESTS
from rag_lightning.core.assets import asset_path
from rag_lightning.core.records import Example, Passage
from rag_lightning.metrics.answers import has_answer
from rag_lightning.mini.cloze import build_cloze, train_passages
from rag_lightning.mini.corpus import build_passages
from rag_lightning.mini.deal import MiniData, ask, capped, content, near_duplicates
from rag_lightning.mini.facts import Fact, filled
from rag_lightning.mini.nq import PLAN
from rag_lightning.mini.registry import builder_of
from rag_lightning.mini.relations import relations
from rag_lightning.mini.splits import SPLITS, entity_key, leave_out_lopsided, split_facts

HELD_OUT_RELATIONS = tuple(relation.name for relation in relations().values() if relation.test_only)


def fact(entity: str, relation: str = "capital", answer: str = "", family: str = "profile") -> Fact:
    asked = filled(relations()["capital"].questions, {"x": entity.lower()})
    return Fact(family, relation, entity, asked, (answer or f"city of {entity}",), ("p#0",))


def test_a_relation_with_a_majority_answer_is_left_out_and_counted() -> None:
    facts = [fact(f"C{n}", "lowest_point", "Atlantic Ocean" if n < 4 else f"L{n}") for n in range(20)]
    dropped: Counter[str] = Counter()
    assert leave_out_lopsided([*facts, *(fact(f"C{n}") for n in range(20))], dropped) != []
    assert all(
        f.relation == "capital" for f in leave_out_lopsided([*facts, *(fact(f"C{n}") for n in range(20))], dropped)
    )
    assert any("lowest_point" in name for name in dropped)


def test_no_entity_is_in_two_splits_and_two_relations_are_for_test_only() -> None:
    facts = [fact(f"C{n}", r) for n in range(200) for r in ("capital", "area", *HELD_OUT_RELATIONS)]
    parts = split_facts(facts, 0, Counter())
    names = {split: {entity_key(f.entity) for f in part} for split, part in parts.items()}
    assert all(names.values()) and not any(names[one] & names[other] for one, other in combinations(SPLITS, 2))
    for split in TESTS:
        assert {f.relation for f in parts[split]} >= set(HELD_OUT_RELATIONS)
    for split in ("train", "dev"):
        assert parts[split] and not {f.relation for f in parts[split]} & set(HELD_OUT_RELATIONS)


def test_the_two_sources_names_of_one_country_are_one_entity() -> None:
    assert entity_key("Burma") == entity_key("Myanmar")


def test_caps_hold_in_test() -> None:
    facts = [fact(f"C{n}", f"relation{n % 40}", "Euro" if n % 3 == 0 else f"a{n}") for n in range(1000)]
    facts += [fact(f"D{n}", "capital") for n in range(300)]
    kept = capped(facts, len(facts), lambda fact: (fact.relation, fact.answers[0]))
    assert max(Counter(f.relation for f in kept).values()) <= 0.08 * len(kept)
    assert max(Counter(f.answers[0] for f in kept).values()) <= 0.01 * len(kept)


def test_dev_and_test_ask_once_and_one_phrasing_is_for_test_only() -> None:
    facts = [fact(f"C{n}") for n in range(300)]
    asked = {split: ask(facts, split, PLAN, 1, Counter()) for split in ("train", "dev", "test")}
    for split in ("dev", "test"):
        assert Counter(e.entity for e in asked[split]).most_common(1)[0][1] == 1
    unseen = relations()["capital"].questions[-1].format(x="").strip()
    assert any(unseen in e.query for e in asked["test"])
    assert not any(unseen in e.query for split in ("train", "dev") for e in asked[split])
    assert {e.tags["phrasing"] for e in asked["test"]} == {"seen", "unseen"}
    assert len(asked["train"]) > 300 and len({e.example_id for e in asked["train"]}) == len(asked["train"])


def test_equal_questions_are_left_out() -> None:
    dropped: Counter[str] = Counter()
    left = ask([fact("A", answer="x")] * 2, "test", PLAN, 3, dropped)
    assert len(left) + dropped["test: the same question twice"] == 2


def sources(tmp_path: Path) -> tuple[Path, Path]:
    """A small made-up world: leads with a definition, countries with a capital and a code."""
    wiki = {}
    for n in range(60):
        text = f"Thing{n} is the mild substance number{n} that glows{n} under lamps{n}, also seen at night."
        wiki[f"Thing{n}"] = {"title": f"Thing{n}", "extract": text, "topic": "Physics"}
    (tmp_path / "wiki.json").write_text(json.dumps(wiki))
    (tmp_path / "fb" / "x").mkdir(parents=True)
    for n in range(40):
        name = {"conventional short form": {"text": f"Land{n}"}}
        raw = {
            "Government": {"Country name": name, "Capital": {"name": {"text": f"Town{n}"}}},
            "Communications": {"Internet country code": {"text": f".{chr(97 + n % 26)}{chr(97 + n // 26)}"}},
        }
        (tmp_path / "fb" / "x" / f"l{n:02d}.json").write_text(json.dumps(raw))
    return tmp_path / "wiki.json", tmp_path / "fb"


def test_the_whole_build_is_the_same_twice_and_changes_with_the_seed(tmp_path: Path) -> None:
    wiki, factbook = sources(tmp_path)
    passages = list(build_passages(wiki, factbook))
    build = builder_of("nq")
    first = build(passages, wiki, factbook, 0)
    assert first.splits == build(passages, wiki, factbook, 0).splits
    assert first.splits != build(passages, wiki, factbook, 1).splits
    check(first, passages)


def check(data: MiniData, passages: list[Passage]) -> None:
    text = {passage.passage_id: passage for passage in passages}
    owners: dict[str, str] = {}
    for split, examples in data.splits.items():
        for example in examples:
            assert owners.setdefault(entity_key(example.entity), split) == split
            assert has_answer(example.answers, text[example.gold_passage_ids[0]].text), example
            assert example.query == example.query.lower()
            assert {"family", "relation", "phrasing", "slice"} == set(example.tags)


PASSAGES = [
    Passage(
        "w#0", "Paris", "Paris is the capital of France. It hosted the games in 1924 and was besieged by Henry Navarre."
    ),
    Passage("f#0", "Chad", "Government - Capital: name: N'Djamena; time difference: UTC+1 Communications - Code: .td"),
    Passage(
        "w#1", "Rome", "Rome was founded by Romulus in the hills of Latium a very long time ago, in 753 as some say."
    ),
]


def test_cloze_answers_stand_in_their_passage_and_not_in_the_question() -> None:
    made = build_cloze(PASSAGES, seed=0, count=100)
    text = {passage.passage_id: passage.text for passage in PASSAGES}
    assert {e.gold_passage_ids for e in made} == {("w#0",), ("f#0",), ("w#1",)}
    for example in made:
        assert example.answers[0] in text[example.gold_passage_ids[0]]
        assert example.answers[0].lower() not in example.query.replace(example.entity.lower(), "")
    assert made == build_cloze(PASSAGES, seed=0, count=100)
    assert len(build_cloze(PASSAGES, seed=0, count=3)) == 3


def test_cloze_visits_every_passage_before_any_twice() -> None:
    assert len({e.gold_passage_ids for e in build_cloze(PASSAGES, seed=5, count=3)}) == 3


def test_train_passages_hold_nothing_of_the_other_splits() -> None:
    held = Example("d", "q", ("a",), ("w#1",), "Chad")
    for split in ("dev", "test", "test2"):
        left = train_passages(PASSAGES, {"train": (), split: (held,)})
        assert [p.passage_id for p in left] == ["w#0"]


@pytest.mark.slow
@pytest.mark.skipif("RAG_ASSETS" not in os.environ, reason="RAG_ASSETS names no folder of fetched assets")
def test_the_real_assets() -> None:
    root = Path(os.environ["RAG_ASSETS"])
    wiki, factbook = asset_path("wiki", root), asset_path("factbook", root)
    passages = list(build_passages(wiki, factbook))
    assert 24_000 < len(passages) < 27_000
    assert len({p.passage_id for p in passages}) == len(passages)
    assert max(len(p.text.split()) for p in passages) <= 100
    data = builder_of("nq")(passages, wiki, factbook, 0)
    check(data, passages)
    test = data.splits["test"]
    assert len(data.splits["train"]) >= 4000 and len(data.splits["dev"]) >= 500 and len(test) >= 1000
    assert max(Counter(e.tags["relation"] for e in test).values()) <= 0.08 * len(test)
    assert max(Counter(e.answers[0].lower() for e in test).values()) <= 0.01 * len(test)
    for split, fewest, most in (("test", 150, 250), ("train", 500, 1000), ("dev", 30, 60), ("test2", 100, 150)):
        hops = [example for example in data.splits[split] if example.tags["family"] == "two_hop"]
        assert fewest <= len(hops) <= most
        assert (split in TESTS) == any(example.example_id.endswith("/former_name") for example in hops)
    others = near_duplicates(e.query for split in ("dev", *TESTS) for e in data.splits[split])
    assert not any(content(example.query) in others for example in data.splits["train"])
    shown = train_passages(passages, data.splits)
    cloze = build_cloze(shown, 0, 20_000)
    assert len(cloze) == 20_000
    held = {entity_key(e.entity) for split in ("dev", *TESTS) for e in data.splits[split]}
    assert not held & {entity_key(passage.title) for passage in shown}
    assert not held & {entity_key(example.entity) for example in cloze}


@pytest.mark.parametrize("title", [r"\write18{x}", r"\g<1>", "a\\", r"\1"])
def test_a_title_with_a_backslash_is_text(title: str) -> None:
    made = build_cloze([Passage("1", title, "It was founded by Maria Braun in the city of Leeds in 1901.")], 0, 9)
    assert made and any(title.lower() in example.query.lower() for example in made)
