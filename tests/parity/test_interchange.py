"""RAG checkpoints of transformers: the same likelihoods and query vectors in both libraries, in both directions."""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from transformers import AutoTokenizer, RagTokenizer

from rag_lightning.config.generator import GeneratorConfig
from rag_lightning.config.retrieval import EncoderConfig
from rag_lightning.decoding import rag_sequence, rag_token
from rag_lightning.decoding.encodings import Encodings
from rag_lightning.decoding.pair_store import PairStore
from rag_lightning.generator import likelihoods
from rag_lightning.generator.seq2seq import Seq2SeqGenerator
from rag_lightning.retrieval.encoders import TextEncoder
from rag_lightning.stages.export_model import write_rag
from rag_lightning.training.rag import MARGINALS
from tests.rag_checkpoints import CLASSES, make_rag, save_rag

TARGETS = torch.tensor([[4, 6, 5, 3], [5, 3, 0, 0]])
LABELS = torch.tensor([[2, 4, 6, 5, 3], [2, 5, 3, 0, 0]])
"""The same targets with the start token in front; two scored tokens at least, else transformers drops the prior."""
FORMULATIONS = ["rag_sequence", "rag_token"]
QUERIES = ["a b", "c a b a"]
DPR = EncoderConfig(pooling="pooler", normalize=False, score_scale=1.0)
HF = GeneratorConfig(init="checkpoint", template="hf_rag", max_source_length=32)


def ours(generator: Seq2SeqGenerator, formulation: str, case: Any) -> Tensor:
    """log p(y | x) [B] of the case's encoded pairs."""
    sources = [row[row_mask.bool()].tolist() for row, row_mask in zip(case.ids, case.mask, strict=True)]
    tokens = generator.token_log_probs(sources, TARGETS.repeat_interleave(3, 0)).unflatten(0, (-1, 3))
    docs = likelihoods.doc_log_probs(case.doc_scores)
    return MARGINALS[formulation][0](tokens, docs, TARGETS.ne(generator.pad_id))


def theirs(model: Any, case: Any) -> Tensor:
    found: Tensor = model(**case.inputs, labels=LABELS).loss
    return -found


@torch.no_grad()
@pytest.mark.parametrize("formulation", FORMULATIONS)
def test_a_checkpoint_has_the_same_likelihood_here(
    toy: Seq2SeqGenerator, case: Any, tmp_path: Path, formulation: str
) -> None:
    model = make_rag(toy, formulation)
    folder = save_rag(model, toy.tokenizer, tmp_path)
    loaded = Seq2SeqGenerator.create(HF, folder).eval()
    torch.testing.assert_close(ours(loaded, formulation, case), theirs(model, case), atol=1e-5, rtol=0)


@torch.no_grad()
@pytest.mark.parametrize("formulation", FORMULATIONS)
@pytest.mark.parametrize("scale", [1.0, 0.5])
@pytest.mark.parametrize("projection", [0, 4])
def test_an_exported_model_is_the_same_there_and_back(
    toy: Seq2SeqGenerator, case: Any, tmp_path: Path, formulation: str, scale: float, projection: int
) -> None:
    source = save_rag(make_rag(toy, formulation, projection), toy.tokenizer, tmp_path / "source")
    encoder = TextEncoder(DPR, source, "query").eval()
    before = ours(toy, formulation, case)
    said = write_rag(tmp_path / "to", formulation, toy, encoder, n_docs=3, score_scale=scale)
    assert said == {"template": "ours", "score_scale": 1.0, "question_encoder": ""}
    model, report = CLASSES[formulation].from_pretrained(tmp_path / "to", output_loading_info=True)
    assert not any(report.values())
    torch.testing.assert_close(theirs(model.eval(), case), before, atol=1e-5, rtol=0)
    again = Seq2SeqGenerator.create(replace(HF, template="ours"), tmp_path / "to").eval()
    assert torch.equal(ours(again, formulation, case), before)
    wanted = scale * encoder.encode_texts(QUERIES)
    np.testing.assert_allclose(TextEncoder(DPR, tmp_path / "to", "query").encode_texts(QUERIES), wanted, atol=1e-5)
    tokens = RagTokenizer.from_pretrained(tmp_path / "to").question_encoder(QUERIES[:1], return_tensors="pt")  # type: ignore[no-untyped-call]
    np.testing.assert_allclose(model.rag.question_encoder(**tokens).pooler_output.numpy(), wanted[:1], atol=1e-5)


