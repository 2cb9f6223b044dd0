"""Vectors and FAISS files of other projects: published as ours where they are ours, refused where they are not."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import faiss
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray

from rag_lightning.cli import main
from rag_lightning.config.experiment import ExperimentConfig
from rag_lightning.config.retrieval import IndexConfig
from rag_lightning.core.errors import ConfigError, DataError
from rag_lightning.core.files import file_sha256
from rag_lightning.retrieval.vector_files import read_ids
from rag_lightning.stages import corpus, embed, imported, index
from rag_lightning.stages.workspace import Workspace
from tests.tiny_project import experiment, passages, write_data

IDS = [passage["id"] for passage in passages()]
Vectors = NDArray[Any]


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory, bert_folder: Path) -> Vectors:
    """The vectors that the project would compute itself."""
    folder = tmp_path_factory.mktemp("ours")
    write_data(folder / "data")
    config = experiment(folder / "work", folder / "data", bert_folder)
    return np.array(embed.open_vectors(Workspace(replace(config, encoder=raw(config)), lambda line: None)))


def raw(config: ExperimentConfig) -> Any:
    """Vectors of different lengths, so that L2 and inner product rank otherwise."""
    return replace(config.encoder, normalize=False)


@pytest.fixture
def project(tmp_path: Path, bert_folder: Path) -> ExperimentConfig:
    write_data(tmp_path / "data")
    config = experiment(tmp_path / "work", tmp_path / "data", bert_folder)
    return replace(config, encoder=raw(config))


def quiet(config: ExperimentConfig, kind: str = "flat", **options: Any) -> Workspace:
    return Workspace(replace(config, index=IndexConfig(kind, options)), lambda line: None)


def save_npy(path: Path, vectors: Vectors) -> None:
    with path.open("wb") as handle:
        np.save(handle, vectors)


def save_npz(path: Path, vectors: Vectors) -> None:
    with path.open("wb") as handle:
        np.savez(handle, ids=np.array(IDS), embeddings=vectors)


def save_parquet(path: Path, vectors: Vectors) -> None:
    pq.write_table(pa.table({"text": IDS, "id": IDS, "vector": list(vectors)}), path)


def save_raw(path: Path, vectors: Vectors) -> None:
    path.write_bytes(np.ascontiguousarray(vectors).tobytes())


SAVED: dict[str, Callable[[Path, Vectors], None]] = {
    "npy": save_npy,
    "npz": save_npz,
    "parquet": save_parquet,
    "raw": save_raw,
}


@pytest.mark.parametrize("layout", SAVED)
@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_vectors_become_the_artifact_that_embedding_would_make(
    project: ExperimentConfig, ours: Vectors, tmp_path: Path, layout: str, dtype: str
) -> None:
    file = tmp_path / "given"
    SAVED[layout](file, ours.astype(dtype))
    work = quiet(project)
    made = imported.import_vectors(work, file, None)
    assert made.digest == embed.STAGE.digest(work) and embed.build(quiet(project)).path == made.path
    np.testing.assert_array_equal(embed.open_vectors(work), ours.astype(dtype).astype(np.float32))
    source = made.info["imported"]
    assert source["file"] == "given" and source["sha256"] == file_sha256(file) and source["layout"].startswith(layout)
    assert source["checked"] == 32 and source["largest_error"] < 1e-3
    with pytest.raises(ConfigError, match="holds the vectors of this configuration already; remove it"):
        imported.import_vectors(work, file, None)


def in_order(names: list[str], path: Path) -> Path:
    path.write_text("".join(f"{name}\n" for name in names))
    return path


def test_ids_put_vectors_into_the_order_of_the_corpus(project: ExperimentConfig, ours: Vectors, tmp_path: Path) -> None:
    order = np.random.default_rng(0).permutation(len(IDS))
    save_npy(tmp_path / "v.npy", ours[order])
    with pytest.raises(DataError, match=r"v\.npy, row \d+, .*that vector is row \d+: the order .*give --ids FILE"):
        imported.import_vectors(quiet(project), tmp_path / "v.npy", None)
    ids = in_order([IDS[i] for i in order], tmp_path / "ids.txt")
    imported.import_vectors(quiet(project), tmp_path / "v.npy", ids)
    np.testing.assert_array_equal(embed.open_vectors(quiet(project)), ours)


@pytest.mark.parametrize(
    ("names", "says"),
    [
        (IDS[:-1], "has 63 ids for 64 passages .*no p63"),
        ([*IDS, "p64"], "row 65, field 'id': is no passage of the corpus, which has 64"),
        ([*IDS[:3], "x9", *IDS[4:]], "row 4, field 'id': is no passage of the corpus.*x9"),
        ([*IDS[:3], "p2", *IDS[4:]], "row 4, field 'id': is there twice.*p2"),
    ],
)
def test_ids_that_do_not_fit_are_named(
    project: ExperimentConfig, ours: Vectors, tmp_path: Path, names: list[str], says: str
) -> None:
    save_npy(tmp_path / "v.npy", ours)
    with pytest.raises(DataError, match=says):
        imported.import_vectors(quiet(project), tmp_path / "v.npy", in_order(names, tmp_path / "ids"))
    assert embed.STAGE.open(quiet(project)) is None


def test_ids_of_every_layout(tmp_path: Path, project: ExperimentConfig) -> None:
    store = corpus.open_store(quiet(project))
    (tmp_path / "a.json").write_text(json.dumps(IDS[::-1]))
    np.save(tmp_path / "b.npy", np.array(IDS[::-1]))
    for name in ("a.json", "b.npy", in_order(IDS[::-1], tmp_path / "c").name):
        order = imported.corpus_order(store, read_ids(tmp_path / name), tmp_path / name)
        assert order is not None and order.tolist() == list(range(63, -1, -1))


def broken(vectors: Vectors) -> Vectors:
    vectors[40, 3] = np.nan
    return vectors


OTHER = np.random.default_rng(1).normal(size=(64, 32)).astype(np.float32)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda v: v[:-1], r"holds 63 vectors of width 32; the corpus has 64 passages, and the encoder gives width 32"),
        (lambda v: v[:, :16], r"holds 64 vectors of width 16"),
        (lambda v: broken(v.copy()), r"row 41: vector is not finite"),
        (lambda v: v / np.linalg.norm(v, axis=1, keepdims=True), r"only its length differs: set encoder\.normalize"),
        (lambda v: OTHER, r"set encoder\.passage_model, pooling"),
        (lambda v: v[:, 0], r"must be \[N, D\] of floats"),
        (lambda v: (v * 100).astype(int), r"must be \[N, D\] of floats"),
        (lambda v: v.astype(object), r"holds Python objects; a pickle can run code"),
    ],
)
def test_other_vectors_are_refused_with_their_reason(
    project: ExperimentConfig, ours: Vectors, tmp_path: Path, change: Callable[[Vectors], Vectors], says: str
) -> None:
    save_npy(tmp_path / "v.npy", change(ours))
    with pytest.raises(DataError, match=says):
        imported.import_vectors(quiet(project), tmp_path / "v.npy", None)
    assert embed.STAGE.open(quiet(project)) is None, "whole or not at all"


def test_files_that_are_no_vectors_are_named(project: ExperimentConfig, ours: Vectors, tmp_path: Path) -> None:
    whole = tmp_path / "whole"
    for layout in ("npy", "npz", "parquet"):
        SAVED[layout](whole, ours)
        (tmp_path / "cut").write_bytes(whole.read_bytes()[:-1000])
        with pytest.raises(DataError, match=r"cut(: is cut or damaged|: is a cut or damaged|, field)"):
            imported.import_vectors(quiet(project), tmp_path / "cut", None)
    (tmp_path / "wikipedia_passages_0").write_bytes(pickle.dumps([("1", ours[0])]))
    with pytest.raises(DataError, match=r"wikipedia_passages_0: is a pickle; .*convert DPR's list of .*numpy\.savez"):
        imported.import_vectors(quiet(project), tmp_path / "wikipedia_passages_0", None)
    (tmp_path / "odd").write_bytes(b"x" * 99)
    with pytest.raises(
        DataError, match=r"with 99 bytes no raw file .*8,192 bytes of float32 or 4,096 bytes of float16"
    ):
        imported.import_vectors(quiet(project), tmp_path / "odd", None)
    np.savez(tmp_path / "two.npz", a=ours, b=ours)
    with pytest.raises(DataError, match=r"must hold one array \[N, D\].*a, b"):
        imported.import_vectors(quiet(project), tmp_path / "two.npz", None)
    rows = pa.table({"v": [[1.0, 2.0], [1.0]]})
    pq.write_table(rows, tmp_path / "ragged")
    with pytest.raises(DataError, match=r"holds 2 vectors of width 2"):
        imported.import_vectors(quiet(project), tmp_path / "ragged", None)
    pq.write_table(pa.table({"v": [list(map(float, v)) for v in ours[:-1]] + [[1.0]]}), tmp_path / "ragged")
    with pytest.raises(DataError, match=r"ragged, row 64, field 'v': is no list of 32 numbers"):
        imported.import_vectors(quiet(project), tmp_path / "ragged", None)
    with pytest.raises(DataError, match="does not exist"):
        imported.import_vectors(quiet(project), tmp_path / "none", None)


def write_faiss(path: Path, made: Any, vectors: Vectors) -> Path:
    made.train(vectors)
    made.add(vectors)
    faiss.write_index(made, str(path))
    return path


def dpr_index(vectors: Vectors) -> Any:
    """DPR's HNSW: L2 over vectors with sqrt(phi - |x|^2) behind."""
    squares = (vectors**2).sum(axis=1)
    added = np.concatenate([vectors, np.sqrt(squares.max() - squares)[:, None]], axis=1).astype(np.float32)
    made = faiss.IndexHNSWFlat(vectors.shape[1] + 1, 8)
    made.add(added)
    return made


