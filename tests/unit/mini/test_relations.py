"""The records of the relations: complete as shipped, refused by name where something is wrong."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from rag_lightning.core.errors import DataError, UnknownNameError
from rag_lightning.mini.corpus import build_passages
from rag_lightning.mini.registry import builder_of
from rag_lightning.mini.relations import RECORDS, load_relations, relations
from rag_lightning.mini.sources import Profile
from tests.unit.mini.made_up import sources

RECORD = """
lake:
  field: Geography > Lakes
  reader: plain
  questions:
    - what is the lake of {x}
    - which lake has {x}
    - '{x} lake'
"""
SPOKEN_OF = """  web_questions:
    - what big lake does {x} have
    - what lake lies in {x}
    - where do people swim in {x}
  bridge: the {land} whose lake is {b}
  second_hop: what is the lake of {x}
  clue: swims in {a}
  sentence: The lake of {x} is {a}.
  claims:
    - the lake of {x} is {v}
    - people of {x} swim in {v}
    - '{v} lies in {x}'
"""


def write(folder: Path, text: str) -> Path:
    file = folder / "relations.yaml"
    file.write_text(text)
    return file


def test_a_record_is_all_that_a_relation_takes(tmp_path: Path) -> None:
    (relation,) = load_relations(write(tmp_path, RECORD)).values()
    assert relation.name == "lake" and relation.label == "Geography - Lakes"
    assert relation.read(Profile("zz", "Zed", {("Geography", "Lakes"): "Lake Zed"})) == (("Lake Zed",), {})
    assert relation.read(Profile("zz", "Zed", {})) is None


def test_a_record_of_years_is_one_relation_a_year(tmp_path: Path) -> None:
    text = """
rain:
  years: [2022, 2023]
  field: Geography > Rain > Rain {year}
  phrases: ['the rain of {x} in {year}', 'the rainfall of {x} in {year}', 'how wet {x} was in {year}']
"""
    found = load_relations(write(tmp_path, text))
    assert list(found) == ["rain_2022", "rain_2023"]
    assert found["rain_2023"].path == ("Geography", "Rain", "Rain 2023")
    assert found["rain_2022"].phrases[0] == "the rain of {x} in 2022"
    assert found["rain_2022"].all_claims[0] == "the rain of {x} in 2022 was {v}"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("reader: plain", "reader: plane", r"reader of .*lake 'plane': did you mean 'plain'"),
        ("reader: plain", "raeder: plain", r"key of .*lake 'raeder': did you mean 'reader'"),
        ("  reader: plain\n", "", r"field 'lake\.questions': go with a reader of one answer"),
        ("  field: Geography > Lakes\n", "", r"field 'lake\.field': give either the field of profiles or lead_reader"),
        ("Geography > Lakes", "Lakes", r"field 'lake\.field': must be 'section > field' .*got 'Lakes'"),
        ("which lake has {x}", "which lake", r"field 'lake\.questions': 'which lake' lacks \{x\}"),
        ("which lake has {x}", "which {y} has {x}", r"'which \{y\} has \{x\}' has no \{y\} to fill in"),
        ("which lake has {x}", "which {x", r"'which \{x' is no template"),
        ("\n    - '{x} lake'", "", r"field 'lake\.questions': must be 3 different phrasings or more"),
        ("reader: plain", "reader: plain\n  pattern: '('", r"field 'lake\.pattern': is no regular expression"),
        ("reader: plain", "reader: plain\n  list_reader: names", r"field 'lake\.list_questions': go with list_reader"),
        ("reader: plain", "reader: plain\n  test_only: 1", r"field 'lake\.test_only': must be bool \(got 1\)"),
        ("reader: plain", "reader: plain\n  implied_by: chamber", "did you mean 'chambers'"),
        (RECORD, "", "holds no relation"),
        (RECORD, "lake: deep", r"field 'lake': must be a mapping"),
    ],
)
def test_what_is_wrong_is_named(old: str, new: str, message: str, tmp_path: Path) -> None:
    assert old in RECORD
    with pytest.raises((DataError, UnknownNameError), match=message):
        load_relations(write(tmp_path, RECORD.replace(old, new)))


def test_texts_of_one_answer_need_a_reader_of_one(tmp_path: Path) -> None:
    text = RECORD.replace("questions", "list_questions").replace("reader: plain", "list_reader: names\n  clue: by {a}")
    with pytest.raises(DataError, match=r"field 'lake\.clue': goes with a reader of one answer"):
        load_relations(write(tmp_path, text))


def test_every_relation_is_asked_and_claimed_in_different_words() -> None:
    for relation in relations().values():
        assert relation.questions or relation.list_questions or relation.phrases, relation.name
        claims = relation.all_claims
        assert len(set(claims)) == len(claims) and all("{x}" in claim and "{v}" in claim for claim in claims)
        assert bool(claims) >= bool(relation.phrases), relation.name


def test_relations_are_kept_for_test_and_have_bridges() -> None:
    kept = [relation.name for relation in relations().values() if relation.test_only]
    assert kept == ["anthem_composer", "largest_city"]
    assert [relation.name for relation in relations().values() if relation.bridge_test_only] == ["former_name"]
    assert len(relations()) == 142


@pytest.fixture
def with_lakes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Path, Path]]:
    """The made-up sources, each country with a lake, and the relation as one more record."""
    wiki, factbook = sources(tmp_path)
    for n, file in enumerate(sorted(factbook.glob("*/*.json"))):
        raw = json.loads(file.read_text())
        raw.setdefault("Geography", {})["Lakes"] = {"text": f"Lake Wet{n}"}
        file.write_text(json.dumps(raw))
    records = write(tmp_path, RECORDS.read_text(encoding="utf-8") + RECORD + SPOKEN_OF)
    monkeypatch.setattr("rag_lightning.mini.relations.RECORDS", records)
    relations.cache_clear()
    yield wiki, factbook
    relations.cache_clear()


def test_one_record_brings_a_relation_to_every_task_about_countries(with_lakes: tuple[Path, Path]) -> None:
    passages = list(build_passages(*with_lakes))
    for task, tags in (
        ("nq", {"lake", "two_hop/lake"}),
        ("webquestions", {"lake"}),
        ("msmarco", {"lake"}),
        ("triviaqa", {"country/capital"}),
        ("fever2", {"lake"}),
    ):
        made = builder_of(task)(passages, *with_lakes, 0).splits
        found = {example.tags["relation"] for examples in made.values() for example in examples}
        assert tags <= found, task
        if task == "triviaqa":
            assert any("swims in lake wet" in example.query for example in made["test"])
