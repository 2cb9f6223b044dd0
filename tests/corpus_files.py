"""Rows of passages in the shapes of other projects, and the passages that must be read from them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rag_lightning.core.records import Passage

Rows = list[dict[str, Any]]
WORDS = [f"word{i}" for i in range(150)]
KILT_TEXT = ["Ada\n", " ".join(WORDS[:70]) + "\n", "Section::::Life.\n", "BULLET::::- " + " ".join(WORDS[70:]) + "\n"]
SEGMENT = {"url": "https://example.org", "headings": "A\nB", "start_char": 0, "end_char": 9}

WIKITEXT = " ".join(WORDS[:70]) + "\n\n== Life ==\n" + " ".join(WORDS[70:]) + "\n* a list\n"

ROWS: Mapping[str, tuple[Rows, list[Passage]]] = {
    "wikipedia": (
        [{"page_id": "12", "title": "Ada", "namespace": "0", "wikitext": WIKITEXT}],
        [Passage("12#0", "Ada", " ".join(WORDS[:100])), Passage("12#1", "Ada", " ".join(WORDS[100:]))],
    ),
    "kilt": (
        [
            {
                "_id": "7",
                "wikipedia_id": "7",
                "wikipedia_title": "Ada",
                "text": KILT_TEXT,
                "anchors": [{"paragraph_id": 1, "start": 0, "end": 5, "text": "word0", "href": "Zero"}],
                "categories": "people",
            }
        ],
        [Passage("7#0", "Ada", " ".join(WORDS[:100])), Passage("7#1", "Ada", " ".join(WORDS[100:]))],
    ),
    "msmarco_segments": (
        [{"docid": "msmarco_v2.1_doc_00_0#0_0", "title": "T", "segment": "one", **SEGMENT}],
        [Passage("msmarco_v2.1_doc_00_0#0_0", "T", "one")],
    ),
    "flashrag": (
        [
            {"id": "0", "contents": '"Aaron"\nHe said "no".\nAnd left.'},
            {"id": "1", "contents": '"""Heroes"" (song)"\ntext'},
            {"id": "2", "contents": "no title"},
        ],
        [
            Passage("0", "Aaron", 'He said "no".\nAnd left.'),
            Passage("1", '"Heroes" (song)', "text"),
            Passage("2", "", "no title"),
        ],
    ),
    "atlas": (
        [
            {"id": "4", "title": "Ada", "section": "Life", "text": "one"},
            {"id": "5", "title": "Ada", "section": "", "text": "two"},
            {"id": "6", "title": None, "section": None, "text": "three"},
        ],
        [Passage("4", "Ada: Life", "one"), Passage("5", "Ada", "two"), Passage("6", "", "three")],
    ),
    "dpr": (
        [{"id": 5, "title": "T", "text": "x"}, {"id": 6, "text": "y"}],
        [Passage("5", "T", "x"), Passage("6", "", "y")],
    ),
    "beir": (
        [
            {"_id": "d1", "title": None, "text": "y", "metadata": {"url": "u"}},
            {"_id": "d2", "title": "", "text": "z", "metadata": {"url": "u"}},
        ],
        [Passage("d1", "", "y"), Passage("d2", "", "z")],
    ),
    "tevatron": ([{"docid": "1", "title": "T", "text": "x"}], [Passage("1", "T", "x")]),
    "no_id": (
        [{"title": "Ada", "section": "Life", "text": "one"}, {"title": "Bo", "section": "", "text": "two"}],
        [Passage("0", "Ada: Life", "one"), Passage("1", "Bo", "two")],
    ),
}
"""Corpus layout, by its name in the registry -> rows of it, and what they make."""

BECOMES = {
    "wikipedia": "a page of a dump (XML), or a row of these; an article, cut to passages `ID#0`, `ID#1`, …",
    "kilt": "an article, cut to passages `ID#0`, `ID#1`, …; headings are left out",
    "msmarco_segments": "the segment",
    "flashrag": "the first line is the title, without its quotes; contents of one line have none",
    "atlas": "the title is `title: section`",
    "dpr": "as it is",
    "beir": "as it is",
    "tevatron": "as it is",
    "no_id": "as Atlas; the id is the row in the corpus, from 0, which is said",
}
"""What a row becomes, for the page."""
