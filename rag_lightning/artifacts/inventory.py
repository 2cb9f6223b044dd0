"""The content of artifacts/, the runs that use each part of it, and removal.

A run uses the artifacts in its run.json, the scores of exact search in its summary.json, their inputs, and what is
measured or stored beside them. Links, damaged artifacts and everything that no stage has made are listed, but never
followed, opened or removed.
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from rag_lightning.core.artifacts import PAIRS, PARTIAL, REMOVED, locked, read_manifest
from rag_lightning.core.errors import ArtifactError
from rag_lightning.core.files import read_sealed, sync
from rag_lightning.report.reading import need
from rag_lightning.runs import folders
from rag_lightning.runs.record import EXACT, RUN, SUMMARY, read_run, read_summary, run_folders

State = Literal["whole", "unfinished", "pairs", "remains", "elsewhere", "link", "damaged", "unknown"]
SWEEP = "sweep.json"
DIGEST = re.compile("[0-9a-f]{16}")
STORE = re.compile(rf"({DIGEST.pattern})-[\w-]+\.sqlite")
SQLITE = ("-wal", "-shm")
BESIDE_A_FILE = (".lock", *SQLITE)
BESIDE = {"cost": "predictions", "unpacked": "model"}
"""Kind that is no input of a run's artifacts -> the input with which it is kept."""
User = tuple[str, str]
"""(folder in runs/, run id); the run id is empty for the sweep itself."""


@dataclass(frozen=True)
class Entry:
    """One entry of a folder artifacts/<kind>/.

    Args:
        kind: Name of the folder.
        path: The entry; for a link in the place of the folder, the link.
        state: whole, unfinished (a build), pairs (a store of generated pairs), remains (of a removal or of a damaged
            store), elsewhere (a build of a named machine, whose lock may not be seen here), link, damaged (its
            manifest), or unknown.
        bytes: Size of its files; 0 for a link.
        modified: Time of its last change, in seconds since 1970.
        inputs: Name -> digest of each input of a whole artifact.
    """

    kind: str
    path: Path
    state: State
    bytes: int = 0
    modified: float = 0.0
    inputs: Mapping[str, str] = field(default_factory=dict)

    @property
    def digest(self) -> str:
        """Digest of the artifact or of its build; of a store of pairs, that of its model; of others the name."""
        found = DIGEST.match(self.path.name)
        return found[0] if found else self.path.name


def entries(root: Path) -> list[Entry]:
    """All entries of a project's artifacts/, ordered by kind and name; lock files are left out."""
    found: list[Entry] = []
    for kind in sorted(folders.artifacts(root).glob("*")):
        if kind.is_symlink():
            found.append(Entry(kind.name, kind, "link"))
        elif kind.is_dir():
            found += [_entry(path) for path in sorted(kind.iterdir()) if not path.name.endswith(BESIDE_A_FILE)]
    return found


def _entry(path: Path) -> Entry:
    kind, state = path.parent.name, _state(path)
    if state == "link":
        return Entry(kind, path, state)
    inputs = _inputs(path) if state == "whole" else {}
    if inputs is None:
        state, inputs = "damaged", {}
    files = [path, *files_beside(path)]
    return Entry(kind, path, state, sum(map(_bytes, files)), path.stat().st_mtime, inputs)


def _inputs(path: Path) -> dict[str, str] | None:
    """The inputs in the manifest of an artifact; None if the manifest is damaged or another's."""
    try:
        manifest = read_manifest(path)
    except ArtifactError:
        return None
    inputs, same = manifest.get("inputs"), (manifest["kind"], manifest["digest"]) == (path.parent.name, path.name)
    if not same or not isinstance(inputs, dict) or not all(isinstance(one, str) for one in inputs.values()):
        return None
    return inputs


def files_beside(path: Path) -> list[Path]:
    """The files that SQLite keeps beside a store of pairs."""
    return [beside for end in SQLITE if (beside := path.with_name(path.name + end)).exists()]


def _state(path: Path) -> State:
    """The state by the name alone."""
    name = path.name
    if path.is_symlink():
        return "link"
    if path.is_dir():
        if name.endswith(REMOVED) and DIGEST.match(name):
            return "remains"
        if name.endswith(PARTIAL) and DIGEST.match(name):
            return "unfinished" if name.count(".") == 1 else "elsewhere"
        return "whole" if DIGEST.fullmatch(name) else "unknown"
    if path.parent.name == PAIRS and STORE.fullmatch(name.removesuffix(".aside")):
        return "remains" if name.endswith(".aside") else "pairs"
    return "unknown"


