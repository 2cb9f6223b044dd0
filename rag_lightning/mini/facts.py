"""Facts that stand in a lead's own words: element symbols, authors, other names, namesakes, capitals, years."""

from __future__ import annotations

import re
from collections.abc import Iterator

from rag_lightning.mini.definitions import aliases
from rag_lightning.mini.text import as_typed, strip_parentheses, variants
from rag_lightning.mini.wiki import Lead, first_sentence, sentences

_WORD = r"[A-ZÀ-Þ][\w.'\u2019À-ÿ-]*"
_NAME = rf"(?P<a>{_WORD}(?: (?:(?:de|da|di|van|von|der|den|del|la|le|al|ibn|bin|of|the) )*{_WORD}){{0,4}})"
_PEOPLES = (
    r"(?:(?:[A-Z][a-z]+(?:ish|ese|ian|ean|an|ch|sh|ek|ss)|American|[A-Z][a-z]+-[A-Za-z]+|former|late|Renaissance|"
    r"Baroque|[a-z-]+) )*"
)
_WORK = re.compile(
    r"(?:film|novel|album|song|book|play|journal|painting|magazine|game|musical|opera|band|series|company|city|"
    r"newspaper|element)$"
)
_YEAR = r"(?P<a>1[0-9]{3}|20[0-2]\d)"

_MAKERS = (
    (
        "author",
        r"\b(?:novel|novella|play|book|poem|tragedy|comedy|essay|treatise|story|novels|memoir|trilogy|series|epic|"
        r"pamphlet)\b[^.;()]{0,50}?",
    ),
    ("director", r"\bfilm\b[^.;()]{0,60}? directed"),
    ("painter", r"\b(?:painting|fresco|portrait|sculpture|statue|woodblock print|mural|altarpiece)\b[^.;()]{0,50}?"),
    (
        "composer",
        r"\b(?:opera|symphony|ballet|concerto|concertos|suite|orchestral work|musical|oratorio)\b[^.;()]{0,60}?",
    ),
    ("recorded_by", r"\b(?:album|song|single)\b[^.;()]{0,25}?"),
)


def lead_facts(lead: Lead) -> Iterator[tuple[str, tuple[str, ...]]]:
    """(relation, accepted answers) of every fact that a pattern finds in the lead."""
    opening = strip_parentheses(first_sentence(lead.text))
    yield from _element(lead)
    yield from _maker(opening)
    yield from _other_name(lead, opening)
    yield from _namesake(lead)
    yield from _capital_of(lead, opening)
    yield from _years(lead)
    yield from _born(lead)


def title_as_typed(lead: Lead) -> str | None:
    """The title in a question: "Science (journal)" is asked for as "the journal science".

    None where the bracket names a field ("Competition (biology)"): the bare word would mean something else.
    """
    name, bracket = strip_parentheses(lead.title), re.search(r"\(([^()]*)\)$", lead.title)
    if not bracket:
        return as_typed(name)
    return as_typed(f"the {bracket[1]} {name}") if _WORK.search(bracket[1]) else None


def _element(lead: Lead) -> Iterator[tuple[str, tuple[str, ...]]]:
    match = re.search(r"\bsymbol (?P<symbol>[A-Z][a-z]?)\b[^.]{0,20} atomic number (?P<number>\d+)", lead.text)
    if match and "element" in lead.text[: match.start()]:
        yield "element_symbol", (match["symbol"],)
        yield "atomic_number", (match["number"],)


def _maker(opening: str) -> Iterator[tuple[str, tuple[str, ...]]]:
    copula = re.search(r" (?:is|was) (?:a|an|the) ", opening)
    if not copula:
        return
    predicate = opening[copula.start() :]
    for relation, kind in _MAKERS:
        if relation == "author" and re.search(r"\b(?:film|album|song|video game|television)\b", predicate):
            continue
        match = re.search(rf"{kind} by (?:the )?{_PEOPLES}{_NAME}(?=[,.;]|$| (?!and [A-Z])[a-z(])", predicate)
        if match:
            if not re.search(r" and [A-Z]", predicate[match.end("a") : match.end("a") + 12]):
                yield relation, variants(match["a"].strip(" ."))
            return


