"""Vectors that other projects computed: .npy, .npz, parquet, and raw memory maps, read block by block.

Ids, which say what passage each vector is of, stand beside the vectors or in a file of their own (`vector_ids.py`).
"""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rag_lightning.core.arrays import DAMAGE
from rag_lightning.core.errors import DataError
from rag_lightning.core.files import check_file
from rag_lightning.retrieval.vector_ids import CONVERT, NPY, ZIP, head_of, is_pickle, load_array, to_ids

PARQUET = b"PAR1"
BLOCK = 1 << 14
"""Number of vectors read at a time."""
ID_NAMES = ("ids", "id", "passage_ids", "passage_id", "docids", "docid")
LONGEST_ID = 1 << 12
Header = tuple[tuple[int, ...], bool, np.dtype[Any]]
RAW = (np.dtype(np.float32), np.dtype(np.float16))


@dataclass(frozen=True)
class VectorFile:
    """Vectors of a file.

    Args:
        path: The file.
        layout: Its format, as it is named to the user.
        shape: (N, D).
        dtype: Type of its numbers.
        blocks: Gives the vectors in their order, as [any, D] of any float type.
        ids: Gives the id of each vector; None where the file has none.
    """

    path: Path
    layout: str
    shape: tuple[int, int]
    dtype: str
    blocks: Callable[[], Iterable[NDArray[Any]]]
    ids: Callable[[], Iterable[str]] | None = None


def open_vector_file(path: Path, count: int, dim: int) -> VectorFile:
    """Open a file of `count` vectors of width `dim`; the format is recognised by the file's first bytes.

    Raises:
        DataError: missing, empty, a pickle, of no known format, damaged, or of another number or width of vectors.
    """
    found = open_named_file(path) or _raw(path, count, dim)
    if found.shape != (count, dim):
        held = f"holds {found.shape[0]:,} vectors of width {found.shape[1]}"
        problem = f"{held}; the corpus has {count:,} passages, and the encoder gives width {dim}"
        raise DataError(path, problem, field="shape", hint="give the corpus and the encoder that they were made with")
    return found


def open_named_file(path: Path) -> VectorFile | None:
    """Open a .npy, .npz or parquet file; None for any other, which may be a raw memory map.

    Raises:
        DataError: missing, empty, damaged, or without one array or column of vectors.
    """
    head = head_of(path)
    if head.startswith(NPY):
        return _of_array(path, "npy", load_array(path))
    if head.startswith(ZIP):
        return _npz(path)
    return _parquet(path) if head.startswith(PARQUET) else None


def open_array_file(path: Path) -> VectorFile:
    """Open a .npy, .npz or parquet file, which says how wide its vectors are.

    Raises:
        DataError: as `open_named_file`, a pickle, or any other file.
    """
    found = open_named_file(path)
    if found is None:
        hint = CONVERT if is_pickle(path) else "write it as .npy, .npz or parquet"
        raise DataError(path, "is a pickle" if is_pickle(path) else "does not say how wide its vectors are", hint=hint)
    return found


def raw_files(path: Path, dim: int) -> list[VectorFile]:
    """The file as raw memory maps of vectors of width `dim`, one for each type of number that its size fits.

    Raises:
        DataError: missing or empty.
    """
    check_file(path)
    fitting = [(one, divmod(path.stat().st_size, dim * one.itemsize)) for one in RAW]
    return [_mapped(path, dtype, count, dim) for dtype, (count, rest) in fitting if not rest]


def _of_array(path: Path, layout: str, array: NDArray[Any]) -> VectorFile:
    shape = _checked(path, layout, array.shape, array.dtype)
    parts = range(0, shape[0], BLOCK)
    return VectorFile(path, layout, shape, str(array.dtype), lambda: (array[at : at + BLOCK] for at in parts))


def _checked(path: Path, field: str, shape: tuple[int, ...], dtype: np.dtype[Any]) -> tuple[int, int]:
    if len(shape) != 2 or dtype.kind != "f" or not shape[1]:
        raise DataError(path, "must be [N, D] of floats, with D > 0", field=field, value=f"{list(shape)} of {dtype}")
    return shape[0], shape[1]


