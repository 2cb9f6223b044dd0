"""A stage is a value: its digest needs nothing to be built, and a build makes what it is made from first."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from rag_lightning.core.artifacts import ArtifactStore
from rag_lightning.core.errors import ConfigError
from rag_lightning.core.stage import Inputs, Stage


@dataclass(frozen=True)
class Place:
    """Values of a configuration, and what was made, in order."""

    root: Path
    values: Mapping[str, Any]
    made: list[str] = field(default_factory=list)
    bound: dict[tuple[int, int], Any] = field(default_factory=dict)

    @property
    def store(self) -> ArtifactStore:
        """The artifacts."""
        return ArtifactStore(self.root / "artifacts")


def stage(kind: str, *inputs: Stage[Place], outside: str = "", **more: Any) -> Stage[Place]:
    """A stage that reads the value of its own name."""

    def given(place: Place) -> Inputs:
        found: dict[str, Any] = {one.kind: one.at(place) for one in inputs}
        return found | ({"outside": outside} if outside else {})

    def make(place: Place, folder: Path) -> Mapping[str, Any]:
        place.made.append(kind)
        (folder / "value.txt").write_text(str(place.values[kind]))
        return {"value": place.values[kind]}

    return Stage(kind, 1, lambda place: {kind: place.values[kind]}, given, make, **more)


BOTTOM = stage("bottom", outside="file:1")
LEFT, RIGHT = stage("left", BOTTOM), stage("right", BOTTOM)
TOP = stage("top", LEFT, RIGHT)
VALUES = {"bottom": 1, "left": 2, "right": 3, "top": 4}


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path / "root", VALUES)


def test_data_are_checked_before_any_input_is_built_and_only_then(place: Place) -> None:
    def refuse(place: Place) -> None:
        raise ConfigError(f"made {place.made}")

    careful = stage("top", LEFT, RIGHT, check_data=refuse)
    with pytest.raises(ConfigError, match=r"^made \[\]$"):
        careful.build(place)
    TOP.build(place)
    assert careful.build(place).digest == TOP.digest(place), "what is there is not checked again"


def test_a_digest_needs_nothing_to_be_built(place: Place) -> None:
    assert TOP.digest(place) == TOP.at(place).digest == TOP.digest(Place(place.root / "elsewhere", VALUES))
    assert TOP.open(place) is None
    assert place.made == [] and not place.root.exists()


@pytest.mark.parametrize("name", VALUES)
def test_a_value_changes_its_stage_and_all_that_are_made_from_it(place: Place, name: str) -> None:
    other = replace(place, values={**VALUES, name: 9})
    stages = {"bottom": BOTTOM, "left": LEFT, "right": RIGHT, "top": TOP}
    above = {"bottom": set(stages), "left": {"left", "top"}, "right": {"right", "top"}, "top": {"top"}}
    assert {n for n, one in stages.items() if one.digest(place) != one.digest(other)} == above[name]


@pytest.mark.parametrize("other", [replace(BOTTOM, version=2), stage("bottom", outside="file:2"), stage("bottom")])
def test_version_and_what_comes_from_outside_are_part_of_a_digest(place: Place, other: Stage[Place]) -> None:
    assert other.digest(place) != BOTTOM.digest(place)


def test_inputs_are_built_first_and_each_once(place: Place) -> None:
    artifact = TOP.build(place)
    assert place.made == ["bottom", "left", "right", "top"]
    assert (artifact.kind, artifact.digest, artifact.info) == ("top", TOP.digest(place), {"value": 4})
    assert artifact.manifest["config"] == {"top": 4}
    assert artifact.manifest["inputs"] == {"left": LEFT.digest(place), "right": RIGHT.digest(place)}
    assert TOP.build(place).path == artifact.path
    assert len(place.made) == 4


def test_what_is_there_is_opened_without_its_inputs(place: Place) -> None:
    made = TOP.build(place)
    for kind in ("bottom", "left", "right"):
        for path in sorted((place.root / "artifacts" / kind).rglob("*"), reverse=True):
            path.rmdir() if path.is_dir() else path.unlink()
    found = TOP.open(place)
    assert found is not None and found.path == made.path
    assert TOP.build(place).path == made.path and place.made == ["bottom", "left", "right", "top"]
    assert LEFT.open(place) is None


def test_lineage_names_a_stage_and_all_it_is_made_from(place: Place) -> None:
    stages = (BOTTOM, LEFT, RIGHT, TOP)
    assert TOP.at(place).lineage() == {one.kind: one.digest(place) for one in stages}
    assert BOTTOM.at(place).lineage() == {"bottom": BOTTOM.digest(place)}


def test_of_two_of_a_kind_lineage_names_the_nearer(place: Place) -> None:
    near = replace(BOTTOM, version=7)
    top = stage("top", LEFT, near)
    assert top.at(place).lineage()["bottom"] == near.digest(place) != BOTTOM.digest(place)


def test_a_stage_is_asked_once_for_a_digest_however_many_paths_lead_to_it(place: Place) -> None:
    asked: list[str] = []

    def settings(of: Place) -> Mapping[str, Any]:
        asked.append("bottom")
        return {}

    above = counted = replace(BOTTOM, settings=settings)
    for layer in range(12):
        sides = [stage(side, above) for side in ("left", "right")]
        above = replace(stage("top", *sides), version=layer)
    assert above.digest(place) and len(asked) == 1
    assert above.at(place).lineage()["bottom"] == counted.digest(place)


def test_what_cannot_be_made_is_refused_before_anything_is_built(place: Place) -> None:
    def refuse(place: Place) -> None:
        raise ConfigError("top=4: too high")

    for use in (Stage.digest, Stage.build, Stage.open):
        with pytest.raises(ConfigError, match="too high"):
            use(replace(TOP, check=refuse), place)
    bad = stage("left", check=refuse)
    with pytest.raises(ConfigError, match="too high"):
        stage("top", BOTTOM, bad).build(place)
    assert place.made == [] and not place.root.exists()


@pytest.mark.parametrize("value", [{1, 2}, Path("a"), object, b"bytes"])
def test_settings_that_are_no_json_values_are_one_clear_line(place: Place, value: Any) -> None:
    for use in (Stage.digest, Stage.build, Stage.open):
        with pytest.raises(
            ConfigError, match=r"^stage left: its settings cannot be digested \(.*\); use plain JSON val"
        ):
            use(LEFT, replace(place, values={**VALUES, "left": value}))
    assert place.made == [] and not place.root.exists()


def test_a_resumable_stage_goes_on_where_it_stopped(place: Place) -> None:
    seen: list[bool] = []

    def make(place: Place, folder: Path) -> Mapping[str, Any]:
        seen.append((folder / "half.txt").exists())
        (folder / "half.txt").write_text("half")
        if len(seen) % 2:
            raise KeyboardInterrupt
        return {}

    for resumable in (True, False):
        one = replace(BOTTOM, make=make, resumable=resumable, version=2 + resumable)
        with pytest.raises(KeyboardInterrupt):
            one.build(place)
        assert one.open(place) is None
        one.build(place)
    assert seen == [False, True, False, False]
