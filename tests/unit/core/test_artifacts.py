"""Artifacts appear whole or not at all, are made once, and damage is found."""

import errno
import json
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from rag_lightning.core import files
from rag_lightning.core.artifacts import MANIFEST, Artifact, ArtifactStore, Recipe, open_artifact
from rag_lightning.core.console import StageLines
from rag_lightning.core.errors import ArtifactError
from rag_lightning.core.files import write_sealed

RECIPE = Recipe("things", {"a": 1, "b": [2, 3]}, {"corpus": "0" * 16}, 1)


def make(folder: Path) -> Mapping[str, Any]:
    (folder / "data.txt").write_text("content\n")
    (folder / "sub").mkdir(exist_ok=True)
    (folder / "sub" / "more.bin").write_bytes(bytes(range(256)))
    return {"rows": 1}


@pytest.fixture(autouse=True)
def fresh_process() -> None:
    """Checksums are remembered per process by size and time, and a test alters a file within one tick of the clock."""
    files._sha256.cache_clear()


@pytest.fixture
def store(tmp_path: Path) -> ArtifactStore:
    return ArtifactStore(tmp_path / "artifacts")


@pytest.fixture
def built(store: ArtifactStore) -> Artifact:
    artifact = store.build(RECIPE, make)
    files._sha256.cache_clear()
    return artifact


def never(folder: Path) -> Mapping[str, Any]:
    raise AssertionError("built twice")


def run_python(code: str, *arguments: object, check: bool = True) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=check, timeout=60)


# --- what is built -----------------------------------------------------------


def test_a_built_artifact_is_described_by_its_manifest(store: ArtifactStore, built: Artifact) -> None:
    manifest = json.loads((built.path / MANIFEST).read_text())
    assert built.path == store.root / "things" / RECIPE.digest
    assert set(manifest["files"]) == {"data.txt", "sub/more.bin"}
    assert manifest["files"]["sub/more.bin"]["size"] == 256
    assert (manifest["config"], manifest["inputs"], manifest["version"]) == (RECIPE.config, RECIPE.inputs, 1)
    assert built.info == {"rows": 1}


def test_the_same_recipe_is_not_built_again(tmp_path: Path, built: Artifact) -> None:
    said: list[str] = []
    store = ArtifactStore(tmp_path / "artifacts", StageLines(said.append))
    assert store.build(RECIPE, never).path == built.path
    store.build(RECIPE, never)
    assert said == ["things            reused"]


@pytest.mark.parametrize(
    "other",
    [
        Recipe("others", RECIPE.config, RECIPE.inputs, 1),
        Recipe("things", {"a": 2, "b": [2, 3]}, RECIPE.inputs, 1),
        Recipe("things", {"a": 1, "b": [3, 2]}, RECIPE.inputs, 1),
        Recipe("things", RECIPE.config, {"corpus": "1" * 16}, 1),
        Recipe("things", RECIPE.config, RECIPE.inputs, 2),
    ],
)
def test_every_part_of_a_recipe_is_in_its_digest(other: Recipe) -> None:
    assert other.digest != RECIPE.digest


def test_the_order_of_keys_is_not_in_the_digest() -> None:
    assert Recipe("things", {"b": [2, 3], "a": 1}, RECIPE.inputs, 1).digest == RECIPE.digest


def test_what_was_never_built_is_not_found(store: ArtifactStore) -> None:
    assert store.find("things", RECIPE.digest) is None


# --- damage ------------------------------------------------------------------


def test_an_altered_file_of_the_same_size_is_named(store: ArtifactStore, built: Artifact) -> None:
    (built.path / "data.txt").write_text("CONTENT\n")
    with pytest.raises(ArtifactError, match=r"data\.txt: was altered .*remove the folder"):
        ArtifactStore(store.root).build(RECIPE, never)


def test_a_flipped_bit_is_found(built: Artifact) -> None:
    path = built.path / "sub" / "more.bin"
    data = bytearray(path.read_bytes())
    data[100] ^= 1
    path.write_bytes(data)
    with pytest.raises(ArtifactError, match=r"more\.bin: was altered"):
        open_artifact(built.path)


def test_a_cut_file_is_named_with_its_sizes(built: Artifact) -> None:
    (built.path / "data.txt").write_text("con")
    with pytest.raises(ArtifactError, match=r"data\.txt: has 3 bytes, the manifest says 8"):
        open_artifact(built.path)


def test_a_missing_file_is_named(built: Artifact) -> None:
    (built.path / "data.txt").unlink()
    with pytest.raises(ArtifactError, match=r"data\.txt: is missing"):
        open_artifact(built.path)


@pytest.mark.parametrize("part", [0.0, 0.1, 0.5, 0.9, 0.99])
def test_a_manifest_cut_short_is_an_error(built: Artifact, part: float) -> None:
    manifest = built.path / MANIFEST
    text = manifest.read_text()
    manifest.write_text(text[: int(len(text) * part)])
    with pytest.raises(ArtifactError, match=r"manifest\.json: is cut short or damaged"):
        open_artifact(built.path)


def test_a_missing_manifest_is_an_error(built: Artifact) -> None:
    (built.path / MANIFEST).unlink()
    with pytest.raises(ArtifactError, match=r"manifest\.json: is missing"):
        open_artifact(built.path)


