"""Every index kind: parity with numpy, recall, ties, padding, checks, saving and loading."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest

from rag_lightning.config.retrieval import IndexConfig
from rag_lightning.core.artifacts import ArtifactStore, Recipe, open_artifact
from rag_lightning.core.errors import ArtifactError, ConfigError, DataError, UnknownNameError
from rag_lightning.index import flat
from rag_lightning.index.checks import check_k, check_vectors
from rag_lightning.index.index import (
    FaissIndex,
    Floats,
    build_index,
    faiss,
    load_index,
)

DIM = 32


def config(kind: str, **values: object) -> IndexConfig:
    return IndexConfig(kind, {"pq": "PQ8x4np", **values})


@pytest.fixture(scope="module")
def vectors() -> Floats:
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(40, DIM))
    points = centres[rng.integers(0, 40, 1500)] + 0.5 * rng.normal(size=(1500, DIM))
    return (points / np.linalg.norm(points, axis=1, keepdims=True)).astype(np.float32)


@pytest.fixture(scope="module")
def queries(vectors: Floats) -> Floats:
    noise = np.random.default_rng(1).normal(size=(50, DIM)).astype(np.float32)
    return vectors[:50] + 0.05 * noise


def exact(queries: Floats, vectors: Floats, k: int) -> tuple[Floats, np.ndarray]:
    scores = queries @ vectors.T
    rows = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    return np.take_along_axis(scores, rows, axis=1), rows


def test_flat_equals_numpy(vectors: Floats, queries: Floats) -> None:
    scores, rows = build_index(config("flat"), vectors).search(queries, 20)
    wanted_scores, wanted_rows = exact(queries, vectors, 20)
    np.testing.assert_allclose(scores, wanted_scores, atol=1e-5)
    np.testing.assert_array_equal(rows, wanted_rows)
    assert (scores.dtype, rows.dtype) == (np.float32, np.int64)


@pytest.mark.parametrize(("count", "k"), [(2048, 5), (2049, 5), (70_000, 3), (70_000, 150), (3000, 4000)])
def test_products_find_what_faiss_finds_bit_by_bit(count: int, k: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also beyond one product, with more queries than are held at a time, and k above the number of vectors."""
    monkeypatch.setattr(flat, "LARGE", 0)
    rng = np.random.default_rng(3)
    vectors = rng.standard_normal((count, 16), dtype=np.float32)
    vectors[7] *= 10
    vectors[count // 2] = vectors[7]
    queries = np.vstack([rng.standard_normal((66, 16), dtype=np.float32), vectors[7:8]])
    index = build_index(config("flat"), vectors)
    scores, rows = index.search(queries, k)
    raw_scores, raw_rows = index.faiss_index.search(queries, k)
    assert rows.shape == scores.shape == (67, k)
    np.testing.assert_array_equal(scores, np.where(raw_rows < 0, -np.inf, raw_scores).astype(np.float32))
    clear = np.ones_like(rows, dtype=bool)  # where no neighbour has the same score, the row is certain
    clear[:, 1:] &= scores[:, 1:] != scores[:, :-1]
    clear[:, :-1] &= scores[:, 1:] != scores[:, :-1]
    np.testing.assert_array_equal(rows[clear], raw_rows[clear])
    assert rows[66, :2].tolist() == [7, count // 2]


def test_inner_product_prefers_the_longer_vector() -> None:
    vectors = np.array([[1, 0], [3, 0], [0, 9]], dtype=np.float32)
    _, rows = build_index(config("flat"), vectors).search(np.array([[1, 0.1]], dtype=np.float32), 3)
    assert rows.tolist() == [[1, 0, 2]]


@pytest.mark.parametrize(("kind", "least"), [("hnsw", 0.99), ("ivf_flat", 0.95), ("ivf_pq", 0.4), ("sq8", 0.95)])
def test_recall_of_the_others(vectors: Floats, queries: Floats, kind: str, least: float) -> None:
    _, rows = build_index(config(kind), vectors).search(queries, 10)
    _, wanted = exact(queries, vectors, 10)
    assert np.mean([len(set(a) & set(b)) / 10 for a, b in zip(rows, wanted, strict=True)]) >= least


def test_ties_go_to_the_lower_row(vectors: Floats) -> None:
    doubled = np.concatenate([vectors[:5]] * 3)
    _, rows = build_index(config("flat"), doubled).search(vectors[:5], 3)
    assert rows.tolist() == [[i, i + 5, i + 10] for i in range(5)]
    assert build_index(config("flat"), doubled).search(vectors[:1], 3)[1].tolist() == [[0, 5, 10]], "one query"


def test_search_parameters_take_effect(vectors: Floats, queries: Floats, tmp_path: Path) -> None:
    build_index(config("ivf_flat", nlist=50, nprobe=50), vectors).save(tmp_path)
    _, all_cells = load_index(tmp_path).search(queries, 10)
    _, one_cell = load_index(tmp_path, config("ivf_flat", nlist=50, nprobe=1)).search(queries, 10)
    assert load_index(tmp_path, config("ivf_flat", nlist=50)).kind.nprobe == 32, "the default, not the first search's"
    np.testing.assert_array_equal(all_cells, exact(queries, vectors, 10)[1])
    assert (one_cell != all_cells).any()
    graph = build_index(config("hnsw", m=4, ef_construction=8, ef_search=1), vectors)
    _, narrow = graph.search(queries, 1)
    graph.kind = config("hnsw", ef_search=500).made()
    _, wide = graph.search(queries, 1)
    wanted = exact(queries, vectors, 1)[1]
    assert (wide == wanted).mean() > (narrow == wanted).mean()


def test_nan_wrong_type_and_width_are_named(vectors: Floats) -> None:
    bad = vectors.copy()
    bad[1234, 5] = np.nan
    with pytest.raises(DataError, match="row 1234: vector is not finite"):
        build_index(config("flat"), bad)
    bad[1234, 5] = np.inf
    with pytest.raises(DataError, match="row 1234"):
        check_vectors(bad)
    with pytest.raises(DataError, match="must be float32"):
        check_vectors(vectors.astype(np.float64))
    with pytest.raises(DataError, match="32 wide instead of 8"):
        check_vectors(vectors, dim=8)
    with pytest.raises(DataError, match="N > 0"):
        check_vectors(vectors[:0])
    with pytest.raises(DataError, match="queries"):
        build_index(config("flat"), vectors).search(vectors[:2, :8], 1)


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"kind": "ivf_pq", "pq": "PQ48x8np"}, "PQ32x8np"),
        ({"kind": "ivf_pq", "pq": "PQ8x12np"}, "needs at least 4096 vectors"),
        ({"kind": "ivf_pq", "pq": "OPQ8"}, "must be a FAISS name"),
        ({"kind": "ivf_flat", "nlist": 2000}, "1500 vectors"),
        ({"kind": "ivf_flat", "nprobe": 0}, "nprobe"),
        ({"kind": "hnsw", "m": 1}, r"index\.m=1: must be 2 to 2,048"),
    ],
)
def test_parameters_that_do_not_fit(vectors: Floats, values: dict[str, object], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        build_index(config(**values), vectors)  # type: ignore[arg-type]


def test_unknown_kind_offers_the_nearest(vectors: Floats) -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'ivf_flat'"):
        build_index(config("ivfflat"), vectors)


def test_check_k() -> None:
    check_k(5, 5)
    for k in (0, 6):
        with pytest.raises(ConfigError, match="corpus has 5 passages"):
            check_k(k, 5)


def test_another_metric_is_refused() -> None:
    with pytest.raises(ConfigError, match="inner product"):
        FaissIndex(config("flat"), faiss.IndexFlatL2(4))


def test_altered_index_is_found(vectors: Floats, tmp_path: Path) -> None:
    recipe = Recipe("index", {"kind": "flat"}, {}, 1)
    artifact = ArtifactStore(tmp_path).build(recipe, build_index(config("flat"), vectors).save)
    file = artifact.path / "index.faiss"
    content = bytearray(file.read_bytes())
    content[5000] ^= 1
    file.write_bytes(content)
    with pytest.raises(ArtifactError, match="altered"):
        open_artifact(artifact.path)


def test_unreadable_index_is_said(vectors: Floats, tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="is missing"):
        load_index(tmp_path)
    build_index(config("flat"), vectors).save(tmp_path)
    with pytest.raises(ConfigError, match="'flat', not 'hnsw'"):
        load_index(tmp_path, config("hnsw"))
    (tmp_path / "index.faiss").write_bytes(b"nothing")
    with pytest.raises(ArtifactError, match="cannot be read"):
        load_index(tmp_path)
    (tmp_path / "index.json").write_text('{"kind"')
    with pytest.raises(ArtifactError, match="damaged"):
        load_index(tmp_path)


@pytest.mark.parametrize("kind", ["flat", "hnsw"])
@pytest.mark.parametrize("value", [1 << 28, 1 << 40, (1 << 64) - 1])
def test_a_header_that_claims_too_much_is_refused_in_little_memory(
    vectors: Floats, tmp_path: Path, kind: str, value: int
) -> None:
    build_index(config(kind), vectors).save(tmp_path)
    file = tmp_path / "index.faiss"
    content, limits = file.read_bytes(), faiss.get_deserialization_vector_byte_limit()
    for at in (*range(4, 60, 4), len(content) - vectors.nbytes - 8):
        file.write_bytes(content[:at] + struct.pack("<Q", value) + content[at + 8 :])
        try:
            assert load_index(tmp_path).ntotal == len(vectors)
        except ArtifactError as error:
            assert str(file) in str(error) and "and build" in str(error)
        except ConfigError as error:
            assert "inner product" in str(error)
    assert faiss.get_deserialization_vector_byte_limit() == limits


def test_an_index_of_other_vectors_than_it_says_is_refused(vectors: Floats, tmp_path: Path) -> None:
    build_index(config("flat"), vectors).save(tmp_path)
    faiss.write_index(build_index(config("flat"), vectors[:-1]).faiss_index, str(tmp_path / "index.faiss"))
    with pytest.raises(ArtifactError, match=r"index\.faiss: holds .* vectors of width .*; remove .* and build"):
        load_index(tmp_path)
    (tmp_path / "index.json").write_text('{"kind": "flat", "options": [], "ntotal": "x", "dim": 3}')
    with pytest.raises(ArtifactError, match="damaged"):
        load_index(tmp_path)


def test_a_small_file_of_many_cells_and_codes_is_read(vectors: Floats, tmp_path: Path) -> None:
    """FAISS's tables for L2 would be larger than the file, and none is made."""
    build_index(config("ivf_pq", pq="PQ16x8np", nlist=100), vectors).save(tmp_path)
    assert load_index(tmp_path).search(vectors[:1], 1)[1].tolist() == [[0]]


def test_an_index_that_was_built_with_other_values_is_refused(vectors: Floats, tmp_path: Path) -> None:
    build_index(config("ivf_flat", nlist=4), vectors).save(tmp_path)
    load_index(tmp_path, config("ivf_flat", nlist=4, nprobe=2))
    with pytest.raises(ArtifactError, match=r"index\.json: holds an index of nlist=4, not 5; remove"):
        load_index(tmp_path, config("ivf_flat", nlist=5))
