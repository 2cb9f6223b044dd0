"""Indexes of every kind are damaged, and searched: one typed line before any result, or what was found before.

Files of more than a gigabyte are known by their stamp once they were hashed. Here every file counts as one in two of
three ways: where the stamp differs it is hashed again, and where damage kept it `doctor --deep` must find it.
"""

from __future__ import annotations

import os
import random
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from rag_lightning.core import artifacts
from rag_lightning.core.arrays import open_array
from rag_lightning.core.artifacts import ArtifactStore, Recipe, open_artifact, published
from rag_lightning.core.errors import RagLightningError
from rag_lightning.core.stamps import STAMPS
from rag_lightning.index.index import build_index, load_index
from rag_lightning.retrieval.embed import VECTORS
from tests.campaign import damage
from tests.campaign.children import MEMORY, Child, Ended, command
from tests.campaign.tally import Tally, explain
from tests.index_kinds import DIM, KINDS, clustered, config

HASHED, STAMPED, KEPT = "hashed at each opening", "large, another stamp", "large, the same stamp"
ASKED, K = 20, 10
OWN_SEAL = (artifacts.MANIFEST, STAMPS)
"""Files that have no stamp, but a seal."""
IN_PLACE: tuple[damage.Way, ...] = (damage.flip, damage.flip, damage.flip_in_head, damage.zero)
"""Ways that keep the size."""


@dataclass(frozen=True)
class Made:
    """A folder with an index of one kind and its vectors, and what is in its files."""

    kind: str
    root: Path
    files: dict[Path, tuple[bytes, int]]

    def restore(self) -> None:
        """Write every file as it was, in its place and with its time."""
        for path, (content, time) in self.files.items():
            if path.read_bytes() != content if path.exists() else True:
                path.write_bytes(content)
            os.utime(path, ns=(time, time))

    def search(self, large: bool) -> Callable[[], int]:
        """The work that opens index and vectors and prints what it finds; refined where the kind can be."""
        return _typed(lambda: _search(self.kind, self.root), large)


def _typed(work: Callable[[], None], large: bool) -> Callable[[], int]:
    def done() -> int:
        artifacts.HASH_LIMIT = 0 if large else artifacts.HASH_LIMIT
        try:
            work()
        except RagLightningError as error:
            print(f"rag-lightning: {error}", file=sys.stderr)
            return 1
        return 0

    return done


def _folder(root: Path, kind: str) -> Path:
    return next(path for path in published(root / "artifacts") if path.parent.name == kind)


def _search(kind: str, root: Path) -> None:
    vectors = open_array(open_artifact(_folder(root, "vectors")).path / VECTORS, np.float32, 2)
    folder = open_artifact(_folder(root, "index")).path
    for refine in (0, 4):
        index = load_index(folder, config(kind, refine=refine), vectors)
        scores, rows = index.search(np.ascontiguousarray(clustered()[:ASKED]), K)
        print(refine, scores.tobytes().hex(), rows.tobytes().hex())


def _make(root: Path, kind: str) -> None:
    vectors = clustered()

    def save(folder: Path) -> dict[str, Any]:
        np.save(folder / VECTORS, vectors)
        return {"dim": DIM}

    store = ArtifactStore(root / "artifacts")
    made = store.build(Recipe("vectors", {}, {}, 1), save)
    store.build(Recipe("index", {"kind": kind}, {"vectors": made.digest}, 1), build_index(config(kind), vectors).save)


def make(kind: str, root: Path, log: Path) -> tuple[Made, str]:
    """An index of a kind, stamped as a large one, and what a search of it prints."""
    ended = Child(_typed(lambda: _make(root, kind), True), log).wait()
    assert ended.code == 0, ended.err
    files = {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in root.rglob("*") if path.is_file()}
    made = Made(kind, root, {path: one for path, one in files.items() if one[0]})
    first, second = (Child(made.search(large), log).wait() for large in (True, False))
    assert first.code == second.code == 0 and first.out == second.out, first.err + second.err
    return made, first.out


def run_indexes(place: Path, tally: Tally, count: int, seed: int, first: int = 0) -> None:
    """Damage files of indexes so many times, each kind in turn.

    Args:
        place: Folder to work in.
        tally: Where tries are counted.
        count: Number of tries.
        seed: Seed of every choice.
        first: Number of the first try, to repeat one.
    """
    log, ready = place / "log", {}
    for number in range(first, first + count):
        rng, kind = random.Random(f"{seed}-indexes-{number}"), KINDS[number % len(KINDS)]
        if kind not in ready:
            ready[kind] = make(kind, place / kind, log)
        made, usual = ready[kind]
        way = rng.choice((HASHED, STAMPED, KEPT))
        path = rng.choice([path for path in sorted(made.files) if way != KEPT or path.name not in OWN_SEAL])
        how = f"--seed {seed} --first {number} --indexes 1: {path.name} of {kind}"
        problem, outcome = _try(made, usual, path, way, rng, log)
        tally.add(f"index, {way}: {kind}", problem, how, outcome)
        made.restore()


def _try(made: Made, usual: str, path: Path, way: str, rng: random.Random, log: Path) -> tuple[str, str]:
    """What went wrong with one damaged file, empty if nothing; and how it ended."""
    time = made.files[path][1]
    damage.harm(path, rng, IN_PLACE if way == KEPT else damage.WAYS)
    later = time if way == KEPT else time + rng.randrange(1, 10**9)
    os.utime(path, ns=(later, later))
    ended = Child(made.search(way != HASHED), log, MEMORY).wait()
    if way == KEPT:
        return _kept(made, path, ended, log)
    if problem := explain(ended):
        return problem, ""
    if ended.code:
        told = any(part in ended.err for part in (path.name, path.parent.name))
        return ("", "told") if told else (f"does not name the file: {ended.last}", "")
    return ("", "same") if ended.out == usual else ("silently another result", "")


def _kept(made: Made, path: Path, ended: Ended, log: Path) -> tuple[str, str]:
    """Of damage that kept the stamp: no crash, and found by `doctor --deep`."""
    if problem := explain(ended):
        return problem, ""
    doctor = Child(command(["doctor", "--deep", "--folder", str(made.root)]), log).wait()
    if doctor.traceback or doctor.crashed or path.name not in doctor.out + doctor.err:
        return f"doctor --deep does not name it: {doctor.last}", ""
    return "", "told" if ended.code else "found by doctor --deep"
