"""The table in which `doctor --data` shows what a file is taken for, and whether it is good."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from rag_lightning.core.errors import DataError
from rag_lightning.core.tables import Grid


@dataclass(frozen=True)
class Finding:
    """What a file is taken for.

    Args:
        given_as: The task, field or option that it is given as.
        layout: Its format.
        detail: What it holds, or what is wrong.
    """

    given_as: str
    layout: str
    detail: str | DataError


def detail_of(examine: Callable[[], str]) -> str | DataError:
    """What `examine` finds, or the error that it raises."""
    try:
        return examine()
    except DataError as error:
        return error


def show(path: Path, findings: Iterable[Finding], about: str = "") -> None:
    """Print the findings.

    Args:
        path: The file or folder.
        findings: One row each.
        about: What its name is followed by.

    Raises:
        DataError: all findings are errors; it is the first.
    """
    heads = ("given as", "format", "state", "detail")
    table = Grid(*heads, title=f"{path.name}{about}", folded=("detail",), left=True)
    listed = list(findings)
    for one in listed:
        bad = isinstance(one.detail, DataError)
        text = str(one.detail).removeprefix(f"{path}").lstrip(", :") if bad else str(one.detail)
        table.add(one.given_as, one.layout, ("bad", "red") if bad else ("ok", "green"), text)
    table.show()
    faults = [one.detail for one in listed if isinstance(one.detail, DataError)]
    if len(faults) == len(listed):
        raise faults[0]
