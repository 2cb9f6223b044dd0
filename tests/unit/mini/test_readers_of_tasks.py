"""What the builders read from leads and profile fields, and the patterns they answer with."""

import re

import pytest
import regex

from rag_lightning.mini.curatedtrec import FLAGS, date_pattern, number_pattern, year_pattern
from rag_lightning.mini.facts import Fact
from rag_lightning.mini.leads import clues, kind_of
from rag_lightning.mini.lists import LISTS, verb_of
from rag_lightning.mini.msmarco import described, stated
from rag_lightning.mini.readers import READERS
from rag_lightning.mini.relations import relations
from rag_lightning.mini.sources import Lead, Profile
from rag_lightning.mini.text import names_in_case, variants, well_formed

VOLTA = Lead(
    "Alessandro Volta",
    "Alessandro Volta was an Italian physicist of Como. He invented the voltaic pile in 1799 near Lake Como. "
    "His electrical work pleased Napoleon in Paris in 1801. However he was tired of it in Pavia. He also met Bob Hall.",
    "People",
)


def test_a_statement_is_told_of_a_kind() -> None:
    first, second = clues(VOLTA)
    assert first.kind == "Italian physicist"
    assert first.about("which x") == "which x invented the voltaic pile in 1799 near Lake Como"
    assert second.about("this x") == "this x's electrical work pleased Napoleon in Paris in 1801"


@pytest.mark.parametrize(
    ("title", "text", "kind"),
    [
        ("Nile", "The Nile is a major river in Africa.", "major river"),
        ("Cake", "Cake is a form of sweet food.", ""),
        ("Lake", "A lake is a 24,514-square-kilometre lake in Africa.", ""),
        ("Brew", "Brew is the production of beer.", ""),
        ("Nile", "Something else is a river.", ""),
        ("Cube", "The Cube is a puzzle invented in 1974.", "puzzle"),
    ],
)
def test_the_kind_is_what_the_first_sentence_says(title: str, text: str, kind: str) -> None:
    assert kind_of(Lead(title, text, "x")) == kind


@pytest.mark.parametrize(
    "second",
    [
        "He painted the other chapel in Rome in 1512.",
        "He liked it.",
        "He served as its first president from 1946 until 1969 in Hanoi.",
        "The city's people praise the great painter Bob in 1512.",
        "Painted chapels in Rome show Bob at work in 1512.",
    ],
)
def test_statements_that_need_the_text_around_them_are_no_clue(second: str) -> None:
    assert list(clues(Lead("Bob Roe", f"Bob Roe was a British painter. {second}", "People"))) == []


def test_a_statement_with_the_name_is_no_clue() -> None:
    lead = Lead("Bob Roe", "Bob Roe was a British painter. He founded the Roe Gallery in London in 1880.", "People")
    assert list(clues(lead)) == []


ZED = Profile("zz", "Zed", {})


@pytest.mark.parametrize(
    ("value", "names"),
    [
        ("gold, silver, iron ore (2023)", ["gold", "silver", "iron ore"]),
        ("gold; silver; note: few", ["gold", "silver"]),
        ("none", []),
        ("various minerals, and others", []),
        ("", []),
    ],
)
def test_a_list_is_read_where_it_is_plain(value: str, names: list[str]) -> None:
    assert LISTS["names"](value, ZED) == names


@pytest.mark.parametrize(
    ("reader", "value", "names"),
    [
        ("shares", "Muslim 10.9% (Sunni 9%), Bahai 1.8%, other 8%, none 3% (2019 est.)", ["Muslim", "Bahai"]),
        ("shares", "Catholic 90%; less than 1%: Islam, Hindu (2022 est.)", ["Catholic", "Islam", "Hindu"]),
        ("shares", "USA 5%, St. Lucia 1%", ["USA", "St. Lucia", "Saint Lucia", "United States", "US", "America"]),
        ("shares", "Bahamas, The 9%, Congo, Republic of the 5%", ["The Bahamas", "Republic of the Congo"]),
        ("names", "gold, and small amounts of nickel", ["gold", "nickel"]),
        ("names", "soap, food and drink, mangoes/guavas", ["soap", "mangoes/guavas", "food and drink"]),
        ("neighbours", "Chad 9 km; Democratic Republic of the Congo 1,775 km", ["Chad", "DRC"]),
        ("sites", "Lamu Old Town (c); Ruins of A, Ruins of B (c)", ["Lamu Old Town", "Ruins of A", "Ruins of B"]),
        ("rivers", "Donau (Danube) (shared with B [s]) - 9 km", ["Donau", "Danube", "Danube River"]),
        ("official", "English (official), Samoan (Polynesian) (official)", ["English", "Samoan"]),
        ("names", "phosphates 62% (2012 est.)", ["phosphates 62%", "phosphates"]),
        ("official", "English (official), 3 others (official; includes Luo, Nama)", ["English", "Luo", "Nama"]),
    ],
)
def test_every_listed_name_is_right(reader: str, value: str, names: list[str]) -> None:
    found = LISTS[reader](value, ZED)
    assert set(names) <= set(found) and found[0] == names[0]
    assert not {"other", "none", "less", ""} & set(found)


