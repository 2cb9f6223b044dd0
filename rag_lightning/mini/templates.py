"""How questions are asked: per relation some phrasings for all splits and one that only test sees (the last)."""

from __future__ import annotations

HELD_OUT_RELATIONS = ("anthem_composer", "largest_city")
"""These appear only in test, in every phrasing."""

TEMPLATES: dict[str, tuple[str, ...]] = {
    # definitions: {d} is the description, {was} the verb of the lead
    "definition/the": ("what {was} {d}", "what do you call {d}", "what is the name of {d}", "{d} is called what"),
    "definition/a": ("what do you call {d}", "what is the word for {d}", "name {d}", "which thing {was} {d}"),
    "definition/plural": ("what do you call {d}", "name {d}", "what {was} {d}", "which things {was} {d}"),
    "definition/person": ("who {was} {d}", "name {d}", "what is the name of {d}", "which person {was} {d}"),
    # country profiles: {x} is the country
    "capital": (
        "what is the capital of {x}",
        "what is the capital city of {x}",
        "{x} capital",
        "which city is the seat of government of {x}",
    ),
    "currency": (
        "what is the currency of {x}",
        "what currency is used in {x}",
        "what money do they use in {x}",
        "what do people in {x} pay with",
    ),
    "head_of_state": (
        "who is the {office} of {x}",
        "who is {x}'s {office}",
        "name of the {office} of {x}",
        "{x} {office} name",
    ),
    "head_of_government": (
        "who is the {office} of {x}",
        "who is {x}'s {office}",
        "name of the {office} of {x}",
        "{x} {office} name",
    ),
    "highest_point": (
        "what is the highest point in {x}",
        "what is the highest place in {x}",
        "where is the highest elevation in {x}",
        "what is the tallest peak of {x}",
    ),
    "lowest_point": (
        "what is the lowest point in {x}",
        "where is the lowest elevation in {x}",
        "what is the lowest place in {x}",
    ),
    "anthem": (
        "what is the national anthem of {x}",
        "what is the name of {x}'s national anthem",
        "{x} national anthem title",
        "which song is the anthem of {x}",
    ),
    "anthem_author": (
        "who wrote the national anthem of {x}",
        "who wrote the lyrics of {x}'s national anthem",
        "author of the words to the anthem of {x}",
    ),
    "anthem_composer": (
        "who composed the national anthem of {x}",
        "who wrote the music of {x}'s national anthem",
        "composer of the anthem of {x}",
    ),
    "demonym": (
        "what do you call a person from {x}",
        "what are people from {x} called",
        "what is the demonym for {x}",
        "what is a native of {x} called",
    ),
    "symbol": ("what is the national symbol of {x}", "{x} national symbol", "what stands as the symbol of {x}"),
    "holiday": (
        "what is the national holiday of {x}",
        "what is the name of {x}'s national day",
        "which national holiday do they have in {x}",
    ),
    "holiday_date": (
        "when is the national holiday of {x}",
        "what day is {x}'s national holiday",
        "on which date does {x} celebrate its national holiday",
    ),
    "legislature": (
        "what is the legislature of {x} called",
        "what is the name of {x}'s legislature",
        "what is the parliament of {x} called",
        "which body makes the laws of {x}",
    ),
    "lower_chamber": (
        "what is the lower house of {x} called",
        "name of the lower chamber of {x}'s legislature",
        "what is the lower chamber in {x}",
    ),
    "upper_chamber": (
        "what is the upper house of {x} called",
        "name of the upper chamber of {x}'s legislature",
        "what is the upper chamber in {x}",
    ),
    "former_name": (
        "what was {x} formerly called",
        "what is the former name of {x}",
        "what was {x} called before",
        "what did {x} use to be called",
    ),
    "independence_year": (
        "what year did {x} gain independence",
        "when did {x} become independent",
        "{x} independence year",
        "in which year did {x} get its independence",
    ),
    "internet_code": (
        "what is the internet country code of {x}",
        "what is the internet domain of {x}",
        "{x} internet code",
        "which top level domain belongs to {x}",
    ),
    "aircraft_prefix": (
        "what is the aircraft registration prefix of {x}",
        "aircraft registration code for {x}",
        "which prefix do planes from {x} carry",
    ),
    "local_name": (
        "what is the local name of {x}",
        "what do the locals call {x}",
        "what is {x} called in its own language",
    ),
    "long_name": (
        "what is the official name of {x}",
        "what is the full name of {x}",
        "what is the long form of {x}'s name",
    ),
    "largest_city": (
        "what is the largest city in {x}",
        "what is the biggest city in {x}",
        "which city has the most people in {x}",
    ),
    "population": ("what is the population of {x}", "how many people live in {x}", "how big is the population of {x}"),
    "area": ("what is the total area of {x}", "how big is {x} in square kilometers", "how large is {x}"),
    "coastline": (
        "how long is the coastline of {x}",
        "what is the length of {x}'s coastline",
        "how many km of coast does {x} have",
    ),
    "space_agency": (
        "what is the space agency of {x}",
        "what is the name of {x}'s space agency",
        "which agency runs the space program of {x}",
    ),
    "export_partner": (
        "who is the largest export partner of {x}",
        "which country does {x} export the most to",
        "who buys most of the exports of {x}",
    ),
    "export_commodity": (
        "what is the top export of {x}",
        "what does {x} export the most",
        "what is the most valuable export commodity of {x}",
    ),
    "import_partner": (
        "who is the largest import partner of {x}",
        "where does {x} import the most from",
        "which country sells the most to {x}",
    ),
    "life_expectancy": (
        "what is the life expectancy in {x}",
        "how long do people in {x} live on average",
        "average life expectancy of {x}",
    ),
    # facts in leads: {x} is the article's title
    "element_symbol": (
        "what is the chemical symbol for {x}",
        "what is the symbol of the element {x}",
        "which symbol does {x} have in the periodic table",
    ),
    "atomic_number": (
        "what is the atomic number of {x}",
        "{x} atomic number",
        "which atomic number does the element {x} have",
    ),
    "author": ("who wrote {x}", "who is the author of {x}", "{x} was written by whom"),
    "director": ("who directed {x}", "who is the director of {x}", "{x} was directed by whom"),
    "painter": ("who painted {x}", "which artist made {x}", "{x} is the work of which artist"),
    "composer": ("who composed {x}", "who is the composer of {x}", "{x} was composed by whom"),
    "recorded_by": ("who recorded {x}", "which artist released {x}", "{x} is by whom"),
    "also_known_as": ("what is {x} also known as", "what is another name for {x}", "by what other name is {x} known"),
    "named_after": (
        "what is {x} named after",
        "where does {x} get its name from",
        "{x} takes its name from whom or what",
    ),
    "capital_of": (
        "{x} is the capital of what",
        "what place is {x} the capital of",
        "which place has {x} as its capital",
    ),
    "founded": ("when was {x} founded", "what year was {x} founded", "in which year did {x} start"),
    "released": ("when was {x} released", "what year did {x} come out", "in which year did {x} appear"),
    "born_in": ("where was {x} born", "what is the birthplace of {x}", "in which place was {x} born"),
    "located_in": ("where is {x} located", "where is {x}", "in which place does {x} lie"),
}

TWO_HOP_BRIDGES = {
    "capital": "the {land} whose capital is {b}",
    "anthem": "the {land} whose national anthem is {b}",
    "internet_code": "the {land} with the internet code {b}",
    "highest_point": "the {land} whose highest point is {b}",
    "former_name": "the {land} formerly called {b}",
}

HELD_OUT_BRIDGES = frozenset({"former_name"})
"""Bridges of two-hop questions that only test has."""

TWO_HOP_TARGETS = {
    "currency": "what is the currency of {x}",
    "capital": "what is the capital of {x}",
    "anthem": "what is the national anthem of {x}",
    "demonym": "what do you call a person from {x}",
    "legislature": "what is the legislature of {x} called",
    "independence_year": "what year did {x} gain independence",
    "highest_point": "what is the highest point in {x}",
    "internet_code": "what is the internet country code of {x}",
    "holiday_date": "when is the national holiday of {x}",
    "symbol": "what is the national symbol of {x}",
    "former_name": "what was the former name of {x}",
    "population": "what is the population of {x}",
}
