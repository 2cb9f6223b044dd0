"""How many predictions change with the number of questions that are decoded together.

`python -m tests.batch_invariance [--device cpu] [--dtype float32] [--questions 1000]` prints one line for each
formulation, decoding and batch size. The model is that of the tests' tiny project, trained for a few seconds; each
question reads passages drawn at random, so that batches hold sources and outputs of all lengths. With `--config FILE`
it is the model of that experiment, with its questions of dev, test and test2 and the passages it retrieves for them;
`--seed` and `--strategy` choose.
"""

from __future__ import annotations

import argparse
import random
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from scipy.stats import binomtest

from rag_lightning.config.decoding import DecodingConfig
from rag_lightning.config.experiment import ExperimentConfig
from rag_lightning.config.loading import load_experiment
from rag_lightning.core.console import ignore
from rag_lightning.core.devices import device_class, resolve_device
from rag_lightning.core.hardware import resolve_dtype
from rag_lightning.core.records import Example, Prediction
from rag_lightning.decoding.encodings import Encodings
from rag_lightning.decoding.predictor import Predictor
from rag_lightning.decoding.question import Question
from rag_lightning.stages import corpus, examples, train
from rag_lightning.stages.predict import asked_questions
from rag_lightning.stages.workspace import Workspace
from tests.conftest import make_bert
from tests.tiny_project import PLACES, experiment, place, write_data

SIZES = (1, 7, 64)
"""Questions decoded together; predictions of the first size are those the others are compared with."""
CASES = (
    ("rag_token", "greedy", {}),
    ("rag_token", "beam", {"num_beams": 4}),
    ("rag_sequence", "thorough", {"passage_beams": 4}),
    ("rag_sequence", "fast", {"passage_beams": 4}),
)
K, TIE = 5, 1e-5
SHORT = {"max_length": 6}
"""Decoding fields for the answers of the tiny project."""
ASKED = (
    "what is the capital of {}",
    "what is the river in {}",
    "capital of {}",
    "what is in {} the city of the capital",
)


@dataclass(frozen=True)
class Changed:
    """Predictions of one batch size beside those of the first.

    Args:
        case: Formulation and decoding.
        size: Questions decoded together.
        questions: Number of questions.
        gaps: Of each prediction that differs, log p of the first size's best hypothesis above that of the other's, 0
            at least: how far it is from a tie.
        moved: Largest difference of log p between the best hypotheses of both.
    """

    case: str
    size: int
    questions: int
    gaps: tuple[float, ...]
    moved: float

    def __str__(self) -> str:
        low, high = binomtest(len(self.gaps), self.questions).proportion_ci(method="exact")
        ties = sum(gap <= TIE for gap in self.gaps)
        return (
            f"{self.case}, batches of {self.size}: {len(self.gaps)} of {self.questions} predictions change "
            f"[{100 * low:.2f} %, {100 * high:.2f} %], {ties} of them ties within {TIE:g}; "
            f"log p moves by {self.moved:.1e} at most"
        )


def questions(count: int) -> list[Question]:
    """Questions of all lengths, each with K passages drawn at random and scores near each other."""
    draw = random.Random(0)
    made = []
    for number in range(count):
        query = ASKED[number % len(ASKED)].format(place(draw.randrange(PLACES)))
        rows = tuple(draw.sample(range(PLACES), K))
        scores = tuple(sorted((draw.gauss(0, 1) for _ in range(K)), reverse=True))
        made.append(Question(Example(f"q{number}", query, ("x",)), rows, scores))
    return made


def asked_of(workspace: Workspace, count: int) -> list[Question]:
    """The first questions of an experiment's dev, test and test2, with the passages that it retrieves for them."""
    splits = [split for split in examples.read_all(workspace) if split != "train"]
    return [one for split in splits for one in asked_questions(workspace.on(split), split)][:count]


def measure(
    config: ExperimentConfig,
    dtype: str,
    asked: Sequence[Question],
    options: Mapping[str, Any] = SHORT,
    strategy: str = "",
) -> Iterator[Changed]:
    """One result for each case and size but the first.

    Args:
        config: The project; its model is trained where it is not there.
        dtype: Type of the forward passes.
        asked: The questions.
        options: Decoding fields of all cases.
        strategy: The only one; empty for all.
    """
    workspace = Workspace(config, ignore)
    generator = train.load_generator(workspace).to(workspace.device)
    dtype = resolve_dtype(dtype, device_class(workspace.device))
    store = corpus.open_store(workspace)
    for formulation, named, own in (case for case in CASES if strategy in ("", case[1])):
        decoding = DecodingConfig(named, {**options, **own}, k=K)
        found: list[list[Prediction]] = []
        for size in SIZES:
            predictor = Predictor(formulation, Encodings(generator, dtype), decoding, store)  # type: ignore[arg-type]
            parts = [asked[at : at + size] for at in range(0, len(asked), size)]
            found.append([prediction for part in parts for prediction in predictor.predict(part)])
        for size, other in zip(SIZES[1:], found[1:], strict=True):
            yield compared(f"{formulation} {named}", size, found[0], other)


def compared(case: str, size: int, first: Sequence[Prediction], other: Sequence[Prediction]) -> Changed:
    """Two lists of predictions of the same questions."""
    gaps = []
    for a, b in zip(first, other, strict=True):
        if a.hypotheses[0].token_ids != b.hypotheses[0].token_ids:
            of_a = {h.token_ids: h.log_prob for h in a.hypotheses}
            gaps.append(max(a.log_prob - of_a.get(b.hypotheses[0].token_ids, float("-inf")), 0.0))
    moved = max(abs(a.log_prob - b.log_prob) for a, b in zip(first, other, strict=True))
    return Changed(case, size, len(first), tuple(gaps), moved)


def main() -> None:
    """Print the results of a new project, or of an experiment."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--questions", type=int, default=1000)
    parser.add_argument("--config", type=Path, help="an experiment, whose model is trained where it is not there")
    parser.add_argument("--seed", type=int, default=0, help="seed of the experiment")
    parser.add_argument("--strategy", default="", help="one strategy instead of all")
    given = parser.parse_args()
    device = resolve_device(given.device)
    if given.config:
        config = load_experiment(given.config, {"device": device, "seed": given.seed})
        asked = asked_of(Workspace(config, ignore), given.questions)
        show(given, measure(config, given.dtype, asked, {}, given.strategy))
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "bert").mkdir()
        write_data(folder / "data")
        config = replace(experiment(folder, folder / "data", make_bert(folder / "bert")), device=device)
        show(given, measure(config, given.dtype, questions(given.questions), strategy=given.strategy))


def show(given: argparse.Namespace, found: Iterator[Changed]) -> None:
    """Print results as they come."""
    for one in found:
        print(f"{given.device} {given.dtype}: {one}", flush=True)


if __name__ == "__main__":
    main()
