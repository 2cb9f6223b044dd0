"""Content-addressed folders `artifacts/<kind>/<digest>/`, each complete or absent.

The digest is over the kind, the resolved config of the stage, the digests of its inputs and the stage's code
version. A stage writes into `<digest>.partial/` under a lock; `manifest.json` is written last, everything is flushed to
disk, and one rename publishes the folder. A killed build leaves only the partial folder: a resumable stage continues in
it, any other stage starts again.

A process that uses artifacts holds a shared lock on their root as long as it runs; removal needs the exclusive one.
"""

from __future__ import annotations

import errno
import fcntl
import os
import re
import shutil
import time
import weakref
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import Any

from rag_lightning.core.console import StageLines
from rag_lightning.core.errors import DISK_ERRORS, ArtifactError, DataError
from rag_lightning.core.files import digest as digest_of
from rag_lightning.core.files import file_sha256, read_sealed, sync, write_sealed
from rag_lightning.core.links import check_unlinked, make_folder, open_lock, remove_leftovers
from rag_lightning.core.stamps import STAMPS, read_stamps, stamp_of, write_stamps

MANIFEST = "manifest.json"
FIELDS: dict[str, type] = {"kind": str, "digest": str, **dict.fromkeys(("config", "inputs", "info", "files"), dict)}
STATED: dict[str, type] = {"size": int, "mtime_ns": int, "sha256": str}
"""Fields of a manifest, and of each file in it, that readers rely on, with their types."""
PARTIAL, REMOVED = ".partial", ".removed"
"""Endings of folders that are no artifact: of a build, and of an artifact that is being removed."""
PAIRS = "pairs"
"""Folder of the stores of generated pairs, a cache: SQLite files <digest of the model>-….sqlite, no artifacts."""
MACHINE = "RAG_LIGHTNING_MACHINE"
"""Environment variable with the name of this machine, set where several machines may share a folder: their locks may
not hold, so each builds in partial folders of its own, and the first complete one stays."""
FULL = (os.strerror(errno.ENOSPC), os.strerror(errno.EFBIG), os.strerror(errno.EDQUOT), "disk is full")
"""What libraries that keep only the text of an error say of a full disk, a limit and a quota."""
HASH_LIMIT = 1 << 30
"""Larger files are hashed when they are published and at their first opening in a place, later compared with the stamp
(size, modification time, inode) of then; `doctor --deep` hashes them again."""


@dataclass(frozen=True)
class Artifact:
    """A published folder with its manifest."""

    kind: str
    digest: str
    path: Path
    manifest: Mapping[str, Any]

    @property
    def info(self) -> Mapping[str, Any]:
        """Counts, shapes and other facts that the stage recorded."""
        info: Mapping[str, Any] = self.manifest["info"]
        return info


@dataclass(frozen=True)
class Recipe:
    """The specification of an artifact, which determines its content.

    Args:
        kind: Folder under the root.
        config: Settings that affect the result, plain JSON values.
        inputs: Name -> digest of every input.
        version: The stage's code version, raised by hand when its result would change.
    """

    kind: str
    config: Mapping[str, Any]
    inputs: Mapping[str, str]
    version: int

    @cached_property
    def digest(self) -> str:
        """Name of the artifact's folder."""
        return digest_of([self.kind, self.config, self.inputs, self.version])


