"""RAG checkpoints of transformers: the same likelihoods and query vectors in both libraries, in both directions."""

from __future__ import annotations

import copy
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from transformers import AutoTokenizer, BartConfig, BertTokenizerFast, RagConfig, RagTokenizer
from transformers.models.rag.retrieval_rag import RagRetriever

from rag_lightning.config.generator import GeneratorConfig
from rag_lightning.config.retrieval import EncoderConfig
from rag_lightning.core.records import Passage
from rag_lightning.decoding import rag_sequence, rag_token
from rag_lightning.decoding.encodings import Encodings
from rag_lightning.decoding.pair_store import PairStore
from rag_lightning.generator import likelihoods
from rag_lightning.generator.inputs import Pair, pad_ids
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


def from_the_end_token(toy: Seq2SeqGenerator) -> Seq2SeqGenerator:
    """The toy as BART-large is: it decodes from its end token, which is not the first one of its targets."""
    bart = copy.deepcopy(toy.model)
    bart.config.decoder_start_token_id = bart.generation_config.decoder_start_token_id = toy.eos_id
    return Seq2SeqGenerator(bart, toy.tokenizer, toy.config)


def greedy(generator: Seq2SeqGenerator, formulation: str, questions: Any, doc_scores: Tensor) -> list[tuple[int, ...]]:
    """Our greedy hypotheses of at most 5 tokens."""
    encodings, docs = Encodings(generator), likelihoods.doc_log_probs(doc_scores)
    if formulation == "rag_token":
        pools = rag_token.decode(encodings, questions, docs, num_beams=1, max_length=5)
    else:
        matrices = rag_sequence.matrices(encodings, questions, PairStore(), num_beams=1, max_length=5)
        pools = [rag_sequence.decode(m, p, "thorough") for m, p in zip(matrices, docs.numpy(), strict=True)]
    return [pool[0].token_ids for pool in pools]


def generated(model: Any, inputs: dict[str, Tensor], end: int) -> list[tuple[int, ...]]:
    """Their greedy outputs without the start token, which is the end token too, and without padding."""
    rows = model.generate(**inputs, num_beams=1, do_sample=False, max_length=6).tolist()
    assert {row[0] for row in rows} == {end}
    return [tuple(row[1 : row.index(end, 1) + 1] if end in row[1:] else row[1:]) for row in rows]


@pytest.mark.parametrize("formulation", FORMULATIONS)
def test_an_exported_model_decodes_there_from_our_start_token(
    toy: Seq2SeqGenerator, even_case: Any, bert_folder: Path, tmp_path: Path, formulation: str
) -> None:
    generator = from_the_end_token(toy)
    write_rag(tmp_path, formulation, generator, TextEncoder(EncoderConfig(), bert_folder, "query"), n_docs=3)
    model = CLASSES[formulation].from_pretrained(tmp_path).eval()
    assert generator.start_id == model.config.decoder_start_token_id == toy.eos_id
    wanted = generated(model, even_case.inputs, toy.eos_id)
    assert greedy(generator, formulation, even_case.questions, even_case.doc_scores) == wanted


@torch.no_grad()
@pytest.mark.parametrize("formulation", FORMULATIONS)
def test_greedy_outputs_of_a_checkpoint_are_those_of_generate(
    toy: Seq2SeqGenerator, tmp_path: Path, formulation: str
) -> None:
    """40 questions, from the folder alone in both libraries."""
    folder = save_rag(make_rag(from_the_end_token(toy), formulation), toy.tokenizer, tmp_path)
    model, loaded = CLASSES[formulation].from_pretrained(folder).eval(), Seq2SeqGenerator.create(HF, folder).eval()
    rng = np.random.default_rng(0)
    texts = [[" ".join(rng.choice(list("abc"), 5)) for _ in range(3)] for _ in range(40)]
    questions = [[Pair("a b", Passage(t, "c", t)) for t in group] for group in texts]
    ids, mask = pad_ids(loaded.source_ids([pair for pairs in questions for pair in pairs]), toy.pad_id)
    assert mask.all(), "RAG-Sequence's generate attends to padding"
    scores = torch.tensor(rng.normal(size=(40, 3)), dtype=torch.float32)
    inputs = {"context_input_ids": ids, "context_attention_mask": mask, "doc_scores": scores}
    wanted = generated(model, inputs, toy.eos_id)
    assert len(set(wanted)) > 3, "the questions must differ"
    assert greedy(loaded, formulation, questions, scores) == wanted
    loaded.start_id = toy.start_id
    assert greedy(loaded, formulation, questions, scores) != wanted, "the start token must matter"


