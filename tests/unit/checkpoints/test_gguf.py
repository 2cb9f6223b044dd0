"""What unpacking a quantised file tells where it cannot."""

from __future__ import annotations

from pathlib import Path

import pytest

from rag_lightning.checkpoints.gguf import unpack_gguf
from rag_lightning.core.errors import AssetError


@pytest.mark.parametrize("content", [b"", b"GGUF", b"GGUF, but no more than that", b"no such file at all" * 99])
def test_what_is_no_model_is_told_with_the_file(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "model.gguf"
    file.write_bytes(content)
    with pytest.raises(AssetError, match=r"model\.gguf: (cannot be read as a Llama|reading GGUF needs)"):
        unpack_gguf(file, tmp_path / "there")
    assert not (tmp_path / "there").exists()
