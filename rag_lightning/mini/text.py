"""Plain text from the mini assets: HTML out, white space in order; small helpers on names."""

from __future__ import annotations

import html
import re
import unicodedata

_BREAK = re.compile(r"<\s*(?:br|/?p|/?div|/?li|/?ul|/?ol)\b[^>]*>", re.IGNORECASE)
_TAG = re.compile(r"</?[a-zA-Z][^<>]*>")
_PARENTHESES = re.compile(r"\s*[(\[][^()\[\]]*[)\]]")
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
    return text.translate(str.maketrans("\u2018\u2019\u02bb\u02bc“”\u2013\u2014", "''''\"\"--")).replace("\xa0", " ")


def as_typed(text: str) -> str:
    """A question as people type it: lower case, plain quotes, no closing mark."""
    return " ".join(straight(text).lower().split()).rstrip(" ?.,;:")


def variants(text: str, *more: str) -> tuple[str, ...]:
    """Accepted spellings, the given one first: with and without parentheses, accents and a leading article."""
    found: dict[str, None] = {}
    for form in (text, *more):
        for bare in (form, strip_parentheses(form)):
            for spelt in (bare, straight(bare), fold(straight(bare))):
                cleaned = spelt.strip(" \"'“”,;:")
                found.setdefault(cleaned)
                found.setdefault(re.sub(r"^(?:the|a|an) ", "", cleaned, flags=re.IGNORECASE))
    return tuple(form for form in found if form)
