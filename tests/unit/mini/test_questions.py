"""What becomes a question, and what is left out."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from rag_lightning.core.records import Passage
from rag_lightning.mini.corpus import GoldFinder, World
from rag_lightning.mini.facts import CUT_OFF, OPEN, Fact, definitions, describe, lead_facts, profile_facts
from rag_lightning.mini.leads import aliases
from rag_lightning.mini.nq import two_hop_facts
from rag_lightning.mini.relations import relations
from rag_lightning.mini.sources import Lead, Profile

MANTLE = Lead(
    "Earth's mantle",
    "The mantle is the layer of silicate rock between the crust and the outer core; it is thick. It moves.",
    "Physical sciences",
)


def defined(*leads: Lead) -> tuple[list[Fact], Counter[str]]:
    passages = [Passage(f"wiki/{n}#0", lead.title, lead.text) for n, lead in enumerate(leads)]
    dropped: Counter[str] = Counter()
    return list(definitions(World(GoldFinder(passages), leads, ()), dropped)), dropped


def test_a_definition_is_turned_round() -> None:
    (fact,), _ = defined(Lead("Mantle", MANTLE.text, "Physical sciences"))
    assert fact.slots["d"] == "the layer of silicate rock between the crust and the outer core"
    assert fact.gold == ("wiki/0#0",) and "Mantle" in fact.answers


@pytest.mark.parametrize(
    ("lead", "reason"),
    [
        (Lead("Silk road", "The Silk Road was a network of asian trade road routes.", "x"), "word of the title"),
        (Lead("Ada Roe", "Ada Roe was a British painter and sculptor.", "People"), "bare profession"),
        (Lead("Bo", "Bo is a fish.", "x"), "shorter than"),
        (Lead("Cid", "There once lived a man who fought.", "x"), "first sentence"),
    ],
)
def test_what_is_not_a_definition_is_counted(lead: Lead, reason: str) -> None:
    facts, dropped = defined(lead)
    assert not facts and any(reason in name for name in dropped)


def test_a_description_that_fits_two_articles_is_left_out() -> None:
    first = Lead("Olive", "Olive is a species of small evergreen tree grown for oil.", "x")
    second = Lead("Palmyra", "Palmyra is a species of small evergreen tree grown for oil.", "x")
    wider = Lead("Cork", "Some small evergreen tree species are grown for bark and oil.", "x")
    assert defined(first, second)[0] == []
    assert defined(first, wider)[0] == []
    assert len(defined(first)[0]) == 1


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("is a class of parasitic worms in the flatworm phylum", OPEN),
        ("is a genus of flowering plants that make up the family alone", ""),
        ("is a special municipality located in southern Taiwan", OPEN),
        ("is a special municipality located in southern Taiwan, founded in 1924", ""),
        ("was a French mathematician who made numerous contributions to mathematics", OPEN),
        ("is a measure of its opposition to the flow of electric current", CUT_OFF),
        ("is an ionic compound with a formula of common salt, representing a 1:1 ratio", CUT_OFF),
        ("is the theory of learning, and how this process influences, and is influenced by, the learner", CUT_OFF),
        ('was an architect, and has been called a "father of skyscrapers" and "father of modernism."', CUT_OFF),
    ],
)
def test_a_description_with_a_fault_is_marked(text: str, fault: str) -> None:
    (fact,), _ = defined(Lead("Zed", f"Zed {text}.", "x"))
    assert fact.fault == fault


def test_a_royal_anthem_is_no_national_one() -> None:
    def anthem(history: str) -> bool:
        field = ("Government", "National anthem(s)")
        place = Profile("zz", "Zed", {(*field, "title"): '"God Save"', (*field, "history"): history})
        return relations()["anthem"].wrong(place)

    assert anthem("royal anthem, as a Commonwealth country") and anthem("adopted 1919; royal anthem, for use")
    assert not anthem("official anthem, as a UK territory") and not anthem("royal anthem and one of two")


def test_two_hop_questions_keep_a_fault_of_either_fact() -> None:
    bridge = Fact("profile", "capital", "Bhutan", ("q",), ("Thimphu",), ("p",), {"x": "bhutan", "land": "country"})
    target = replace(bridge, relation="currency", answers=("of x",), fault="cut")
    (hop,) = two_hop_facts([bridge, target], [bridge, target], 16, np.random.default_rng(0), unseen=False)
    assert hop.fault == "cut"


def test_descriptions_are_cut_and_names_beside_the_subject_are_kept() -> None:
    assert describe("the (old) sea of grass, which is wide") == "the sea of grass"
    assert aliases("Typhoid fever, also known as typhoid", "Typhoid fever") == ["Typhoid fever", "typhoid"]
    assert aliases("In organic chemistry, an alkane, or paraffin", "Alkane") == ["paraffin"]


def facts_of(title: str, text: str, topic: str = "x") -> dict[str, tuple[str, ...]]:
    return {relation.name: found for relation, found in lead_facts(Lead(title, text, topic))}


def test_facts_stand_in_the_words_of_a_lead() -> None:
    tin = facts_of("Tin", "Tin is a chemical element; it has symbol Sn and atomic number 50.")
    assert tin["element_symbol"] == ("Sn",) and tin["atomic_number"] == ("50",)
    emma = facts_of("Emma", "Emma is a novel by English author Jane Austen. It is set in Surrey.")
    assert emma["author"][0] == "Jane Austen"
    novel = "Shame is a novel by British writer Salman Rushdie, published in 1983."
    assert "Salman Rushdie" in facts_of("Shame", novel)["author"]
    known = facts_of("Iron", "Iron, also known as an alpha, a beta or a gamma, is a metal.")["also_known_as"]
    assert {"alpha", "beta", "gamma"} <= set(known)
    boston = facts_of("Boston", "Boston is the capital and most populous city of the U.S. state of Massachusetts.")
    assert boston["capital_of"][0] == "Massachusetts"
    watt = facts_of("Watt", "The watt is a unit. The watt is named after James Watt, an inventor.")
    assert watt["named_after"][0] == "James Watt"
    film = "Casa is a film directed by Michael Curtiz and starring Ann Lee."
    assert facts_of("Casa", film)["director"][0] == "Michael Curtiz"
    assert "author" not in facts_of("Toy", "Toy is a film based on a story by John Low.")
    assert facts_of("Ken", "Ken Roe, also known as K. J. Roe, was a man.")["also_known_as"][0] == "K. J. Roe"


def test_a_bracketed_title_is_asked_for_by_its_kind_or_not_at_all() -> None:
    assert Lead("Science (journal)", "", "x").typed == "the journal science"
    assert Lead("Competition (biology)", "", "x").typed is None


def profile(name: str = "Zed", **fields: str) -> Profile:
    paths = {
        "capital": ("Government", "Capital", "name"),
        "currency": ("Economy", "Exchange rates", "Currency"),
        "state": ("Government", "Executive branch", "chief of state"),
        "head": ("Government", "Executive branch", "head of government"),
        "point": ("Geography", "Elevation", "highest point"),
        "code": ("Communications", "Internet country code"),
        "former": ("Government", "Country name", "former"),
        "free": ("Government", "Independence"),
        "demonym": ("People and Society", "Nationality", "noun"),
    }
    return Profile("zz", name, {paths[key]: value for key, value in fields.items()})


def answers(**fields: str) -> dict[str, tuple[str, ...]]:
    return {relation.name: found for relation, (found, _) in profile_facts(profile(**fields))}


@pytest.mark.parametrize(
    ("fields", "relation", "expected"),
    [
        ({"capital": "Suva (on Viti Levu)"}, "capital", "Suva"),
        ({"currency": "pulas (BWP) per US dollar -"}, "currency", "pula"),
        ({"currency": "Danish kroner (DKK) per US dollar -"}, "currency", "Danish krone"),
        ({"point": "Mount Kenya 5,199 m"}, "highest_point", "Mount Kenya"),
        ({"free": "5 July 1962 (from France)"}, "independence_year", "1962"),
        ({"demonym": "Angolan(s)"}, "demonym", "Angolan"),
        ({"code": ".zz"}, "internet_code", ".zz"),
        ({"former": "Upper Zed, Lower Zed"}, "former_name", "Lower Zed"),
    ],
)
def test_profile_answers(fields: dict[str, str], relation: str, expected: str) -> None:
    assert expected in answers(**fields)[relation]


@pytest.mark.parametrize(
    "fields",
    [
        {"capital": "Porto-Novo (constitutional capital); Cotonou (seat of government)"},
        {"capital": "none"},
        {"state": "King CHARLES III (since 8 September 2022); represented by Governor Ann LEE (since 2020)"},
        {"point": "unnamed elevation 675 m"},
        {"free": "none (territory of the US)"},
        {"free": "3 November 1903 (from Colombia); 28 November 1821 (from Spain)"},
        {"demonym": "Frenchman(men), Frenchwoman(women)"},
        {"former": "none"},
    ],
)
def test_ambiguous_fields_are_left_out(fields: dict[str, str]) -> None:
    assert answers(**fields) == {}


def test_the_office_is_named_as_the_field_names_it() -> None:
    found = {r.name: a for r, a in profile_facts(profile(state="King LETSIE III (since 7 February 1996)"))}
    names, slots = found["head_of_state"]
    assert slots["office"] == "king" and names[0] == "LETSIE III"


def test_country_names_take_their_article() -> None:
    assert profile("Netherlands").typed == "the netherlands"
    assert profile("Cook Islands").typed == "the cook islands"
    assert profile("Chad").typed == "chad"


def test_gold_holds_entity_and_answer_and_the_source_comes_first() -> None:
    finder = GoldFinder(
        [
            Passage("a", "Chad", "no"),
            Passage("b", "Lake", "Chad has N'Djamena"),
            Passage("c", "Chad", "city: N'Djamena"),
        ]
    )
    rows = finder.holding(["chad"], title_too=True) & finder.holding(["N'Djamena"])
    assert finder.ids(rows, [2]) == ("c", "b")
    assert finder.holding(["Cha"]) == frozenset()


def test_two_hop_questions_need_a_bridge_of_one_country_that_does_not_name_it() -> None:
    import numpy as np

    def fact(entity: str, relation: str, answer: str) -> Fact:
        return Fact("profile", relation, entity, ("q",), (answer,), ("p",), {"x": entity, "land": "country"})

    facts = [fact("Bhutan", "capital", "Thimphu"), fact("Bhutan", "currency", "ngultrum")]
    shared = [*facts, fact("Kuwait", "capital", "Kuwait City"), fact("Kuwait", "currency", "dinars")]
    (hop,) = two_hop_facts(shared, shared, 16, np.random.default_rng(0), unseen=False)
    assert hop.questions == ("what is the currency of the country whose capital is thimphu",)
    assert hop.answers == ("ngultrum",) and hop.tags == {}
    every = [*facts, fact("X", "capital", "Thimphu")]
    assert two_hop_facts(facts, every, 16, np.random.default_rng(0), unseen=True) == []
    formerly = [fact("Siam", "former_name", "Ayutthaya"), fact("Siam", "currency", "baht")]
    (hop,) = two_hop_facts(formerly, formerly, 16, np.random.default_rng(0), unseen=True)
    assert hop.key == "former_name" and hop.tags == {"phrasing": "unseen"}
    assert two_hop_facts(formerly, formerly, 16, np.random.default_rng(0), unseen=False) == []
