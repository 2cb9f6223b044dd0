"""Command `export_model`: a trained model -> a folder that transformers' RAG classes load.

The exported model has the same likelihoods for the same passages and doc_scores.

transformers' doc_scores are plain inner products, so score_scale is multiplied into the last linear layer of the
exported question encoder. The layout supports only DPR encoders; for any other, only the generator is written and
config.json states the reason.
"""

from __future__ import annotations

import copy
import os
import tempfile
from pathlib import Path
from typing import Any

import torch
from transformers import DPRConfig, DPRQuestionEncoder, RagConfig, RagSequenceForGeneration, RagTokenForGeneration

from rag_lightning.checkpoints.rag_layout import OURS, model_type
from rag_lightning.config.experiment import ExperimentConfig
from rag_lightning.config.retrieval import training_kind, trains_encoder
from rag_lightning.core.errors import ConfigError, written_as
from rag_lightning.generator.heads import ClassHead
from rag_lightning.generator.seq2seq import Seq2SeqGenerator
from rag_lightning.retrieval.encoders import TextEncoder
from rag_lightning.stages import train
from rag_lightning.stages.workspace import Workspace

DECODER_ONLY = "transformers' RAG has a seq2seq generator; a decoder-only one cannot be exported"


def run(config: ExperimentConfig, to: str) -> None:
    """Write the configured model to a new folder and print its content.

    Raises:
        ConfigError: no folder given, a folder that is not empty, or a model that transformers' RAG does not support.
    """
    workspace, folder = Workspace(config), Path(to)
    if not to:
        raise ConfigError("export_model needs --to FOLDER")
    with written_as(f"--to {to}"):
        if folder.is_symlink() or (folder.exists() and (not folder.is_dir() or any(folder.iterdir()))):
            raise ConfigError(f"--to {to}: exists already; name a new or empty folder")
    check(workspace)
    with written_as(f"--to {to}"):
        folder.parent.mkdir(parents=True, exist_ok=True)
        notes = export(workspace, folder)
    name = CLASSES[config.formulation].__name__
    workspace.announce(f"{folder}: {name}.from_pretrained loads it")
    if notes["question_encoder"]:
        workspace.announce(
            f"question encoder {notes['question_encoder']}; "
            f"doc_scores are inner products times {notes['score_scale']:g}"
        )
    if notes["template"] != "hf_rag":
        workspace.announce(
            f"trained with template {notes['template']}: transformers' RagRetriever writes another input text; the "
            "likelihoods are the same for the same input ids"
        )


def check(workspace: Workspace) -> None:
    """Check that the configured model can be exported, before anything is trained.

    Raises:
        ConfigError: closed book, a class head, a null document, no query encoder, or a decoder-only generator.
    """
    config = workspace.config
    if config.formulation not in CLASSES:
        raise ConfigError(f"formulation {config.formulation} is no RAG model; export rag_sequence or rag_token")
    if config.generator.head == "class_head":
        raise ConfigError("generator.head=class_head: transformers' RAG has no class head; use label_token")
    trained = training_kind(config.retriever)
    if not trains_encoder(config.retriever):
        raise ConfigError(f"retriever: a model trained with {trained} has no query encoder to export; train with dense")
    if config.retriever.null_document != "none":
        raise ConfigError("retriever.null_document: transformers' RAG has no null document; export a model without one")
    init = config.generator.init
    if init != "warm_start" and model_type(workspace.model_source(init)) == "llama":
        raise ConfigError(DECODER_ONLY)


def export(workspace: Workspace, folder: Path) -> dict[str, Any]:
    """Write the trained model atomically; returns the notes of `write_rag`."""
    config = workspace.config
    scale = float(train.read_info(train.build(workspace))["score_scale"])
    generator, encoder = train.load_generator(workspace), train.load_query_encoder(workspace)
    if not isinstance(generator, Seq2SeqGenerator):
        raise ConfigError(DECODER_ONLY)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".export-") as place:
        made = Path(place) / "rag"
        notes = write_rag(made, config.formulation, generator, encoder, config.decoding.k, scale)
        os.replace(made, folder)
    return notes


