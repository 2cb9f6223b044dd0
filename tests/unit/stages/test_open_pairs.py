"""A pair store belongs to one generator and to what its results depend on."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from rag_lightning.config.decoding import DecodingConfig
from rag_lightning.config.experiment import ExperimentConfig
from rag_lightning.config.fields import options_of
from rag_lightning.config.registries import DECODINGS
from rag_lightning.core.errors import ConfigError
from rag_lightning.stages import predict
from rag_lightning.stages.workspace import Workspace

FOUND = {(4, 3): -0.5}


def workspace(folder: Path, formulation: Any, said: list[str] | None = None, **decoding: Any) -> Workspace:
    own = {name: decoding.pop(name) for name in options_of(DECODINGS) if name in decoding}
    settings = DecodingConfig(options=own, **{"dtype": "float32", **decoding})
    config = ExperimentConfig(folder=str(folder), formulation=formulation, decoding=settings)
    return Workspace(config, (said if said is not None else []).append)


def opened(where: Workspace, digest: str = "abc") -> predict.PairStore:
    return predict.open_pairs(where, SimpleNamespace(digest=digest))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("formulation", "decoding", "name"),
    [
        ("rag_sequence", {"strategy": "thorough", "k": 5}, "abc-greedy-24-float32.sqlite"),
        ("rag_sequence", {"strategy": "fast", "k": 9, "length_penalty": 1.0}, "abc-greedy-24-float32.sqlite"),
        ("rag_sequence", {"strategy": "fast", "passage_beams": 4}, "abc-beam4-24-float32.sqlite"),
        (
            "rag_sequence",
            {"strategy": "fast", "passage_beams": 4, "passage_length_penalty": 1.0},
            "abc-beam4-24-p1.0-float32.sqlite",
        ),
        ("rag_sequence", {"strategy": "fast", "passage_length_penalty": 1.0}, "abc-greedy-24-float32.sqlite"),
        ("fid", {"strategy": "greedy"}, "abc-token1-24-float32.sqlite"),
        ("rag_sequence", {"strategy": "classify"}, "abc-classify-float32.sqlite"),
        ("rag_token", {"strategy": "classify"}, "abc-classify-float32.sqlite"),
        ("rag_token", {"strategy": "greedy", "num_beams": 4}, "abc-token1-24-float32.sqlite"),
        ("rag_token", {"strategy": "beam", "num_beams": 4, "max_length": 9}, "abc-token4-9-float32.sqlite"),
    ],
)
def test_a_file_is_named_by_what_its_results_depend_on(
    tmp_path: Path, formulation: str, decoding: dict[str, Any], name: str
) -> None:
    with opened(workspace(tmp_path, formulation, **decoding)) as store:
        assert store.path == tmp_path / "artifacts" / "pairs" / name
        assert store.max_bytes == 512_000_000


def test_closed_book_keeps_nothing(tmp_path: Path) -> None:
    with opened(workspace(tmp_path, "closed_book")) as store:
        assert store.path is None
    assert not (tmp_path / "artifacts").exists()


def test_a_file_under_another_generators_name_is_not_read(tmp_path: Path) -> None:
    said: list[str] = []
    where = workspace(tmp_path, "rag_sequence", said, strategy="thorough", pair_store_mb=1)
    with opened(where) as store:
        store.add("p", FOUND)
        assert store.path is not None and store.max_bytes == 1_000_000
    store.path.rename(store.path.with_name("xyz-greedy-24-float32.sqlite"))
    with opened(where, "xyz") as other:
        assert other.find(["p"]) == {}
    assert len(said) == 1 and "generator abc, not to" in said[0]


def test_counts_below_one_are_refused_before_anything_is_built(tmp_path: Path) -> None:
    for name in ("k", "num_beams", "pair_store_mb"):
        with pytest.raises(ConfigError, match=f"decoding.{name}=0: must be at least 1"):
            predict.build(workspace(tmp_path, "rag_sequence", strategy="thorough", **{name: 0}), "dev")
    assert not (tmp_path / "artifacts").exists()


def test_a_file_of_other_code_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    where = workspace(tmp_path, "rag_token", said)
    with opened(where) as store:
        store.add("p", FOUND)
    with opened(where) as again:
        assert again.find(["p"]) == {"p": FOUND} and not said
    monkeypatch.setattr(predict, "VERSION", predict.VERSION + 1)
    with opened(where) as other:
        assert other.find(["p"]) == {} and len(said) == 1
