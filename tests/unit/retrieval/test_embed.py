"""Embedding a corpus: right rows, token budget, and the same result after an interruption."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from rag_lightning.config.retrieval import EncoderConfig
from rag_lightning.core.errors import ArtifactError, ConfigError, DataError
from rag_lightning.core.records import Passage
from rag_lightning.retrieval.embed import embed_corpus, length_batches
from rag_lightning.retrieval.encoders import TextEncoder

WORDS = ["the", "capital", "of", "river", "red", "blue", "paris", "rome"]
PASSAGES = [Passage(str(i), WORDS[i % 8], " ".join(WORDS[: 1 + i * 5 % 8] * (1 + i % 3))) for i in range(23)]
SIZES: dict[str, Any] = {"tokens_per_batch": 60, "dtype": "float32", "shard_size": 5}


@pytest.fixture
def model(tiny_bert: Path) -> TextEncoder:
    return TextEncoder(EncoderConfig(), tiny_bert, "passage")


def test_row_of_a_vector_is_the_row_of_its_passage(model: TextEncoder, tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    info = embed_corpus(model, PASSAGES, tmp_path, progress=lambda *at: seen.append(at), **SIZES)
    vectors = np.load(tmp_path / "vectors.npy", mmap_mode="r")
    np.testing.assert_allclose(vectors, model.encode_texts(PASSAGES, batch_size=1), atol=1e-5)
    assert seen == [(5, 23), (10, 23), (15, 23), (20, 23), (23, 23)]
    assert (info["passages"], info["dim"], info["dtype"], info["reused"]) == (23, 16, "float32", 0)
    assert [path.name for path in tmp_path.iterdir()] == ["vectors.npy"]


class Killed(Exception):
    """The process ends here."""


def test_interrupted_run_goes_on_and_gives_the_same_bytes(model: TextEncoder, tmp_path: Path) -> None:
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    whole.mkdir(), broken.mkdir()
    embed_corpus(model, PASSAGES, whole, **SIZES)

    def kill(done: int, total: int) -> None:
        if done == 10:
            raise Killed

    with pytest.raises(Killed):
        embed_corpus(model, PASSAGES, broken, progress=kill, **SIZES)
    assert not (broken / "vectors.npy").exists()
    (broken / "shards" / "0000000010.tmp").write_bytes(b"half a shard")
    assert embed_corpus(model, PASSAGES, broken, **SIZES)["reused"] == 10
    assert (broken / "vectors.npy").read_bytes() == (whole / "vectors.npy").read_bytes()


@pytest.mark.parametrize("shape", [(1, 16), (6, 16), (5, 15), (5, 1)])
def test_a_shard_of_another_shape_is_refused(model: TextEncoder, tmp_path: Path, shape: tuple[int, int]) -> None:
    """One row, or one column, would be repeated in every place of the shard."""

    def kill(done: int, total: int) -> None:
        raise Killed

    with pytest.raises(Killed):
        embed_corpus(model, PASSAGES, tmp_path, progress=kill, **SIZES)
    np.save(tmp_path / "shards" / "0000000000.npy", np.zeros(shape, np.float32))
    with pytest.raises(ArtifactError, match=r"0000000000.npy: has shape .*, not \[5, 16\]; remove the folder"):
        embed_corpus(model, PASSAGES, tmp_path, **SIZES)


def test_shards_of_another_plan_are_not_used(model: TextEncoder, tmp_path: Path) -> None:
    def kill(done: int, total: int) -> None:
        raise Killed

    with pytest.raises(Killed):
        embed_corpus(model, PASSAGES, tmp_path, progress=kill, **SIZES)
    assert embed_corpus(model, PASSAGES[:20], tmp_path, **SIZES)["reused"] == 0
    assert len(np.load(tmp_path / "vectors.npy")) == 20


def test_auto_keeps_the_type_of_the_interrupted_run(
    model: TextEncoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def kill(done: int, total: int) -> None:
        raise Killed

    with pytest.raises(Killed):
        embed_corpus(model, PASSAGES, tmp_path, progress=kill, **{**SIZES, "dtype": "bfloat16"})
    assert embed_corpus(model, PASSAGES, tmp_path, **{**SIZES, "dtype": "auto"})["dtype"] == "bfloat16"
    assert next(model.parameters()).dtype == torch.float32


def test_vectors_that_are_not_finite_are_refused(model: TextEncoder, tmp_path: Path) -> None:
    with torch.no_grad():
        model.model.embeddings.word_embeddings.weight[:] = float("nan")
    with pytest.raises(DataError, match="not finite"):
        embed_corpus(model, PASSAGES, tmp_path, **SIZES)


def test_query_encoder_is_refused(tiny_bert: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="passage encoder"):
        embed_corpus(TextEncoder(EncoderConfig(), tiny_bert, "query"), PASSAGES, tmp_path)


def test_batches_keep_to_the_budget() -> None:
    lengths = [9, 3, 50, 7, 7, 1, 12]
    batches = list(length_batches(lengths, 28))
    assert sorted(row for batch in batches for row in batch) == list(range(7))
    assert [row for batch in batches for row in batch] == [5, 1, 3, 4, 0, 6, 2]
    assert all(len(batch) == 1 or len(batch) * max(lengths[row] for row in batch) <= 28 for batch in batches)
