"""The workspace of a stage: configuration, folders, and output to the user."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

from rag_lightning.config.digesting import settings
from rag_lightning.config.experiment import ExperimentConfig
from rag_lightning.core.artifacts import ArtifactStore, Recipe
from rag_lightning.core.assets import ASSETS, OPTIONAL_ASSETS, asset_path, fetch_asset, find_asset
from rag_lightning.core.console import Say, StageLines, detail, say
from rag_lightning.core.devices import resolve_device
from rag_lightning.core.files import folder_digest
from rag_lightning.core.hub import HUB_REVISION, download_model, downloaded_model, resolve_commit
from rag_lightning.core.stage import Bound, Inputs, Stage

HUB = "hub:"
"""Prefix of the name of a hub data set, or of a local folder with the same layout."""
FACTBOOK = "factbook:"
"""Prefix of an edition of the country profiles: the name of a package, or a path."""


@dataclass(frozen=True)
class Workspace:
    """An experiment's configuration with its folders.

    The stages of a workspace, and of those made from it, keep the digests of their first use: a workspace is for one
    piece of work, and a file of the user's that changes meanwhile has no effect.

    Args:
        config: The experiment.
        announce: Shows a line to every user: a finished stage, a warning.
        detail: Shows a line with --verbose only.
        bound: The stages in this workspace and in those made from it, for `Stage.at`.
    """

    config: ExperimentConfig
    announce: Say = say
    detail: Say = detail
    bound: dict[tuple[int, int], Bound[Any]] = field(default_factory=dict, repr=False, compare=False)

    @property
    def root(self) -> Path:
        """The folder that holds artifacts, assets, runs and reports."""
        return Path(self.config.folder)

    @property
    def device(self) -> str:
        """The device of all models.

        Raises:
            ConfigError: it is not there.
        """
        return resolve_device(self.config.device)

    @property
    def store(self) -> ArtifactStore:
        """The artifact store; one per folder and process, so that each artifact is verified once."""
        return _store(self.root / "artifacts", self.announce, self.detail)

    def asset(self, name: str) -> Path:
        """The file or folder of an asset, fetched if it does not exist."""
        _fetched(name, self.root / "assets", self.announce, self.detail)
        return asset_path(name, self.root / "assets")

    def model_source(self, name: str) -> Path:
        """The folder of a model: an embedded one (`mini`, `smollm2`), a local folder, or the download of a hub name.

        Raises:
            AssetError: the hub cannot be reached, or smollm2 without the package that unpacks it.
        """
        if name == "mini":
            return self.asset("minilm")
        if name in OPTIONAL_ASSETS:
            return self._unpacked(name)
        if Path(name).is_dir():
            return Path(name)
        return download_model(name, _commit(name, "model"))

    def local_model(self, name: str) -> Path | None:
        """The folder of a model in a local folder, or of a hub name if it was downloaded; nothing is downloaded."""
        if name == "mini" or name in OPTIONAL_ASSETS:
            return None
        return Path(name) if Path(name).is_dir() else downloaded_model(name, _commit(name, "model"))

    def model_digest(self, name: str) -> str:
        """The identifier of a model's weights in a recipe."""
        if name == "mini":
            return f"mini:{ASSETS['minilm'].sha256[:16]}"
        if name in OPTIONAL_ASSETS:
            return f"{name}:{OPTIONAL_ASSETS[name].sha256[:16]}"
        folder = Path(name)
        return f"folder:{folder_digest(folder)}" if folder.is_dir() else f"hub:{name}@{_commit(name, 'model')}"

    def _unpacked(self, name: str) -> Path:
        """The artifact folder of an embedded GGUF file, unpacked."""
        from rag_lightning.checkpoints.loading import (
            unpack_gguf,
        )  # imported here, because most workspaces need no torch

        recipe = Recipe("unpacked", {}, {"model": self.model_digest(name)}, 1)
        return self.store.build(recipe, lambda folder: unpack_gguf(self.asset(name), folder / "model")).path / "model"

    def on(self, split: str) -> Workspace:
        """The workspace with another split."""
        return self if split == self.config.split else self.with_config(split=split)

    def with_config(self, **changes: object) -> Workspace:
        """The workspace with changed fields of the configuration."""
        return replace(self, config=replace(self.config, **changes))  # type: ignore[arg-type]


@lru_cache(maxsize=16)
def _store(root: Path, announce: Say, detail: Say) -> ArtifactStore:
    return ArtifactStore(root, StageLines(announce, detail))


@lru_cache(maxsize=16)
def _fetched(name: str, root: Path, announce: Say, detail: Say) -> Path:
    """Fetch an asset; verified once per process."""
    return fetch_asset(find_asset(name), root, announce, detail)


@lru_cache(maxsize=16)
def _commit(name: str, kind: str, revision: str = HUB_REVISION) -> str:
    """The commit of a revision, resolved once per process, so that all stages of a run use the same one."""
    return resolve_commit(name, kind, revision)


def hub_source(source: str, revision: str = HUB_REVISION) -> tuple[str, str, str]:
    """`hub:NAME[:CONFIG]` -> (name or local folder, configuration, commit or digest of the folder)."""
    name, _, configuration = source.removeprefix(HUB).partition(":")
    folder = Path(name)
    return name, configuration, folder_digest(folder) if folder.is_dir() else _commit(name, "dataset", revision)


def hub_digest(name: str, configuration: str, revision: str) -> str:
    """The identifier of a data set of `hub_source`; of a local folder only the content counts, not its path."""
    return " ".join(("" if Path(name).is_dir() else name, configuration, revision))


def config_stage(
    kind: str,
    version: int,
    inputs: Callable[[Workspace], Inputs],
    make: Callable[[Workspace, Path], Mapping[str, Any]],
    check_data: Callable[[Workspace], None] = lambda workspace: None,
    **more: Any,
) -> Stage[Workspace]:
    """A stage whose settings are the fields of the configuration that name it; it is refused where the device is not
    there."""

    def check_all(workspace: Workspace) -> None:
        check_device(workspace)
        check_data(workspace)

    named = partial(_settings, kind=kind)
    return Stage(kind, version, named, inputs, make, check_data=check_all, **more)


def _settings(workspace: Workspace, kind: str) -> dict[str, Any]:
    return settings(workspace.config, kind)


def check_device(workspace: Workspace) -> None:
    """Raise ConfigError where the device is not there; called before a stage or any of its inputs is built."""
    _ = workspace.device
