"""Lead paragraphs of English Wikipedia (text CC BY-SA 4.0)."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path

from rag_lightning.core.errors import DataError
from rag_lightning.mini.text import clean_html

_SENTENCE_END = re.compile(r"(?<=[\w)\]\"'”\u2019%])\.[\"”']? (?=[A-Z\"“'À-Þ])")
_ABBREVIATION = re.compile(r"(?:\b[A-Z]|\b(?:Dr|St|Mr|Mrs|Ms|Jr|Sr|ca|c|vs|No|Mt|Gen|Col|lit|fl|r|approx|i\.e|e\.g))$")


@dataclass(frozen=True)
class Lead:
    """The introduction of one article."""

    title: str
    text: str
    topic: str


def load_leads(path: Path) -> list[Lead]:
    """Read the summaries, in file order; leads without text are left out by the corpus, not here.

    Raises:
        DataError: the file is missing, not JSON, or an entry lacks a field.
    """
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise DataError(path, "is missing", hint="run `rag-lightning fetch`") from error
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise DataError(path, f"is not JSON: {error}") from error
    if not isinstance(raw, dict) or not raw:
        raise DataError(path, "holds no summaries")
    leads = []
    for row, (title, entry) in enumerate(raw.items(), 1):
        if not isinstance(entry, dict) or "extract" not in entry:
            raise DataError(path, f"entry {title!r} has no text", row=row, field="extract")
        leads.append(Lead(clean_html(title), _tidy(clean_html(entry["extract"])), entry.get("topic", "Uncategorized")))
    return leads


def first_sentence(text: str) -> str:
    """The text up to the first full stop that is not an abbreviation's."""
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


def _tidy(text: str) -> str:
    """Holes that stripped formulas and pronunciations left before a mark or inside parentheses."""
    text = re.sub(r"\(\s*[,;]?\s*\)", "", text)
    text = re.sub(r"\(\s*[;,]\s*", "(", text)
    return " ".join(re.sub(r"\s+([,.;:)])", r"\1", text).split())
