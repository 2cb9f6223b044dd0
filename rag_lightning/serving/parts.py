"""The parts of a finished system that its MLflow model holds: generator, query encoder, corpus, index.

Corpus and index travel with the model up to `TRAVELS` bytes; larger ones stay in place, known by path and digest.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rag_lightning.config.loading import experiment_of
from rag_lightning.config.retrieval import retriever_kind
from rag_lightning.core.artifacts import MANIFEST, Artifact, open_artifact, read_manifest
from rag_lightning.core.errors import ArtifactError, DataError
from rag_lightning.core.files import file_sha256, read_sealed
from rag_lightning.stages.workspace import Workspace

TRAVELS = 10**9
"""Largest size in bytes of the corpus with its index that travels with a model."""
SYSTEM = "system"
"""Name of the file that describes the system, `system.json`, among the parts of a model."""
GENERATOR, QUERY_ENCODER, RERANKER = "generator", "query_encoder", "reranker"
LOADED = (".json", ".txt", ".model", ".safetensors")
"""Files of a pretrained model that are read; pickles beside them do not travel."""
UNSHARED = {"folder": ".", "tracking_uri": ""}
"""Fields of the configuration that do not travel: a folder, and a URL that may hold a password."""


@dataclass(frozen=True)
class Part:
    """A folder of a system.

    Args:
        folder: The folder in the project.
        files: Relative path -> sha256 of its files.
        size: Bytes of its files.
        kind: Kind of the artifact; empty for a part of a model, which always travels.
        digest: Digest of the artifact.
    """

    folder: Path
    files: Mapping[str, str]
    size: int
    kind: str = ""
    digest: str = ""


def collect(record: Mapping[str, Any], root: Path) -> tuple[dict[str, Part], dict[str, Any]]:
    """Name -> part of the system of a finished run, and its description (the content of `system.json`).

    Raises:
        ArtifactError: an artifact of the run is missing or altered.
        ConfigError: the recorded configuration is not one of this version.
    """
    config, digests = {**record["config"], **UNSHARED}, record["digests"]
    model = _open(root, "model", digests["model"])
    parts = {GENERATOR: _folder_of(model, GENERATOR)}
    described = {"run_id": record["run_id"], "label": record["label"], "config": config}
    if config["formulation"] != "closed_book":
        rankings = _open(root, "rankings", digests["rankings"])
        described["score_scale"] = rankings.info["score_scale"]
        if config["retriever"]["null_document"] != "none":
            described["null_score"] = model.info["null_bias"]
        if weight := rankings.manifest["inputs"].get("hybrid_weight"):
            described["bm25_weight"] = _open(root, "hybrid_weight", weight).info["weight"]
        parts |= _memory(record, root, rankings.manifest["inputs"])
    return parts, described


def is_outside(parts: Mapping[str, Part]) -> bool:
    """Whether corpus and index are too large to travel."""
    return sum(part.size for part in parts.values() if part.kind) > TRAVELS


def describe(parts: Mapping[str, Part], outside: bool) -> dict[str, Any]:
    """The entry `parts` of `system.json`: the files that travel with their sha256, or the path of what stays."""
    found: dict[str, Any] = {}
    for name, part in parts.items():
        stays = outside and part.kind
        place = {"path": str(part.folder.resolve())} if stays else {"files": dict(part.files)}
        found[name] = {"kind": part.kind, "digest": part.digest, **place}
    return found


def check(described: Mapping[str, Any], given: Mapping[str, str], artifacts: str = "") -> dict[str, Path]:
    """Name -> folder of the parts of a model, after a check of their digests.

    Args:
        described: Content of `system.json`.
        given: Name -> path of the parts that travelled.
        artifacts: Folder of artifacts to take the others from; empty for their recorded paths.

    Raises:
        ArtifactError: a part is absent, altered, or has another digest.
    """
    found = {}
    for name, part in described["parts"].items():
        if "files" in part:
            if name not in given:
                raise ArtifactError(f"{name}: is missing in the model; log the model again")
            found[name] = _checked(Path(given[name]), part["files"])
        else:
            place = Path(artifacts, part["kind"], part["digest"]) if artifacts else Path(part["path"])
            found[name] = _outside(name, place, part["digest"])
    return found


def _memory(record: Mapping[str, Any], root: Path, inputs: Mapping[str, str]) -> dict[str, Part]:
    """The parts for retrieval, by the inputs of the run's rankings."""
    parts = {kind: _whole(_open(root, kind, inputs[kind])) for kind in ("corpus", "bm25", "index") if kind in inputs}
    kind = retriever_kind(record["config"]["retriever"]["kind"])
    if kind.encodes:
        parts[QUERY_ENCODER] = _query_encoder(record, root, inputs)
    if "index" in parts and (kind.reads_vectors or record["config"]["index"].get("refine")):
        vectors = read_manifest(parts["index"].folder)["inputs"]["vectors"]
        parts["vectors"] = _whole(_open(root, "vectors", vectors))
    for name in experiment_of(record["config"], f"run {record['run_id']}").retriever.made().models:
        parts[RERANKER] = _model(record, root, name)
    return parts


