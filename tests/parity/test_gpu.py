"""Decoding and exact search on a GPU against the CPU; run where CUDA is."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from rag_lightning.config.retrieval import IndexConfig
from rag_lightning.core.hardware import resolve_dtype
from rag_lightning.core.records import Passage
from rag_lightning.decoding import fusion, rag_sequence, rag_token
from rag_lightning.decoding.beam import Finished
from rag_lightning.decoding.encodings import Encodings
from rag_lightning.decoding.pair_store import PairStore
from rag_lightning.generator.inputs import Pair
from rag_lightning.index.index import build_index
from rag_lightning.retrieval.exact import ExactSearch
from tests.batch_invariance import measure, questions
from tests.tiny_project import experiment

pytestmark = pytest.mark.gpu
TEXTS = [["a b c b", "c", "b b a"], ["a a c c b a", "b", "c a"], ["b c", "a b a", "c c"]]
QUESTIONS = [
    [Pair(query, Passage(t, "", t)) for t in texts] for query, texts in zip(("a b", "c", "b"), TEXTS, strict=True)
]
PRIORS = torch.tensor([[1.0, 0.3, -0.8], [-0.2, 0.6, 0.1], [0.0, 0.0, 2.0]]).log_softmax(-1)
BEAMS, LENGTH = 3, 4
Pools = list[list[Finished]]


def token(encodings: Encodings) -> Pools:
    return rag_token.decode(encodings, QUESTIONS, PRIORS, num_beams=BEAMS, max_length=LENGTH)


def thorough(encodings: Encodings) -> Pools:
    found = rag_sequence.matrices(encodings, QUESTIONS, PairStore(), num_beams=BEAMS, max_length=LENGTH)
    return [rag_sequence.decode(m, p.numpy(), "thorough") for m, p in zip(found, PRIORS, strict=True)]


def fused(encodings: Encodings) -> Pools:
    return fusion.decode(encodings, QUESTIONS, num_beams=BEAMS, max_length=LENGTH)


CASES = [("toy", token), ("toy", thorough), ("toy", fused), ("toy_llama", token), ("toy_llama", thorough)]


@pytest.mark.parametrize(("name", "decode"), CASES)
def test_float32_decodes_as_on_the_cpu(
    name: str, decode: Callable[[Encodings], Pools], request: pytest.FixtureRequest
) -> None:
    generator = request.getfixturevalue(name)
    wanted, found = (decode(Encodings(copy.deepcopy(generator).to(device))) for device in ("cpu", "cuda"))
    for left, right in zip(wanted, found, strict=True):
        assert [h.token_ids for h in left] == [h.token_ids for h in right]
        np.testing.assert_allclose([h.log_prob for h in left], [h.log_prob for h in right], atol=1e-4)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
@pytest.mark.parametrize(("name", "decode"), CASES)
def test_lower_types_give_float32_log_probs_near_by(
    name: str, decode: Callable[[Encodings], Pools], dtype: str, request: pytest.FixtureRequest
) -> None:
    if dtype == "bfloat16" and resolve_dtype("auto", "cuda") != dtype:
        pytest.skip("this GPU multiplies no bfloat16")
    generator = copy.deepcopy(request.getfixturevalue(name)).to("cuda")
    wanted, found = decode(Encodings(generator)), decode(Encodings(generator, dtype))
    for left, right in zip(wanted, found, strict=True):
        known = {h.token_ids: h.log_prob for h in left}
        both = [(known[h.token_ids], h.log_prob) for h in right if h.token_ids in known]
        assert both
        np.testing.assert_allclose(*zip(*both, strict=True), atol=0.2)


def test_exact_search_finds_what_faiss_finds() -> None:
    random = np.random.default_rng(0)
    vectors, queries = (random.normal(size=(count, 64)).astype(np.float32) for count in (100_000, 40))
    scores, rows = ExactSearch(vectors, "cuda").search(queries, 50)
    wanted, theirs = build_index(IndexConfig("flat"), vectors).search(queries, 50)
    np.testing.assert_allclose(scores, wanted, atol=1e-4)
    apart = np.abs(np.diff(wanted, axis=1)).min(axis=1) > 1e-4
    assert apart.any()
    np.testing.assert_array_equal(rows[apart], theirs[apart])


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("dtype", ["float32", "auto"])
def test_batch_invariance_is_printed(
    tiny_data: Path, bert_folder: Path, tmp_path: Path, dtype: str, capsys: pytest.CaptureFixture[str]
) -> None:
    from dataclasses import replace

    config: Any = replace(experiment(tmp_path, tiny_data, bert_folder), device="cuda")
    found = list(measure(config, dtype, questions(1000)))
    with capsys.disabled():
        print("", *(f"cuda {dtype}: {one}" for one in found), sep="\n")
    assert all(one.questions == 1000 for one in found)
