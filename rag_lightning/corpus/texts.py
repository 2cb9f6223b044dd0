"""Passages of plain text and Markdown: a file is an article, cut to passages whose ids are its path and a number."""

from __future__ import annotations

import re
from collections.abc import Iterator
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING

from rag_lightning.core.compression import check_length
from rag_lightning.core.files import read_lines
from rag_lightning.core.records import Passage
from rag_lightning.corpus.chunking import make_passages, split_text
from rag_lightning.corpus.rows import ending_of

if TYPE_CHECKING:
    from markdown_it.token import Token

_FRONT = re.compile(r"\A---\n.*?\n---\n", re.DOTALL)
_SPACE = ("softbreak", "hardbreak")


def read_article(path: Path, folder: Path) -> Iterator[Passage]:
    """The passages of one file; none if it holds no text.

    The title of Markdown is its first heading, that of another file its name without ending.

    Args:
        path: A file of text, plain or compressed.
        folder: The folder that ids begin below: `guide/install.md#0`.

    Raises:
        DataError: damaged, not UTF-8, or longer than an article may be.
    """
    if not path.stat().st_size:
        return
    written, title = StringIO(), ""  # lines of a list would take ten times their length
    for row, line in enumerate(read_lines(path), 1):
        written.write(line)
        check_length(path, written.tell(), row, "text")
    text = written.getvalue()
    if ending_of(path) != ".txt":
        title, text = from_markdown(text)
    name = path.relative_to(folder)
    yield from make_passages(name.as_posix(), title or name.name.split(".")[0], split_text(text))


def from_markdown(text: str) -> tuple[str, str]:
    """The first heading ("" for none), and the rest as plain text: no marks, targets of links, HTML or front matter.

    >>> from_markdown("# Rome\\nThe *eternal* [city](https://example.org).\\n")
    ('Rome', 'The eternal city.')
    """
    from markdown_it import MarkdownIt

    tokens = MarkdownIt("commonmark").enable("table").parse(_FRONT.sub("", text))
    title, blocks = "", []
    for place, token in enumerate(tokens):
        found = _text(token)
        if found and not title and tokens[place - 1].type == "heading_open":
            title = found
        elif found:
            blocks.append(found)
    return title, "\n".join(blocks)


def _text(token: Token) -> str:
    if token.children is None:
        return token.content if token.type in ("fence", "code_block") else ""
    return "".join(" " if child.type in _SPACE else _inline(child) for child in token.children).strip()


def _inline(token: Token) -> str:
    return "" if token.type == "html_inline" else token.content
