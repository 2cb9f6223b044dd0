"""Check of the installation as a table; damaged artifacts are an error at the end."""

from __future__ import annotations

import platform
import shutil
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

import faiss
import psutil
import torch

from rag_lightning.config.data import TESTS
from rag_lightning.config.experiment import ExperimentConfig, Formulation
from rag_lightning.config.registries import REGISTRIES
from rag_lightning.core.artifacts import PARTIAL, open_artifact, published
from rag_lightning.core.assets import ASSETS, OPTIONAL_ASSETS, verify_asset
from rag_lightning.core.devices import device_class, gpu_names, resolve_device
from rag_lightning.core.errors import ArtifactError
from rag_lightning.core.hardware import cpu_count, describe, resolve_dtype
from rag_lightning.core.hub import describe_paper_scale, hub_reachable
from rag_lightning.core.tables import Grid
from rag_lightning.runs import ledger
from rag_lightning.runs.origin import git_state, package_versions
from rag_lightning.runs.record import run_folders
from rag_lightning.tasks.spec import get_task
from rag_lightning.tracking.places import file_of
from rag_lightning.tracking.store import default_uri

State = Literal["ok", "note", "missing", "damaged"]
COLOURS: dict[State, str] = {"ok": "green", "note": "yellow", "missing": "yellow", "damaged": "red"}
NEEDED_DISK_GB = 5
"""Disk space in GB for the environment and the artifacts of a mini sweep, generously."""


@dataclass(frozen=True)
class Finding:
    """One row of the table."""

    what: str
    state: State
    detail: str


def run(config: ExperimentConfig, deep: bool = False) -> None:
    """Print all findings.

    Args:
        config: Configuration with the folder of assets and artifacts.
        deep: Also verify the checksums of files above 1 GB.

    Raises:
        ArtifactError: an artifact is damaged; the table lists all of them.
        UnknownNameError: an unknown task.
    """
    get_task(config.task.name)
    found = findings(Path(config.folder), deep, config.tracking_uri)
    table = Grid("", "state", "detail", title="rag-lightning doctor", left=True)
    for finding in found:
        table.add(finding.what, (finding.state, COLOURS[finding.state]), finding.detail)
    table.show()
    damaged = [finding for finding in found if finding.state == "damaged" and finding.what.startswith("artifact")]
    if damaged:
        raise ArtifactError(f"{len(damaged)} damaged artifacts; {damaged[0].detail}")


def findings(root: Path, deep: bool = False, tracking_uri: str = "") -> list[Finding]:
    """All findings, in the order of the table."""
    return [*_machine(root), *_hub(), *_assets(root / "assets"), *_artifacts(root, deep), *_names(root, tracking_uri)]


def _machine(root: Path) -> Iterator[Finding]:
    git = git_state()
    source = f"{git['sha'][:12]}{', changed since' if git['dirty'] else ''}" if git["sha"] else "not a checkout"
    yield Finding("python", "ok", f"{platform.python_version()} on {platform.system()} {platform.machine()}; {source}")
    yield Finding("versions", "ok", ", ".join(f"{name} {version}" for name, version in package_versions().items()))
    threads = f"{cpu_count()} cores; threads: torch {torch.get_num_threads()}, faiss {faiss.omp_get_max_threads()}"
    yield Finding("cpu", "ok", f"{threads}; load {describe()['load']}")
    yield Finding("gpu", "ok" if gpu_names() else "note", ", ".join(gpu_names()) or "none; scale mini needs none")
    yield Finding("device auto", "ok", resolve_device("auto"))
    fast = resolve_dtype("auto", device_class("auto")) == "bfloat16"
    yield Finding("bfloat16", "ok" if fast else "note", "fast" if fast else "not fast here: float32 is used")
    memory = psutil.virtual_memory()
    yield Finding("memory", "ok", f"{memory.available / 2**30:.1f} of {memory.total / 2**30:.1f} GiB free")
    yield _disk(root)


def _disk(root: Path) -> Finding:
    existing = next(folder for folder in (root.resolve(), *root.resolve().parents) if folder.exists())
    free = shutil.disk_usage(existing).free / 1e9
    enough = free >= NEEDED_DISK_GB
    return Finding("disk", "ok" if enough else "note", f"{free:.0f} GB free; a mini sweep needs {NEEDED_DISK_GB}")


def _hub() -> Iterator[Finding]:
    reachable = hub_reachable(timeout=1.0)
    yield Finding(
        "hub", "ok" if reachable else "note", "reachable" if reachable else "not reachable; scale mini does not need it"
    )
    yield Finding("scale paper", "note", describe_paper_scale())


def _assets(root: Path) -> Iterator[Finding]:
    optional = [asset for asset in OPTIONAL_ASSETS.values() if (root / asset.folder).exists()]
    for asset in [*ASSETS.values(), *optional]:
        what = f"asset {asset.name}"
        if not (root / asset.folder).exists():
            yield Finding(what, "missing", f"{asset.description}; `rag-lightning fetch` downloads it")
            continue
        problem = verify_asset(root / asset.folder, asset)
        detail = f"{problem}; `rag-lightning fetch` downloads it again" if problem else f"verified; {asset.licence}"
        yield Finding(what, "damaged" if problem else "ok", detail)


def _artifacts(root: Path, deep: bool) -> Iterator[Finding]:
    for folder in sorted((root / "artifacts").glob(f"*/*{PARTIAL}/")):
        detail = f"{folder.name}: unfinished; run the command again to continue"
        yield Finding(f"artifact {folder.parent.name}", "note", detail)
    kinds: dict[str, int] = {}
    for folder in published(root / "artifacts"):
        kinds[folder.parent.name] = kinds.get(folder.parent.name, 0) + 1
        try:
            open_artifact(folder, deep=deep)
        except ArtifactError as error:
            yield Finding(f"artifact {folder.parent.name}", "damaged", str(error))
    counted = ", ".join(f"{count} {kind}" for kind, count in kinds.items())
    yield Finding("artifacts", "ok" if kinds else "note", f"verified: {counted}" if kinds else "none yet")


def _names(root: Path, tracking_uri: str) -> Iterator[Finding]:
    yield Finding("formulations", "ok", ", ".join(get_args(Formulation)))
    for what, registry in REGISTRIES.items():
        yield Finding(what, "ok", ", ".join(registry))
    made = run_folders(root / "runs")
    yield Finding("runs", "ok", f"{len(made)} in {root / 'runs'}")
    lines = ledger.read(root)
    found = Counter(line["split"] for line in lines)
    yield Finding("ledger of test", "ok", ", ".join(f"{found[split]} evaluations on {split}" for split in TESTS))
    if lost := ledger.lacking(root):
        yield Finding("ledger of test", "damaged", ledger.loss(root, lost))
    local = file_of(default_uri(root))
    known = "another store" if tracking_uri else str(local) if local.exists() else f"{local}, created by the first run"
    yield Finding("mlflow", "ok", known)
