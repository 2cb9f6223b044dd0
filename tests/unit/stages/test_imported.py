"""Vectors of other projects: published as ours where they are ours, refused where they are not."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from rag_lightning.config.experiment import ExperimentConfig
from rag_lightning.core.errors import ConfigError, DataError
from rag_lightning.core.files import file_sha256
from rag_lightning.retrieval.vector_ids import read_ids
from rag_lightning.stages import corpus, embed, imported
from tests.foreign_vectors import IDS, OTHER, SAVED, Vectors, in_order, quiet, save_npy


@pytest.mark.parametrize("layout", SAVED)
@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_vectors_become_the_artifact_that_embedding_would_make(
    tiny: ExperimentConfig, ours: Vectors, tmp_path: Path, layout: str, dtype: str
) -> None:
    file = tmp_path / "given"
    SAVED[layout](file, ours.astype(dtype))
    work = quiet(tiny)
    made = imported.import_vectors(work, file, None)
    assert made.digest == embed.STAGE.digest(work) and embed.build(quiet(tiny)).path == made.path
    np.testing.assert_array_equal(embed.open_vectors(work), ours.astype(dtype).astype(np.float32))
    source = made.info["imported"]
    assert source["file"] == "given" and source["sha256"] == file_sha256(file) and source["layout"].startswith(layout)
    assert source["checked"] == 32 and source["largest_error"] < 1e-3
    with pytest.raises(ConfigError, match="holds the vectors of this configuration already; remove it"):
        imported.import_vectors(work, file, None)


def test_ids_put_vectors_into_the_order_of_the_corpus(tiny: ExperimentConfig, ours: Vectors, tmp_path: Path) -> None:
    order = np.random.default_rng(0).permutation(len(IDS))
    save_npy(tmp_path / "v.npy", ours[order])
    with pytest.raises(DataError, match=r"v\.npy, row \d+, .*that vector is row \d+: the order .*give --ids FILE"):
        imported.import_vectors(quiet(tiny), tmp_path / "v.npy", None)
    ids = in_order([IDS[i] for i in order], tmp_path / "ids.txt")
    imported.import_vectors(quiet(tiny), tmp_path / "v.npy", ids)
    np.testing.assert_array_equal(embed.open_vectors(quiet(tiny)), ours)


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
    tiny: ExperimentConfig, ours: Vectors, tmp_path: Path, names: list[str], says: str
) -> None:
    save_npy(tmp_path / "v.npy", ours)
    with pytest.raises(DataError, match=says):
        imported.import_vectors(quiet(tiny), tmp_path / "v.npy", in_order(names, tmp_path / "ids"))
    assert embed.STAGE.open(quiet(tiny)) is None


def test_ids_of_every_layout(tmp_path: Path, tiny: ExperimentConfig) -> None:
    store = corpus.open_store(quiet(tiny))
    (tmp_path / "a.json").write_text(json.dumps(IDS[::-1]))
    np.save(tmp_path / "b.npy", np.array(IDS[::-1]))
    for name in ("a.json", "b.npy", in_order(IDS[::-1], tmp_path / "c").name):
        order = imported.corpus_order(store, read_ids(tmp_path / name), tmp_path / name)
        assert order is not None and order.tolist() == list(range(63, -1, -1))


def broken(vectors: Vectors) -> Vectors:
    vectors[40, 3] = np.nan
    return vectors


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
    tiny: ExperimentConfig, ours: Vectors, tmp_path: Path, change: Callable[[Vectors], Vectors], says: str
) -> None:
    save_npy(tmp_path / "v.npy", change(ours))
    with pytest.raises(DataError, match=says):
        imported.import_vectors(quiet(tiny), tmp_path / "v.npy", None)
    assert embed.STAGE.open(quiet(tiny)) is None, "whole or not at all"


def test_files_that_are_no_vectors_are_named(tiny: ExperimentConfig, ours: Vectors, tmp_path: Path) -> None:
    whole = tmp_path / "whole"
    for layout in ("npy", "npz", "parquet"):
        SAVED[layout](whole, ours)
        (tmp_path / "cut").write_bytes(whole.read_bytes()[:-1000])
        with pytest.raises(DataError, match=r"cut(: is cut or damaged|: is a cut or damaged|, field)"):
            imported.import_vectors(quiet(tiny), tmp_path / "cut", None)
    (tmp_path / "wikipedia_passages_0").write_bytes(pickle.dumps([("1", ours[0])]))
    with pytest.raises(DataError, match=r"wikipedia_passages_0: is a pickle; .*convert DPR's list of .*numpy\.savez"):
        imported.import_vectors(quiet(tiny), tmp_path / "wikipedia_passages_0", None)
    (tmp_path / "odd").write_bytes(b"x" * 99)
    with pytest.raises(
        DataError, match=r"with 99 bytes no raw file .*8,192 bytes of float32 or 4,096 bytes of float16"
    ):
        imported.import_vectors(quiet(tiny), tmp_path / "odd", None)
    np.savez(tmp_path / "two.npz", a=ours, b=ours)
    with pytest.raises(DataError, match=r"must hold one array \[N, D\].*a, b"):
        imported.import_vectors(quiet(tiny), tmp_path / "two.npz", None)
    np.savez(tmp_path / "objects.npz", ids=np.array(IDS, dtype=object), v=ours)
    with pytest.raises(
        DataError, match=r"objects\.npz, field 'ids': holds Python objects; write it again, as an array"
    ):
        imported.import_vectors(quiet(tiny), tmp_path / "objects.npz", None)
    np.savez_compressed(tmp_path / "many.npz", ids=np.zeros(1 << 20, "U1"), v=ours)
    with pytest.raises(DataError, match=r"many\.npz, field 'ids': has 1,048,576 ids for 64 vectors"):
        imported.import_vectors(quiet(tiny), tmp_path / "many.npz", None)
    np.savez_compressed(tmp_path / "long.npz", ids=np.array(IDS, "U2000"), v=ours)
    with pytest.raises(DataError, match=r"long\.npz, field 'ids': holds ids of 8,000 bytes, more than 4,096"):
        imported.import_vectors(quiet(tiny), tmp_path / "long.npz", None)
    np.savez_compressed(tmp_path / "packed.npz", v=ours)
    content = bytearray((tmp_path / "packed.npz").read_bytes())
    content[len(content) // 2 : len(content) // 2 + 64] = bytes(64)
    (tmp_path / "packed.npz").write_bytes(content)
    with pytest.raises(DataError, match=r"packed\.npz.*is a cut or damaged archive"):
        imported.import_vectors(quiet(tiny), tmp_path / "packed.npz", None)
    rows = pa.table({"v": [[1.0, 2.0], [1.0]]})
    pq.write_table(rows, tmp_path / "ragged")
    with pytest.raises(DataError, match=r"holds 2 vectors of width 2"):
        imported.import_vectors(quiet(tiny), tmp_path / "ragged", None)
    pq.write_table(pa.table({"v": [list(map(float, v)) for v in ours[:-1]] + [[1.0]]}), tmp_path / "ragged")
    with pytest.raises(DataError, match=r"ragged, row 64, field 'v': is no list of 32 numbers"):
        imported.import_vectors(quiet(tiny), tmp_path / "ragged", None)
    with pytest.raises(DataError, match="does not exist"):
        imported.import_vectors(quiet(tiny), tmp_path / "none", None)


def test_a_missing_file_is_named_before_anything_is_fetched(tiny: ExperimentConfig, tmp_path: Path) -> None:
    config = replace(tiny, folder=str(tmp_path / "fresh"))
    for given in ({"vectors": "gone.npy"}, {"vectors": str(Path(__file__)), "ids": "gone.txt"}):
        with pytest.raises(DataError, match=r"gone.* does not exist; check the path"):
            imported.run_embed(config, **given)
    assert not (tmp_path / "fresh").exists()
