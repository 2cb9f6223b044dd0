"""A BM25 index of another content under checksums that fit is refused, not searched."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from rag_lightning.config.retrieval import BM25Config
from rag_lightning.core.errors import ArtifactError
from rag_lightning.core.records import Passage
from rag_lightning.retrieval.bm25 import BM25Retriever
from rag_lightning.retrieval.words import WordRule

PASSAGES = [Passage(str(i), "", text) for i, text in enumerate(("red fox", "blue whale", "red whale"))]
RULE = WordRule()


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("params.index.json", {"num_docs": "3"}),
        ("params.index.json", {"num_docs": 4}),
        ("vocab.index.json", {"red": "0"}),
        ("vocab.index.json", {"red": 99}),
        ("vocab.index.json", {"red": -1}),
    ],
)
def test_an_index_of_impossible_content_is_refused(tmp_path: Path, name: str, change: dict[str, Any]) -> None:
    BM25Retriever.build(BM25Config(), PASSAGES, RULE).save(tmp_path)
    assert BM25Retriever.load(tmp_path, RULE).retrieve(["red"], 2)[0].rows.tolist() == [0, 2]
    file = tmp_path / name
    file.write_text(json.dumps(json.loads(file.read_text()) | change))
    with pytest.raises(ArtifactError, match="bm25 files missing or damaged"):
        BM25Retriever.load(tmp_path, RULE)
