"""Opening a resume point: where training goes on, or why it does not."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

from rag_lightning.core.errors import ArtifactError
from rag_lightning.modules.training import TRAINED, OptimisedModule


def open_resume(path: Path, module: OptimisedModule, announce: Callable[[str], None]) -> int:
    """The optimiser step a training goes on from: 0 where there is no resume point.

    One that is cut short or damaged can serve nobody: it is announced and removed, and training begins anew.

    Raises:
        ArtifactError: it is of another formulation or architecture.
    """
    if not path.exists():
        return 0
    try:
        saved = torch.load(path, weights_only=True)
        step, state = int(saved["global_step"]), saved["state_dict"]
    except (RuntimeError, EOFError, OSError, KeyError, ValueError, TypeError, pickle.UnpicklingError) as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0][:120]
        announce(f"{path}: the resume point is cut short or damaged ({reason}); it is removed, training begins anew")
        path.unlink()
        return 0
    _check_identity(path, saved.get(TRAINED), module)
    _check_weights(path, state, module)
    return step


def _check_identity(path: Path, found: Mapping[str, str] | None, module: OptimisedModule) -> None:
    if found is not None and dict(found) != module.identity:
        raise ArtifactError(
            f"{path}: is a resume point of {_said(found)}, but this trains {_said(module.identity)}; "
            f"remove {path} to begin anew"
        )


def _said(identity: Mapping[str, str]) -> str:
    return " ".join(f"{name}={value}" for name, value in identity.items())


def _check_weights(path: Path, found: Mapping[str, Any], module: OptimisedModule) -> None:
    """Same names, same shapes."""
    wanted = module.state_dict()
    problem = ""
    if strange := sorted(found.keys() ^ wanted.keys()):
        where = "the resume point" if strange[0] in found else "this model"
        problem = f"only {where} has {strange[0]} ({len(strange)} such weights)"
    else:
        other = [name for name in wanted if found[name].shape != wanted[name].shape]
        if other:
            shapes = tuple(found[other[0]].shape), tuple(wanted[other[0]].shape)
            problem = f"{other[0]} is {shapes[0]} there and {shapes[1]} here ({len(other)} such weights)"
    if problem:
        raise ArtifactError(f"{path}: is a resume point of another architecture: {problem}; remove it to begin anew")
