"""Text as readers see it, whatever a model or a data set says: one line, without signs that move or colour a page."""

from __future__ import annotations

import unicodedata

LONGEST = 600
"""Characters of a text that a page or a terminal shows."""
_BIDI = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def clean(text: str) -> str:
    """Text on one line without control characters, direction marks and surrogates."""
    if text.isprintable():  # holds none of them; most texts, much faster
        return " ".join(text.split())
    kept = (sign if sign.isspace() or unicodedata.category(sign) not in ("Cc", "Cs") else "" for sign in text)
    return " ".join("".join(sign for sign in kept if sign not in _BIDI).split())


def shorten(text: str, longest: int = LONGEST) -> str:
    """Clean text, cut with its true length at the end if it is longer than that."""
    found = clean(text)
    return found if len(found) <= longest else f"{found[:longest]}… ({len(found):,} characters)"
