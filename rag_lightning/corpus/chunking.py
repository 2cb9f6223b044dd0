"""Cut articles into passages of at most 100 words.

A tail under 20 words says too little to be found by itself, so it joins the passage before it. Where that would pass
the limit, the last two passages share their words evenly instead (each then has at least 50): the limit of 100 words
is the rule of Lewis et al. 2020 (after DPR) and always holds. The article's title is not part of the count: it
travels beside the text, in `Passage.title`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rag_lightning.core.records import Passage

MAX_WORDS = 100
MIN_TAIL = 20


def split_text(text: str, max_words: int = MAX_WORDS, min_tail: int = MIN_TAIL) -> list[str]:
    """Split a text at white space into passages of at most `max_words` words; an empty text has none."""
    words = text.split()
    parts = [words[start : start + max_words] for start in range(0, len(words), max_words)]
    return [" ".join(part) for part in _mend_tail(parts, max_words, min_tail)]


def pack_fields(fields: Sequence[tuple[str, str]], max_words: int = MAX_WORDS, min_tail: int = MIN_TAIL) -> list[str]:
    """Pack labelled texts, in order, into parts of at most `max_words` words.

    A field is kept whole where it fits into one part; a longer one is cut, and every later piece repeats the label.

    Args:
        fields: (label, text) pairs, written as "label: text".
    """
    parts: list[list[str]] = []
    for label, text in fields:
        rest = text.split()
        head = f"{label}:".split()
        room = max_words - len(parts[-1]) if parts else 0
        if parts and (len(head) + len(rest) <= room or len(parts[-1]) < min_tail):
            # A part that is still too short to stand alone takes what fits of a longer field.
            taken = max(room - len(head), 0)
            parts[-1] += head + rest[:taken]
            rest = rest[taken:]
        if rest:
            parts += _pieces(head, " ".join(rest), max_words, min_tail)
    return [" ".join(part) for part in _mend_tail(parts, max_words, min_tail)]


def make_passages(prefix: str, title: str, parts: Sequence[str]) -> Iterator[Passage]:
    """Number the parts of one article: ids are `prefix#0`, `prefix#1`, …"""
    for number, part in enumerate(parts):
        yield Passage(f"{prefix}#{number}", title, part)


def _pieces(head: list[str], text: str, max_words: int, min_tail: int) -> list[list[str]]:
    room = max(max_words - len(head), 1)
    return [head + chunk.split() for chunk in split_text(text, room, min_tail)]


def _mend_tail(parts: list[list[str]], max_words: int, min_tail: int) -> list[list[str]]:
    if len(parts) < 2 or len(parts[-1]) >= min_tail:
        return parts
    joined = parts[-2] + parts[-1]
    if len(joined) <= max_words:
        return [*parts[:-2], joined]
    middle = (len(joined) + 1) // 2
    return [*parts[:-2], joined[:middle], joined[middle:]]