def test_the_input_of_a_checkpoint_is_that_of_its_retriever(
    toy: Seq2SeqGenerator, bert_folder: Path, tmp_path: Path
) -> None:
    """RagRetriever decodes the ids of an uncased question encoder, and the generator has a prefix of its own."""
    model, asked = make_rag(toy, "rag_token"), AutoTokenizer.from_pretrained(bert_folder)
    generator_tokenizer = AutoTokenizer.from_pretrained(cased_tokenizer(tmp_path / "cased"))
    bart = BartConfig(**{**toy.model.config.to_dict(), "vocab_size": len(generator_tokenizer), "prefix": "Rome "})
    config = RagConfig.from_question_encoder_generator_configs(model.config.question_encoder, bart, n_docs=1)
    folder = tmp_path / "rag"
    CLASSES["rag_token"](config).save_pretrained(folder)
    RagTokenizer(asked, generator_tokenizer).save_pretrained(folder)  # type: ignore[no-untyped-call]
    created = Seq2SeqGenerator.create(replace(HF, max_source_length=24), folder)
    created.save(tmp_path / "saved")
    config.max_combined_length = 24
    retriever: Any = SimpleNamespace(config=config, n_docs=1, return_tokenized_docs=False, retrieve=one_passage)
    retriever.question_encoder_tokenizer, retriever.generator_tokenizer = asked, generator_tokenizer
    retriever.postprocess_docs = partial(RagRetriever.postprocess_docs, retriever)
    saved = Seq2SeqGenerator.load(tmp_path / "saved", replace(HF, max_source_length=24))
    for question in ("What is the capital of France?", "Rome , in  the City", "paris"):
        wanted = RagRetriever.__call__(retriever, asked([question])["input_ids"], np.zeros((1, 8)))  # type: ignore[no-untyped-call]
        row = [
            i
            for i, kept in zip(wanted["context_input_ids"][0], wanted["context_attention_mask"][0], strict=True)
            if kept
        ]
        pair = Pair(question, Passage("0", "Paris", "the City"))
        assert created.source_ids([pair]) == saved.source_ids([pair]) == [row], question
        assert str(generator_tokenizer.decode(row, skip_special_tokens=True)).startswith("Rome Paris / the City / ")
    assert created.source_ids([Pair("Rome", pair.passage)]) == created.source_ids([Pair("rome", pair.passage)])


def one_passage(*given: Any) -> tuple[Any, Any, list[dict[str, list[str]]]]:
    """What RagRetriever.retrieve returns, of one passage."""
    return np.zeros((1, 1, 8)), np.zeros((1, 1)), [{"title": ["Paris"], "text": ["the City"]}]


def cased_tokenizer(folder: Path) -> Path:
    """A tokenizer that tells cases apart, saved."""
    words = [
        "[PAD]",
        "[UNK]",
        "[CLS]",
        "[SEP]",
        "[MASK]",
        "Rome",
        "rome",
        "Paris",
        "paris",
        "the",
        "City",
        "city",
        "of",
    ]
    words += ["What", "what", "is", "capital", "France", "france", "in", "?", ",", "/"]
    BertTokenizerFast(vocab={word: i for i, word in enumerate(words)}, do_lower_case=False).save_pretrained(folder)
    return folder
