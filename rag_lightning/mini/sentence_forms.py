"""Sentences that state a fact, and how a description is asked for; used by `mini-msmarco`."""

from __future__ import annotations

import re

DESCRIBED = {
    "person": ("who {was} {x}", "{x} biography", "what do we know of {x}"),
    "thing": ("what {was} {x}", "{x} definition", "define {x}", "explain {x}"),
}

SENTENCES = {
    "capital": "The capital of {x} is {a}.",
    "currency": "People in {x} pay with {a}.",
    "head_of_state": "The {office} of {x} is {a}.",
    "head_of_government": "The {office} of {x} is {a}.",
    "highest_point": "The highest point in {x} is {a}.",
    "anthem": 'The national anthem of {x} is "{a}".',
    "anthem_author": "The words of the national anthem of {x} were written by {a}.",
    "anthem_composer": "The music of the national anthem of {x} was composed by {a}.",
    "demonym": "A person from {x} is called {article} {a}.",
    "symbol": "The national symbol of {x} is the {a}.",
    "holiday_date": "{x} celebrates its national holiday on {a}.",
    "former_name": "{x} was formerly called {a}.",
    "independence_year": "{x} became independent in {a}.",
    "internet_code": "The internet country code of {x} is {a}.",
    "aircraft_prefix": "The aircraft registration prefix of {x} is {a}.",
    "local_name": "The local name of {x} is {a}.",
    "largest_city": "The largest city in {x} is {a}.",
    "population": "The population of {x} is {a}.",
    "area": "The total area of {x} is {a}.",
    "coastline": "The coastline of {x} is {a} long.",
    "space_agency": "The space agency of {x} is the {a}.",
    "life_expectancy": "The average life expectancy in {x} is {a}.",
    "element_symbol": "The chemical symbol of the element {x} is {a}.",
    "atomic_number": "The atomic number of the element {x} is {a}.",
    "author": "{x} was written by {a}.",
    "director": "{x} was directed by {a}.",
    "painter": "{x} was painted by {a}.",
    "composer": "{x} was composed by {a}.",
    "named_after": "{x} is named after {a}.",
    "capital_of": "{x} is the capital of {a}.",
    "founded": "{x} was founded in {a}.",
    "released": "{x} was released in {a}.",
    "born_in": "{x} was born in {a}.",
}

_SHOUTED = ("head_of_state", "head_of_government", "anthem_author", "anthem_composer", "largest_city")


def capitalised(answer: str, relation: str) -> str:
    """Family names that the source prints in capitals, in ordinary case: "Kais SAIED" -> "Kais Saied"."""
    if relation not in _SHOUTED:
        return answer
    return re.sub(r"\b[A-ZÀ-Þ][A-ZÀ-Þ'\u2019]+\b", lambda word: word[0].capitalize(), answer)


def in_case(name: str, typed: str) -> str:
    """A country's name inside a sentence: with "the" where people type it with one."""
    return f"the {name}" if typed.startswith("the ") and not name.lower().startswith("the ") else name