class ArtifactStore:
    """All artifacts in one root folder. Each built or reused artifact is reported once."""

    def __init__(self, root: Path, lines: StageLines | None = None) -> None:
        self.root = root
        self.lines = lines or StageLines()
        self._opened: dict[tuple[str, str], Artifact] = {}
        self._held: weakref.finalize[..., ArtifactStore] | None = None

    def _hold(self) -> None:
        """Hold the root until the process ends, so that no other process removes what this one has opened."""
        if self._held is None:
            descriptor = os.open(self.root, os.O_RDONLY)
            self._held = weakref.finalize(self, os.close, descriptor)
            with suppress(OSError):  # a file system without locks
                fcntl.flock(descriptor, fcntl.LOCK_SH)

    def find(self, kind: str, digest: str) -> Artifact | None:
        """The published artifact, verified once per store, or None.

        Raises:
            ArtifactError: the artifact is altered or truncated.
        """
        path = self.root / kind / digest
        if (kind, digest) not in self._opened and path.exists():
            self._hold()
            self._opened[kind, digest] = found = open_artifact(path, kind)
            self.lines.reused(kind, digest, found.info)
        return self._opened.get((kind, digest))

    def build(self, recipe: Recipe, make: Callable[[Path], Mapping[str, Any]], *, resumable: bool = False) -> Artifact:
        """Return the artifact of a recipe, calling `make(folder) -> info` only if it does not exist yet.

        Raises:
            ArtifactError: the existing artifact is damaged, or the disk is full or read-only.
            DataError: a link is where the artifact would be written.
        """
        found = self.find(recipe.kind, recipe.digest)
        if found:
            return found
        parent = make_folder(self.root / recipe.kind, self.root)
        self._hold()
        with locked(parent / f"{recipe.digest}.lock"):
            return self.find(recipe.kind, recipe.digest) or self._make(recipe, make, resumable)

    def _make(self, recipe: Recipe, make: Callable[[Path], Mapping[str, Any]], resumable: bool) -> Artifact:
        final = self.root / recipe.kind / recipe.digest
        machine = os.environ.get(MACHINE, "")
        partial = final.with_name(f"{final.name}{machine and '.' + machine}{PARTIAL}")
        if partial.is_dir() and not partial.is_symlink() and not resumable:
            shutil.rmtree(partial)
        for path in chain((final, partial), partial.rglob("*")):  # also what the build left that this one continues
            check_unlinked(path, self.root)
        remove_leftovers(partial)  # which would become part of it
        partial.mkdir(exist_ok=True)
        started = time.perf_counter()
        try:
            with self.lines.working(recipe.kind, recipe.digest):
                info = make(partial)
            _publish(recipe, partial, final, dict(info), time.perf_counter() - started)
        except Exception as error:
            if not _disk_refused(error):
                raise
            raise ArtifactError(f"{final}: cannot be written ({error}); earlier artifacts are untouched") from error
        self._opened[recipe.kind, recipe.digest] = made = open_artifact(final, recipe.kind)
        self.lines.finished(recipe.kind, made.info, time.perf_counter() - started)
        return made


def _disk_refused(error: Exception) -> bool:
    """Whether the disk is full or refuses writes; faiss, safetensors and sqlite keep only the text of the error."""
    if isinstance(error, OSError):
        return error.errno in DISK_ERRORS
    return any(words in str(error) for words in FULL)


def _publish(recipe: Recipe, partial: Path, final: Path, info: Mapping[str, Any], seconds: float) -> None:
    for name in (MANIFEST, STAMPS):
        (partial / name).unlink(missing_ok=True)
    files = {str(p.relative_to(partial)): _describe(p) for p in sorted(partial.rglob("*")) if p.is_file()}
    manifest = {
        "kind": recipe.kind,
        "digest": recipe.digest,
        "config": recipe.config,
        "inputs": recipe.inputs,
        "version": recipe.version,
        "seconds": round(seconds, 3),
        "info": info,
        "files": files,
    }
    write_sealed(partial / MANIFEST, manifest)
    write_stamps(partial, {name: stamp_of(partial / name) for name in files if _is_large(partial / name)})
    for path in partial.rglob("*"):
        sync(path)
    sync(partial)
    try:
        os.replace(partial, final)
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
            raise
        shutil.rmtree(partial)  # another machine was first
    sync(final.parent)


