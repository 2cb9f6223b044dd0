"""Relations of `mini-webquestions`: where the answers stand, who reads them, how they are asked for."""

from __future__ import annotations

from collections.abc import Callable

from rag_lightning.mini.factbook import Profile
from rag_lightning.mini.lists import (
    read_cities,
    read_colours,
    read_list,
    read_official,
    read_rivers,
    read_shares,
    read_sites,
)

_LENGTH = r" [\d.,]+(?: km)?.*$"
_SHARE = r" <?\d[\d.]*%.*$"
_PEOPLE, _LAND, _TRADE, _STATE = "People and Society", "Geography", "Economy", "Government"

ListRelation = tuple[str, Callable[[Profile], list[str]], tuple[str, ...]]

LIST_RELATIONS: dict[str, ListRelation] = {
    "official_language": (
        f"{_PEOPLE} - Languages",
        read_official,
        (
            "what is the official language of {x}",
            "what official language does {x} have",
            "what language is official in {x}",
        ),
    ),
    "border": (
        f"{_LAND} - Land boundaries",
        read_list(_LAND, "Land boundaries", "border countries", drop=_LENGTH, sep="[;,](?! ?[0-9]{3})"),
        (
            "what countries border {x}",
            "what country is next to {x}",
            "which countries does {x} share a land border with",
        ),
    ),
    "religion": (
        f"{_PEOPLE} - Religions",
        read_shares(_PEOPLE, "Religions"),
        (
            "what religion do people in {x} follow",
            "what are the main religions in {x}",
            "what do people believe in in {x}",
        ),
    ),
    "ethnic_group": (
        f"{_PEOPLE} - Ethnic groups",
        read_shares(_PEOPLE, "Ethnic groups"),
        ("what ethnic groups live in {x}", "what are the ethnic groups of {x}", "which peoples make up {x}"),
    ),
    "export": (
        f"{_TRADE} - Exports - commodities",
        read_list(_TRADE, "Exports - commodities"),
        ("what does {x} export", "what are the main exports of {x}", "what goods does {x} sell abroad"),
    ),
    "import": (
        f"{_TRADE} - Imports - commodities",
        read_list(_TRADE, "Imports - commodities"),
        ("what does {x} import", "what are the main imports of {x}", "what goods does {x} buy from abroad"),
    ),
    "export_partner": (
        f"{_TRADE} - Exports - partners",
        read_shares(_TRADE, "Exports - partners"),
        ("who does {x} export to", "what countries does {x} export to", "who buys the exports of {x}"),
    ),
    "import_partner": (
        f"{_TRADE} - Imports - partners",
        read_shares(_TRADE, "Imports - partners"),
        ("who does {x} import from", "what countries does {x} import from", "who sells goods to {x}"),
    ),
    "farm_product": (
        f"{_TRADE} - Agricultural products",
        read_list(_TRADE, "Agricultural products"),
        (
            "what do farmers grow or raise in {x}",
            "what are the agricultural products of {x}",
            "what comes from farms in {x}",
        ),
    ),
    "resource": (
        f"{_LAND} - Natural resources",
        read_list(_LAND, "Natural resources"),
        (
            "what natural resources does {x} have",
            "what are the natural resources of {x}",
            "what is found in the ground of {x}",
        ),
    ),
    "industry": (
        f"{_TRADE} - Industries",
        read_list(_TRADE, "Industries"),
        ("what industries does {x} have", "what are the main industries in {x}", "which industries are there in {x}"),
    ),
    "port": (
        "Transportation - Ports",
        read_list("Transportation", "Ports", "key ports"),
        ("what ports does {x} have", "where are the key ports of {x}", "which are the main harbors of {x}"),
    ),
    "city": (
        f"{_PEOPLE} - Major urban areas - population",
        read_cities,
        ("what are the big cities in {x}", "what major cities does {x} have", "which big cities are there in {x}"),
    ),
    "heritage_site": (
        f"{_STATE} - National heritage",
        read_sites,
        (
            "what world heritage sites are in {x}",
            "name a world heritage site in {x}",
            "which unesco sites does {x} have",
        ),
    ),
    "river": (
        f"{_LAND} - Major rivers (by length in km)",
        read_rivers,
        ("what rivers are in {x}", "what major rivers does {x} have", "which long rivers run through {x}"),
    ),
    "color": (
        f"{_STATE} - National color(s)",
        read_colours,
        ("what are the national colors of {x}", "what color stands for {x}", "which colors does {x} use as its own"),
    ),
}

SINGLE_RELATIONS: dict[str, tuple[str, ...]] = {
    "demonym": ("what are the people of {x} called", "what do you call someone from {x}", "someone from {x} is a what"),
    "currency": ("what money does {x} use", "what kind of money do i need in {x}", "how do you pay in {x}"),
    "capital": ("what is the capital city of {x}", "where is the government of {x} based", "which city rules {x}"),
    "head_of_state": ("who is the {office} of {x} now", "who is {x}'s {office}", "who serves as {office} of {x}"),
    "head_of_government": ("who is the {office} of {x} now", "who is {x}'s {office}", "who serves as {office} of {x}"),
    "highest_point": ("what is the tallest mountain in {x}", "what is the highest spot in {x}", "what peak tops {x}"),
    "anthem": ("what is {x}'s national anthem", "what song does {x} have as anthem", "what anthem do they sing in {x}"),
    "symbol": ("what is {x}'s national symbol", "what symbol does {x} have", "what stands for {x} as a symbol"),
    "former_name": ("what did {x} used to be called", "what was {x} called before", "what older name does {x} have"),
    "author": ("who wrote {x}", "who was {x} written by", "who is the writer of {x}"),
    "capital_of": ("what is {x} the capital of", "{x} is the capital of where", "where is {x} the capital"),
    "born_in": ("where was {x} born", "what place was {x} born in", "where does {x} come from"),
    "named_after": ("who or what was {x} named after", "what is {x} named for", "where does the name of {x} come from"),
    "director": ("who directed {x}", "who was {x} directed by", "who was the director of {x}"),
    "also_known_as": ("what else is {x} called", "what is {x} also called", "what other name does {x} go by"),
}
