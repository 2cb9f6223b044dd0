"""The ledger of test: runs/ledger.jsonl has one line for each evaluation of a system on test or test2.

A line is appended in one write under a lock, before the result is shown or recorded: a kill leaves whole lines, and a
run that is done again after a kill adds none. A finished run that is reused adds none either.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rag_lightning.config.data import TESTS
from rag_lightning.core.errors import DataError
from rag_lightning.core.files import read_jsonl_objects, sealed, unsealed
from rag_lightning.core.links import no_link
from rag_lightning.runs import folders
from rag_lightning.runs.record import is_finished, now, read_run, run_folders

FILE = "ledger.jsonl"
COMMAND = "command"
"""Role of an evaluation outside of sweep, matrix and claims: by the command `score` or from Python."""


@dataclass(frozen=True)
class Evaluation:
    """One evaluation on test or test2.

    Args:
        sweep: Folder in runs/ of its run; empty for role command.
        run_id: Name of its run folder; empty for role command.
        label: Label of the system, or what was scored.
        role: Role of the run, or command.
        split: Split, test or test2.
        dataset: Name of the data.
        digest: Digest of the scores.
    """

    sweep: str
    run_id: str
    label: str
    role: str
    split: str
    dataset: str
    digest: str


RESTORE = "restore the ledger from a copy, or remove this line"
KEYS = ("time", *Evaluation.__dataclass_fields__)


def append(root: str | Path, done: Evaluation) -> None:
    """Append an evaluation of test or test2 with the current time, unless a line differs in the time alone.

    Evaluations of other splits are ignored.

    Raises:
        DataError: the ledger is damaged, or a link.
        OSError: it cannot be written; it is as it was before.
    """
    if done.split not in TESTS:
        return
    path = folders.runs(root) / FILE
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "ab", buffering=0, opener=no_link) as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        if any(line.items() >= asdict(done).items() for line in read(root)):
            return
        line = json.dumps(sealed({"time": now(), **asdict(done)}), ensure_ascii=False).encode() + b"\n"
        size = os.fstat(handle.fileno()).st_size
        if handle.write(line) < len(line):
            handle.truncate(size)
            raise OSError(28, "No space left on device", str(path))
        os.fsync(handle.fileno())


def lacking(root: str | Path) -> list[Path]:
    """The folders of finished runs on test or test2 that the ledger lacks, as after a loss of lines.

    Raises:
        DataError: the ledger or the record of a run is damaged.
    """
    listed = {line["run_id"] for line in read(root)}
    others = (folder for folder in run_folders(folders.runs(root)) if folder.name not in listed)
    return [folder for folder in others if is_finished(folder) and read_run(folder)["split"] in TESTS]


def loss(root: str | Path, lost: Sequence[Path]) -> str:
    """What to say about the runs that the ledger lacks."""
    runs = f"{len(lost)} finished runs on test, the first {lost[0].name}"
    return f"{folders.runs(root) / FILE}: lacks {runs}; restore it from a copy"


def read(root: str | Path) -> list[dict[str, Any]]:
    """All evaluations of a project on test and test2, in order of time; empty if there are none.

    Raises:
        DataError: a line is cut short, not JSON, lacks a key, or was altered.
    """
    path = folders.runs(root) / FILE
    if not path.exists() or not path.stat().st_size:
        return []
    try:
        found = list(read_jsonl_objects(path))
    except DataError as error:
        raise DataError(path, error.problem, row=error.row, value=error.value, hint=RESTORE) from error
    for row, line in found:
        for key in KEYS:
            if not isinstance(line.get(key), str):
                problem = "is not a text" if key in line else "is missing"
                raise DataError(path, problem, row=row, field=key, hint=RESTORE)
    return [unsealed(path, line, RESTORE, row) for row, line in found]
