"""Scripts that are written without spaces between words: Han, kana, Thai, Lao, Khmer and Myanmar.

They are those that Unicode's word boundaries (https://unicode.org/reports/tr29/) leave to dictionaries, or cut at every
character. Hangul is not among them: Korean has spaces.
"""

from __future__ import annotations

from collections.abc import Iterable

import regex

UNSPACED = r"\p{scx=Han}\p{scx=Hira}\p{scx=Kana}\p{scx=Thai}\p{scx=Lao}\p{scx=Khmr}\p{scx=Mymr}"
"""The scripts as part of a set of `regex` (V1), by Script_Extensions: the long sound mark of kana is one of them."""
_LETTER = rf"[[{UNSPACED}]&&[\p{{L}}\p{{Nl}}]]"
_LETTERS = regex.compile(_LETTER, regex.V1)
_RUN = regex.compile(rf"{_LETTER}\p{{M}}*{_LETTER}", regex.V1)
_ANY_LETTER = regex.compile(r"[\p{L}\p{Nl}]", regex.V1)


def joins_words(tokens: Iterable[str]) -> bool:
    """Whether a token holds two letters in a row of a script without spaces, so that it was not cut into words.

    >>> joins_words(["東京都"]), joins_words(["東", "京"]), joins_words(["tokyo"])
    (True, False, False)
    """
    return any(not token.isascii() and _RUN.search(token) for token in tokens)


def is_unspaced(text: str) -> bool:
    """Whether more than half of the letters are of scripts without spaces.

    >>> is_unspaced("東京は日本の首都"), is_unspaced("Tokyo (東京)")
    (True, False)
    """
    if text.isascii():
        return False
    return 2 * len(_LETTERS.findall(text)) > len(_ANY_LETTER.findall(text))
