"""Embedding by Ray actors: the vectors of one process, and what is finished stays when an actor is lost."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rag_lightning.config.retrieval import EncoderConfig
from rag_lightning.core import cluster
from rag_lightning.core.errors import AssetError, ConfigError, RagLightningError
from rag_lightning.core.records import Passage
from rag_lightning.retrieval import on_ray
from rag_lightning.retrieval.embed import embed_corpus
from rag_lightning.retrieval.encoders import TextEncoder

WORDS = ["the", "capital", "of", "river", "red", "blue", "paris", "rome"]
PASSAGES = [Passage(str(i), WORDS[i % 8], " ".join(WORDS[: 1 + i * 5 % 8] * (1 + i // 8))) for i in range(48)]
SIZES: dict[str, Any] = {"tokens_per_batch": 60, "dtype": "float32", "shard_size": 5}


@pytest.fixture(scope="module")
def ray() -> Iterator[Any]:
    """A local cluster of two cores."""
    ray = pytest.importorskip("ray", reason="the extra ray is not installed")
    ray.init(num_cpus=2, **cluster.LOCAL)
    yield ray
    ray.shutdown()


def actors(source: Path, workers: int = 2, **more: Any) -> on_ray.Actors:
    return on_ray.Actors(EncoderConfig(workers=workers, **more), source)


def test_without_the_extra_it_is_one_line(tiny_bert: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise ModuleNotFoundError(name)

    monkeypatch.setattr(cluster, "import_module", missing)
    model = TextEncoder(EncoderConfig(), tiny_bert, "passage")
    with pytest.raises(ConfigError, match=r"needs the extra ray: pip install -c constraints.txt -e '\.\[ray\]'"):
        embed_corpus(model, PASSAGES, tmp_path, crew=actors(tiny_bert), **SIZES)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::DeprecationWarning", "ignore::FutureWarning")
class TestOnACluster:
    def test_two_actors_give_the_bytes_of_one_process(self, ray: Any, tiny_bert: Path, tmp_path: Path) -> None:
        model, seen = TextEncoder(EncoderConfig(), tiny_bert, "passage"), []
        for name, crew in (("alone", None), ("two", actors(tiny_bert))):
            (tmp_path / name).mkdir()
            embed_corpus(model, PASSAGES, tmp_path / name, progress=lambda *at: seen.append(at), crew=crew, **SIZES)
        assert (tmp_path / "two" / "vectors.npy").read_bytes() == (tmp_path / "alone" / "vectors.npy").read_bytes()
        assert len(seen) == 20 and seen[-1] == (48, 48)

    def test_a_killed_actor_is_one_line_and_finished_shards_are_kept(
        self, ray: Any, tiny_bert: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        class Dying(on_ray.Actor):
            def embed(self, shard: Any, tokens_per_batch: int) -> Any:
                if shard[0] == 25:
                    os.kill(os.getpid(), signal.SIGKILL)
                return super().embed(shard, tokens_per_batch)

        model = TextEncoder(EncoderConfig(), tiny_bert, "passage")
        (tmp_path / "whole").mkdir(), (tmp_path / "killed").mkdir()
        embed_corpus(model, PASSAGES, tmp_path / "whole", **SIZES)
        with monkeypatch.context() as patch:
            patch.setattr(on_ray, "Actor", Dying)
            with pytest.raises(RagLightningError, match=r"an actor was lost \(\w+\) at passages 25 to 29 .*run again"):
                embed_corpus(model, PASSAGES, tmp_path / "killed", crew=actors(tiny_bert), **SIZES)
        kept = sorted((tmp_path / "killed" / "shards").glob("*.npy"))
        assert 3 <= len(kept) < 10 and not (tmp_path / "killed" / "vectors.npy").exists()
        info = embed_corpus(model, PASSAGES, tmp_path / "killed", crew=actors(tiny_bert), **SIZES)
        assert info["reused"] == 5 * len(kept)
        assert (
            np.load(tmp_path / "killed" / "vectors.npy").tobytes()
            == np.load(tmp_path / "whole" / "vectors.npy").tobytes()
        )

    def test_an_error_in_an_actor_is_that_error(self, ray: Any, tiny_bert: Path, tmp_path: Path) -> None:
        model = TextEncoder(EncoderConfig(), tiny_bert, "passage")
        with pytest.raises(AssetError, match="gone does not exist"):
            embed_corpus(model, PASSAGES, tmp_path, crew=actors(tmp_path / "gone"), **SIZES)

    @pytest.mark.parametrize(
        ("more", "says"),
        [
            ({"workers": 3}, "3 actors of 1 CPU each were asked for, the cluster has 2; lower encoder.workers"),
            ({"worker_gpus": 0.5}, "2 actors of 0.5 GPU each were asked for, the cluster has 0"),
        ],
    )
    def test_a_cluster_without_room_is_told(
        self, ray: Any, tiny_bert: Path, tmp_path: Path, more: dict[str, Any], says: str
    ) -> None:
        model = TextEncoder(EncoderConfig(), tiny_bert, "passage")
        with pytest.raises(ConfigError, match=says):
            embed_corpus(model, PASSAGES, tmp_path, crew=actors(tiny_bert, **more), **SIZES)
