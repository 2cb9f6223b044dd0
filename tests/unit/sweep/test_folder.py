"""The folder of a sweep: one process at a time, damage is told, an interrupted change of spaces is taken up."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from rag_lightning.config.commands import SweepConfig
from rag_lightning.config.experiment import ExperimentConfig
from rag_lightning.core.errors import DataError
from rag_lightning.sweep.run import _alone, _open_folder
from rag_lightning.sweep.space import open_space


def config(folder: Path) -> SweepConfig:
    experiment = ExperimentConfig(folder=str(folder), formulation="rag_token")
    return SweepConfig(name="s", experiment=experiment, space={"k": (1, 2)}, always=())


def test_a_second_process_is_refused_while_the_first_runs(tmp_path: Path) -> None:
    with _alone(config(tmp_path)):
        with pytest.raises(DataError, match=r"s\.lock: is held: this sweep is running"), _alone(config(tmp_path)):
            pass
        with _alone(replace(config(tmp_path), name="other")):
            pass
    with _alone(config(tmp_path)):
        pass


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"digest": 3}'])
def test_a_damaged_space_file_is_told_by_its_path(tmp_path: Path, text: str) -> None:
    space = open_space(config(tmp_path))
    folder = _open_folder(space)
    (folder / "space.json").write_text(text)
    with pytest.raises(DataError, match=r"runs/s/space\.json"):
        _open_folder(space)


def test_a_change_of_spaces_that_was_killed_half_way_loses_nothing(tmp_path: Path) -> None:
    space, other = open_space(config(tmp_path)), open_space(replace(config(tmp_path), space={"k": (1,)}))
    folder = _open_folder(space)
    (folder / "kept").touch()
    folder.rename(folder.with_name(f"s.{space.digest[:8]}"))  # killed before the other's folder was made
    assert (_open_folder(space) / "kept").exists()
    for again in (other, space, other, space):
        _open_folder(again)
    assert (folder / "kept").exists()
