"""Whatever ends or disturbs the build of an index of any kind: it appears whole, or not at all."""

from __future__ import annotations

import resource
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rag_lightning.core.artifacts import Artifact, ArtifactStore, Recipe
from rag_lightning.core.errors import ArtifactError
from rag_lightning.index import building
from rag_lightning.index.index import FAISS_FILE, Floats, Report, build_index, faiss, load_index
from tests.index_kinds import KINDS, clustered, config
from tests.making import ROOT

LIMIT = 4096
"""Bytes that a file may have where the disk is full; the smallest index has 13,000."""
PHASES = {"training": (building, "train"), "adding": (), "writing": (faiss, "write_index")}
"""Phase -> what is interrupted in it; in adding, what reports to the bar."""


@pytest.fixture(scope="module")
def vectors() -> Floats:
    return clustered()


@pytest.fixture(autouse=True)
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Inverted files are built in parts, and trained on a sample."""
    for name, value in {"BLOCK": 100, "PART_BYTES": 0, "LEAST_POINTS": 300, "POINTS_PER_CODE": 4}.items():
        monkeypatch.setattr(building, name, value)


def publish(root: Path, kind: str, vectors: Floats, report: Report = lambda done, total: None) -> Artifact:
    """As the stage does."""

    def make(folder: Path) -> Mapping[str, Any]:
        return build_index(config(kind), vectors, report=report, folder=folder).save(folder)

    return ArtifactStore(root).build(recipe(kind), make, resumable=True)


def recipe(kind: str) -> Recipe:
    return Recipe("index", {"kind": kind}, {}, 1)


def stop(*given: Any, **named: Any) -> None:
    """Ctrl-C."""
    heard = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it
    try:
        signal.raise_signal(signal.SIGINT)
    finally:
        signal.signal(signal.SIGINT, heard)


@contextmanager
def full_disk() -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (LIMIT, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def check(made: Artifact, vectors: Floats) -> Any:
    """The bytes of a published index, which can be searched and stands alone in its folder."""
    assert {path.name for path in made.path.iterdir()} == {FAISS_FILE, "index.json", "manifest.json"}
    assert not [path for path in made.path.parent.iterdir() if path.is_dir() and path.suffix]
    assert (load_index(made.path).search(vectors[:9], 20)[1][:, 0] >= 0).all()
    return np.fromfile(made.path / FAISS_FILE, "u1")


@pytest.mark.parametrize("kind", KINDS)
def test_a_full_disk_is_one_line_and_the_build_goes_on_when_there_is_room(
    kind: str, vectors: Floats, tmp_path: Path
) -> None:
    with full_disk(), pytest.raises(ArtifactError, match=r"cannot be written .*untouched") as caught:
        publish(tmp_path, kind, vectors)
    assert "\n" not in str(caught.value) and ArtifactStore(tmp_path).find("index", recipe(kind).digest) is None
    check(publish(tmp_path, kind, vectors), vectors)


@pytest.fixture(scope="module")
def undisturbed(vectors: Floats, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Any]:
    """The bytes of an index whose building nothing ended, by its kind."""
    folder = tmp_path_factory.mktemp("undisturbed")
    return cache(lambda kind: np.fromfile(publish(folder, kind, vectors).path / FAISS_FILE, "u1"))


@pytest.mark.parametrize("phase", PHASES)
@pytest.mark.parametrize("kind", KINDS)
def test_ctrl_c_in_any_phase_publishes_nothing_and_the_next_build_is_the_same(
    kind: str, phase: str, vectors: Floats, undisturbed: Callable[[str], Any], tmp_path: Path
) -> None:
    with pytest.MonkeyPatch.context() as patch, pytest.raises(KeyboardInterrupt):
        if phase != "adding":
            patch.setattr(*PHASES[phase], stop)
        publish(tmp_path, kind, vectors, stop if phase == "adding" else lambda done, total: None)
    assert ArtifactStore(tmp_path).find("index", recipe(kind).digest) is None
    np.testing.assert_array_equal(check(publish(tmp_path, kind, vectors), vectors), undisturbed(kind))


TOGETHER = """
import sys
from pathlib import Path
from tests.contracts.test_index_publishing import publish
from tests.index_kinds import KINDS, clustered
vectors = clustered()
print("ready", flush=True)
sys.stdin.readline()
for kind in KINDS:
    publish(Path(sys.argv[1]), kind, vectors, lambda done, total: done == total and print(kind, flush=True))
"""


def test_two_processes_that_publish_the_same_indexes_build_each_once(vectors: Floats, tmp_path: Path) -> None:
    words = [sys.executable, "-c", TOGETHER, str(tmp_path)]
    pipe = subprocess.PIPE
    both = [subprocess.Popen(words, cwd=ROOT, stdin=pipe, stdout=pipe, stderr=pipe, text=True) for _ in range(2)]
    for one in both:
        assert one.stdout is not None and one.stdout.readline() == "ready\n"
    for one in both:
        assert one.stdin is not None
        one.stdin.write("\n")
        one.stdin.flush()
    ended = [one.communicate(timeout=120) for one in both]
    assert [one.returncode for one in both] == [0, 0], ended
    assert sorted(kind for out, _ in ended for kind in out.split()) == sorted(KINDS)
    for kind in KINDS:
        found = ArtifactStore(tmp_path).find("index", recipe(kind).digest)
        assert found is not None and len(check(found, vectors))
