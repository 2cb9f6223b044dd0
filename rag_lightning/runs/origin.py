"""What a run was started with: command line, user, commit of the source, versions of packages."""

from __future__ import annotations

import getpass
import os
import shlex
import subprocess
import sys
from contextlib import suppress
from functools import lru_cache
from importlib import metadata
from pathlib import Path
from typing import Any

from rag_lightning.core.redact import redact

PACKAGES = (
    "bm25s",
    "datasets",
    "faiss-cpu",
    "mlflow",
    "numpy",
    "optuna",
    "pytorch-lightning",
    "rag-lightning",
    "sacrebleu",
    "scipy",
    "spacy",
    "tokenizers",
    "torch",
    "transformers",
)
"""Packages whose version can affect a result."""


def command() -> str:
    """The command line of this process, without passwords of URLs."""
    words = [Path(sys.argv[0]).name, *sys.argv[1:]]
    return redact(shlex.join("rag-lightning" if word == "cli.py" else word for word in words))


def user() -> str | None:
    """The name of the user, None where the system knows none."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return None


@lru_cache(maxsize=1)
def package_versions() -> dict[str, str]:
    """Installed versions of the packages that can affect a result."""
    versions = {}
    for name in PACKAGES:
        with suppress(metadata.PackageNotFoundError):
            versions[name] = metadata.version(name)
    return versions


@lru_cache(maxsize=1)
def git_state() -> dict[str, Any]:
    """Commit of this project's source, and whether it has changes; both None outside of a checkout."""
    source = Path(__file__).resolve()
    tracked = _git(source.parent, "ls-files", "--error-unmatch", source.name)
    sha = _git(source.parent, "rev-parse", "HEAD") if tracked else None
    if not sha:
        return {"sha": None, "dirty": None}
    return {"sha": sha, "dirty": bool(_git(source.parent, "status", "--porcelain", "--untracked-files=no"))}


def _git(folder: Path, *arguments: str) -> str | None:
    """The output of git; None if it fails or is not installed."""
    environment = os.environ | {"GIT_OPTIONAL_LOCKS": "0"}
    try:
        done = subprocess.run(
            ["git", *arguments], cwd=folder, env=environment, capture_output=True, text=True, timeout=10, check=False
        )
    except (FileNotFoundError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
