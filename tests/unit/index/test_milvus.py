"""Milvus as an index: a file of Milvus Lite gives what exact search gives; what is wrong with a store is one line."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rag_lightning.config.commands import SweepConfig
from rag_lightning.config.retrieval import IndexConfig
from rag_lightning.core.errors import ArtifactError, ConfigError, DataError
from rag_lightning.index.index import Floats, build_index, load_index
from rag_lightning.index.milvus import Collection, Milvus
from rag_lightning.stages import retrieve
from rag_lightning.stages.workspace import Workspace
from tests.index_kinds import clustered

grpc = pytest.importorskip("grpc")
pytest.importorskip("pymilvus")
pytest.importorskip("milvus_lite")
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")  # of Milvus's packages
CONFIG = IndexConfig("milvus")


@pytest.fixture(scope="module")
def vectors() -> Floats:
    return clustered()


@pytest.fixture(scope="module")
def folder(vectors: Floats, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The artifact of a collection."""
    made = tmp_path_factory.mktemp("project") / "artifacts" / "index" / ("0" * 16)
    made.mkdir(parents=True)
    build_index(CONFIG, vectors, folder=made).save(made)
    return made


def queries(vectors: Floats) -> Floats:
    noisy = vectors + 0.1 * np.random.default_rng(1).standard_normal(vectors.shape).astype(np.float32)
    return np.asarray(noisy / np.linalg.norm(noisy, axis=1, keepdims=True), np.float32)


def test_the_first_twenty_are_those_of_exact_search(folder: Path, vectors: Floats) -> None:
    asked = queries(vectors)
    wanted = build_index(IndexConfig("flat"), vectors).search(asked, 20)
    found = load_index(folder, IndexConfig("milvus", {"refine": 2}), vectors).search(asked, 20)
    same = (found[1] == wanted[1]).all(axis=1)
    assert same.mean() >= 0.999, "of the queries"
    assert np.allclose(found[0][same], wanted[0][same], atol=1e-6)
    assert (folder.parents[2] / "milvus" / f"rag_{'0' * 16}.db").exists()


def test_more_results_than_vectors_are_filled_up(folder: Path, vectors: Floats) -> None:
    scores, rows = load_index(folder, CONFIG, vectors).search(vectors[:1], 1600)
    assert sorted(rows[0, :1500].tolist()) == list(range(1500))
    assert (rows[0, 1500:] == -1).all() and np.isneginf(scores[0, 1500:]).all()


def test_an_interrupted_build_is_made_anew(vectors: Floats, tmp_path: Path) -> None:
    folder = tmp_path / "artifacts" / "index" / f"{'1' * 16}.partial"
    folder.mkdir(parents=True)
    for count in (1500, 40):
        build_index(CONFIG, vectors[:count], folder=folder).save(folder)
    final = folder.rename(folder.with_suffix(""))
    assert load_index(final, CONFIG, vectors[:40]).ntotal == 40


def test_vectors_of_another_encoder_are_refused(folder: Path, vectors: Floats) -> None:
    with pytest.raises(ArtifactError, match=r"is not the passage's vector: of another encoder; remove the artifact"):
        load_index(folder, CONFIG, vectors[::-1].copy())


def test_a_collection_of_another_size_or_none_is_refused(folder: Path, vectors: Floats, tmp_path: Path) -> None:
    opened = load_index(folder, CONFIG, vectors)
    opened.faiss_index._client.delete(opened.faiss_index.name, ids=[3])
    try:
        with pytest.raises(ArtifactError, match="holds 1,499 vectors, not 1,500"):
            load_index(folder, CONFIG, vectors)
    finally:
        opened.faiss_index.send(3, vectors[3:4])
    shifted = Collection(opened.kind, opened.faiss_index.name, opened.faiss_index.file, *vectors.shape)
    shifted.create()
    shifted.send(1500, vectors)
    shifted.load()
    with pytest.raises(ArtifactError, match=r"row \d+ is not in rag_0000000000000000; remove the artifact"):
        shifted.check(vectors)
    build_index(CONFIG, vectors, folder=folder)
    other = tmp_path / "artifacts" / "index" / ("2" * 16)
    shutil.copytree(folder, other)
    info = json.loads((folder / "index.json").read_text())
    for name, problem in (
        ("rag_" + "0" * 16, r"rag_0000000000000000\.db: is missing, with the vectors of the index"),
        ("../../mine", "is no collection of ours"),
    ):
        (other / "index.json").write_text(json.dumps(info | {"collection": name}))
        with pytest.raises(ArtifactError, match=problem):
            load_index(other, CONFIG, vectors)
    opened.faiss_index._client.drop_collection(opened.faiss_index.name)
    with pytest.raises(ArtifactError, match="has no collection rag_0000000000000000; remove the artifact"):
        load_index(folder, CONFIG, vectors)
    build_index(CONFIG, vectors, folder=folder)


