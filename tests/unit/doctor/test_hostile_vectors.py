"""Vectors whose headers, ids or columns are damaged or made to harm: one line, and no traceback."""

from __future__ import annotations

import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import faiss
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from rag_lightning.cli import FAILED, MISUSED, main

V = np.random.default_rng(0).normal(size=(4, 8)).astype(np.float32)
HEADERS = {
    "above 64 bits": "{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999999999, 8), }",
    "above memory": "{'descr': '<f4', 'fortran_order': False, 'shape': (1000000000000, 768), }",
    "nested deeply": "{'descr': '<f4', 'fortran_order': False, 'shape': (" + "(" * 300 + "), }",
    "no key": "{[]: 1}",
    "no dictionary": "[1]",
}


def npy(header: str) -> bytes:
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header) + 1) + header.encode() + b"\n" + bytes(128)


def refused(capsys: pytest.CaptureFixture[str], path: Path) -> str:
    code = main(["doctor", "--data", str(path)])
    err = capsys.readouterr().err
    assert code == FAILED and str(path) in err and err.count("\n") == 1
    return err


@pytest.mark.parametrize("name", HEADERS)
def test_a_damaged_header_is_told(capsys: pytest.CaptureFixture[str], tmp_path: Path, name: str) -> None:
    (tmp_path / "v.npy").write_bytes(npy(HEADERS[name]))
    assert "v.npy: is cut or damaged" in refused(capsys, tmp_path / "v.npy")
    with zipfile.ZipFile(tmp_path / "v.npz", "w") as archive:
        archive.writestr("vectors.npy", npy(HEADERS[name]))
    assert "damaged" in refused(capsys, tmp_path / "v.npz")
    np.savez(tmp_path / "i.npz", v=V)
    with zipfile.ZipFile(tmp_path / "i.npz", "a") as archive:
        archive.writestr("ids.npy", npy(HEADERS[name]))
    refused(capsys, tmp_path / "i.npz")


def save_ids(ids: Any) -> Callable[[Path], None]:
    def save(path: Path) -> None:
        with path.open("wb") as handle:
            np.savez(handle, ids=ids, v=V)

    return save


def save_array(vectors: Any) -> Callable[[Path], None]:
    def save(path: Path) -> None:
        with path.open("wb") as handle:
            np.save(handle, vectors)

    return save


def save_columns(*columns: Any) -> Callable[[Path], None]:
    names = [name for name, _ in columns]
    return lambda path: pq.write_table(pa.Table.from_arrays([column for _, column in columns], names=names), path)


def save_map(path: Path) -> None:
    made = faiss.IndexIDMap(faiss.IndexFlatIP(8))
    made.add_with_ids(V, np.array([5, 6, 5, 7]))
    faiss.write_index(made, str(path))


LISTS = pa.array(V.tolist(), pa.list_(pa.float32()))
BROKEN = pa.array([b"\xff", b"b", b"c", b"d"]).view(pa.string())


@pytest.mark.parametrize(
    ("save", "says"),
    [
        (save_ids(np.array("a")), "field 'id': must be one list (got 'an array of shape []')"),
        (save_ids(np.array(["a", "b", "\ud800", "d"])), "row 3, field 'id': holds half of a surrogate pair"),
        (save_array(np.zeros((4, 0), np.float32)), "must be [N, D] of floats, with D > 0"),
        (save_array(np.full((4, 8), 1e300)), "row 1: vector is not finite as float32"),
        (save_columns(("v", LISTS), ("v", LISTS)), "must hold one column of lists of floats"),
        (save_columns(("id", BROKEN), ("v", LISTS)), "field 'id': is not UTF-8"),
        (save_map, "row 3, field 'id': is the id of row 1 too (got '5')"),
    ],
    ids=["one id", "surrogate", "width 0", "above float32", "two columns of one name", "not UTF-8", "map of ids"],
)
def test_what_is_wrong_is_told(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, save: Callable[[Path], None], says: str
) -> None:
    save(tmp_path / "v")
    assert says in refused(capsys, tmp_path / "v")


@pytest.mark.parametrize("width", ["0", "-1", "1.5", "²", "9" * 5000])
def test_a_width_is_a_whole_number_above_0(capsys: pytest.CaptureFixture[str], tmp_path: Path, width: str) -> None:
    (tmp_path / "v.f32").write_bytes(V.tobytes())
    assert main(["doctor", "--data", str(tmp_path / "v.f32"), "--width", width]) == MISUSED
    assert "must be a whole number above 0" in capsys.readouterr().err
