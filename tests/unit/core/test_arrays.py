"""Files that are written through a map: a full disk is an error before anything is written, and no SIGBUS."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from pathlib import Path

import numpy as np
import pytest

from rag_lightning.core.arrays import new_array, reserve


def test_a_new_array_is_a_file_of_its_numbers(tmp_path: Path) -> None:
    made = new_array(tmp_path / "a.npy", (3, 2))
    made[:] = np.arange(6, dtype=np.float32).reshape(3, 2)
    made.flush()
    assert np.load(tmp_path / "a.npy").tolist() == [[0, 1], [2, 3], [4, 5]]
    assert os.stat(tmp_path / "a.npy").st_blocks * 512 >= (tmp_path / "a.npy").stat().st_size


def test_an_array_that_the_disk_has_no_room_for_is_an_error_with_its_name(tmp_path: Path) -> None:
    rows = shutil.disk_usage(tmp_path).free // (4 * 1024) + (1 << 20)
    with pytest.raises(OSError, match=r"a\.npy|File too large") as raised:
        new_array(tmp_path / "a.npy", (rows, 1024))
    assert raised.value.errno in (errno.ENOSPC, errno.EFBIG) and not list(tmp_path.iterdir())


def test_a_file_system_that_reserves_nothing_is_used_as_it_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.EOPNOTSUPP, "Operation not supported")

    monkeypatch.setattr(os, "posix_fallocate", refuse)
    with tempfile.TemporaryFile() as file:
        reserve(file.fileno(), 10, tmp_path)
    assert new_array(tmp_path / "a.npy", (1, 1)).shape == (1, 1)
