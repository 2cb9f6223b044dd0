"""What unpacking a quantised file tells where it cannot."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from rag_lightning.core.errors import AssetError
from rag_lightning.generator.gguf import unpack_gguf


def test_what_is_no_model_is_told_with_the_file(tmp_path: Path) -> None:
    file = tmp_path / "model.gguf"
    file.write_bytes(b"GGUF, but no more than that")
    with pytest.raises(AssetError, match=r"model\.gguf: (cannot be read as a Llama|reading GGUF needs)"):
        unpack_gguf(file, tmp_path / "there")
    assert not (tmp_path / "there").exists()


@pytest.mark.skipif(importlib.util.find_spec("gguf") is not None, reason="the extra gguf is installed")
def test_the_extra_that_reads_it_is_named(tmp_path: Path) -> None:
    (tmp_path / "model.gguf").write_bytes(b"GGUF")
    with pytest.raises(AssetError, match=r"\.\[gguf\]"):
        unpack_gguf(tmp_path / "model.gguf", tmp_path / "there")
