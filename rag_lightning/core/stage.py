"""A stage: its artifact, inputs, settings and code. Its digest is computed without building anything."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

from rag_lightning.core.artifacts import Artifact, ArtifactStore, Recipe
from rag_lightning.core.errors import ConfigError


class Place(Protocol):
    """The part of a workspace that a stage needs."""

    @property
    def store(self) -> ArtifactStore:
        """The artifact store."""

    @property
    def bound(self) -> dict[tuple[int, int], Any]:
        """(id of a stage, id of a workspace) -> the stage there: `Stage.at` keeps what it has made, so that no recipe
        is computed twice. A bound stage keeps both alive, so that ids stay unique. Workspaces may share it."""


P = TypeVar("P", bound=Place)
Inputs = Mapping[str, "str | Bound[Any]"]


def _nothing(place: Any) -> None:
    """Accept every configuration."""


@dataclass(frozen=True)
class Stage(Generic[P]):
    """The code that makes one kind of artifact.

    Args:
        kind: Folder in artifacts/; also the name of the stage in the metadata of configuration fields.
        version: Version of the code, raised by hand when its result changes.
        settings: Settings that determine the result beside the inputs, plain JSON values.
        inputs: Name -> a stage in a workspace, or the digest of external data.
        make: Writes the files of the artifact into a folder; returns its info (counts, shapes).
        resumable: Whether a killed build continues in its partial folder.
        check: Raises ConfigError for a configuration that the stage cannot work with, before anything is built.
        check_data: Raises an error for data that the stage cannot work with. It is called before the stage or any of
            its inputs is built, and may build what needs no training.
    """

    kind: str
    version: int
    settings: Callable[[P], Mapping[str, Any]]
    inputs: Callable[[P], Inputs]
    make: Callable[[P, Path], Mapping[str, Any]]
    resumable: bool = False
    check: Callable[[P], None] = _nothing
    check_data: Callable[[P], None] = _nothing

    def at(self, place: P) -> Bound[P]:
        """The stage in a workspace, the same object each time; its recipe is that of the first use."""
        key = id(self), id(place)
        if key not in place.bound:
            place.bound[key] = Bound(self, place)
        found: Bound[P] = place.bound[key]
        return found

    def digest(self, place: P) -> str:
        """The digest of its artifact; builds nothing."""
        return self.at(place).digest

    def build(self, place: P) -> Artifact:
        """Its artifact, built if it does not exist, with all its inputs."""
        return self.at(place).build()

    def open(self, place: P) -> Artifact | None:
        """Its artifact if it exists, else None."""
        return self.at(place).open()


@dataclass(frozen=True)
class Bound(Generic[P]):
    """A stage in a workspace."""

    stage: Stage[P]
    place: P

    @cached_property
    def inputs(self) -> Inputs:
        """Name -> a stage in a workspace, or the digest of external data."""
        return self.stage.inputs(self.place)

    @cached_property
    def recipe(self) -> Recipe:
        """The recipe of the artifact.

        Raises:
            ConfigError: the stage's check fails, or its settings are not JSON values.
        """
        stage = self.stage
        stage.check(self.place)
        inputs = {name: given if isinstance(given, str) else given.digest for name, given in self.inputs.items()}
        recipe = Recipe(stage.kind, stage.settings(self.place), inputs, stage.version)
        try:
            _ = recipe.digest
        except (TypeError, ValueError) as error:
            problem = f"stage {stage.kind}: its settings cannot be digested ({error}); use plain JSON values"
            raise ConfigError(problem) from error
        return recipe

    @property
    def digest(self) -> str:
        """Name of the artifact's folder."""
        return self.recipe.digest

    def build(self) -> Artifact:
        """The artifact, built if it does not exist, with all its inputs."""
        recipe = self.recipe
        found = self.place.store.find(recipe.kind, recipe.digest)
        if found is not None:
            return found
        self.stage.check_data(self.place)
        for given in self.inputs.values():
            if not isinstance(given, str):
                given.build()
        make = self.stage.make
        return self.place.store.build(recipe, lambda folder: make(self.place, folder), resumable=self.stage.resumable)

    def open(self) -> Artifact | None:
        """The artifact if it exists, else None."""
        recipe = self.recipe
        return self.place.store.find(recipe.kind, recipe.digest)

    def lineage(self) -> dict[str, str]:
        """Kind -> digest of this stage and all stages before it; of two of the same kind the nearer."""
        found: dict[str, str] = {}
        level: list[Bound[Any]] = [self]
        while level:
            distinct = {(one.stage.kind, one.digest): one for one in level}
            for kind, digest in distinct:
                found.setdefault(kind, digest)
            level = [given for one in distinct.values() for given in one.inputs.values() if isinstance(given, Bound)]
        return found
