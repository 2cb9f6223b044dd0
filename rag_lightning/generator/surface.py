"""From decoded word pieces to natural text.

An uncased WordPiece decoder writes "porto - novo" and "1, 951", which no metric forgives. The pieces are looked for in
the passages the model read, and the passage's own characters are returned; other pieces are joined by rules.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from rag_lightning.core.records import Passage, passage_text
from rag_lightning.generator.inputs import TITLE_END

PROBE = "Porto-Novo (1,951)"
JOINS = (
    (re.compile(r"(\d) ?([,.:]) ?(\d)"), r"\1\2\3"),
    (re.compile(r" ([-/–']) "), r"\1"),
    (re.compile(r" ([,.;:!?%)\]])"), r"\1"),
    (re.compile(r"([(\[$£€#]) "), r"\1"),
)


class Surface:
    """Realises token ids as text.

    Args:
        tokenizer: the generator's, a fast one; if decoding is already exact, nothing is looked up.
    """

    def __init__(self, tokenizer: Any) -> None:
        self.tokenizer = tokenizer
        self.special = frozenset(tokenizer.all_special_ids)
        self.exact = tokenizer.decode(tokenizer(PROBE, add_special_tokens=False)["input_ids"]).strip() == PROBE
        self._pieces = lru_cache(maxsize=4096)(self._tokenize)

    def raw(self, token_ids: Sequence[int]) -> str:
        """The text as the decoder wrote it."""
        kept = [i for i in token_ids if i not in self.special]
        text: str = self.tokenizer.decode(kept)
        return text.strip()

    def realise(self, token_ids: Sequence[int], passages: Sequence[Passage]) -> str:
        """The characters of the first passage that holds the pieces as whole words, else the joined pieces."""
        wanted = tuple(i for i in token_ids if i not in self.special)
        if self.exact or not wanted:
            return self.raw(wanted)
        for passage in passages:
            found = self._find(wanted, passage_text(passage, TITLE_END))
            if found:
                return found
        return join_pieces(self.raw(wanted))

    def _find(self, wanted: tuple[int, ...], text: str) -> str | None:
        ids, spans = self._pieces(text)
        first, size = wanted[0], len(wanted)
        at = -1
        while True:
            try:
                at = ids.index(first, at + 1)
            except ValueError:
                return None
            if ids[at : at + size] == wanted:
                start, end = spans[at][0], spans[at + size - 1][1]
                while unicodedata.combining(text[end : end + 1] or " "):
                    end += 1  # the tokenizer leaves a decomposed accent outside the last piece
                if not (text[end : end + 1].isalnum() or text[max(start - 1, 0) : start].isalnum()):
                    return text[start:end]

    def _tokenize(self, text: str) -> tuple[tuple[int, ...], tuple[tuple[int, int], ...]]:
        encoded = self.tokenizer(text, add_special_tokens=False, return_offsets_mapping=True, verbose=False)
        return tuple(encoded["input_ids"]), tuple(encoded["offset_mapping"])


def join_pieces(text: str) -> str:
    """Undo the spaces WordPiece puts around punctuation: "1, 951" -> "1,951", "porto - novo" -> "porto-novo"."""
    for pattern, replacement in JOINS:
        text = pattern.sub(replacement, text)
    return text
