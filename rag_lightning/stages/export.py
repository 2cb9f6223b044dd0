"""Stage `export`: a trained model -> a folder in the layout of transformers' RAG."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rag_lightning.core.artifacts import DISK_ERRORS
from rag_lightning.core.config import ExperimentConfig
from rag_lightning.core.errors import ConfigError
from rag_lightning.core.rag_checkpoint import model_type
from rag_lightning.core.retriever_config import ENCODING, training_kind
from rag_lightning.generator.seq2seq import Seq2SeqGenerator
from rag_lightning.modules.rag_export import CLASSES, write_rag
from rag_lightning.stages import train
from rag_lightning.stages.workspace import Workspace

DECODER_ONLY = "transformers' RAG has a seq2seq generator; a decoder-only one cannot be exported"


def run(config: ExperimentConfig, to: str) -> None:
    """Write the configured model to a new folder and say what is in it.

    Raises:
        ConfigError: no folder given, one that holds something, or a model that is no RAG model of transformers.
    """
    workspace, folder = Workspace(config), Path(to)
    if not to:
        raise ConfigError("export needs --to FOLDER")
    with _named(to):
        if folder.is_symlink() or (folder.exists() and (not folder.is_dir() or any(folder.iterdir()))):
            raise ConfigError(f"--to {to}: exists already; name a new or empty folder")
    check(workspace)
    with _named(to):
        folder.parent.mkdir(parents=True, exist_ok=True)
        said = export(workspace, folder)
    name = CLASSES[config.formulation].__name__
    workspace.announce(f"{folder}: {name}.from_pretrained loads it")
    if said["question_encoder"]:
        workspace.announce(
            f"question encoder {said['question_encoder']}; doc_scores are inner products times {said['score_scale']:g}"
        )
    if said["template"] != "hf_rag":
        workspace.announce(
            f"it was trained with the template {said['template']}: its likelihoods are the same for the same input "
            "ids, but transformers' RagRetriever writes another text"
        )


@contextmanager
def _named(to: str) -> Iterator[None]:
    """What the file system refuses becomes one line that names the option; a full disk stays what it is."""
    try:
        yield
    except OSError as error:
        if error.errno in DISK_ERRORS:
            raise
        raise ConfigError(f"--to {to}: cannot be written ({error.strerror})") from error


def check(workspace: Workspace) -> None:
    """What cannot be exported is refused before anything is trained.

    Raises:
        ConfigError: closed book, a class head, a null document, no query encoder, or a decoder-only generator.
    """
    config = workspace.config
    if config.formulation not in CLASSES:
        raise ConfigError(f"formulation {config.formulation} is no RAG model; export rag_sequence or rag_token")
    if config.generator.head == "class_head":
        raise ConfigError("generator.head is class_head: transformers' RAG has no such head; export another")
    trained = training_kind(config.retriever)
    if trained not in ENCODING:
        raise ConfigError(f"a model trained with {trained} retrieval has no query encoder, as transformers' RAG has")
    if config.retriever.null_document != "none":
        raise ConfigError("retriever.null_document: transformers' RAG has none; export a model without")
    init = config.generator.init
    if init != "warm_start" and model_type(workspace.model_source(init)) == "llama":
        raise ConfigError(DECODER_ONLY)


def export(workspace: Workspace, folder: Path) -> dict[str, Any]:
    """Write the trained model; the folder appears whole or not at all. Returns what `write_rag` says."""
    config = workspace.config
    scale = float(train.read_info(train.build(workspace))["score_scale"])
    generator, encoder = train.load_generator(workspace), train.load_query_encoder(workspace)
    if not isinstance(generator, Seq2SeqGenerator):
        raise ConfigError(DECODER_ONLY)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".export-") as place:
        made = Path(place) / "rag"
        said = write_rag(made, config.formulation, generator, encoder, config.decoding.k, scale)
        os.replace(made, folder)
    return said
