"""Text as readers see it, whatever a model or a data set says: one line, without signs that move or colour a page."""

from __future__ import annotations

import unicodedata

LONGEST = 600
"""Characters of a text that a page or a terminal shows."""
_BIDI = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def visible(text: str) -> str:
    """Text on one line without control characters, direction marks and surrogates; white space becomes spaces.

    >>> visible("a\\x1b[31m\\t  b\\u202e")
    'a[31m   b'
    """
    if text.isprintable():  # holds none of them; most texts, much faster
        return text
    kept = (" " if sign.isspace() else sign for sign in text if sign not in _BIDI)
    return "".join(sign for sign in kept if unicodedata.category(sign) not in ("Cc", "Cs"))


def clean(text: str) -> str:
    """Visible text whose words are one space apart."""
    return " ".join(visible(text).split())


def is_whole(text: str) -> bool:
    """Whether a text holds no half of a surrogate pair, with which no file can be written.

    >>> is_whole("\\U0001f600"), is_whole("\\ud83d")
    (True, False)
    """
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def shorten(text: str, longest: int = LONGEST) -> str:
    """Clean text, cut with its true length at the end if it is longer than that."""
    found = clean(text)
    return found if len(found) <= longest else f"{found[:longest]}… ({len(found):,} characters)"