def open_artifact(path: Path, kind: str | None = None, *, deep: bool = False) -> Artifact:
    """Open a published folder and verify it against its manifest.

    Raises:
        ArtifactError: no manifest, a damaged or altered one, a missing file, one that the manifest does not name, or a
            file with another size or checksum.
    """
    manifest = read_manifest(path)
    if kind and (manifest["kind"], manifest["digest"]) != (kind, path.name):
        other = f"{manifest['kind']}/{manifest['digest']}"
        raise ArtifactError(f"{path / MANIFEST}: is of {other}; remove the folder {path} and run again")
    known, stamps = read_stamps(path), {}
    for name, expected in manifest["files"].items():
        file, stamps[name] = path / name, stamp_of(path / name)
        stamped = not deep and stamps[name] and _is_large(file) and known.get(name) == stamps[name]
        if not stamped and (problem := _problem(file, expected)):
            raise ArtifactError(f"{path / name}: {problem}; remove the folder {path} and run again to rebuild it")
    if more := _files(path) - {MANIFEST, *manifest["files"]}:
        remedy = f"move it away, or remove the folder {path} and run again"
        raise ArtifactError(f"{path / min(more)}: is not named in {MANIFEST}; {remedy}")
    large = {name: stamp for name, stamp in stamps.items() if _is_large(path / name)}
    if large != known and not path.is_symlink():  # nothing is written through a link
        with suppress(OSError):  # a place that is only read: hashed at every opening
            write_stamps(path, large)
    return Artifact(kind or manifest["kind"], manifest["digest"], path, manifest)


def folder_of(artifacts: Path, kind: str, digest: object) -> Path:
    """The folder of an artifact that a file names; raises DataError unless the name is a digest."""
    if re.fullmatch("[0-9a-f]{16}", str(digest)):
        return artifacts / kind / str(digest)
    raise DataError(artifacts / kind, "is no digest", field=kind, value=str(digest))


def read_manifest(path: Path) -> dict[str, Any]:
    """The manifest of an artifact folder.

    Raises:
        ArtifactError: it is missing, damaged or altered, or a field is missing or of a wrong type.
    """
    file, hint = path / MANIFEST, f"remove the folder {path} and run again"
    try:
        manifest = read_sealed(file, hint)
    except DataError as error:
        raise ArtifactError(str(error)) from error
    wrong = [field for field, kind in FIELDS.items() if not isinstance(manifest.get(field), kind)]
    wrong += [] if wrong else [f"files.{name}" for name, one in manifest["files"].items() if not _is_file(name, one)]
    if wrong:
        raise ArtifactError(f"{file}: field {wrong[0]!r} is missing or damaged; {hint}")
    return manifest


def _is_file(name: str, stated: Any) -> bool:
    """Whether an entry of a manifest is a file below its folder, with what it is checked by."""
    inside = not Path(name).is_absolute() and ".." not in Path(name).parts
    return inside and isinstance(stated, dict) and all(isinstance(stated.get(one), t) for one, t in STATED.items())


def _files(folder: Path) -> set[str]:
    """The files below a folder, without hidden ones, which systems leave there and no stage reads."""
    found = (path.relative_to(folder) for path in folder.rglob("*") if not path.is_dir())
    return {str(path) for path in found if not any(part.startswith(".") for part in path.parts)}


def _describe(path: Path) -> dict[str, Any]:
    stat = path.stat()
    return {"size": stat.st_size, "mtime_ns": stat.st_mtime_ns, "sha256": file_sha256(path)}


def _is_large(path: Path) -> bool:
    return path.stat().st_size > HASH_LIMIT


def _problem(path: Path, expected: Mapping[str, Any]) -> str | None:
    if not path.is_file():
        return "is missing"
    stat = path.stat()
    if stat.st_size != expected["size"]:
        return f"has {stat.st_size} bytes, the manifest says {expected['size']}"
    if file_sha256(path) != expected["sha256"]:
        return "was altered (its checksum differs from the manifest's)"
    return None


def published(root: Path, kind: str = "*") -> list[Path]:
    """The folders of finished artifacts in a root, of one kind or all, in order of name; they are not verified."""
    return sorted(p for p in root.glob(f"{kind}/*/") if p.suffix not in (PARTIAL, REMOVED))


@contextmanager
def locked(path: Path, *, wait: bool = True) -> Iterator[None]:
    """Hold an exclusive lock file; a second process waits and then finds the artifact.

    Raises:
        BlockingIOError: another process holds the lock, and wait is false.
        DataError: it is a link.
    """
    with open_lock(path) as handle:
        fcntl.flock(handle, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
        try:
            yield
        finally:
            fcntl.flock(handle, fcntl.LOCK_UN)