def _npz(path: Path) -> VectorFile:
    """The only two-dimensional array of an archive, read in pieces, with its ids."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = [name.removesuffix(".npy") for name in archive.namelist() if name.endswith(".npy")]
            heads = {name: _header(archive, name) for name in names}
    except DAMAGE as error:
        raise DataError(path, f"is a cut or damaged archive ({error})", hint="write it again") from error
    if not names:
        raise DataError(path, "is an archive without .npy, such as torch writes", hint=CONVERT)
    wide = [name for name, (shape, _, _) in heads.items() if len(shape) == 2]
    if len(wide) != 1:
        problem = f"must hold one array [N, D], beside one of ids ({', '.join(ID_NAMES)})"
        raise DataError(path, problem, value=", ".join(names))
    shape, fortran, dtype = heads[wide[0]]
    size = _checked(path, wide[0], shape, dtype)
    named = next((name for name in ID_NAMES if name in names), None)
    if named:
        _check_ids(path, named, heads[named], size[0])
    ids = (lambda: to_ids(path, _member(path, named))) if named else None
    if fortran:
        raise DataError(path, "is in Fortran order", field=wide[0], hint="write numpy.ascontiguousarray of it")
    return VectorFile(path, "npz", size, str(dtype), lambda: _pieces(path, wide[0], size, dtype), ids)


def _check_ids(path: Path, name: str, head: Header, count: int) -> None:
    """Raise DataError before an array is unpacked that is far larger than the ids of `count` vectors."""
    shape, _, dtype = head
    if len(shape) == 1 and shape[0] > count:
        raise DataError(path, f"has {shape[0]:,} ids for {count:,} vectors", field=name, hint="write it again")
    if dtype.itemsize > LONGEST_ID:
        problem = f"holds ids of {dtype.itemsize:,} bytes, more than {LONGEST_ID:,}"
        raise DataError(path, problem, field=name, hint="give shorter ids")


def _member(path: Path, name: str) -> NDArray[Any]:
    try:
        with np.load(path, allow_pickle=False) as archive:
            found: NDArray[Any] = archive[name]
            return found
    except DAMAGE as error:
        problem = "holds Python objects" if "Object arrays" in str(error) else f"is cut or damaged ({error})"
        raise DataError(path, problem, field=name, hint="write it again, as an array of strings") from error


def _header(archive: zipfile.ZipFile, name: str) -> Header:
    with archive.open(f"{name}.npy") as handle:
        return _read_header(handle)


def _read_header(handle: Any) -> Header:
    version = np.lib.format.read_magic(handle)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, fortran, dtype = read(handle)
    return tuple(shape), bool(fortran), dtype


def _pieces(path: Path, name: str, shape: tuple[int, int], dtype: np.dtype[Any]) -> Iterator[NDArray[Any]]:
    try:
        with zipfile.ZipFile(path) as archive, archive.open(f"{name}.npy") as handle:
            _read_header(handle)
            for at in range(0, shape[0], BLOCK):
                rows = min(BLOCK, shape[0] - at)
                yield np.frombuffer(handle.read(rows * shape[1] * dtype.itemsize), dtype).reshape(rows, shape[1])
    except DAMAGE as error:
        raise DataError(path, f"is a cut or damaged archive ({error})", field=name, hint="write it again") from error


def _parquet(path: Path) -> VectorFile:
    """The only column of lists of floats, with the column of ids."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        file = pq.ParquetFile(path)
    except (pa.ArrowException, OSError) as error:
        raise DataError(path, f"is a cut or damaged parquet file ({error})", hint="write it again") from error
    lists = pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list
    columns = [field.name for field in file.schema_arrow]
    wide = [
        field.name
        for field in file.schema_arrow
        if any(one(field.type) for one in lists) and pa.types.is_floating(field.type.value_type)
    ]
    if len(wide) != 1:
        problem = f"must hold one column of lists of floats, beside one of ids ({', '.join(ID_NAMES)})"
        raise DataError(path, problem, value=", ".join(columns))
    first = next(iter(_column(path, wide[0], 1)), None)
    if first is None:
        raise DataError(path, "has no rows")
    named = next((name for name in ID_NAMES if name in columns), None)
    ids = (lambda: to_ids(path, _values(path, named))) if named else None
    shape = file.metadata.num_rows, first.shape[1]
    return VectorFile(path, "parquet", shape, str(first.dtype), lambda: _column(path, wide[0], BLOCK), ids)


def _values(path: Path, name: str) -> Iterator[Any]:
    for part in _batches(path, name):
        try:
            yield from part.to_pylist()
        except UnicodeDecodeError as error:
            raise DataError(path, "is not UTF-8", field=name, hint="write it again, as UTF-8") from error


def _batches(path: Path, name: str, size: int = BLOCK) -> Iterator[Any]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        for batch in pq.ParquetFile(path).iter_batches(batch_size=size, columns=[name]):
            yield batch.column(0)
    except (pa.ArrowException, OSError) as error:
        raise DataError(
            path, f"is a cut or damaged parquet file ({error})", field=name, hint="write it again"
        ) from error


def _column(path: Path, name: str, size: int) -> Iterator[NDArray[Any]]:
    row = 0
    width = None
    for part in _batches(path, name, size):
        values = part.flatten().to_numpy(zero_copy_only=False)
        lengths = (
            part.value_lengths().to_pylist() if hasattr(part, "value_lengths") else [part.type.list_size] * len(part)
        )
        width = lengths[0] if width is None else width
        wrong = next((at for at, length in enumerate(lengths) if not length or length != width), None)
        if wrong is not None or part.null_count:
            problem = f"is no list of {width} numbers, as the first is"
            raise DataError(path, problem, row=row + (wrong or 0) + 1, field=name)
        yield values.reshape(len(part), width)
        row += len(part)


def _raw(path: Path, count: int, dim: int) -> VectorFile:
    """Numbers alone, float32 or float16 by the file's size."""
    size = path.stat().st_size
    dtype = next((one for one in RAW if size == count * dim * one.itemsize), None)
    if dtype is None and is_pickle(path):
        raise DataError(path, "is a pickle", hint=CONVERT)
    if dtype is None:
        sizes = " or ".join(f"{count * dim * one.itemsize:,} bytes of {one}" for one in RAW)
        problem = (
            f"is no .npy, .npz or parquet, and with {size:,} bytes no raw file of {count:,} vectors of width {dim}"
        )
        raise DataError(path, problem, hint=f"such a file has {sizes}")
    return _mapped(path, dtype, count, dim)


def _mapped(path: Path, dtype: np.dtype[Any], count: int, dim: int) -> VectorFile:
    return _of_array(path, f"raw {dtype}", np.memmap(path, dtype=dtype, mode="r", shape=(count, dim)))
