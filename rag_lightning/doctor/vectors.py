"""What `doctor --data` says about vectors and FAISS files of other projects, and what is wrong with them.

No pickle is opened: it could run code.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rag_lightning.core.compression import ZIP_DAMAGE
from rag_lightning.core.errors import DataError
from rag_lightning.doctor.table import Finding, detail_of
from rag_lightning.index.foreign import EQUAL, ForeignIndex, is_faiss, read_foreign
from rag_lightning.index.index import faiss
from rag_lightning.retrieval.vector_checks import finite
from rag_lightning.retrieval.vector_files import PARQUET, VectorFile, open_named_file, raw_files
from rag_lightning.retrieval.vector_ids import CONVERT, NPY, ZIP, head_of, is_pickle

ADDED = 0.01
"""DPR adds to the longest vector 0, and never a negative number; the least that is added, as a share of the length."""
EMBED, INDEX = "embed --vectors", "index --import"


def find_vectors(path: Path, width: int) -> list[Finding]:
    """A file of vectors or a FAISS file as findings; empty if it is neither.

    Args:
        path: File or folder.
        width: Width of the vectors of a raw memory map, 0 if it is none.

    Raises:
        DataError: a pickle, or a raw memory map of another width.
    """
    if not path.is_file() or not path.stat().st_size:
        return []
    if width:
        return _raw(path, width)
    if is_faiss(path):
        return [_index(path)]
    start = head_of(path)
    if start.startswith(NPY) or (start.startswith(ZIP) and _holds_arrays(path)) or _is_table_of_vectors(path, start):
        return [_named(path)]
    if is_pickle(path):
        hint = f"{CONVERT}; a raw memory map may begin as one: give its width with --width D"
        raise DataError(path, "is a pickle", hint=hint)
    return []


def _holds_arrays(path: Path) -> bool:
    """Whether a zip archive is NumPy's, or torch's with a pickle in it; others may be questions."""
    try:
        with zipfile.ZipFile(path) as archive:
            return any(name.endswith((".npy", ".pkl")) for name in archive.namelist())
    except ZIP_DAMAGE:
        return path.suffix in (".npz", ".pt", ".pth")


def _is_table_of_vectors(path: Path, start: bytes) -> bool:
    if not start.startswith(PARQUET):
        return False
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        kinds = [field.type for field in pq.read_schema(path)]
    except (pa.ArrowException, OSError):
        return False
    lists = pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list
    return any(any(one(kind) for one in lists) and pa.types.is_floating(kind.value_type) for kind in kinds)


def _named(path: Path) -> Finding:
    try:
        found = open_named_file(path)
    except DataError as error:
        return Finding(EMBED, path.suffix.lstrip(".") or "vectors", error)
    assert found is not None
    return Finding(EMBED, found.layout, detail_of(lambda: _describe(found)))


def _raw(path: Path, width: int) -> list[Finding]:
    found = raw_files(path, width)
    if not found:
        size = path.stat().st_size
        problem = f"is no raw file of vectors of width {width}: {size:,} bytes are no multiple of {2 * width}"
        raise DataError(path, problem, hint="give the width that they were written with, and numbers alone")
    return [Finding(EMBED, one.layout, detail_of(lambda one=one: _describe(one))) for one in found]  # type: ignore[misc]


def _describe(found: VectorFile) -> str:
    """Number, width and lengths of vectors, and their ids.

    Raises:
        DataError: a vector that is not finite, or ids that do not fit.
    """
    lengths = np.concatenate([np.zeros(0), *_lengths(found.path, found.blocks())])
    if not len(lengths):
        raise DataError(found.path, "holds no vectors")
    count, width = found.shape
    parts = [f"{count:,} vectors of width {width}, {found.dtype}", _spread(lengths)]
    if found.ids is None:
        return "; ".join([*parts, "no ids: the order must be the corpus's, or give --ids FILE"])
    ids = list(found.ids())
    if len(ids) != count:
        raise DataError(found.path, f"has {len(ids):,} ids for {count:,} vectors", field="ids")
    _check_once(found.path, ids)
    return "; ".join([*parts, f"ids {ids[0]} to {ids[-1]}"])


def _check_once(path: Path, ids: Iterable[str]) -> None:
    rows: dict[str, int] = {}
    for row, name in enumerate(ids, 1):
        if (first := rows.setdefault(name, row)) != row:
            raise DataError(path, f"is the id of row {first} too", row=row, field="id", value=name)


def _lengths(path: Path, blocks: Iterable[NDArray[Any]]) -> Iterable[NDArray[np.float64]]:
    row = 0
    for block in blocks:
        yield np.linalg.norm(finite(path, block, row).astype(np.float64), axis=1)
        row += len(block)


def _spread(lengths: NDArray[np.float64]) -> str:
    low, high = float(lengths.min()), float(lengths.max())
    if high - low <= EQUAL * high:
        return f"all of length {high:.4g}"
    return f"lengths {low:.4g} to {high:.4g}" + (f", {int((lengths == 0).sum()):,} of them 0" if not low else "")


def _index(path: Path) -> Finding:
    try:
        found = read_foreign(path, mapped=True)
    except DataError as error:
        return Finding(INDEX, "FAISS", error)
    return Finding(INDEX, f"FAISS {found.name}", detail_of(lambda: _describe_index(found)))


def _describe_index(found: ForeignIndex) -> str:
    """Metric, number and width of the vectors of an index, and what can be made of it.

    Raises:
        DataError: it is empty or not trained, searches by another metric, ranks otherwise than by inner product, or
            holds a vector that is not finite.
    """
    index, path = found.index, found.path
    if not index.is_trained or not index.ntotal:
        raise DataError(path, "is not trained" if not index.is_trained else "holds no vectors")
    if not found.by_inner_product and int(index.metric_type) != int(faiss.METRIC_L2):
        problem = "searches neither by inner product nor by L2 distance"
        raise DataError(path, problem, field="metric_type", value=int(index.metric_type))
    by = "inner product" if found.by_inner_product else "L2 distance"
    parts = [f"{index.ntotal:,} vectors of width {index.d} by {by}"]
    if found.ids is not None:
        _check_once(path, map(str, found.ids))
        parts.append(f"a map of ids, {int(found.ids[0])} to {int(found.ids[-1])}, which are taken for passage ids")
    if found.lossless:
        return "; ".join([*parts, _stored(found)])
    kept = "it does not keep its vectors: import them first (embed --vectors), then give it as index.kind of its own"
    return "; ".join([*parts, kept])


def _stored(found: ForeignIndex) -> str:
    """The lengths of the vectors, and what they mean for an index by L2 distance."""
    lengths = np.concatenate(list(_lengths(found.path, (block for _, block in found.stored()))))
    if found.by_inner_product:
        return _spread(lengths)
    for _ in found.blocks():  # raises unless all are of one length
        pass
    added = np.concatenate([block[:, -1] for _, block in found.stored()])
    if not 0 <= added.min() <= ADDED * lengths.max() < added.max():
        return f"{_spread(lengths)}, so that it ranks as inner product does"
    own = np.sqrt(np.maximum(lengths**2 - np.square(added, dtype=np.float64), 0))
    return f"DPR's L2 trick: the last of {found.index.d} numbers makes all equally long, {_spread(own)} without it"
