"""The commands that read a project, what each gives on an undamaged one, and which files it opens for it."""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic
from typing import Any
from urllib.parse import unquote

from tests.campaign.children import MEMORY, Child, Ended, command
from tests.campaign.project import NAME, Project, content, files_of, masked

QUESTION = "q41"
CHANGING = re.compile(
    r".*mlflow\.(db|json)|.*study\.db|.*-(wal|journal)$|sweep\.yaml|reports/out/out|.*/system\.jsonl$"
)
"""Files whose bytes differ after each use, and say the same."""


@dataclass(frozen=True)
class Reader:
    """A command.

    Args:
        name: Its name in the table.
        words: Its words.
        without: Kinds of artifacts that are removed before it, so that it makes them again from what it reads.
        shows: Whether what it prints is its result, rather than the files that it writes.
    """

    name: str
    words: Sequence[str]
    without: tuple[str, ...] = ()
    shows: bool = True

    def start(self, project: Project, opened: Path | None = None) -> Child:
        """Start it; the files that it opens are listed in a file."""
        for kind in self.without:
            for folder in (project.root / "artifacts" / kind).glob("*"):
                if folder.is_dir() and not folder.name.endswith(".partial"):
                    shutil.rmtree(folder)
        work = command(self.words)
        if opened is None:
            return Child(work, project.log, MEMORY)

        def listed() -> int:
            names = opened.open("w", encoding="utf-8")

            def see(event: str, arguments: tuple[Any, ...]) -> None:
                if event in ("open", "sqlite3.connect") and isinstance(arguments[0], str | bytes | os.PathLike):
                    with suppress(ValueError):
                        name = unquote(os.fsdecode(arguments[0]).removeprefix("file:").partition("?mode=")[0])
                        names.write(os.path.abspath(name) + "\n")

            sys.addaudithook(see)
            try:
                return work()
            finally:
                names.flush()

        return Child(listed, project.log, MEMORY)


@dataclass
class Usual:
    """What a reader gives on the undamaged project: what it prints, changes and opens, and how long it takes."""

    ended: Ended
    shown: str
    changed: Mapping[str, str] = field(default_factory=dict)
    opened: frozenset[str] = frozenset()
    seconds: float = 0.0


def readers(project: Project) -> list[Reader]:
    """All readers of a project that is complete."""
    root, records = str(project.root), project.records()
    token = [
        name for name, one in records.items() if one["config"]["formulation"] == "rag_token" and one["split"] == "dev"
    ]
    sequence = [name for name, one in records.items() if one["config"]["formulation"] == "rag_sequence"]
    out = project.root / "reports" / "out"
    here, experiment = ("--folder", root), ("--config", str(project.experiment))
    own, results = "what is the capital of b3d", ("--format", "trec_rag", "--to", str(out / "results.jsonl"))
    thorough = ("--formulation", "rag_sequence", "--decoding.strategy", "thorough")
    scored = ("--predictions", str(out / "results.jsonl"), "--format", "trec_rag", "--split", "dev")
    found = [
        Reader("status", project.sweep("--status")),
        Reader("report", project.report(), shows=False),
        Reader("compare", ["report", "--experiment.folder", root, "--compare", token[0], sequence[0]]),
        Reader("paper", ["paper", *here], shows=False),
        Reader("inspect", ["inspect", f"{NAME}/{sequence[0]}", "--question", QUESTION, *here]),
        Reader("inspect by token", ["inspect", f"{NAME}/{token[0]}", "--question", QUESTION, *here]),
        Reader("inspect now", ["inspect", f"{NAME}/{token[0]}", "--question", own, *here]),
        Reader("ask", ["ask", own, *experiment]),
        Reader("export", ["export", NAME, *here, "--to", str(out / "tiny.zip")], shows=False),
        Reader("export results", ["export", f"{NAME}/{token[0]}", *here, *results], shows=False),
        Reader("verify", ["verify", str(out / "tiny.zip")]),
        Reader("demo", ["demo", "--bundle", str(out / "tiny.zip"), "--to", str(out / "out-demo")], shows=False),
        Reader("artifacts ls", ["artifacts", "ls", *here]),
        Reader("artifacts gc", ["artifacts", "gc", *here]),
        Reader("doctor", ["doctor", *here]),
        Reader("score", ["score", *experiment], without=("scores",), shows=False),
        Reader("predict", ["predict", *experiment], without=("predictions", "scores"), shows=False),
        Reader("predict, pairs", ["predict", *experiment, *thorough], without=("predictions", "scores"), shows=False),
        Reader("retrieve", ["retrieve", *experiment], without=("rankings", "predictions", "scores"), shows=False),
        Reader("index", ["index", *experiment], without=("index",), shows=False),
        Reader("embed", ["embed", *experiment], without=("vectors",), shows=False),
        Reader("train", ["train", *experiment], without=("model",), shows=False),
        Reader("score results", ["score", *experiment, *scored], shows=False),
        Reader("doctor, results", ["doctor", "--data", str(out / "results.jsonl")]),
        Reader("sweep", project.sweep(), shows=False),
        Reader("track", ["track", *here, "--all"], shows=False),
    ]  # fmt: skip
    if list(project.root.glob("artifacts/reader/*.partial")):
        found.append(Reader("continue training", ["reader", *experiment], without=("reader",), shows=False))
    return found


def usual(
    reader: Reader, project: Project, before: Mapping[str, tuple[int, int]], contents: Mapping[str, str]
) -> Usual:
    """What a reader gives on the undamaged project, whose files are changed by it."""
    names, begun = project.given / "opened", monotonic()
    ended = reader.start(project, names).wait()
    seconds, opened = monotonic() - begun, set()
    for name in names.read_text(encoding="utf-8", errors="replace").splitlines():  # children of it write at once
        with suppress(ValueError):
            opened.add(Path(name).relative_to(project.root).as_posix())
    changed = differences(project, before, contents)
    return Usual(ended, shown(ended, project, reader.shows), changed, frozenset(opened & before.keys()), seconds)


def shown(ended: Ended, project: Project, whole: bool = True) -> str:
    """What a command printed, without what differs from run to run; only its last line of errors unless whole."""
    return masked(ended.out + ended.err, project.root) if whole else ""


def differences(project: Project, before: Mapping[str, tuple[int, int]], contents: Mapping[str, str]) -> dict[str, str]:
    """Path -> digest of what a file says now, where it says something else than before; empty for one that is gone."""
    now, found = files_of(project.root), dict.fromkeys(before, "")
    for path, state in now.items():
        if before.get(path) == state or CHANGING.match(path):
            found.pop(path, None)
            continue
        found[path] = _content(project.root / path, project.root)
        if found[path] == contents.get(path):
            del found[path]
    return found


def _content(path: Path, root: Path) -> str:
    try:
        return content(path, root)
    except Exception as error:  # noqa: BLE001  # of a damaged file
        return f"unreadable: {type(error).__name__}"