@pytest.mark.parametrize("field", ["kind", "digest", "files", "info"])
def test_a_manifest_without_a_field_names_it(built: Artifact, field: str) -> None:
    manifest = json.loads((built.path / MANIFEST).read_text())
    del manifest[field]
    write_sealed(built.path / MANIFEST, manifest)
    with pytest.raises(ArtifactError, match=f"field '{field}' is missing or damaged"):
        open_artifact(built.path)


# --- builds that do not end ----------------------------------------------------

KILLED = """
import os, signal, sys
from pathlib import Path
from rag_lightning.core.files import open_atomic
from rag_lightning.core.artifacts import ArtifactStore, Recipe
def make(folder):
    (folder / "half.txt").write_text("half")
    writing = open_atomic(folder / "other.json")
    writing.__enter__().write(b"half")
    os.kill(os.getpid(), signal.SIGKILL)
ArtifactStore(Path(sys.argv[1])).build(Recipe("things", {"a": 1, "b": [2, 3]}, {"corpus": "0" * 16}, 1), make)
"""


@pytest.mark.parametrize("resumable", [False, True])
def test_a_killed_build_leaves_only_a_partial_folder_and_is_done_again(store: ArtifactStore, resumable: bool) -> None:
    killed = run_python(KILLED, store.root, check=False)
    assert killed.returncode == -signal.SIGKILL
    assert [path.name for path in (store.root / "things").iterdir() if path.is_dir()] == [f"{RECIPE.digest}.partial"]
    assert store.find("things", RECIPE.digest) is None

    seen: list[bool] = []

    def again(folder: Path) -> Mapping[str, Any]:
        seen.append((folder / "half.txt").exists())
        return make(folder)

    built = store.build(RECIPE, again, resumable=resumable)
    assert seen == [resumable]
    assert (built.path / "half.txt").exists() is resumable
    assert not list(built.path.glob("other.json*"))
    assert not built.path.with_suffix(".partial").exists()


def test_an_error_while_building_publishes_nothing(store: ArtifactStore) -> None:
    def broken(folder: Path) -> Mapping[str, Any]:
        make(folder)
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        store.build(RECIPE, broken)
    assert store.find("things", RECIPE.digest) is None
    assert store.build(RECIPE, make).info == {"rows": 1}


# --- a full disk -----------------------------------------------------------------


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full on this system")
def test_a_full_disk_is_a_typed_error_and_earlier_artifacts_stay_whole(store: ArtifactStore, built: Artifact) -> None:
    def fill(folder: Path) -> Mapping[str, Any]:
        with open("/dev/full", "wb", buffering=0) as full:
            full.write(b"x")
        return {}

    other = Recipe("things", {"a": 2}, {}, 1)
    with pytest.raises(ArtifactError, match=rf"{other.digest}: cannot be written .*No space left.*untouched"):
        store.build(other, fill)
    assert store.find("things", other.digest) is None
    assert ArtifactStore(store.root).build(RECIPE, never).info == {"rows": 1}
    assert store.build(other, make).info == {"rows": 1}


LIMITED = """
import resource, sys
from pathlib import Path
from rag_lightning.core.artifacts import ArtifactStore, Recipe
from rag_lightning.core.errors import ArtifactError
def make(folder):
    (folder / "big.bin").write_bytes(b"x" * 500)
    return {"note": "y" * 4000}
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
try:
    ArtifactStore(Path(sys.argv[1])).build(Recipe("things", {"a": 3}, {}, 1), make)
except ArtifactError as error:
    print("typed", error)
"""


def test_a_disk_that_fills_while_the_manifest_is_written_publishes_nothing(tmp_path: Path) -> None:
    done = run_python(LIMITED, tmp_path)
    assert done.stdout.startswith("typed") and "cannot be written" in done.stdout
    assert not [path for path in (tmp_path / "things").glob("*/") if path.suffix != ".partial"]


def test_other_errors_of_the_system_are_not_renamed(store: ArtifactStore) -> None:
    def lost(folder: Path) -> Mapping[str, Any]:
        raise OSError(errno.ENOENT, "gone")

    with pytest.raises(FileNotFoundError):
        store.build(RECIPE, lost)


# --- two at once ------------------------------------------------------------------

SLOW = """
import sys, time
from pathlib import Path
from rag_lightning.core.artifacts import ArtifactStore, Recipe
root, log = Path(sys.argv[1]), Path(sys.argv[2])
def make(folder):
    with log.open("a") as handle:
        handle.write("built\\n")
    time.sleep(0.5)
    (folder / "data.txt").write_text("content\\n")
    return {"rows": 1}
print(ArtifactStore(root).build(Recipe("things", {"a": 1}, {}, 1), make).info)
"""


def test_two_processes_do_the_work_once(tmp_path: Path) -> None:
    log = tmp_path / "log"
    command = [sys.executable, "-c", SLOW, str(tmp_path / "artifacts"), str(log)]
    both = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    outputs = [process.communicate(timeout=60)[0] for process in both]
    assert outputs == ["{'rows': 1}\n"] * 2
    assert log.read_text() == "built\n"


# --- write_json ---------------------------------------------------------------------
