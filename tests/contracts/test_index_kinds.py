"""What every kind of index must do; a registered kind is tested by being registered."""

from __future__ import annotations

import itertools
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rag_lightning.config.registries import INDEX_KINDS
from rag_lightning.config.retrieval import IndexConfig
from rag_lightning.core.artifacts import ArtifactStore, Recipe, open_artifact
from rag_lightning.core.errors import ArtifactError, ConfigError, DataError
from rag_lightning.index.building import rules_of
from rag_lightning.index.checks import check_k
from rag_lightning.index.faiss_files import by_inner_product
from rag_lightning.index.index import (
    FAISS_FILE,
    FaissIndex,
    Floats,
    build_index,
    faiss,
    load_index,
)
from tests.index_kinds import COUNT, DIM, KINDS, clustered, config, searched

TOLERANCE, HEADERS = 0.005, 512
"""How far the computed size of a file may be off: half a percent, and the bytes of its headers."""
SWEPT = {"nprobe": 1, "ef_search": 1, "qb": 1, "refine": 4}
"""A value of each search field that changes what is found."""


COMPRESSED = [kind for kind in KINDS if "refine" in searched(kind)]


@pytest.fixture(scope="module")
def vectors() -> Floats:
    return clustered()


@pytest.fixture(scope="module")
def queries(vectors: Floats) -> Floats:
    return vectors[:50] + 0.05 * np.random.default_rng(1).normal(size=(50, DIM)).astype(np.float32)


@pytest.fixture(scope="module")
def built(vectors: Floats) -> dict[str, FaissIndex]:
    return {kind: build_index(config(kind), vectors, threads=1) for kind in KINDS}


@pytest.mark.parametrize("kind", KINDS)
def test_scores_descend_ties_go_by_row_and_nothing_found_is_row_minus_one(
    kind: str, built: dict[str, FaissIndex], queries: Floats
) -> None:
    for asked, k in itertools.product((queries, queries[:1]), (1, 10, COUNT + 7)):
        scores, rows = built[kind].search(asked, k)
        assert (scores.dtype, rows.dtype, scores.shape, rows.shape) == (np.float32, np.int64, *[(len(asked), k)] * 2)
        found = rows >= 0
        assert (rows[~found] == -1).all() and np.isneginf(scores[~found]).all() and not found[:, COUNT:].any()
        assert (scores[:, 1:] <= scores[:, :-1]).all()
        tied = (scores[:, 1:] == scores[:, :-1]) & found[:, 1:]
        assert (rows[:, 1:] > rows[:, :-1])[tied].all()
        assert all(len(set(row[row >= 0])) == (row >= 0).sum() for row in rows)


@pytest.mark.parametrize("kind", KINDS)
def test_it_finds_what_was_put_in_by_inner_product(kind: str, built: dict[str, FaissIndex], vectors: Floats) -> None:
    index = built[kind]
    assert (index.ntotal, index.dim) == (COUNT, DIM)
    assert by_inner_product(index.faiss_index)
    assert np.mean([row in found for row, found in enumerate(index.search(vectors[:99], 10)[1])]) >= 0.9


@pytest.mark.parametrize("kind", [kind for kind in KINDS if INDEX_KINDS.get(kind).deterministic])
def test_builds_over_one_and_two_threads_are_equal_byte_by_byte(
    kind: str, built: dict[str, FaissIndex], vectors: Floats
) -> None:
    other = build_index(config(kind), vectors, threads=2)
    one, two = (faiss.serialize_index(index.faiss_index) for index in (built[kind], other))
    np.testing.assert_array_equal(one, two)


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_saved_is_opened_and_is_as_large_as_computed(
    kind: str, built: dict[str, FaissIndex], vectors: Floats, queries: Floats, tmp_path: Path
) -> None:
    info = built[kind].save(tmp_path)
    size = (tmp_path / FAISS_FILE).stat().st_size
    assert info == {"kind": kind, "ntotal": COUNT, "dim": DIM, "bytes": size, "metric": "inner_product"}
    assert config(kind).made().bytes(COUNT, DIM) == pytest.approx(size, rel=TOLERANCE, abs=HEADERS)
    opened = load_index(tmp_path)
    for mine, theirs in zip(built[kind].search(queries, 7), opened.search(queries, 7), strict=True):
        np.testing.assert_array_equal(mine, theirs)
    np.testing.assert_array_equal(faiss.serialize_index(opened.faiss_index), np.fromfile(tmp_path / FAISS_FILE, "u1"))