CLASSES: dict[str, Any] = {"rag_sequence": RagSequenceForGeneration, "rag_token": RagTokenForGeneration}
QUESTIONS = "rag.question_encoder."


def write_rag(
    folder: Path,
    formulation: str,
    generator: Seq2SeqGenerator,
    encoder: TextEncoder,
    n_docs: int,
    score_scale: float = 1.0,
) -> dict[str, Any]:
    """Write config.json, safetensors and the folders of the tokenizers.

    Args:
        folder: Folder, created if missing.
        formulation: rag_sequence or rag_token.
        generator: Trained generator.
        encoder: Trained query encoder.
        n_docs: Number of passages to marginalise over.
        score_scale: Factor of the inner products.

    Returns:
        The entry `rag_lightning` of config.json: template; score_scale to apply to transformers' doc_scores;
        question_encoder, the reason why it was not exported, or empty.

    Raises:
        ConfigError: closed book, or a class head, which transformers' RAG does not have.
    """
    if formulation not in CLASSES:
        raise ConfigError(f"formulation {formulation} is no RAG model; export rag_sequence or rag_token")
    if isinstance(generator.classes, ClassHead):
        raise ConfigError("generator.head is class_head: transformers' RAG has no such head; export a text generator")
    reason = why_not(encoder)
    questions = placeholder() if reason else scaled(encoder.model, score_scale)
    notes = {
        "template": generator.config.template,
        "score_scale": score_scale if reason else 1.0,
        "question_encoder": reason,
    }
    model = CLASSES[formulation](
        config=rag_config(generator, questions, encoder.dim, n_docs, notes),
        question_encoder=questions,
        generator=generator.model,
    )
    kept = {name: value for name, value in model.state_dict().items() if not (reason and name.startswith(QUESTIONS))}
    model.save_pretrained(folder, state_dict=kept)
    generator.tokenizer.save_pretrained(folder / "generator_tokenizer")
    if not reason:
        encoder.tokenizer.save_pretrained(folder / "question_encoder_tokenizer")
    return notes


def why_not(encoder: TextEncoder) -> str:
    """The reason why a query encoder cannot be exported; empty if it can."""
    if not encoder.is_dpr:
        return f"not exported: a {encoder.model.config.model_type} with {encoder.config.pooling} pooling is no DPR"
    if encoder.config.normalize:
        return "not exported: its vectors are scaled to unit length, DPR's are not"
    if encoder.config.query_prefix:
        return f"not exported: its queries begin with {encoder.config.query_prefix!r}, transformers' do not"
    return ""


@torch.no_grad()
def scaled(model: Any, scale: float) -> Any:
    """A copy of a DPR question encoder whose vectors are multiplied by `scale`."""
    model = copy.deepcopy(model)
    inner = model.question_encoder
    last = inner.encode_proj if inner.projection_dim > 0 else inner.bert_model.encoder.layer[-1].output.LayerNorm
    last.weight.mul_(scale)
    last.bias.mul_(scale)
    return model


def placeholder() -> Any:
    """A tiny DPR with new weights, because transformers always needs a question encoder."""
    sizes: dict[str, Any] = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1, "vocab_size": 8}
    return DPRQuestionEncoder(DPRConfig(intermediate_size=8, max_position_embeddings=8, **sizes))


def rag_config(generator: Seq2SeqGenerator, questions: Any, dim: int, n_docs: int, notes: dict[str, Any]) -> Any:
    """The configuration: special tokens and lengths of the generator, decoding from our start token."""
    size = generator.model.config
    settings: dict[str, Any] = {
        "vocab_size": size.vocab_size,
        "bos_token_id": size.bos_token_id,
        "eos_token_id": generator.eos_id,
        "pad_token_id": generator.pad_id,
        "decoder_start_token_id": generator.start_id,
        "n_docs": n_docs,
        "max_combined_length": generator.config.max_source_length,
        "retrieval_vector_size": dim,
        OURS: notes,
    }
    bart = size.to_dict() | {"decoder_start_token_id": generator.start_id}
    return RagConfig(question_encoder=questions.config.to_dict(), generator=bart, **settings)
