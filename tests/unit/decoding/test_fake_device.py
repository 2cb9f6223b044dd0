"""Every decoding, on a device that is not there: nothing mixes devices, and nothing reads one but `beam.read`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch._subclasses.fake_tensor import DataDependentOutputException, FakeTensor

from rag_lightning.core.records import Passage
from rag_lightning.decoding import beam, class_scores, posterior, rag_token
from rag_lightning.decoding.encodings import Encodings
from rag_lightning.decoding.pair_scores import PairSteps
from rag_lightning.decoding.rag_sequence import search_pairs
from rag_lightning.generator import inputs, token_tree
from rag_lightning.generator.inputs import Pair
from rag_lightning.generator.token_tree import TokenTree
from tests.fake_device import DEVICE, Elsewhere

DTYPES = ["float32", "bfloat16", "float16"]
TEXTS = [["a b c", "c", "b b"], ["a", "c c a b", "b a"], ["b", "c", "a a"]]
QUESTIONS = [[Pair("a b", Passage(text, "", text)) for text in texts] for texts in TEXTS]
K, LENGTH, END = 3, 4, 3
every_number_and_type = pytest.mark.parametrize(
    ("dtype", "beams"),
    [
        ("float32", 1), ("float16", 3), ("bfloat16", 3),
        *(pytest.param(*one, marks=pytest.mark.slow) for one in (("float32", 3), ("float16", 1), ("bfloat16", 1))),
    ],
)  # fmt: skip
"""Each type and each number of beams; the other pairs, which run the same lines, are slow."""

Script = Callable[[Tensor], np.ndarray]


@pytest.fixture
def there() -> Elsewhere:
    return Elsewhere()


@pytest.fixture
def steps_read(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, ...]]:
    """Shapes that the host has read; it is told of no end but, at the second step, that of the first question."""
    shapes: list[tuple[int, ...]] = []

    def read(values: Tensor) -> np.ndarray:
        assert isinstance(values, FakeTensor) and values.device == DEVICE
        shapes.append(tuple(values.shape))
        told = np.zeros(values.shape, dtype=np.int32)
        many = values.shape[1] // 3
        told[:-1, 2 * many :] = 4  # a token
        if len(shapes) == 2:
            told[0, 2 * many : 2 * many + many // 2] = END
        return told

    monkeypatch.setattr(beam, "read", read)
    return shapes


@pytest.fixture(params=["toy", "toy_llama"])
def generator(request: pytest.FixtureRequest) -> Any:
    return request.getfixturevalue(request.param)


def encoded_there(there: Elsewhere, generator: Any, dtype: str) -> Encodings:
    """Encodings on the device; in float16 transformers' BART reads the states of each layer of its encoder, to bound
    them, which no step of a search does."""
    made = there.encodings(generator, dtype)
    if dtype == "float16":
        made.encoder = there.encodings(generator, "float32").encoder
    return made


@every_number_and_type
def test_rag_token_reads_once_a_step(
    there: Elsewhere, generator: Any, dtype: str, beams: int, steps_read: list[tuple[int, ...]]
) -> None:
    encodings = encoded_there(there, generator, dtype)
    keys, rows = rag_token.split_pairs(encodings, QUESTIONS)
    with there.running():
        priors = torch.zeros((len(QUESTIONS), K), device="cpu")
        pools = rag_token._search(encodings, keys, rows, priors, beams, LENGTH)
    wide = 3 * 2 * beams
    assert steps_read == [(4, wide), (4, wide), (3, wide), (3, wide)], "the first question leaves after two steps"
    assert [len(pool) for pool in pools] == [beams] * 3


@every_number_and_type
def test_the_search_of_each_pair_reads_once_a_step(
    there: Elsewhere, generator: Any, dtype: str, beams: int, steps_read: list[tuple[int, ...]]
) -> None:
    encodings = encoded_there(there, generator, dtype)
    pairs = [pair for pairs in QUESTIONS for pair in pairs]
    with there.running():
        memory = encodings.memory(*encodings.keys(pairs))
        search_pairs(encodings, memory, len(pairs), beams, LENGTH, 1.0)
    assert [shape[0] for shape in steps_read] == [10, 10, 9, 9]


def test_passages_read_together(there: Elsewhere, toy: Any, steps_read: list[tuple[int, ...]]) -> None:
    encodings = there.encodings(toy, "bfloat16")
    keys, rows = rag_token.split_pairs(encodings, QUESTIONS)
    with there.running():
        memory = encodings.fused(keys, rows)
        search_pairs(encodings, memory, len(QUESTIONS), 2, LENGTH)
    assert len(steps_read) == LENGTH


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_scores_of_candidates(there: Elsewhere, generator: Any, dtype: str) -> None:
    encodings = encoded_there(there, generator, dtype)
    trees = [TokenTree.of([(4, 5, END), (4, END)], generator.start_id), TokenTree.of([(6, END)], generator.start_id)]
    asked = np.array([[True, True], [False, True], [True, False]])
    with there.running():
        memory = encodings.memory(*encodings.keys(QUESTIONS[0]))
        scores = token_tree.score(encodings.steps, trees, np.array([0, 0, 1]), memory, asked)
    assert scores.device == DEVICE and scores.shape == (3, 2) and scores.dtype == torch.float32


@pytest.mark.parametrize("head", ["label_token", "class_head"])
def test_the_scores_of_labels(there: Elsewhere, new_reader: Callable[..., Any], head: str) -> None:
    from dataclasses import replace

    reader = new_reader().eval()
    reader.config = replace(reader.config, head=head)
    reader.set_classes(["supports", "refutes"] if head == "class_head" else ["paris", "rome"])
    encodings = there.encodings(reader, "float32")
    pairs = [Pair("what is rome", Passage("1", "", "rome is a city"))] * 2
    with there.running():
        memory = encodings.memory(*encodings.keys(pairs))
        scores = class_scores._score(encodings, encodings.generator.classes, memory, ["what is rome", "rome"])  # type: ignore[arg-type]
    assert scores.device == DEVICE and scores.shape == (2, 2)


def test_the_log_probs_of_a_posterior(there: Elsewhere, generator: Any) -> None:
    encodings = there.encodings(generator, "float32")
    with there.running():
        found = posterior._token_log_probs(encodings, QUESTIONS[0], [4, 5, END])
    assert found.device == DEVICE and found.shape == (K, 3)


def test_faint_probabilities_are_computed_again_there(there: Elsewhere, toy: Any) -> None:
    vocabulary = there.encodings(toy, "float32").steps.vocabulary
    with there.running():
        states = torch.zeros((2, K, 1, 16), device=DEVICE)
        found = vocabulary.marginal_best(states, torch.zeros((2, K), device=DEVICE), 4)
        assert found.again is not None and found.again().tokens.shape == (2, 1, 4)


def _left_on_the_host(monkeypatch: pytest.MonkeyPatch) -> type[Exception]:
    made = inputs.pad_ids
    monkeypatch.setattr("rag_lightning.decoding.encodings.pad_ids", lambda rows, pad, device: made(rows, pad))
    return RuntimeError


def _read_in_a_step(monkeypatch: pytest.MonkeyPatch) -> type[Exception]:
    step = PairSteps.step

    def reading(self: PairSteps, tokens: Tensor, moves: Any) -> Tensor:
        assert int(tokens.max()) >= 0
        return step(self, tokens, moves)

    monkeypatch.setattr(PairSteps, "step", reading)
    return DataDependentOutputException


def _rows_on_the_host(monkeypatch: pytest.MonkeyPatch) -> type[Exception]:
    monkeypatch.setattr(torch.Tensor, "new_zeros", lambda self, *shape: torch.zeros(*shape, dtype=self.dtype))
    return RuntimeError


@pytest.mark.parametrize("plant", [_left_on_the_host, _read_in_a_step, _rows_on_the_host])
def test_a_planted_fault_raises(
    there: Elsewhere, toy: Any, plant: Callable[[pytest.MonkeyPatch], type[Exception]], steps_read: Iterator[Any]
) -> None:
    encodings: Encodings = there.encodings(toy, "float32")
    keys, rows = rag_token.split_pairs(encodings, QUESTIONS)
    with pytest.MonkeyPatch.context() as patch, there.running():
        expected = plant(patch)
        with pytest.raises(expected):
            rag_token._search(encodings, keys, rows, torch.zeros((3, K), device="cpu"), 2, LENGTH)
