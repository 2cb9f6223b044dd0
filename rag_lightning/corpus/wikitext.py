"""Wikitext -> the running text of an article, by mwparserfromhell (https://mwparserfromhell.readthedocs.io).

What Lewis et al. 2020 left out (after DPR) is left out: tables, infoboxes and other templates, lists, references, files
and headings. A few templates that hold running text are read, as nothing expands the others.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

LIST = "\ue000"
"""Stands where a list item begins; a character for private use, removed from the text itself."""
DROPPED_TAGS = frozenset(
    [
        *("categorytree", "ce", "chem", "dl", "gallery", "graph", "hiero", "imagemap", "indicator", "inputbox"),
        *("mapframe", "maplink", "math", "ol", "ref", "references", "score", "section", "syntaxhighlight", "source"),
        *("table", "templatedata", "templatestyles", "timeline", "ul"),
    ]
)
BREAKS = frozenset(("br", "hr", "p", "div", "center", "blockquote"))
WIKI_LIST = frozenset("*#;:")
_FIRST = ("nowrap", "nobr", "no wrap", "small", "big", "abbr", "sic", "mono", "em", "strong", "smallcaps", "var")
TEXT_TEMPLATES: Mapping[str, Callable[[Sequence[str]], str]] = {
    **dict.fromkeys(_FIRST, lambda given: given[0]),
    **dict.fromkeys(("lang", "transl", "tooltip"), lambda given: given[-1]),
    **dict.fromkeys(("convert", "cvt"), lambda given: " ".join(given[:2])),
    **dict.fromkeys(("as of",), lambda given: f"as of {given[0]}"),
    **dict.fromkeys(("ndash", "en dash", "–", "spaced ndash", "snd"), lambda given: " – "),
    **dict.fromkeys(("mdash", "em dash", "—"), lambda given: " — "),
    **dict.fromkeys(("'", "`"), lambda given: "'"),
}
"""Name of a template in lower case -> its text, of its arguments without a name (one at least, perhaps empty)."""
UNWANTED = ("Cc", "Co", "Cs")
"""Categories of characters that no text holds: control, private use, half of a surrogate pair."""
PAIRS = (("{{", "}}"), ("[[", "]]"), ("[", "]"), ("{|", "|}"), ("<!--", "-->"))
MOST_OPEN, MOST_TAGS = 200, 1000
"""How many more brackets, or tags, are opened than closed in a page that is read. The parser tries each that is left
open to the end of the page, which takes minutes for thousands."""
_OPENED = re.compile(r"<(?!/|!|br|hr|li|p\b|td|th|tr|wbr)[a-zA-Z]")
_DEEP = re.compile(r"[*#:;]{100}")
_LANGUAGE = re.compile(r"lang-[\w-]+")
_FOREIGN = re.compile(r"[a-z]{2,3}(-[a-z]+)*:")
_QUOTES = re.compile(r"'{5}|'{2,3}")
_EMPTY = re.compile(r"[(\[][\s,;:–—/]*[)\]]")
_LEADING = re.compile(r"([(\[])[\s,;]+(?=\S)")
_RESIDUE = re.compile(rf"\s*({LIST}|[|!]|\{{\||[*#;:])")
_BEFORE = re.compile(r"\s+([,.;:!?)\]])(?=\s|$)")
_MAGIC = re.compile(r"__[A-Z]{3,}__")


def plain_text(wikitext: str, prefixes: Sequence[str] = ()) -> str:
    """The running text, one paragraph a line; empty for a page that the parser cannot read, or not in seconds.

    Args:
        wikitext: The page.
        prefixes: Names of the namespaces of files and categories in the wiki's language, beside the English ones.

    >>> plain_text("'''Ada''' wrote [[Note G|notes]]{{efn|x}}.<ref>1843</ref>\\n== Life ==\\n* a list\\nShe died.")
    'Ada wrote notes.\\nShe died.'
    """
    import mwparserfromhell
    from mwparserfromhell.parser import ParserError

    if _is_broken(wikitext):
        return ""
    dropped = frozenset(name.lower() + ":" for name in ("file", "image", "category", *prefixes))
    try:
        parsed = mwparserfromhell.parse(wikitext.replace(LIST, ""), skip_style_tags=True)
    except ParserError:
        return ""
    return "\n".join(_lines("".join(_texts(parsed, dropped))))


def _is_broken(wikitext: str) -> bool:
    """Whether hundreds of brackets or tags are left open, as in no article."""
    opened = any(wikitext.count(begin) - wikitext.count(end) > MOST_OPEN for begin, end in PAIRS)
    tags = len(_OPENED.findall(wikitext)) - wikitext.count("</") - wikitext.count("/>")
    return opened or tags > MOST_TAGS or _DEEP.search(wikitext) is not None


def _lines(text: str) -> Iterator[str]:
    for line in text.split("\n"):
        if _RESIDUE.match(line):
            continue
        line = _QUOTES.sub("", _MAGIC.sub("", line)).replace("\xa0", " ")
        line = _LEADING.sub(r"\1", _EMPTY.sub("", line))
        line = _BEFORE.sub(r"\1", " ".join(line.split()))
        if line:
            yield line


def _texts(code: Any, dropped: frozenset[str]) -> Iterator[str]:
    """The text of each node."""
    from mwparserfromhell import nodes

    for node in code.nodes:
        if isinstance(node, nodes.Text):
            yield str(node)
        elif isinstance(node, nodes.HTMLEntity):
            yield _entity(node)
        elif isinstance(node, nodes.Wikilink):
            yield _link(node, dropped)
        elif isinstance(node, nodes.ExternalLink):
            yield "".join(_texts(node.title, dropped)) if node.title else "" if node.brackets else str(node.url)
        elif isinstance(node, nodes.Tag):
            yield _tag(node, dropped)
        elif isinstance(node, nodes.Template):
            yield _template(node, dropped)
        elif isinstance(node, nodes.Heading):
            yield "\n"


def _entity(node: Any) -> str:
    try:
        character = str(node.normalize())
    except (ValueError, OverflowError):  # no such character
        return ""
    return "" if unicodedata.category(character) in UNWANTED else character


def _link(node: Any, dropped: frozenset[str]) -> str:
    title = str(node.title).strip()
    prefix = title.partition(":")[0].strip().replace("_", " ").lower() + ":"
    if ":" in title and (prefix in dropped or (node.text is None and _FOREIGN.match(title))):
        return ""
    if node.text is not None:
        return "".join(_texts(node.text, dropped))
    return title.lstrip(":").partition("#")[0] or title.lstrip("#")


def _tag(node: Any, dropped: frozenset[str]) -> str:
    if node.wiki_markup and str(node.wiki_markup) in WIKI_LIST:
        return LIST
    name = str(node.tag).strip().lower()
    if name in DROPPED_TAGS:
        return ""
    inside = "".join(_texts(node.contents, dropped)) if node.contents else ""
    return f"\n{inside}\n" if name in BREAKS else inside


def _template(node: Any, dropped: frozenset[str]) -> str:
    name = str(node.name).strip().replace("_", " ").lower()
    read = TEXT_TEMPLATES.get(name) or (TEXT_TEMPLATES["sic"] if _LANGUAGE.fullmatch(name) else None)
    if read is None:
        return ""
    return read(["".join(_texts(one.value, dropped)).strip() for one in node.params if not one.showkey] or [""])