def _bytes(path: Path) -> int:
    """Size of a file, or of all files in a folder, in bytes; links are not followed."""
    if path.is_symlink() or not path.exists():
        return 0
    if not path.is_dir():
        return path.stat().st_size
    return sum(Path(at, name).lstat().st_size for at, _, names in os.walk(path) for name in names)


def users(root: Path, found: Iterable[Entry]) -> dict[Path, set[User]]:
    """Path of an entry -> the runs that use it; unused entries are left out.

    Raises:
        DataError: the record of a run or of a sweep is damaged.
    """
    whole: dict[str, Entry] = {}
    kept_with: dict[str, list[Entry]] = {}
    for entry in found:
        if entry.state == "whole":
            whole[entry.digest] = entry
        if entry.state in ("unfinished", "pairs"):
            kept_with.setdefault(entry.digest, []).append(entry)
        elif BESIDE.get(entry.kind) in entry.inputs:
            kept_with.setdefault(entry.inputs[BESIDE[entry.kind]], []).append(entry)
    used: dict[Path, set[User]] = {}
    for user, digests in _recorded(root):
        for digest in _with_inputs(digests, whole):
            for entry in (*([whole[digest]] if digest in whole else []), *kept_with.get(digest, ())):
                used.setdefault(entry.path, set()).add(user)
    return used


def _with_inputs(digests: Iterable[str], whole: Mapping[str, Entry]) -> set[str]:
    """The digests with those of all inputs, and inputs of their inputs, that are known from manifests."""
    seen: set[str] = set()
    waiting = list(digests)
    while waiting:
        digest = waiting.pop()
        if digest not in seen:
            seen.add(digest)
            waiting += whole[digest].inputs.values() if digest in whole else ()
    return seen


def _recorded(root: Path) -> Iterator[tuple[User, set[str]]]:
    """(run, digests of its artifacts) of each run, then those of the retrieval table of each sweep."""
    runs = folders.runs(root)
    for folder in run_folders(runs):
        record = {"planned": {}} | read_run(folder)
        named = [need(folder / RUN, record, field, dict) for field in ("digests", "planned")]
        stated = read_summary(folder, against_scores=False)
        named.append(need(folder / SUMMARY, {EXACT: {}} | stated, EXACT, dict))
        yield (folder.parent.name, folder.name), {str(digest) for found in named for digest in found.values()}
    for path in sorted(runs.glob(f"*/{SWEEP}")):
        rows = need(path, {"retrieval": []} | read_sealed(path), "retrieval", list)
        yield (path.parent.name, ""), {str(row["scores"]) for row in rows if isinstance(row, dict) and "scores" in row}


def unfinished_sweeps(root: Path) -> list[Path]:
    """The folders of sweeps that have not finished: not all of their artifacts are in the record of a run yet.

    Raises:
        DataError: the record of a sweep is damaged.
    """
    paths = sorted(folders.runs(root).glob(f"*/{SWEEP}"))
    return [path.parent for path in paths if read_sealed(path).get("finished") is not True]


@contextmanager
def unused(root: Path) -> Iterator[None]:
    """Keep other processes from using the artifacts of a root.

    Raises:
        ArtifactError: another process uses them, or the file system has no locks.
    """
    descriptor = os.open(root, os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ArtifactError(f"{root}: another process uses these artifacts; wait until it ends") from error
        except OSError as error:
            raise ArtifactError(f"{root}: cannot be locked ({error.strerror}); remove artifacts by hand") from error
        yield
    finally:
        os.close(descriptor)


def remove(path: Path) -> bool:
    """Remove the folder of an artifact or of its build, unless a process builds it; returns whether it was removed.

    The folder is renamed first, so that a kill leaves the whole artifact or none.
    """
    try:
        with locked(path.with_name(f"{path.name.partition('.')[0]}.lock"), wait=False):
            aside = path if path.suffix == REMOVED else path.with_name(path.name + REMOVED)
            if aside != path:
                shutil.rmtree(aside, ignore_errors=True)
                os.replace(path, aside)
                sync(path.parent)
            shutil.rmtree(aside)
    except BlockingIOError:
        return False
    return True