def test_an_artifact_cannot_name_another_server_or_file(folder: Path, vectors: Floats, tmp_path: Path) -> None:
    other = tmp_path / "artifacts" / "index" / ("0" * 16)
    shutil.copytree(folder, other)
    info = json.loads((folder / "index.json").read_text())
    crafted = {"options": {"uri": "http://127.0.0.1:9"}}, {"collection": None}, {"collection": [1]}
    for change in crafted:
        (other / "index.json").write_text(json.dumps(info | change))
        with pytest.raises(ArtifactError, match=r"index\.json: .*(uri=|is no collection of ours)"):
            load_index(other, CONFIG, vectors)
    del info["collection"]
    (other / "index.json").write_text(json.dumps(info))
    with pytest.raises(ArtifactError, match="'' is no collection of ours"):
        load_index(other, CONFIG, vectors)


def test_nothing_is_written_through_a_link(vectors: Floats, tmp_path: Path) -> None:
    folder, outside = tmp_path / "artifacts" / "index" / ("5" * 16), tmp_path / "outside"
    for made in (folder, outside, tmp_path / "milvus"):
        made.mkdir(parents=True)
    (tmp_path / "milvus" / f"rag_{'5' * 16}.db").symlink_to(outside)
    with pytest.raises(DataError, match="is a link, and nothing is written through one"):
        build_index(CONFIG, vectors, folder=folder)
    assert not list(outside.iterdir())


def test_a_file_that_another_process_has_open_is_one_line(folder: Path, vectors: Floats) -> None:
    load_index(folder, CONFIG, vectors)
    text = f"""
from pathlib import Path
from rag_lightning.config.retrieval import IndexConfig
from rag_lightning.index.index import load_index
try:
    load_index(Path({str(folder)!r}), IndexConfig("milvus"))
except Exception as error:
    print(type(error).__name__, error)
"""
    found = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, timeout=120, check=False)
    assert found.stdout.startswith("ArtifactError") and "one process at a time can open it" in found.stdout, found


@pytest.fixture
def dying() -> Iterator[int]:
    """The port of a server that hangs up on everybody."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()

        def hang_up() -> None:
            while True:
                try:
                    server.accept()[0].close()
                except OSError:
                    return

        threading.Thread(target=hang_up, daemon=True).start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)


def test_a_server_that_is_down_or_dies_is_an_error_within_five_seconds(
    dying: int, vectors: Floats, tmp_path: Path
) -> None:
    folder = tmp_path / "artifacts" / "index" / ("3" * 16)
    folder.mkdir(parents=True)
    for port in (9, dying):
        begun = time.monotonic()
        with pytest.raises(ArtifactError, match=rf"http://127.0.0.1:{port}: Milvus does not answer .*; start it"):
            build_index(
                IndexConfig("milvus", {"uri": f"http://127.0.0.1:{port}", "timeout": 2.0}), vectors, folder=folder
            )
        assert time.monotonic() - begun < 5


def test_a_request_is_tried_again_until_the_time_is_over() -> None:
    collection, tries = Collection(Milvus(timeout=1.0), "a", Path("a.db"), 1, 2), []

    def fails(client: Any) -> str:
        tries.append(client)
        if len(tries) < 3:
            raise ConnectionError("StatusCode.UNAVAILABLE")
        return "answer"

    assert collection._ask(fails) == "answer" and len(tries) == 3
    tries.extend([None] * -100)
    with pytest.raises(ArtifactError, match="collection not loaded"):
        collection._ask(lambda client: (_ for _ in ()).throw(RuntimeError("collection not loaded")))
    late = grpc.RpcError("StatusCode.DEADLINE_EXCEEDED")
    with pytest.raises(ArtifactError, match=r"a\.db: Milvus does not answer .*; raise index\.timeout=1$"):
        collection._ask(lambda client: (_ for _ in ()).throw(late))


@pytest.mark.parametrize(
    ("uri", "problem"),
    [
        ("http://me:secret@host:1", "index.uri: holds a user or password; put them into MILVUS_TOKEN"),
        ("file.db", "must be http"),
    ],
)
def test_a_uri_that_cannot_be_used_is_refused(uri: str, problem: str) -> None:
    with pytest.raises(ConfigError, match=problem) as raised:
        Milvus(uri=uri)
    assert "secret" not in str(raised.value)


def test_without_its_package_the_error_says_how_to_install_it(
    vectors: Floats, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pymilvus", None)
    with pytest.raises(ConfigError, match=r"needs the package pymilvus: pip install"):
        build_index(CONFIG, vectors, folder=tmp_path / "artifacts" / "index" / ("4" * 16))


def test_a_system_over_milvus_finds_what_one_over_flat_finds(tiny_copy: SweepConfig) -> None:
    project, found = Path(tiny_copy.experiment.folder), []
    shutil.rmtree(project / "artifacts" / "index")  # another test may have built one over Milvus
    for kind in ("flat", "milvus"):
        config = replace(tiny_copy.experiment, index=IndexConfig(kind))
        found.append([one.rows for one in retrieve.read(retrieve.build(Workspace(config), "dev"))])
    assert found[0] == found[1] and len(list((project / "milvus").glob("rag_*.db"))) == 1