def best(workspace: Workspace, vectors: Vectors) -> list[int]:
    """The nearest row of some queries."""
    rows: list[int] = index.open_index(workspace).search((vectors[:8] + 0.1).astype(np.float32), 1)[1][:, 0].tolist()
    return rows


def test_an_index_that_is_what_we_would_build_is_taken_as_it_is(
    project: ExperimentConfig, ours: Vectors, tmp_path: Path
) -> None:
    file = write_faiss(tmp_path / "f.faiss", faiss.IndexFlatIP(32), ours)
    work = quiet(project)
    made = imported.import_index(work, file, None)
    assert made.digest == index.STAGE.digest(work) and made.info["imported"]["sha256"] == file_sha256(file)
    assert (made.path / "index.faiss").read_bytes() == file.read_bytes()
    np.testing.assert_array_equal(embed.open_vectors(work), ours)
    assert embed.build(work).info["imported"]["layout"] == "FAISS IndexFlatIP"
    assert best(work, ours) == (ours @ (ours[:8] + 0.1).T).argmax(axis=0).tolist()
    with pytest.raises(ConfigError, match="holds the index of this configuration already"):
        imported.import_index(work, file, None)


@pytest.mark.parametrize("kind", ["flat", "hnsw"])
def test_dprs_l2_trick_is_recognised_and_converted(
    project: ExperimentConfig, ours: Vectors, tmp_path: Path, kind: str
) -> None:
    faiss.write_index(dpr_index(ours), str(tmp_path / "dpr.index"))
    said: list[str] = []
    work = Workspace(replace(project, index=IndexConfig(kind, {})), said.append)
    imported.import_index(work, tmp_path / "dpr.index", None)
    np.testing.assert_allclose(embed.open_vectors(work), ours, atol=1e-5)
    (line,) = [line for line in said if line.startswith("dpr.index has ")]
    assert "metric L2, not inner product" in line and line.endswith("the index is built anew from its vectors")
    assert best(work, ours) == (ours @ (ours[:8] + 0.1).T).argmax(axis=0).tolist()