@torch.no_grad()
def test_the_question_encoder_is_that_of_the_checkpoint(toy: Seq2SeqGenerator, tmp_path: Path) -> None:
    model = make_rag(toy, "rag_token", projection=4)
    encoder = TextEncoder(DPR, save_rag(model, toy.tokenizer, tmp_path), "query")
    for text, vector in zip(QUERIES, encoder.encode_texts(QUERIES), strict=True):
        wanted = model.rag.question_encoder(**toy.tokenizer(text, return_tensors="pt")).pooler_output[0]
        np.testing.assert_allclose(vector, wanted.numpy(), atol=1e-5)
    assert encoder.dim == 4


@torch.no_grad()
@pytest.mark.parametrize("formulation", FORMULATIONS)
def test_without_a_dpr_only_the_generator_is_exported_and_it_is_said(
    toy: Seq2SeqGenerator, case: Any, bert_folder: Path, tmp_path: Path, formulation: str
) -> None:
    encoder = TextEncoder(EncoderConfig(), bert_folder, "query")
    said = write_rag(tmp_path, formulation, toy, encoder, n_docs=3, score_scale=20.0)
    assert "bert with mean pooling is no DPR" in said["question_encoder"] and said["score_scale"] == 20.0
    assert not (tmp_path / "question_encoder_tokenizer").exists()
    model, report = CLASSES[formulation].from_pretrained(tmp_path, output_loading_info=True)
    assert report["missing_keys"] and all(key.startswith("rag.question_encoder.") for key in report["missing_keys"])
    assert model.config.rag_lightning == said
    torch.testing.assert_close(theirs(model.eval(), case), ours(toy, formulation, case), atol=1e-5, rtol=0)


def test_tied_embeddings_stay_tied(toy: Seq2SeqGenerator, tmp_path: Path) -> None:
    folder = save_rag(make_rag(toy, "rag_token"), toy.tokenizer, tmp_path / "source")
    loaded = Seq2SeqGenerator.create(HF, folder)
    write_rag(tmp_path / "to", "rag_token", loaded, TextEncoder(DPR, folder, "query"), n_docs=3)
    model = CLASSES["rag_token"].from_pretrained(tmp_path / "to")
    for bart in (loaded.model, model.rag.generator):
        shared = bart.model.shared.weight
        others = (bart.lm_head, bart.model.encoder.embed_tokens, bart.model.decoder.embed_tokens)
        assert all(other.weight is shared for other in others)


def test_the_exported_tokenizer_is_the_generators(toy: Seq2SeqGenerator, bert_folder: Path, tmp_path: Path) -> None:
    write_rag(tmp_path, "rag_token", toy, TextEncoder(EncoderConfig(), bert_folder, "query"), n_docs=3)
    found = AutoTokenizer.from_pretrained(tmp_path / "generator_tokenizer")
    assert found("a b c")["input_ids"] == toy.tokenizer("a b c")["input_ids"]


@pytest.mark.parametrize("formulation", FORMULATIONS)
def test_an_exported_model_decodes_there_from_our_start_token(
    toy: Seq2SeqGenerator, even_case: Any, bert_folder: Path, tmp_path: Path, formulation: str
) -> None:
    """A BART starts from its end token; ours from the one its targets were trained after."""
    bart = copy.deepcopy(toy.model)
    bart.config.decoder_start_token_id = bart.generation_config.decoder_start_token_id = toy.eos_id
    generator = Seq2SeqGenerator(bart, toy.tokenizer, toy.config)
    write_rag(tmp_path, formulation, generator, TextEncoder(EncoderConfig(), bert_folder, "query"), n_docs=3)
    model = CLASSES[formulation].from_pretrained(tmp_path).eval()
    assert model.config.decoder_start_token_id == toy.start_id
    rows = model.generate(**even_case.inputs, num_beams=1, do_sample=False, max_length=6)
    encodings, docs = Encodings(toy), likelihoods.doc_log_probs(even_case.doc_scores)
    if formulation == "rag_token":
        pools = rag_token.decode(encodings, even_case.questions, docs, num_beams=1, max_length=5)
    else:
        matrices = rag_sequence.matrices(encodings, even_case.questions, PairStore(), num_beams=1, max_length=5)
        pools = [rag_sequence.decode(m, p, "thorough") for m, p in zip(matrices, docs.numpy(), strict=True)]
    for row, pool in zip(rows.tolist(), pools, strict=True):
        wanted = [toy.start_id, *pool[0].token_ids]
        assert row[: len(wanted)] == wanted and set(row[len(wanted) :]) <= {toy.pad_id}