def _other_name(lead: Lead, opening: str) -> Iterator[tuple[str, tuple[str, ...]]]:
    subject = re.split(r",? (?:is|was|are|were) (?:a|an|the) ", opening)[0]
    match = re.search(r"\balso (?:known|referred to) as (?:the )?(?P<a>(?:\b[A-Z]\.|[^,;.()])+)", subject)
    if not match or len(subject) == len(opening):
        return
    names = [
        re.sub(
            r"^(?:(?:officially|formerly|historically|simply|commonly) (?:known )?(?:as )?)?(?:(?:the|an|a) )?",
            "",
            name.strip(' "“”'),
        )
        for name in re.split(r",| or | and ", match["a"])
    ]
    others = [name for name in aliases(subject, lead.title)[1:] if name not in names]
    if len(names[0]) > 1 and len(names[0].split()) <= 5 and as_typed(names[0]) != as_typed(lead.title):
        yield "also_known_as", variants(*names, *others)


def _namesake(lead: Lead) -> Iterator[tuple[str, tuple[str, ...]]]:
    title = re.escape(strip_parentheses(lead.title).split()[0])
    for sentence in sentences(lead.text):
        match = re.search(
            rf"^(?:It|They|The \w+|The \w+ \w+|{title}[\w ]{{0,30}}) (?:is|was|are|were) "
            r"named (?:after|in honou?r of|for) (?P<rest>[^,;.()]+)",
            sentence,
        )
        if match:
            name = re.search(rf"^(?:the |its |their )?{_PEOPLES}{_NAME}", match["rest"])
            if name and " and " not in match["rest"]:
                yield "named_after", variants(name["a"])
            return


def _capital_of(lead: Lead, opening: str) -> Iterator[tuple[str, tuple[str, ...]]]:
    match = re.search(
        r"^(?P<s>[^,]{2,40})(?:, [^,]{2,40},)? is the (?:(?!former)[\w-]+ ){0,2}?"
        r"capital(?:(?:,| and|,? as well as)?[\w -]* city)?(?: and [\w-]+(?: [\w-]+)? city)? of (?:the )?"
        r"(?:(?:[A-Z][\w.]+ ){0,2}(?:[a-z]+ )?(?:state|province|region|republic|autonomous community|country|island|"
        rf"department|prefecture) of )?{_NAME}",
        opening,
    )
    own = strip_parentheses(lead.title).lower()
    if match and "former" not in opening[: match.end()] and own not in match["a"].lower():
        yield "capital_of", variants(match["a"])


def _years(lead: Lead) -> Iterator[tuple[str, tuple[str, ...]]]:
    first_word = re.escape(strip_parentheses(lead.title).split()[0])
    for relation, verbs in (
        ("founded", r"founded|established|incorporated"),
        ("released", r"released|published|premiered"),
    ):
        for sentence in sentences(lead.text)[:4]:
            match = re.search(
                rf"^(?:It|The \w+|The \w+ \w+|{first_word}[^,]{{0,40}}) was "
                rf"(?:first |originally |officially )?(?:{verbs}) [^,;.]{{0,40}}?\bin (?:\w+ )?{_YEAR}\b",
                sentence,
            )
            if not match and sentence == first_sentence(lead.text):
                match = re.search(rf"(?<!first )\b(?:{verbs})(?: [^,;.]{{0,30}})? in (?:\w+ )?{_YEAR}\b", sentence)
                if match and re.search(r"\b(?:who|whose|by)\b", sentence[: match.start()]):
                    match = None
            if match and lead.topic != "People":
                yield relation, (match["a"],)
                break


def _born(lead: Lead) -> Iterator[tuple[str, tuple[str, ...]]]:
    if lead.topic != "People":
        return
    for sentence in sentences(lead.text):
        match = re.search(
            r"^(?:Born(?: and raised)?|(?:He|She|[A-ZÀ-Þ][\w-]+) was born(?: and raised)?) in (?:the )?(?:\w+ of )?"
            r"(?P<a>[A-ZÀ-Þ][\w'-]+(?: [A-ZÀ-Þ][\w'-]+){0,2})",
            sentence,
        )
        if match:
            yield "born_in", variants(match["a"])
            return
