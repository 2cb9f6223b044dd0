"""Passages that repeat: encoded once, with the vectors of the corpus without them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rag_lightning.config.retrieval import EncoderConfig
from rag_lightning.core.arrays import Halves, open_floats
from rag_lightning.core.errors import DataError
from rag_lightning.core.records import Passage
from rag_lightning.retrieval import duplicates
from rag_lightning.retrieval.duplicates import first_of_same
from rag_lightning.retrieval.embed import embed_corpus
from rag_lightning.retrieval.encoders import TextEncoder

WORDS = ["the", "capital", "of", "river", "red", "blue", "paris", "rome"]
DISTINCT = [Passage(str(i), WORDS[i % 8], " ".join(WORDS[: 1 + i * 5 % 8] * (1 + i // 8))) for i in range(24)]
OF = [0, 1, 1, 2, 0, 3, *range(4, 20), 3, 3, *range(20, 24), 23, 0]
REPEATED = [Passage(f"r{i}", DISTINCT[at].title, DISTINCT[at].text) for i, at in enumerate(OF)]
SIZES: dict[str, Any] = {"tokens_per_batch": 60, "dtype": "float32", "shard_size": 5}


@pytest.fixture
def model(tiny_bert: Path) -> TextEncoder:
    return TextEncoder(EncoderConfig(), tiny_bert, "passage")


def embedded(model: TextEncoder, folder: Path, passages: list[Passage], **more: Any) -> np.ndarray[Any, Any]:
    folder.mkdir()
    embed_corpus(model, passages, folder, **SIZES, **more)
    return np.load(folder / "vectors.npy")


def test_the_first_row_of_the_same_text_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    expected = [OF.index(at) for at in OF]
    assert first_of_same(REPEATED).tolist() == expected
    assert first_of_same(DISTINCT).tolist() == list(range(24)), "the id is no part of the text, the title is"
    other = [Passage("1", "a b", "c"), Passage("2", "a", "b c"), Passage("3", "a b", "c")]
    monkeypatch.setattr(duplicates, "_hash", lambda passage: 7)
    found = first_of_same(other)
    assert (found <= np.arange(3)).all() and found[1] == 1, "equal hashes of other texts are told apart"


def test_repeated_passages_have_the_vectors_of_the_corpus_without_them(
    model: TextEncoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    alone = embedded(model, tmp_path / "alone", DISTINCT)
    read: list[int] = []
    encode = TextEncoder.encode_batch
    monkeypatch.setattr(TextEncoder, "encode_batch", lambda self, rows: read.append(len(rows)) or encode(self, rows))
    both = tmp_path / "both"
    both.mkdir()
    info = embed_corpus(model, REPEATED, both, **SIZES)
    assert np.load(both / "vectors.npy").tobytes() == alone[OF].tobytes()
    assert (info["passages"], info["duplicates"], sum(read)) == (30, 6, 24)


def test_each_vector_is_that_of_its_passage_read_alone(model: TextEncoder, tmp_path: Path) -> None:
    found = embedded(model, tmp_path / "both", REPEATED)
    np.testing.assert_allclose(found, model.encode_texts(REPEATED, batch_size=1), atol=1e-5)


def test_float16_is_the_rounded_float32(model: TextEncoder, tmp_path: Path) -> None:
    whole = embedded(model, tmp_path / "whole", REPEATED)
    halves = embedded(model, tmp_path / "halves", REPEATED, stored="float16")
    assert halves.dtype == np.float16 and halves.tobytes() == whole.astype(np.float16).tobytes()
    opened = open_floats(tmp_path / "halves" / "vectors.npy")
    assert isinstance(opened, Halves) and opened.shape == whole.shape and opened.dtype == np.float32
    rounded = halves.astype(np.float32)
    for key in (slice(3, 9), np.array([[5, 2], [2, 0]]), 4, -1):
        taken = opened[key]
        assert taken.dtype == np.float32 and taken.tobytes() == rounded[key].tobytes()
    assert np.asarray(opened).tobytes() == np.ascontiguousarray(opened).tobytes() == rounded.tobytes()
    assert not isinstance(open_floats(tmp_path / "whole" / "vectors.npy"), Halves)


def test_a_number_too_large_for_float16_is_refused(model: TextEncoder, tmp_path: Path) -> None:
    class Large:
        def embed(self, shards: Any, dtype: str, tokens_per_batch: int) -> Any:
            yield from ((start, np.full((len(passages), 16), 7e4, np.float32)) for start, passages in shards)

    with pytest.raises(DataError, match="vector is not finite"):
        embedded(model, tmp_path / "large", DISTINCT, stored="float16", crew=Large())