def test_an_index_by_l2_distance_of_other_vectors_is_refused(
    project: ExperimentConfig, ours: Vectors, tmp_path: Path
) -> None:
    file = write_faiss(tmp_path / "l2.faiss", faiss.IndexFlatL2(32), ours)
    with pytest.raises(DataError, match="ranks by L2 distance, and its vectors differ in length"):
        imported.import_index(quiet(project), file, None)
    unit = ours / np.linalg.norm(ours, axis=1, keepdims=True)
    file = write_faiss(tmp_path / "unit.faiss", faiss.IndexFlatL2(32), unit)
    work = quiet(replace(project, encoder=replace(project.encoder, normalize=True)))
    imported.import_index(work, file, None)
    assert best(work, unit) == (unit @ (unit[:8] + 0.1).T).argmax(axis=0).tolist()


def test_ids_of_a_map_and_of_a_file_give_the_order(project: ExperimentConfig, ours: Vectors, tmp_path: Path) -> None:
    order = np.random.default_rng(0).permutation(64)
    mapped = faiss.IndexIDMap(faiss.IndexFlatIP(32))
    mapped.add_with_ids(ours, np.arange(100, 164))
    faiss.write_index(mapped, str(tmp_path / "map.faiss"))
    with pytest.raises(DataError, match=r"map\.faiss, row 1, field 'id': is no passage of the corpus.*'100'"):
        imported.import_index(quiet(project), tmp_path / "map.faiss", None)
    plain = write_faiss(tmp_path / "plain.faiss", faiss.IndexFlatIP(32), ours[order])
    work = quiet(project)
    with pytest.raises(DataError, match="the order is not that of the corpus; give --ids"):
        imported.import_index(work, plain, None)
    imported.import_index(work, plain, in_order([IDS[i] for i in order], tmp_path / "ids"))
    np.testing.assert_array_equal(embed.open_vectors(work), ours)
    assert best(work, ours) == (ours @ (ours[:8] + 0.1).T).argmax(axis=0).tolist()


