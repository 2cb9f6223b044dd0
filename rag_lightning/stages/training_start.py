"""The start of a training: the warm-ups, or the trained model of another task (`init_from`).

The paper starts WebQuestions and CuratedTREC from its NQ model (section 3.1). Such a model must match the
configuration: the same formulation, architecture, tokenizers and passage encoder.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from rag_lightning.checkpoints.architectures import describe, expected_generator, expected_query_encoder, read_settings
from rag_lightning.checkpoints.opening import open_tokenizer
from rag_lightning.checkpoints.rag_layout import is_rag
from rag_lightning.config.retrieval import retriever_kind, training_kind, trains_encoder
from rag_lightning.core.artifacts import MANIFEST, open_artifact
from rag_lightning.core.errors import ConfigError, DataError
from rag_lightning.core.files import folder_digest
from rag_lightning.core.stage import Bound
from rag_lightning.generator.heads import holds_head
from rag_lightning.generator.opening import Writer, load_generator
from rag_lightning.stages import classes, embed, reader, retriever_warmup
from rag_lightning.stages.vectors import Start
from rag_lightning.stages.workspace import Workspace

RAG_FILE = "rag.json"
GENERATOR, QUERY_ENCODER = "generator", "query_encoder"
PROBE = "The Capital of São-Paulo, 1,951?"
ENCODED_BY = ("pooling", "normalize", "query_prefix")
"""Fields of section `encoder` that the query encoder was trained with."""


@dataclass(frozen=True)
class Trained:
    """The folder of a trained model.

    Args:
        folder: Folder with rag.json, generator/ and, if trained with dense retrieval, query_encoder/.
        info: Its rag.json.
        digest: Digest of the artifact, or of the folder's content.
        manifest: Manifest of the artifact, empty for a plain folder.
    """

    folder: Path
    info: Mapping[str, Any]
    digest: str
    manifest: Mapping[str, Any]

    @property
    def retriever(self) -> str:
        """The kind of retriever in its training."""
        return str(self.info.get("retriever", "dense"))


def inputs(workspace: Workspace) -> dict[str, str | Bound[Workspace]]:
    """The input of a training for the generator: the model of init_from, or the reader."""
    name = workspace.config.init_from
    return {"init_from": _open(workspace, name).digest} if name else {"reader": reader.bound(workspace)}


def generator(workspace: Workspace) -> Writer:
    """The generator to train, with a new head if the model has none for these labels."""
    found = opened(workspace)
    if found is None:
        return reader.load(workspace)
    config, folder = workspace.config, found.folder / GENERATOR
    labels = classes.labels(config)
    known = config.generator.head == "class_head" and holds_head(folder, labels)
    made = load_generator(folder, config.generator)
    return made.set_classes(labels, folder if known else None, reader.head_seed(config.seed))


def query(workspace: Workspace) -> Start:
    """The query encoder to train, with its score_scale."""
    name = workspace.config.init_from
    if not name:
        return retriever_warmup.start(workspace)
    found = _open(workspace, name)
    if not retriever_kind(found.retriever).encodes:
        raise ConfigError(
            f"init_from={workspace.config.init_from}: was trained with {found.retriever} retrieval and has no query "
            f"encoder, which {training_kind(workspace.config.retriever)} retrieval needs; start from another"
        )
    _same(name, "formulation", found.info["formulation"], workspace.config.formulation)
    if "score_scale" not in found.info:
        raise DataError(found.folder / RAG_FILE, "is missing", field="score_scale")
    source, scale = found.folder / QUERY_ENCODER, float(found.info["score_scale"])
    return Start(f"init_from:{found.digest}", lambda: (source, scale))


def opened(workspace: Workspace) -> Trained | None:
    """The model of init_from, checked against the configuration; None without init_from.

    Raises:
        ConfigError: no such model, or another formulation, template, architecture, tokenizer or passage encoder.
        ArtifactError: it is damaged.
        DataError: one of its files is missing or cannot be read.
    """
    name = workspace.config.init_from
    if not name:
        return None
    found = _open(workspace, name)
    _check(workspace, name, found)
    return found


def _open(workspace: Workspace, name: str) -> Trained:
    folder = Path(name)
    if not folder.is_dir():
        artifact = workspace.store.find("model", name) if "/" not in name else None
        if artifact is None:
            raise ConfigError(
                f"init_from={name}: is neither a folder nor the digest of a model in {workspace.root / 'artifacts'}; "
                "train that model first; `rag-lightning train` prints its folder"
            )
        folder = artifact.path
    manifest: Mapping[str, Any] = {}
    if (folder / MANIFEST).is_file():
        manifest = open_artifact(folder).manifest
    file = folder / RAG_FILE
    try:
        info = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(file, "is missing or not JSON", hint="init_from wants the folder of a trained model") from error
    if not isinstance(info, dict) or "formulation" not in info:
        raise DataError(file, "is missing", field="formulation", hint="init_from wants the folder of a trained model")
    return Trained(folder, info, str(manifest.get("digest") or f"folder:{folder_digest(folder)}"), manifest)


def _check(workspace: Workspace, name: str, found: Trained) -> None:
    """Raise ConfigError unless the model matches the configuration."""
    config = workspace.config
    same = partial(_same, name)
    same("formulation", found.info["formulation"], config.formulation)
    settings = found.manifest.get("config", {})
    if "generator.template" in settings:
        same("generator.template", settings["generator.template"], config.generator.template)
    init = config.generator
    source = workspace.model_source(init.source)
    generator_folder = found.folder / GENERATOR
    same("generator", describe(read_settings(generator_folder)), describe(expected_generator(init, source)))
    _check_tokenizer(name, "generator", generator_folder, _tokenizer_folder(source, "generator"))
    encodes = trains_encoder(config.retriever) and retriever_kind(found.retriever).encodes
    if config.formulation == "closed_book" or not encodes:
        return
    source = workspace.model_source(config.encoder.model)
    encoder_folder = found.folder / QUERY_ENCODER
    same("query encoder", describe(read_settings(encoder_folder)), describe(expected_query_encoder(source)))
    _check_tokenizer(name, "query encoder", encoder_folder, _tokenizer_folder(source, "question_encoder"))
    for field in ENCODED_BY if "encoder.pooling" in settings else ():
        same(f"encoder.{field}", settings[f"encoder.{field}"], getattr(config.encoder, field))
    if config.biencoder.steps:  # the passage encoder was trained on this data
        vectors = found.manifest.get("inputs", {}).get("vectors", "not known")
        same("input of passage vectors", vectors, embed.STAGE.digest(workspace))


def _same(name: str, what: str, theirs: object, ours: object) -> None:
    if theirs != ours:
        raise ConfigError(f"init_from={name}: its {what} is {theirs}, the configuration's is {ours}")


def _tokenizer_folder(source: Path, part: str) -> Path:
    return source / f"{part}_tokenizer" if is_rag(source) else source


def _check_tokenizer(name: str, part: str, theirs: Path, ours: Path) -> None:
    """Raise ConfigError unless both have the same vocabulary and tokenize a text alike."""
    found, wanted = open_tokenizer(theirs, f"init_from={name}"), open_tokenizer(ours, part)
    if found.get_vocab() != wanted.get_vocab() or found(PROBE)["input_ids"] != wanted(PROBE)["input_ids"]:
        raise ConfigError(
            f"init_from={name}: the tokenizer of its {part} ({theirs}: {len(found)} tokens) is not the configuration's "
            f"({ours}: {len(wanted)} tokens)"
        )