@pytest.mark.parametrize(("kind", "field"), [(kind, field) for kind in KINDS for field in searched(kind)])
def test_a_search_field_is_swept_on_one_built_index(
    kind: str, field: str, built: dict[str, FaissIndex], vectors: Floats, queries: Floats, tmp_path: Path
) -> None:
    info = built[kind].save(tmp_path)
    stamp = (tmp_path / FAISS_FILE).stat().st_mtime_ns
    other = load_index(tmp_path, config(kind, **{field: SWEPT[field]}), vectors)
    assert getattr(other.kind, field) == SWEPT[field]
    before, after = built[kind].search(queries, 100)[0], other.search(queries, 100)[0]
    assert not np.array_equal(before, after)
    assert ((tmp_path / FAISS_FILE).stat().st_mtime_ns, info["kind"]) == (stamp, kind)


@pytest.mark.parametrize("kind", COMPRESSED)
def test_refined_scores_are_exact(
    kind: str, built: dict[str, FaissIndex], vectors: Floats, queries: Floats, tmp_path: Path
) -> None:
    """Every score is that of exact search, and with all candidates every row, too."""
    built[kind].save(tmp_path)
    np.save(tmp_path / "vectors.npy", vectors)
    mapped = np.load(tmp_path / "vectors.npy", mmap_mode="r")
    exact, coarse = queries @ vectors.T, built[kind].search(queries, 10)[1]
    best = np.argsort(-exact, axis=1)[:, :10]
    found = []
    for refine in (2, COUNT):
        scores, rows = load_index(tmp_path, config(kind, refine=refine), mapped).search(queries, 10)
        np.testing.assert_allclose(scores, np.take_along_axis(exact, rows, axis=1), rtol=1e-6, atol=1e-6)
        found.append(_recall(rows, best))
    scores, rows = load_index(tmp_path, config(kind, refine=COUNT, nprobe=1), mapped).search(queries, COUNT)
    assert (np.isneginf(scores) == (rows < 0)).all(), "cells that are not visited give nothing to refine"
    assert _recall(coarse, best) <= found[0] <= found[1] == 1.0


def _recall(rows: Any, best: Any) -> float:
    return float(np.mean([len(set(one) & set(other)) / len(one) for one, other in zip(best, rows, strict=True)]))


@pytest.mark.parametrize("kind", COMPRESSED)
def test_refinement_needs_the_vectors_of_the_index(
    kind: str, built: dict[str, FaissIndex], vectors: Floats, tmp_path: Path
) -> None:
    built[kind].save(tmp_path)
    with pytest.raises(ConfigError, match=r"index\.refine=2: needs the vectors that the index was built from"):
        load_index(tmp_path, config(kind, refine=2))
    with pytest.raises(ArtifactError, match=r"holds 1500 vectors of width 32, not \(1499, 32\)"):
        load_index(tmp_path, config(kind, refine=2), vectors[1:])


@pytest.mark.parametrize("kind", KINDS)
def test_vectors_that_cannot_be_indexed_are_named(kind: str, built: dict[str, FaissIndex], vectors: Floats) -> None:
    bad, zero, long = vectors.copy(), vectors.copy(), vectors.copy()
    bad[7, 3], zero[[8, 9]], long[5] = np.nan, 0, 2 * vectors[5]
    with pytest.raises(DataError, match="row 7: vector is not finite"):
        build_index(config(kind), bad)
    with pytest.raises(DataError, match="row 8: vector is zero, as 2 of these are"):
        build_index(config(kind), zero)
    with pytest.raises(DataError, match=r"row 5: vector has length 2, but encoder\.normalize"):
        build_index(config(kind), long, unit=True)
    with pytest.raises(DataError, match="must be float32"):
        build_index(config(kind), vectors.astype(np.float16))  # type: ignore[arg-type]
    with pytest.raises(DataError, match="N > 0"):
        build_index(config(kind), vectors[:0])


@pytest.mark.parametrize("kind", KINDS)
def test_queries_that_cannot_be_asked_are_named(kind: str, built: dict[str, FaissIndex], queries: Floats) -> None:
    bad, zero = queries[:3].copy(), queries[:3].copy()
    bad[1, 0], zero[2] = np.inf, 0
    with pytest.raises(DataError, match="row 1: vector is not finite"):
        built[kind].search(bad, 1)
    with pytest.raises(DataError, match="row 2: vector is zero"):
        built[kind].search(zero, 1)
    with pytest.raises(DataError, match="wide instead of 32"):
        built[kind].search(queries[:, :8], 1)
    with pytest.raises(DataError, match="must be float32"):
        built[kind].search(queries.astype(np.float64), 1)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="k is 0; choose at least 1"):
        built[kind].search(queries, 0)
    with pytest.raises(ConfigError, match="choose 1 <= k <= 1500"):
        check_k(COUNT + 1, built[kind].ntotal)


