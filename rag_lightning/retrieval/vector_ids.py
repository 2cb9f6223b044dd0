"""Arrays and lists of ids beside vectors: text with one id a line, a JSON list, .npy, or an array of a .npz.

A pickle (DPR's `wikipedia_passages_0`, torch's .pt) can run code when it is opened and is never read.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from rag_lightning.core.arrays import DAMAGE
from rag_lightning.core.errors import DataError
from rag_lightning.core.files import check_file, read_lines
from rag_lightning.core.json_stream import json_items
from rag_lightning.core.plain import is_whole

NPY, ZIP = b"\x93NUMPY", b"PK\x03\x04"
PICKLES = tuple(bytes((0x80, protocol)) for protocol in range(2, 6))
CONVERT = (
    "a pickle can run code when it is opened; where you trust it, convert DPR's list of (id, vector): "
    "rows = pickle.load(open(FILE, 'rb')); numpy.savez('vectors.npz', ids=[str(r[0]) for r in rows], "
    "vectors=numpy.stack([r[1] for r in rows]))"
)


def read_ids(path: Path) -> Iterable[str]:
    """The ids of a file of their own: text with one a line, a JSON list, or .npy.

    Raises:
        DataError: missing, empty, a pickle, or something that is no id.
    """
    head = head_of(path)
    if head.startswith((*PICKLES, ZIP)):
        raise DataError(path, "is no list of ids", hint="give text with one id a line, a JSON list, or .npy")
    if head.startswith(NPY):
        return to_ids(path, load_array(path))
    if head.lstrip().startswith(b"["):
        return to_ids(path, (value for _, value in json_items(path)))
    return (line.rstrip("\r\n") for line in read_lines(path))


def head_of(path: Path) -> bytes:
    """The first bytes of a file, by which its format is known.

    Raises:
        DataError: missing or empty.
    """
    check_file(path)
    with path.open("rb") as handle:
        return handle.read(16)


def is_pickle(path: Path) -> bool:
    """Whether a file begins as a pickle does; a raw memory map may, too.

    Raises:
        DataError: missing or empty.
    """
    return head_of(path).startswith(PICKLES)


def to_ids(path: Path, values: Iterable[Any]) -> Iterator[str]:
    """Ids as strings.

    Raises:
        DataError: no list of strings or whole numbers, or half of a surrogate pair.
    """
    if isinstance(values, np.ndarray) and values.ndim != 1:
        raise DataError(path, "must be one list", field="id", value=f"an array of shape {list(values.shape)}")
    for row, value in enumerate(values, 1):
        if isinstance(value, bool) or not isinstance(value, str | int | np.integer):
            raise DataError(path, "must be a string or a whole number", row=row, field="id", value=value)
        if isinstance(value, str) and not is_whole(value):
            raise DataError(path, "holds half of a surrogate pair", row=row, field="id", value=value)
        yield str(value)


def load_array(path: Path) -> Any:
    """The array of a .npy file, memory-mapped.

    Raises:
        DataError: damaged, or of Python objects.
    """
    try:
        return np.load(path, mmap_mode="r", allow_pickle=False)
    except DAMAGE as error:
        if any(word in str(error) for word in ("pickle", "Python objects")):
            raise DataError(path, "holds Python objects", hint=CONVERT) from error
        raise DataError(path, f"is cut or damaged ({error})", hint="write it again") from error
