"""Stage `examples` on a local folder of a data set of the hub."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from rag_lightning.config.data import TaskConfig
from rag_lightning.config.experiment import ExperimentConfig
from rag_lightning.core.errors import ConfigError, DataError
from rag_lightning.stages import examples
from rag_lightning.stages.workspace import Workspace


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")


@pytest.fixture
def marco(tmp_path: Path) -> tuple[Workspace, list[str]]:
    """20 queries with a well-formed answer, 10 without."""
    folder, said = tmp_path / "ms_marco", list[str]()
    folder.mkdir()
    rows = [
        {"query": f"q{i}", "query_id": i, "answers": ["a"], "wellFormedAnswers": ["It is a."] if i % 3 else []}
        for i in range(30)
    ]
    for split in ("train", "validation"):
        pq.write_table(pa.Table.from_pylist(rows), folder / f"{split}-00000-of-00001.parquet")
    config = ExperimentConfig(folder=str(tmp_path), task=TaskConfig(name="msmarco", source=f"hub:{folder}"))
    return Workspace(config, said.append, said.append), said


def test_what_is_dropped_is_announced_and_kept(marco: tuple[Workspace, list[str]]) -> None:
    workspace, said = marco
    info = examples.build(workspace).info
    assert info["counts"] == {"train": 18, "dev": 2, "test": 20} and info["dropped"] == 20
    assert info["notes"]["test dropped: no well-formed answer"] == 10
    assert info["notes"]["train expected, the whole data set"] == 153_725
    assert any("10 train dropped: no well-formed answer" in line for line in said)


def test_fallback_is_another_artifact(marco: tuple[Workspace, list[str]]) -> None:
    workspace, _ = marco
    other = workspace.with_config(task=replace(workspace.config.task, fallback=True))
    assert examples.build(other).info["counts"]["test"] == 30
    assert examples.build(other).digest != examples.build(workspace).digest


def test_columns_of_any_name_are_another_artifact(tmp_path: Path) -> None:
    folder = tmp_path / "own"
    folder.mkdir()
    rows = [{"frage": f"q{i}", "antworten": ["a"], "x": 1} for i in range(30)]
    for split in ("train", "validation"):
        pq.write_table(pa.Table.from_pylist(rows), folder / f"{split}-00000-of-00001.parquet")
    task = TaskConfig(source=f"hub:{folder}", columns={"query": "frage", "answers": "antworten"})
    workspace = Workspace(ExperimentConfig(folder=str(tmp_path), task=task))
    built = examples.build(workspace)
    assert built.info["counts"] == {"train": 27, "dev": 3, "test": 30}
    assert examples.read(workspace, "test")[0].answers == ("a",)
    plain = workspace.with_config(task=replace(task, columns=None))
    assert examples.STAGE.digest(Workspace(plain.config)) != built.digest
    with pytest.raises(DataError, match="row 1, field 'question': is missing"):
        examples.build(Workspace(plain.config))


def test_a_task_without_a_data_set_says_so(tmp_path: Path) -> None:
    workspace = Workspace(ExperimentConfig(folder=str(tmp_path), task=TaskConfig(name="curatedtrec", source="hub:")))
    with pytest.raises(ConfigError, match=r"no official data set.*give task\.train"):
        examples.build(workspace)
