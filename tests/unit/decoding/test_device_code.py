"""Models make every tensor on a device they name, and no loop waits for it, by their syntax."""

from __future__ import annotations

from pathlib import Path

import pytest

import rag_lightning
from tests.device_code import of_package, problems

PACKAGE = Path(rag_lightning.__file__).parent
STEPS = frozenset(
    f"generator/{name}.py" for name in ("bart", "fusion", "likelihoods", "llama", "steps", "token_tree", "vocabulary")
) | {"decoding/beam.py"}
"""Files whose functions run in the step loop of a search or of a training: nothing in them may read."""
ALLOWED = {
    ("decoding/beam.py", "check_doc_log_probs"): "before a search, of log p(z|x), which is on the host",
    ("decoding/beam.py", "read"): "the one read of a step",
    ("decoding/sequence_search.py", "_decode"): "log p(z|x) is made on the host, and kept by its bytes",
    ("decoding/served.py", "predict"): "log p(z|x) is made on the host",
    ("generator/heads.py", "save"): "weights leave for a file",
    ("generator/token_tree.py", "score"): "places in a tree, which are numpy's",
    ("generator/vocabulary.py", "__init__"): "whether a model has a bias, once for a model",
}
"""Reads that are meant, and why."""
MOVED = {
    ("training/encoders.py", "__init__"): "a parameter, which moves with its module",
    ("training/live_retrieval.py", "state"): "rows for a resume point",
    ("training/scaled_retrieval.py", "__init__"): "a parameter, which moves with its module",
}
"""Tensors that are made on the host, and why."""


@pytest.mark.parametrize("folder", ["decoding", "generator", "retrieval", "training"])
def test_no_tensor_is_without_device_and_no_loop_reads_one(folder: str) -> None:
    found = [
        (MOVED if problem.endswith("without device") else ALLOWED, (file, function), f"{file}, {function}, {problem}")
        for file, function, problem in of_package(PACKAGE / folder, STEPS)
    ]
    assert [shown for meant, place, shown in found if place not in meant] == []
    for meant in (ALLOWED, MOVED):
        used = {place for kind, place, _ in found if kind is meant}
        assert used == {place for place in meant if place[0].startswith(folder)}, "an exception that is not needed"


def test_all_files_of_the_step_loop_exist() -> None:
    assert all((PACKAGE / file).is_file() for file in STEPS)


FAULTS = {
    "a tensor": "def f(x):\n    return torch.zeros(3)\n",
    "a tensor within a call": "def f(x):\n    return g(torch.arange(3, dtype=torch.long))\n",
    "numpy's left on the host": "def f(x):\n    return torch.from_numpy(x) + 1\n",
    "ids left on the host": "def f(rows):\n    return pad_ids(rows, 0)\n",
    "item": "def f(x):\n    for y in x:\n        g(y.item())\n",
    "a condition": "def f(x):\n    while bool(x.any()):\n        x = g(x)\n",
    "a comprehension": "def f(x):\n    return [y.tolist() for y in x]\n",
    "the inner of two": "def f(x):\n    return [z for y in x for z in y.tolist()]\n",
    "after a branch": "def f(x):\n    for y in x:\n        if g(y):\n            z = y.cpu()\n",
    "the largest": "def f(x):\n    for y in x:\n        n = int(y.max())\n",
}
RIGHT = {
    "with device": "def f(x):\n    return torch.zeros(3, device=x.device), torch.zeros_like(x), x.new_zeros(3)\n",
    "numpy's moved": "def f(x, d):\n    return torch.from_numpy(x).to(d)\n",
    "read once": "def f(x):\n    for y in x.tolist():\n        g(y)\n    return [y for y in x.tolist()]\n",
    "of a number": "def f(x):\n    for y in x:\n        n = int(y)\n",
    "a function made in a loop": "def f(x):\n    for y in x:\n        def g(z):\n            return z.item()\n",
}


@pytest.mark.parametrize("source", FAULTS.values(), ids=FAULTS)
def test_a_planted_fault_is_found(source: str) -> None:
    assert len(list(problems(source))) == 1


@pytest.mark.parametrize("source", RIGHT.values(), ids=RIGHT)
def test_what_is_right_is_no_fault(source: str) -> None:
    assert list(problems(source)) == []


def test_within_the_loops_of_others_every_read_is_a_fault() -> None:
    source = "def f(x):\n    return x.item()\n"
    assert list(problems(source)) == []
    assert list(problems(source, everywhere=True)) == [("f", "line 2: .item() within a loop")]