def test_an_index_of_other_vectors_than_those_that_are_there_is_refused(
    project: ExperimentConfig, ours: Vectors, tmp_path: Path
) -> None:
    work = quiet(project)
    save_npy(tmp_path / "v.npy", ours)
    imported.import_vectors(work, tmp_path / "v.npy", None)
    for name, vectors in (("turned", ours[::-1].copy()), ("other", OTHER)):
        file = write_faiss(tmp_path / name, faiss.IndexFlatIP(32), vectors)
        with pytest.raises(DataError, match="is not the vector of its passage in the artifact of vectors"):
            imported.import_index(work, file, None)


def test_quantised_vectors_need_the_kind_and_the_vectors(
    project: ExperimentConfig, ours: Vectors, tmp_path: Path
) -> None:
    made = faiss.IndexScalarQuantizer(32, faiss.ScalarQuantizer.QT_8bit, faiss.METRIC_INNER_PRODUCT)
    file = write_faiss(tmp_path / "sq8", made, ours)
    with pytest.raises(DataError, match=r"is a IndexScalarQuantizer, which does not keep its vectors.*index\.kind"):
        imported.import_index(quiet(project), file, None)
    work = quiet(project, "sq8")
    with pytest.raises(DataError, match=r"import them first: embed --vectors FILE"):
        imported.import_index(work, file, None)
    save_npy(tmp_path / "v.npy", ours)
    imported.import_vectors(work, tmp_path / "v.npy", None)
    made.reset()
    turned = write_faiss(tmp_path / "turned", made, ours[::-1].copy())
    with pytest.raises(DataError, match="is not the vector of its passage in the artifact"):
        imported.import_index(work, turned, None)
    found = imported.import_index(work, file, None)
    assert (found.path / "index.faiss").read_bytes() == file.read_bytes()


@pytest.mark.parametrize("content", [b"x" * 400, b"IxFI" + b"\0" * 20])
def test_a_file_that_is_no_index_is_named(project: ExperimentConfig, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "f").write_bytes(content)
    with pytest.raises(DataError, match=r"f: is no FAISS index, or a damaged one"):
        imported.import_index(quiet(project), tmp_path / "f", None)


def test_the_commands(
    ours: Vectors, project: ExperimentConfig, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    encoder = project.encoder
    words = ["--folder", project.folder, "--corpus.source", project.corpus.source, "--encoder.model", encoder.model]
    words += ["--encoder.max_passage_length", "48", "--encoder.dtype", "float32", "--encoder.normalize", "false"]
    file = write_faiss(tmp_path / "f.faiss", faiss.IndexFlatIP(32), ours)
    assert main(["index", "--ids", str(file), *words]) == 2
    assert "--ids needs the index that it names" in capsys.readouterr().err
    assert main(["index", "--import", str(file), *words]) == 0
    assert "from f.faiss (FAISS IndexFlatIP" in "".join(capsys.readouterr())
    assert main(["embed", "--vectors", str(file), *words]) == 2
    assert "holds the vectors of this configuration already" in capsys.readouterr().err
    assert main(["embed", *words]) == 0, "what was imported is what there is"
