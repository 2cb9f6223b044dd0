"""Help texts: a summary of each command, and all fields of one section."""

from __future__ import annotations

import shutil
import textwrap
from collections.abc import Iterator, Sequence
from typing import Any, Literal, get_args, get_origin

from rag_lightning.config.bounds import BOUNDS
from rag_lightning.config.fields import KindSection, Leaf, leaves, options_of, sections_of, summary
from rag_lightning.core.registry import check_name

WIDEST = 100
OVERVIEW_END = """
`rag-lightning COMMAND --help` lists the options of a command, `rag-lightning help SECTION` the fields
of a section; --print_config prints the whole configuration as YAML, --verbose shows details."""
Row = tuple[str, str]


def command_help(usage: str, line: str, own: Sequence[Row], cls: type[Any]) -> str:
    """Help of a command: what it does, its arguments, and one line per section.

    Args:
        usage: Usage line.
        line: Description in one line.
        own: (name, sentence) of the arguments outside of the configuration.
        cls: Class of its configuration.
    """
    sections = sections_of(cls)
    top = [(f"--{leaf.path}", _sentence(leaf, short=True)) for leaf in leaves(cls) if "." not in leaf.path]
    named = [(name, summary(section)) for name, section in _inner(sections).items()]
    prefix = "experiment." if "experiment" in sections else ""
    blocks = [f"usage: {usage}", line[:1].upper() + line[1:] + "."]
    if own:
        blocks.append("arguments:\n" + "\n".join(_rows(own)))
    shown = [("--config", "YAML file with values of these fields; options after it override it"), *top]
    blocks.append("fields:\n" + "\n".join(_rows(shown)))
    if named:
        blocks.append(f"sections (--{prefix}SECTION.FIELD; `rag-lightning help SECTION` explains the fields):")
        blocks[-1] += "\n" + "\n".join(_rows(named))
    if prefix:
        plain = [leaf.path for leaf in leaves(sections["experiment"]) if "." not in leaf.path]
        text = f"--{prefix}FIELD also takes {', '.join(plain)}; `rag-lightning score --help` explains them."
        blocks.append(textwrap.fill(text, WIDEST))
    blocks.append("--print_config prints the whole configuration as YAML.")
    return "\n\n".join(blocks)


def section_help(name: str, cls: type[Any]) -> str:
    """Help of a section: sentence, type, bounds and default of every field, and the kinds.

    Raises:
        UnknownNameError: no such section; the message suggests the nearest.
    """
    sections = _inner(sections_of(cls))
    check_name("section", name, list(sections))
    section = sections[name]
    rows = [(leaf.path, _of_kinds(section, leaf) + _sentence(leaf)) for leaf in leaves(section)]
    blocks = [f"{name}: {summary(section)}", "\n".join(_rows(rows))]
    if issubclass(section, KindSection):
        kinds = [(kind, summary(section.REGISTRY.get(kind))) for kind in section.REGISTRY]
        blocks.append(f"{section.REGISTRY.kind}s:\n" + "\n".join(_rows(kinds)))
    return "\n\n".join(blocks)


def _of_kinds(section: type[Any], leaf: Leaf) -> str:
    """The kinds that have this field, empty for a field of the section itself."""
    if not issubclass(section, KindSection) or leaf.path not in options_of(section.REGISTRY):
        return ""
    registry = section.REGISTRY
    owners = [kind for kind in registry if leaf.path in {one.path for one in leaves(registry.get(kind))}]
    return f"{', '.join(owners)}: "


def _inner(sections: dict[str, type[Any]]) -> dict[str, type[Any]]:
    """The sections of the experiment that a configuration is or contains."""
    return {**sections_of(sections["experiment"])} if "experiment" in sections else sections


def _sentence(leaf: Leaf, short: bool = False) -> str:
    text = leaf.help.split(". ")[0].split("; ")[0].rstrip(".") if short else leaf.help.rstrip(".")
    effect = "; changes no result" if leaf.digest == "never" and "." not in leaf.path and not short else ""
    return f"{text} ({_type(leaf.hint)}; default {_default(leaf.default)}{effect})"


def _type(hint: Any) -> str:
    """A type in words: `int, at least 1`, `linear or polynomial`."""
    if hint in BOUNDS:
        return f"{_type(hint._type)}, {BOUNDS[hint].removeprefix('must be ')}"
    origin, args = get_origin(hint), get_args(hint)
    if origin is Literal:
        *first, last = map(str, args)
        return f"{', '.join(first)} or {last}" if first else last
    if type(None) in args:
        return f"{_type(next(one for one in args if one is not type(None)))} or null"
    if origin is tuple:
        return f"list of {_type(args[0])}"
    plain = {"str": "text", "bool": "true or false"}
    return "mapping" if origin is not None else plain.get(hint.__name__, hint.__name__)


def _default(value: Any) -> str:
    if value in ("", (), {}) and not isinstance(value, bool | int | float):
        return "empty"
    words = {"True": "true", "False": "false", "None": "null"}
    return words.get(str(value), str(value))


def _rows(rows: Sequence[Row]) -> Iterator[str]:
    """Lines of a table of two columns; the second is wrapped to the width of the terminal."""
    width = min(shutil.get_terminal_size((WIDEST, 24)).columns, WIDEST)
    column = min(max(len(name) for name, _ in rows), 24) + 4
    for name, text in rows:
        lines = textwrap.wrap(text, max(width - column, 30)) or [""]
        first = f"  {name}".ljust(column)
        yield (first if len(first) == column else f"{first}\n{' ' * column}") + lines[0]
        yield from (" " * column + line for line in lines[1:])
