"""Pages of Wikipedia as a layout of a corpus: articles as disjoint passages of 100 words, as in DPR.

Redirects, disambiguation pages and pages that are no articles are left out and counted. A disambiguation page is known
by its title, its magic word or, in English, its template.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from rag_lightning.core.records import Passage
from rag_lightning.corpus.chunking import make_passages, split_text
from rag_lightning.corpus.layouts import ID, TEXT, CorpusLayout, Values
from rag_lightning.corpus.wikitext import plain_text

ARTICLES, WIKITEXT = "0", "wikitext"
_TITLE = re.compile(r".*\(disambiguation\)\s*", re.IGNORECASE | re.DOTALL)
_REDIRECT = re.compile(r"\s*#redirect\b", re.IGNORECASE)
_DISAMBIGUATION = re.compile(
    r"__DISAMBIG__|\{\{\s{0,9}"
    r"(?:[\w -]{0,60}\b(?:disambig|disambiguation|disamb|dab)|(?:hn|geo|number|math|road|school)dis)"
    r"\s{0,9}(?:\||\}\})",
    re.IGNORECASE,
)


def left_out(page: Values) -> str:
    """Why a page makes no passages, in the words of a count; empty for an article."""
    if page.get("redirect") is not None or _REDIRECT.match(page["wikitext"]):
        return "redirects left out"
    if str(page["namespace"]) != ARTICLES:
        return "pages of other namespaces left out"
    if page.get("model") not in (None, "", WIKITEXT):
        return "pages without wikitext left out"
    if _TITLE.fullmatch(page["title"]) or _DISAMBIGUATION.search(page["wikitext"]):
        return "disambiguation pages left out"
    return ""


def _passages(path: Path, row: int, page: Values, number: int) -> Iterator[Passage]:
    text = plain_text(page["wikitext"], page.get("prefixes") or ())
    return make_passages(str(page["page_id"]), page["title"], split_text(text))


WIKIPEDIA = CorpusLayout(
    "Wikipedia",
    {"page_id": ID, "title": TEXT, "namespace": ID, "wikitext": TEXT},
    _passages,
    ("redirect", "model", "prefixes"),
    left_out=left_out,
    slow=True,
)