@pytest.mark.parametrize(
    ("reader", "value", "right", "wrong"),
    [
        ("head_of_state", "President KIM Min-seok (since 2025)", "KIM Min-seok", "KIM KIM"),
        ("head_of_state", "President Denis SASSOU-Nguesso (since 1997)", "Denis SASSOU-Nguesso", "Denis SASSOU-N"),
        ("head_of_state", "President Ana Bea de TOVE (since 2025)", "Bea de TOVE", "Ana TOVE"),
        ("head_of_state", "President Donald J. TRUMP (since 2025)", "Donald TRUMP", "J. TRUMP"),
        ("point", "Cerro de Punta 1,338 m", "Cerro de Punta", "de Punta"),
        ("local", "Heung Kong (Eitel/Dyer-Ball)", "Heung Kong", "Dyer-Ball)"),
        ("largest_city", "7.6 million RIYADH (capital), 872,000 million Hufuf-Mubarraz", "RIYADH", "Hufuf-Mubarraz"),
        ("demonym", "Chinese/Hong Konger(s)", "Hong Konger", ""),
        ("currency", "Communaute Financiere Africaine francs (XOF) per US dollar -", "CFA franc", ""),
    ],
)
def test_names_are_whole(reader: str, value: str, right: str, wrong: str) -> None:
    answers, _ = READERS[reader](value, ZED) or ((), {})
    assert right in answers and wrong not in answers


@pytest.mark.parametrize("name", ["of Togo", "Frankenstein; or", "Heung Kong (Eitel", 'the "killer bee', "NEGL", "St."])
def test_pieces_of_names_are_no_answers(name: str) -> None:
    assert not well_formed(name) and well_formed("Bo, the Great") and well_formed("Orange (fruit)")
    assert variants("Whole Name", name) == ("Whole Name",)


@pytest.mark.parametrize(
    ("relation", "value", "names"),
    [
        ("official_language", "English (official), Kiswahili (official), Luo", ["English", "Kiswahili"]),
        ("official_language", "English (official only in courts)", []),
        ("river", "Nile (shared) - 6,650 km; Jur - 9 km note: x", ["Nile", "Jur", "Nile River", "Jur River"]),
        ("city", "5.3 million NAIROBI (capital), 1,400 Voi (2023)", ["NAIROBI", "Voi"]),
        (
            "heritage_site",
            "Lamu Old Town (c); Fort Jesus, Mombasa (c)",
            ["Lamu Old Town", "Fort Jesus, Mombasa", "Fort Jesus"],
        ),
        ("border", "Egypt 1,276 km; Libya 382 km", ["Egypt", "Libya"]),
    ],
)
def test_named_lists(relation: str, value: str, names: list[str]) -> None:
    listed = relations()[relation]
    assert listed.names(Profile("zz", "Zed", {listed.path: value})) == names


@pytest.mark.parametrize(
    ("value", "matching", "other"),
    [
        ("1,952 km", ("1,952 km", "1952", "1952 kilometres"), ("21,952 km", "1,9520", "952", "1,952.5")),
        ("8.5%", ("8.5%", "8.5 percent", "8.5"), ("18.5%", "8.55%", "8,5")),
        ("$1.5 billion", ("$1.5 billion", "US$1.5 billion", "1.5 billion"), ("$1.5 million", "$1.5")),
        ("-3%", ("-3%",), ("3%", "-30%")),
        ("39,000 kW", ("39,000 kW", "39000"), ("39 kW",)),
        ("4 years", ("4 years", "4"), ("14 years", "4.5")),
    ],
)
def test_number_patterns(value: str, matching: tuple[str, ...], other: tuple[str, ...]) -> None:
    check_pattern(number_pattern(value), matching, other)


