"""reports/later.yaml -> the parts of docs/later.md that are marked `<!-- later: PART -->`."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from rag_lightning.core.registry import check_name
from rag_lightning.report.later import Block, Later, LaterRow

LATER_DATA = "reports/later.yaml"
PART = re.compile(r"(<!-- later: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)


def line_of(cells: Sequence[str]) -> str:
    """A row of a Markdown table."""
    return f"| {' | '.join(cells)} |"


def render_later(page: str, later: Later) -> str:
    """The page of later numbers with every marked part as the data has it.

    Raises:
        UnknownNameError: a marker names no part.
    """
    parts = {
        "retrieval": lambda: "\n".join(_block(later, block) for block in later.blocks if block.task == "retrieval"),
        "answers": lambda: "\n".join(_block(later, block) for block in later.blocks if block.task == "answers"),
        "metrics": lambda: _definitions(("metric", "means"), later.metrics),
        "corpora": lambda: _definitions(("corpus", "is"), later.corpora),
        "sources": lambda: _sources(later),
        "unread": lambda: "".join(f"- {gap.what}: {gap.why}.\n" for gap in later.unread),
    }

    def replaced(match: re.Match[str]) -> str:
        check_name(f"part of {LATER_DATA}", match[2], list(parts))
        return f"{match[1]}{parts[match[2]]()}{match[3]}"

    return PART.sub(replaced, page)


def _block(later: Later, block: Block) -> str:
    """The table of a block under its title, with what its rows share; of a row's fields only those that one row has."""
    fields = ("encoder", "settings", "k", "size", "training")
    own = [name for name in fields if any(getattr(row, name) for row in block.rows)]
    shared = [f"`{block.dataset}`, {block.split}", block.topics, f"n = {block.n:,}" if block.n else ""]
    shared.append(f"corpus `{block.corpus}`" if block.corpus else "")
    lines = [f"#### {block.title}", "", f"{'; '.join(filter(None, shared))}. {block.caution}".strip(), ""]
    lines.append(line_of(["system", *own, *block.metrics, "source"]))
    lines.append("|" + "---|" * (2 + len(own) + len(block.metrics)))
    for row in block.rows:
        numbers = [_number(row, name) for name in block.metrics]
        source = f"[{row.source}](#sources), {row.place}"
        lines.append(line_of([_cell(part) for part in (row.system, *_fields(row, own), *numbers, source)]))
    notes = [f"- {row.system}{f', {row.encoder}' if row.encoder else ''}: {row.note}" for row in block.rows if row.note]
    return "\n".join([*lines, *(["", *notes] if notes else [])]) + "\n"


def _fields(row: LaterRow, names: list[str]) -> list[str]:
    return [str(getattr(row, name) or "") for name in names]


def _number(row: LaterRow, metric: str) -> str:
    """A number with two digits at most; bold in a row that a correct index reaches."""
    if metric not in row.values:
        return ""
    shown = f"{row.values[metric]:.2f}".removesuffix("0")
    return f"**{shown}**" if row.must_reach else shown


def _cell(text: str) -> str:
    return text.replace("|", r"\|")


def _definitions(heads: tuple[str, str], known: Mapping[str, str]) -> str:
    rows = [line_of([f"`{name}`", _cell(text)]) for name, text in known.items()]
    return "\n".join([line_of(list(heads)), "|---|---|", *rows]) + "\n"


def _sources(later: Later) -> str:
    lines = [line_of(["id", "page", "kind", "as of"]), "|---|---|---|---|"]
    for name, source in later.sources.items():
        lines.append(line_of([f"`{name}`", f"[{_cell(source.title)}]({source.url})", source.kind, source.revision]))
    return "\n".join(lines) + "\n"