@pytest.mark.parametrize("kind", KINDS)
def test_too_few_vectors_are_refused_in_one_line_or_enough(kind: str, vectors: Floats) -> None:
    for count in (1, 2, 7, 19):
        try:
            index = build_index(config(kind), vectors[:count])
        except ConfigError as error:
            assert str(count) in str(error) and "\n" not in str(error)
        else:
            assert index.search(vectors[:1], 1)[1].tolist() == [[0]]


@pytest.mark.parametrize(
    ("kind", "values", "says"),
    [
        ("ivf_sq8", {"nlist": 1501}, "there are only 1500 vectors; choose fewer cells"),
        ("ivf_flat", {"nprobe": 0}, "index.nprobe=0: must be at least 1"),
        ("opq_ivf_pq", {"pq": "PQ8x12np"}, "needs at least 4096 vectors, there are 1500"),
        ("opq_ivf_pq", {"pq": "PQ5x4np"}, "5 parts do not divide the vector size 32; use PQ4x4np"),
        ("ivf_rabitq", {"qb": 9}, "index.qb=9: must be 1 to 8, or 0"),
        ("pq_fastscan", {"parts": 5}, "index.parts=5: does not divide the vector size 32; use 4, or 0"),
        ("factory", {"factory": ""}, "index.kind=factory needs index.factory"),
        ("factory", {"factory": "IVF8,Flta"}, "FAISS refuses it for width 32"),
        ("factory", {"factory": "HNSW8_PQ4"}, "does not search by inner product"),
        ("factory", {"factory": "IVF8,PQ4x11"}, "FAISS cannot .* on 1,500 vectors .*; choose fewer"),
        ("factory", {"factory": "LSH"}, "FAISS refuses it for width 32"),
    ],
)
def test_values_that_do_not_fit_say_what_does(kind: str, values: dict[str, Any], says: str, vectors: Floats) -> None:
    with pytest.raises(ConfigError, match=says):
        build_index(config(kind, **values), vectors)


@pytest.mark.parametrize("kind", KINDS)
def test_the_rules_of_thumb_hold_for_the_papers_corpus(kind: str) -> None:
    """Every kind has a size and a number of training vectors before anything is built."""
    made = IndexConfig(kind, {"factory": "OPQ64,IVF16384,PQ64x4fs"}).made()
    count, dim = 21_015_324, 768
    rules = rules_of(made.empty(count, dim), count)
    assert made.bytes(count, dim) > 0 and rules.training <= count
    assert rules.nlist == (0 if not hasattr(made, "nlist") and kind != "factory" else rules.nlist)
    assert str(rules) == "not trained" or f"trained on {rules.training:,} vectors" in str(rules)


@pytest.mark.parametrize("kind", KINDS)
def test_damage_is_found_and_reading_what_is_damaged_crashes_nothing(
    kind: str, built: dict[str, FaissIndex], tmp_path: Path
) -> None:
    """Cut files and flipped bits, most of them where sizes stand: the checksum finds all, and FAISS survives all."""
    artifact = ArtifactStore(tmp_path).build(Recipe("index", {"kind": kind}, {}, 1), built[kind].save)
    file, draw = artifact.path / FAISS_FILE, np.random.default_rng(7)
    whole = file.read_bytes()
    cuts = [whole[:at] for at in (0, 4, 33, 100, *draw.integers(0, len(whole), 20))]
    places = [*range(0, 240), *range(len(whole) - 60, len(whole)), *draw.integers(0, len(whole), 40)]
    for number, damaged in enumerate([*cuts, *(_flipped(whole, at, int(draw.integers(8))) for at in places)]):
        file.unlink()  # it may be mapped
        file.write_bytes(damaged)
        if number % 9 == 0:
            with pytest.raises(ArtifactError, match=r"was altered|the manifest says"):
                open_artifact(artifact.path)
        with suppress(ArtifactError, ConfigError):
            load_index(artifact.path)


def _flipped(content: bytes, at: int, bit: int) -> bytes:
    return content[:at] + bytes([content[at] ^ 1 << bit]) + content[at + 1 :]


def test_the_page_of_indexes_lists_every_kind() -> None:
    page = (Path(__file__).parents[2] / "docs" / "indexes.md").read_text(encoding="utf-8")
    table = page.split("## Kinds")[1].split("\n\n")[1]
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in table.splitlines()[2:]]
    shown = [(name.strip("`"), title, searching.replace("`", "")) for name, title, _, searching in rows]
    assert shown == [(kind, INDEX_KINDS.get(kind).title, ", ".join(searched(kind))) for kind in INDEX_KINDS]