def check_pattern(pattern: str, matching: tuple[str, ...], other: tuple[str, ...]) -> None:
    for compiled in (re.compile(pattern, FLAGS), regex.compile(pattern, regex.I | regex.U | regex.M)):
        assert all(compiled.match(text) for text in matching)
        assert not any(compiled.match(text) or compiled.fullmatch(text) for text in other)


def test_dates_are_matched_in_both_orders() -> None:
    check_pattern(
        date_pattern("4", "July"), ("4 July", "July 4", "4th of July 1776", "july 04"), ("14 July", "July 14", "July")
    )
    check_pattern(year_pattern("1912", "15", "April"), ("1912", "15 April 1912", "April 15, 1912"), ("1913", "21912"))
    check_pattern(year_pattern("1912", "", "April"), ("April 1912", "1912"), ("April",))


def test_what_is_not_a_number_has_no_pattern() -> None:
    with pytest.raises(ValueError, match="no number"):
        number_pattern("many")


@pytest.mark.parametrize(
    ("value", "read"),
    [
        ("13.2% (2023 est.)", "13.2%"),
        ("$1.5 billion (2023 est.)", "$1.5 billion"),
        ("-$5.8 million (2022 est.)", "-$5.8 million"),
        ("25.93 births/1,000 population (2025 est.)", "25.93"),
        ("660 km (2008)", "660 km"),
        ("0 km (landlocked)", None),
        ("10 years; 6 years if married", "10 years"),
        ("12-15 km", None),
        ("about 5", None),
        ("", None),
    ],
)
def test_a_quantity_is_one_number(value: str, read: str | None) -> None:
    relation = relations()["railways"]
    assert relation.quantity(Profile("zz", "Zed", {relation.path: value})) == read


def test_phrases_agree_with_their_verb() -> None:
    assert verb_of("the reserves of chad") == "are" and verb_of("the number of ports in chad") == "is"
    assert verb_of("inflation in chad in 2023") == "was" and verb_of("the exports of chad in 2023") == "were"


def test_sentences_are_whole() -> None:
    text = "A morpheme (say) is the smallest meaningful constituent of a language. More."
    assert described(Lead("Morpheme", text, "x")) == (
        "A morpheme is the smallest meaningful constituent of a language.",
        "is",
    )
    assert described(Lead("Morpheme", "A morpheme is a thing.", "x")) is None
    assert described(Lead("Other", text, "x")) is None
    assert described(Lead("Morpheme", "A morpheme is a part of (broken text in a language. X", "x")) is None


def test_names_keep_ordinary_case_in_sentences() -> None:
    assert names_in_case("Kais SAIED") == "Kais Saied"
    assert Profile("bf", "Bahamas", {}).in_sentence == "the Bahamas"
    assert Profile("cd", "Chad", {}).in_sentence == "Chad"


@pytest.mark.parametrize(
    ("relation", "answer", "slots", "expected"),
    [
        ("head_of_state", "Kais SAIED", {"office": "prime minister"}, "The Prime Minister of the Zed is Kais Saied."),
        ("highest_point", "NATO Hill", {}, "The highest point in the Zed is NATO Hill."),
        ("demonym", "Angolan", {}, "A person from the Zed is called an Angolan."),
        ("former_name", "Old Zed", {}, "The Zed was formerly called Old Zed."),
    ],
)
def test_a_fact_is_stated_in_a_sentence(relation: str, answer: str, slots: dict[str, str], expected: str) -> None:
    fact = Fact("profile", relation, "Zed", ("q",), (answer,), slots={"x": "the zed", **slots})
    assert stated(fact, {"Zed": "the Zed"}) == expected


def test_an_element_is_written_in_lower_case_and_a_title_as_it_stands() -> None:
    symbol = Fact("lead_fact", "element_symbol", "Tin", ("q",), ("Sn",), slots={"x": "tin"})
    assert stated(symbol, {}) == "The chemical symbol of the element tin is Sn."
    novel = Fact("lead_fact", "author", "Emma (novel)", ("q",), ("Jane Austen",), slots={"x": "the novel emma"})
    assert stated(novel, {}) == "Emma was written by Jane Austen."
