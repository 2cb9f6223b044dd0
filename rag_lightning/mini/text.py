"""Text tools of `mini`: HTML to plain text, sentences, spellings of names, stems."""

from __future__ import annotations

import html
import re
import unicodedata
from collections.abc import Mapping

from rag_lightning.metrics.answers import tokenize

_BREAK = re.compile(r"<\s*(?:br|/?p|/?div|/?li|/?ul|/?ol)\b[^>]*>", re.IGNORECASE)
_TAG = re.compile(r"</?[a-zA-Z][^<>]*>")
_PARENTHESES = re.compile(r"\s*[(\[][^()\[\]]*[)\]]")
_SENTENCE_END = re.compile(r"(?<=[\w)\]\"'”\u2019%])\.[\"”']? (?=[A-Z\"“'À-Þ])")
_ABBREVIATION = re.compile(r"(?:\b[A-Z]|\b(?:Dr|St|Mr|Mrs|Ms|Jr|Sr|ca|c|vs|No|Mt|Gen|Col|lit|fl|r|approx|i\.e|e\.g))$")
_STOP_WORDS = (
    "a an the of in on at to for from by with and or as is are was were be been being it its that this these those "
    "which who whom whose what when where how not no than then into over under between among through during before "
    "after about any some most more many much one two also such other others known called used usually often generally "
    "typically commonly can may has have had his her their they he she"
)
STOP_WORDS = frozenset(_STOP_WORDS.split())
MONTHS = "January|February|March|April|May|June|July|August|September|October|November|December"
"""Alternatives of a regular expression."""
_TYPED = str.maketrans("\u2018\u2019\u02bb\u02bc“”\u2013\u2014\xa0", "''''\"\"-- ")
_BROKEN_OFF = re.compile(r"^(?:(?:of|by|and|or|which|that|as) |(?:NEGL|St|Mt|Dr)\.?$)|(?:[,(]|\b(?:and|or|of|the|by))$")
COUNTRY_FORMS: Mapping[str, tuple[str, ...]] = {
    "USA": ("United States", "US", "America"),
    "US": ("United States", "USA", "America"),
    "UK": ("United Kingdom", "Britain"),
    "UAE": ("United Arab Emirates",),
    "NZ": ("New Zealand",),
    "Turkey": ("Türkiye",),
    "Burma": ("Myanmar",),
    "Czechia": ("Czech Republic",),
    "Cabo Verde": ("Cape Verde",),
    "Timor-Leste": ("East Timor",),
    "Cote d'Ivoire": ("Ivory Coast",),
    "Netherlands": ("Holland",),
    "Democratic Republic of the Congo": ("DR Congo", "DRC"),
    "DRC": ("Democratic Republic of the Congo",),
    "S. Korea": ("South Korea",),
    "Holy See": ("Vatican City",),
}
"""Other accepted names of countries that the profiles give under one name."""
_NOTHING = re.compile(r"^(?:none|n/?a|no|unknown|nothing|-+|null|not available|not applicable)?\W*$", re.IGNORECASE)


def clean_html(raw: str) -> str:
    """Text without tags or entities.

    `<br>` and block tags become a space, other tags vanish; entities are resolved whether or not there are tags.

    >>> clean_html("<p>C&ocirc;te<br>d'Ivoire</p>")
    "Côte d'Ivoire"
    """
    text = html.unescape(_TAG.sub("", _BREAK.sub(" ", raw)))
    return " ".join(text.replace("\u200b", "").split())


def is_nothing(value: str) -> bool:
    """True for the ways a field says that there is nothing: "", "none", "NA", "none (territory of …)"."""
    return bool(_NOTHING.match(strip_parentheses(value).split(";")[0].strip()))


def strip_parentheses(text: str) -> str:
    """Without (round) and [square] parts, nested ones included."""
    while True:
        shorter = _PARENTHESES.sub("", text)
        if shorter == text:
            return " ".join(text.split())
        text = shorter


def fold(text: str) -> str:
    """Without accents: "São Tomé" -> "Sao Tome"; letters that do not decompose stay."""
    decomposed = unicodedata.normalize("NFD", text)
    return unicodedata.normalize("NFC", "".join(c for c in decomposed if not unicodedata.combining(c)))


def straight(text: str) -> str:
    """Typographic quotes and dashes as people type them."""
    return text.translate(_TYPED)


def as_typed(text: str) -> str:
    """A question as people type it: lower case, plain quotes, no closing mark."""
    return " ".join(straight(text).lower().split()).rstrip(" ?.,;:")


def variants(text: str, *more: str) -> tuple[str, ...]:
    """Accepted spellings, the given one first: with and without parentheses, accents and a leading article.

    Others that are malformed, pieces of a name, are left out.
    """
    found: dict[str, None] = {}
    for form in (text, *more):
        for bare in (form, strip_parentheses(form)):
            for spelt in (bare, straight(bare), fold(straight(bare))):
                cleaned = spelt.strip(" \"'“”,;:")
                found.setdefault(cleaned)
                found.setdefault(re.sub(r"^(?:the|a|an) ", "", cleaned, flags=re.IGNORECASE))
    first, *others = [form for form in found if form] or [""]
    return tuple(filter(None, [first, *filter(well_formed, others)]))


def well_formed(name: str) -> bool:
    """Whether a name neither begins nor ends with what joins names, and its brackets and quotes are closed.

    "NEGL" is how a profile says that there is next to nothing.

    >>> well_formed("of Council of Ministers Faure GNASSINGBE"), well_formed("Frankenstein; or")
    (False, False)
    """
    closed = name.count("(") == name.count(")") and name.count('"') % 2 == 0
    return closed and name.count("“") == name.count("”") and not _BROKEN_OFF.search(name)


def first_sentence(text: str) -> str:
    """The text up to the first full stop that does not end an abbreviation."""
    for match in _SENTENCE_END.finditer(text):
        if not _ABBREVIATION.search(text[: match.start()]):
            return text[: match.start()]
    return text.rstrip(". ")


def sentences(text: str) -> list[str]:
    """All sentences, without their full stops."""
    found = []
    while text:
        head = first_sentence(text)
        found.append(head)
        text = text[len(head) :].lstrip(".\"”' ")
    return found


def stems(text: str) -> set[str]:
    """Content words of three letters and more, without accents and plural endings."""
    words = re.findall(r"[a-z0-9]+", fold(text).lower())
    return {re.sub(r"(?:ies|es|s|y|e)$", "", word) for word in words if word not in STOP_WORDS and len(word) > 2}


def content_words(text: str) -> list[str]:
    """The lower-cased words of a text in order, without signs and function words."""
    return [word for word in tokenize(text) if word.isalnum() and word not in STOP_WORDS]


def sentence_case(text: str) -> str:
    """The text with a capital first letter."""
    return text[0].upper() + text[1:]


def names_in_case(text: str) -> str:
    """Family names that the source prints in capitals, in ordinary case: "Kais SAIED" -> "Kais Saied"."""
    return re.sub(r"\b[A-ZÀ-Þ][A-ZÀ-Þ'\u2019]+\b", lambda word: word[0].capitalize(), text)
