"""A stage is a value: what it makes, from what, and what determines it. Its digest needs nothing to be built."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

from rag_lightning.core.artifacts import Artifact, ArtifactStore, Recipe
from rag_lightning.core.errors import ConfigError


class Place(Protocol):
    """What a stage needs of where it works: an experiment's configuration with its folders."""

    @property
    def store(self) -> ArtifactStore:
        """The artifacts."""


P = TypeVar("P", bound=Place)
Inputs = Mapping[str, "str | Bound[Any]"]
Known = dict[tuple[int, int], "tuple[Bound[Any], Recipe]"]
"""Ids of a stage and of where it works -> both, which keeps the ids theirs, and the recipe."""


def _nothing(place: Any) -> None:
    """Refuse nothing."""


@dataclass(frozen=True)
class Stage(Generic[P]):
    """What makes one kind of artifact.

    Args:
        kind: Folder under artifacts/, and the stage's name in configurations.
        version: Version of its code, raised by hand when its result would change.
        settings: Everything of a configuration that decides its result beside its inputs, plain JSON values.
        inputs: Name -> a stage in a workspace, or the digest of something from outside.
        make: Writes the artifact's files into a folder; returns what is to be known of them (counts, shapes).
        resumable: A killed build goes on where it stopped.
        check: Raises ConfigError for a configuration under which nothing can be made; before anything is built.
    """

    kind: str
    version: int
    settings: Callable[[P], Mapping[str, Any]]
    inputs: Callable[[P], Inputs]
    make: Callable[[P, Path], Mapping[str, Any]]
    resumable: bool = False
    check: Callable[[P], None] = _nothing

    def at(self, place: P) -> Bound[P]:
        """The stage in a workspace."""
        return Bound(self, place)

    def digest(self, place: P) -> str:
        """What identifies its artifact; nothing is built."""
        return self.at(place).digest

    def build(self, place: P) -> Artifact:
        """Its artifact, made if it is not there yet, with everything it is made from."""
        return self.at(place).build()

    def open(self, place: P) -> Artifact | None:
        """Its artifact if it is there."""
        return self.at(place).open()


@dataclass(frozen=True)
class Bound(Generic[P]):
    """A stage in a workspace."""

    stage: Stage[P]
    place: P

    @property
    def inputs(self) -> Inputs:
        """Name -> a stage in a workspace, or the digest of something from outside."""
        return self.stage.inputs(self.place)

    @property
    def recipe(self) -> Recipe:
        """What determines the artifact.

        Raises:
            ConfigError: a configuration under which nothing can be made, or settings that are no JSON values.
        """
        return self._recipe({})

    def _recipe(self, known: Known) -> Recipe:
        """The recipe; each stage that leads to it is asked once, however many paths there are."""
        key = id(self.stage), id(self.place)
        if key not in known:
            known[key] = self, self._new_recipe(known)
        return known[key][1]

    def _new_recipe(self, known: Known) -> Recipe:
        stage = self.stage
        stage.check(self.place)
        inputs = {
            n: given if isinstance(given, str) else given._recipe(known).digest for n, given in self.inputs.items()
        }
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
        """The artifact, made if it is not there yet, with everything it is made from."""
        recipe = self.recipe
        found = self.place.store.find(recipe.kind, recipe.digest)
        if found is not None:
            return found
        for given in self.inputs.values():
            if not isinstance(given, str):
                given.build()
        make = self.stage.make
        return self.place.store.build(recipe, lambda folder: make(self.place, folder), resumable=self.stage.resumable)

    def open(self) -> Artifact | None:
        """The artifact if it is there."""
        recipe = self.recipe
        return self.place.store.find(recipe.kind, recipe.digest)

    def lineage(self) -> dict[str, str]:
        """Kind -> digest of this stage and of everything it is made from; of two of one kind the nearer."""
        known: Known = {}
        found: dict[str, str] = {}
        level: list[Bound[Any]] = [self]
        while level:
            distinct = {(one.stage.kind, one._recipe(known).digest): one for one in level}
            for kind, digest in distinct:
                found.setdefault(kind, digest)
            level = [given for one in distinct.values() for given in one.inputs.values() if isinstance(given, Bound)]
        return found