def _query_encoder(record: Mapping[str, Any], root: Path, inputs: Mapping[str, str]) -> Part:
    """The query encoder of the model, of a warm-up, or the pretrained one."""
    if "model" in inputs:
        return _folder_of(_open(root, "model", inputs["model"]), QUERY_ENCODER)
    for kind in ("retriever_warmup", "biencoder"):
        if (root / "artifacts" / kind / inputs["query_model"]).exists():
            return _folder_of(_open(root, kind, inputs["query_model"]), QUERY_ENCODER)
    return _model(record, root, record["config"]["encoder"]["model"])


def _model(record: Mapping[str, Any], root: Path, name: str) -> Part:
    """A model that others made."""
    config = experiment_of({**record["config"], "folder": str(root)}, f"run {record['run_id']}")
    folder = Workspace(config).model_source(name)
    paths = [path for path in sorted(folder.rglob("*")) if path.suffix in LOADED and path.is_file()]
    files = {str(path.relative_to(folder)): file_sha256(path) for path in paths}
    return Part(folder, files, sum(path.stat().st_size for path in paths))


def _open(root: Path, kind: str, digest: str) -> Artifact:
    return open_artifact(root / "artifacts" / kind / digest, kind)


def _whole(artifact: Artifact) -> Part:
    files = {name: file["sha256"] for name, file in artifact.manifest["files"].items()}
    files[MANIFEST] = file_sha256(artifact.path / MANIFEST)
    size = sum(file["size"] for file in artifact.manifest["files"].values())
    return Part(artifact.path, files, size, artifact.kind, artifact.digest)


def _folder_of(artifact: Artifact, folder: str) -> Part:
    files = {name: file for name, file in artifact.manifest["files"].items() if name.startswith(f"{folder}/")}
    hashes = {name.removeprefix(f"{folder}/"): file["sha256"] for name, file in files.items()}
    return Part(artifact.path / folder, hashes, sum(file["size"] for file in files.values()))


def _checked(folder: Path, files: Mapping[str, str]) -> Path:
    for name, expected in files.items():
        if not (folder / name).is_file():
            raise ArtifactError(f"{folder / name}: is missing in the model; log the model again")
        if file_sha256(folder / name) != expected:
            raise ArtifactError(f"{folder / name}: was altered (its checksum is not the model's); log the model again")
    return folder


def _outside(name: str, folder: Path, digest: str) -> Path:
    remedy = "copy it there, or give the folder that holds it as model_config={'artifacts': FOLDER}"
    if not folder.is_dir():
        raise ArtifactError(f"{folder}: the {name} of this model is not there, and was too large to travel; {remedy}")
    found = open_artifact(folder).digest
    if found != digest:
        raise ArtifactError(f"{folder}: has digest {found}, but the {name} of this model has {digest}; {remedy}")
    return folder


def read_system(path: Path) -> dict[str, Any]:
    """The content of `system.json`.

    Raises:
        DataError: missing, no JSON, or without the entries that `check` and opening need.
    """
    found = read_sealed(path, "log the model again")
    config, parts = found.get("config"), found.get("parts")
    closed = isinstance(config, dict) and config.get("formulation") == "closed_book"
    whole = isinstance(config, dict) and (closed or isinstance(found.get("score_scale"), int | float))
    listed = parts.values() if isinstance(parts, dict) and GENERATOR in parts else [None]
    if not whole or not all(map(_is_part, listed)):
        raise DataError(path, "is damaged: it does not describe a system", hint="log the model again")
    return found


def _is_part(raw: Any) -> bool:
    if not isinstance(raw, dict):
        return False
    if "files" in raw:
        return isinstance(raw["files"], dict)
    return all(isinstance(raw.get(name), str) for name in ("path", "kind", "digest"))
