"""What was tried and what went wrong: the table of the campaign."""

from __future__ import annotations

import json
import re
import sys
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from tests.campaign.children import Ended

EVERY = 100
"""Tries after which a line says how many there were."""
FRAME = re.compile(r'File "[^"]*?/((?:rag_lightning|tests)/[^"]+)", line \d+, in (\S+)')
WHERE = re.compile(r"(: \[.*)? \([^()]*\)$", re.DOTALL)
"""The end of a problem that says where it was seen."""
VARYING = re.compile(r"0x[0-9a-f]+|\b[0-9a-f]{8,64}\b|\d+")


@dataclass
class Wrong:
    """One kind of failure: how often it was seen, and how the first one is made again."""

    kind: str
    problem: str
    how: str
    count: int = 1


@dataclass
class Tally:
    """Tries by kind, right and wrong."""

    tries: Counter[str] = field(default_factory=Counter)
    wrong: Counter[str] = field(default_factory=Counter)
    ways: Counter[tuple[str, str]] = field(default_factory=Counter)
    failures: dict[tuple[str, str], Wrong] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def _count(self, kind: str) -> None:
        self.tries[kind] += 1
        if (done := self.tries.total()) % EVERY == 0:
            print(f"{done} tries, {self.wrong.total()} wrong", file=sys.stderr, flush=True)

    def right(self, kind: str, way: str = "") -> None:
        """Count a try that ended as it must, and in which way."""
        self._count(kind)
        self.ways[kind, way] += 1

    def fail(self, kind: str, problem: str, how: str) -> None:
        """Count a try that went wrong; failures that differ in numbers only are one."""
        self.wrong[kind] += 1
        self._count(kind)
        key = kind, VARYING.sub("#", WHERE.sub("", problem))
        if key in self.failures:
            self.failures[key].count += 1
        else:
            self.failures[key] = Wrong(kind, problem, how)
            print(f"wrong: {kind}: {problem} ({how})", file=sys.stderr, flush=True)

    def add(self, kind: str, problem: str, how: str, way: str = "") -> None:
        """Count a try; it went wrong if there is a problem."""
        if problem:
            self.fail(kind, problem, how)
        else:
            self.right(kind, way)

    def table(self) -> str:
        """The table, and a line for each kind of failure."""
        rows = [(kind, str(n), str(n - self.wrong[kind]), str(self.wrong[kind])) for kind, n in self.tries.items()]
        groups = dict.fromkeys(kind.partition(": ")[0] for kind in self.tries)
        rows.append(("", "", "", ""))
        for group in (*groups, ""):
            within = [kind for kind in self.tries if group in ("", kind.partition(": ")[0])]
            counts = sum(self.tries[kind] for kind in within), sum(self.wrong[kind] for kind in within)
            rows.append((group or "all", str(counts[0]), str(counts[0] - counts[1]), str(counts[1])))
        head = ("kind", "tries", "right", "wrong")
        widths = [max(len(row[i]) for row in (head, *rows)) for i in range(4)]
        lines = [
            "  ".join(
                cell.ljust(width) if i == 0 else cell.rjust(width)
                for i, (cell, width) in enumerate(zip(row, widths, strict=True))
            )
            for row in (head, *rows)
        ]
        for one in sorted(self.failures.values(), key=lambda wrong: (wrong.kind, -wrong.count)):
            lines.append(f"\nwrong {one.count} x  {one.kind}: {one.problem}\n    {one.how}")
        return "\n".join([*lines, *(f"note: {note}" for note in self.notes)])

    def write(self, path: Path) -> None:
        """Write the same as JSON."""
        kinds = {kind: {"tries": n, "wrong": self.wrong[kind]} for kind, n in self.tries.items()}
        for (kind, way), count in self.ways.items():
            kinds[kind].setdefault("ways", {})[way] = count  # type: ignore[call-overload]
        failures = [vars(one) for one in self.failures.values()]
        path.write_text(json.dumps({"kinds": kinds, "failures": failures, "notes": self.notes}, indent=1) + "\n")


def explain(ended: Ended) -> str:
    """The problem of a command that ended in another way than with 0 or one line; empty if there is none."""
    if ended.hung:
        return "hangs"
    if ended.crashed:
        return f"crashed with signal {ended.signal}"
    if ended.traceback:
        frames = FRAME.findall(ended.err)
        where = "{}:{}".format(*frames[-1]) if frames else ""
        return f"traceback in {where}: {ended.last}"[:400]
    if ended.code == 0:
        return ""
    own = [line for line in ended.err.splitlines() if line.startswith("rag-lightning: ")]
    if len(own) != 1 or not ended.err.rstrip().splitlines()[-1].startswith("rag-lightning: "):
        return f"exit code {ended.code} and {len(own)} lines: {ended.last}"
    return ""
